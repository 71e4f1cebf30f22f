"""What makes two cells the same, and what makes an answer out of date."""

import copy
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from conftest import LABEL_NAMES, pairs
from study_project import PARAMS, STUDY, prepare

from pipeline import logits
from pipeline.core import rows
from pipeline.core.rows import CORPORA, Rows
from pipeline.logits import SPLITS, dumped
from study.cells import (
    PREDICTIONS,
    Cell,
    StudentPredictions,
    cells,
    is_done,
    read_predictions,
    write_predictions,
)
from study.settings import read_study


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tiny_bert)


def found(code: str = "textwrap") -> dict[tuple[str, int], Cell]:
    content = copy.deepcopy(STUDY)
    content["students"]["alpha"] = {"alpha": 0.9}
    content["tables"]["methods"]["systems"].append("alpha")
    given = cells(read_study(PARAMS, content), Path("models"), code)
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
    assert not {c.identity for c in after.values()} & {c.identity for c in found("string").values()}


def test_predictions_come_back_as_they_were_and_only_from_the_cell_that_made_them() -> None:
    cell = found()["gold", 1]
    assert not is_done(cell)
    PREDICTIONS.mkdir(parents=True)
    said = {split: torch.randn(4, 1, 2) for split in ("validation", "test")}
    kept = StudentPredictions(said, 7, {"model_type": "bert"}, [12, 9], 1.5, True, [{"epoch": 1.0}])
    write_predictions(cell, kept)
    (read,) = read_predictions("gold", 1)
    assert replace(read, logits=said) == kept
    assert all(torch.equal(read.logits[split], said[split]) for split in said)
    assert is_done(cell)
    assert not is_done(found("string")["gold", 1])
    cell.file.write_bytes(b"damaged")
    assert not is_done(cell)


def test_logits_of_another_precision_make_other_cells(monkeypatch: pytest.MonkeyPatch) -> None:
    """Equal teachers, rows and settings, but logits that differ by rounding."""
    before = found()
    artifact = dumped("task", "t1")
    identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
    splits = [rows.read("task", split) for split in SPLITS["task"]]
    exact = {split.name: logits.read(artifact, identity, split, LABEL_NAMES) for split in splits}

    def score(split: Rows, start: int, stop: int) -> torch.Tensor:
        return (exact[split.name][start:stop] * 1.01).bfloat16().float()

    parts = Path("parts")
    logits.write(artifact.directory, identity, splits, notes=notes, score=score, parts=parts)
    changed = {name for (name, seed), cell in found().items() if cell != before[name, seed]}
    # `gold` at alpha 0 names the same teachers; `stage1` reads no logits of the task.
    assert changed == {"gold", "kd", "tmkd", "alpha"}


def test_an_edited_check_of_settings_retrains_nothing_and_an_edited_loss_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pipeline

    copy_of_source = tmp_path / "src" / "pipeline"
    shutil.copytree(Path(pipeline.__path__[0]), copy_of_source)

    def find_copy(name: str) -> Any:
        path = copy_of_source.joinpath(*name.split(".")[1:])
        origin = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        locations = [str(path)] if path.is_dir() else None
        return SimpleNamespace(origin=str(origin), submodule_search_locations=locations)

    monkeypatch.setattr("importlib.util.find_spec", find_copy)
    before = found("pipeline.logits")
    for file in ("preflight.py", "core/settings.py", "student/settings.py", "evaluation/report.py"):
        (copy_of_source / file).write_text("# another error message")
    assert found("pipeline.logits") == before
    (copy_of_source / "student/losses.py").write_text("# another loss")
    after = found("pipeline.logits")
    assert all(cell.identity != before[key].identity for key, cell in after.items())
