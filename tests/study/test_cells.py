"""What makes two cells the same, and what makes an answer out of date."""

import copy
from pathlib import Path

import pytest
import torch
from conftest import LABEL_NAMES, pairs
from study_project import MAIN, STUDY, prepare

from pipeline import rows
from pipeline.rows import CORPORA
from study import systems
from study.cells import ANSWERS, Answers, Cell, cells, is_done, read_answers, write_answers


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tiny_bert)


def found(code: str = "code") -> dict[tuple[str, int], Cell]:
    content = copy.deepcopy(STUDY)
    content["students"]["alpha"] = {"alpha": 0.9}
    content["tables"]["methods"]["systems"].append("alpha")
    given = cells(systems.read(MAIN, content), Path("models"), code)
    return {(cell.name, cell.seed): cell for cell in given}


def test_students_that_share_stage_1_have_the_same_one() -> None:
    given = found()
    assert given["tmkd", 1].stage1 == given["stage1", 1].stage1 == given["alpha", 1].stage1
    assert given["tmkd", 1].stage1 != given["tmkd", 2].stage1
    assert given["gold", 1].stage1 is None
    assert len({cell.identity for cell in given.values()}) == len(given) == 10


def test_a_row_of_the_pool_matters_to_those_that_see_it_and_the_code_to_all() -> None:
    before = found()
    rows.write(CORPORA / "general/pool.arrow", [pairs(61, 0)], LABEL_NAMES)
    after = found()
    changed = {name for (name, _), cell in after.items() if cell != before[name, cell.seed]}
    assert changed == {"tmkd", "stage1", "alpha"}
    assert after["gold", 1].identity == before["gold", 1].identity
    rows.write(CORPORA / "task/train.arrow", [pairs(33, 1)], LABEL_NAMES)
    assert all(cell.identity != after[name].identity for name, cell in found().items())
    assert all(cell.stage1 == after[name].stage1 for name, cell in found().items())
    after = found()
    assert not {c.identity for c in after.values()} & {c.identity for c in found("x").values()}


def test_answers_come_back_as_they_were_and_only_from_the_cell_that_made_them() -> None:
    cell = found()["gold", 1]
    assert not is_done(cell)
    ANSWERS.mkdir(parents=True)
    said = {split: torch.randn(4, 1, 2) for split in ("validation", "test")}
    write_answers(cell, Answers(said, 7, {"model_type": "bert"}))
    (read,) = read_answers("gold", 1)
    assert (read.parameters, read.encoder) == (7, {"model_type": "bert"})
    assert all(torch.equal(read.logits[split], said[split]) for split in said)
    assert is_done(cell)
    assert not is_done(found("other code")["gold", 1])
    cell.answers.write_bytes(b"damaged")
    assert not is_done(cell)
