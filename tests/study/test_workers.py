"""Cells are trained once, survive what happens to others, and depend on what they are made from."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LABEL_NAMES, pairs
from study_project import PARAMS, STUDY, fork_workers, prepare

from pipeline.core import rows
from pipeline.core.checkpoints import ROOT
from pipeline.core.errors import UserError
from pipeline.core.rows import CORPORA
from study import workers
from study.cells import PREDICTIONS, read_predictions
from study.settings import Study, read_study

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fork_workers(monkeypatch)
    prepare(tiny_bert)


def study(**students: Any) -> Study:
    content = copy.deepcopy(STUDY)
    content["students"] |= students
    content["tables"]["methods"]["systems"] += list(students)
    return read_study(PARAMS, content)


def train(given: Study) -> dict[str, int]:
    """Train it; returns when each file of answers was written, in nanoseconds."""
    workers.train(given, Path("models"))
    return {path.stem: path.stat().st_mtime_ns for path in PREDICTIONS.iterdir()}


def test_every_cell_is_trained_once_and_a_new_entry_is_trained_alone() -> None:
    before = train(study())
    assert set(before) == {f"{n}-{s}" for n in ("gold", "kd", "stage1", "tmkd") for s in (1, 2)}
    assert train(study()) == before
    after = train(study(alpha={"alpha": 0.9}))
    assert set(after) - set(before) == {"alpha-1", "alpha-2"}
    assert {name: after[name] for name in before} == before
    assert set(train(study())) == set(before)


def test_a_cell_trained_alone_gives_the_same_answers() -> None:
    train(study())
    before = [answers.logits["test"] for answers in read_predictions("tmkd", 2)]
    (PREDICTIONS / "tmkd-2.safetensors").unlink()
    train(study())
    after = [answers.logits["test"] for answers in read_predictions("tmkd", 2)]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert not torch.equal(*before)


def test_heads_and_rows_of_the_answers() -> None:
    train(study())
    heads = {"gold": 1, "kd": 2, "stage1": 2, "tmkd": 3}
    for name, count in heads.items():
        for answers in read_predictions(name, 2):
            assert answers.logits["test"].shape == (40, count, 2)
            assert answers.logits["validation"].shape == (16, count, 2)


def test_heads_read_what_the_student_says_or_else_its_weights() -> None:
    train(study(cls={"pooling": "cls"}, mean={"pooling": "mean"}))
    by_default, cls, mean = (
        next(read_predictions(name, 1)).logits["test"] for name in ("tmkd", "cls", "mean")
    )
    assert torch.equal(by_default, cls)
    assert not torch.equal(by_default, mean)


def test_a_cell_that_fails_costs_no_other_and_is_tried_again() -> None:
    broken = {"student": {"layers": 9}, "stage2": {"from_stage1": False}}
    with pytest.raises(
        UserError, match=r"2 of 10 students could not be trained.*broken, seed 1 \("
    ):
        train(study(broken=broken))
    kept = {path.stem: path.stat().st_mtime_ns for path in PREDICTIONS.iterdir()}
    assert len(kept) == 8
    fixed = train(study(broken={**broken, "student": {"layers": 2}}))
    assert len(fixed) == 10
    assert {name: fixed[name] for name in kept} == kept


def test_weights_that_cannot_be_read_end_in_a_sentence_whatever_heads_read() -> None:
    weights = Path("models/pretrained/tiny")
    whole = weights.resolve()
    weights.unlink()
    shutil.copytree(whole, weights)
    (weights / "config.json").write_text("{")
    with pytest.raises(UserError, match="10 of 10 students could not be trained"):
        train(study(mean={"pooling": "mean"}))


def test_a_failed_cell_keeps_its_stage_1_for_the_next_run() -> None:
    greedy = {"stage2": {"rows": 999}}
    written = []
    for _ in range(2):
        with pytest.raises(UserError, match="999 rows of task/train, which has 32"):
            train(study(greedy=greedy))
        written.append({path: path.stat().st_mtime_ns for path in ROOT.glob("study/*/card.json")})
    assert len(written[0]) == 2
    assert written[0] == written[1]
    train(study())
    assert not (ROOT / "study").exists()


def test_changed_labels_train_everything_again() -> None:
    before = train(study())
    table = pairs(32, 1)
    flipped = table.set_column(2, "label", [[1 - one for one in table["label"].to_pylist()]])
    rows.write(CORPORA / "task/train.arrow", [flipped], LABEL_NAMES)
    after = train(study())
    assert all(after[name] > when for name, when in before.items())
