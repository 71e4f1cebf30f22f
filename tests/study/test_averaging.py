"""The mean of the teachers: its logits, what it is refused for, and parts of an interrupted run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LABEL_NAMES, pairs
from study_project import prepare

from pipeline import logits
from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.rows import CORPORA, Rows
from pipeline.logits import dumped
from study.averaging import artifact_of, average, content_hash


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tiny_bert)


def read_pool(teacher: str) -> torch.Tensor:
    artifact = artifact_of("general", teacher)
    return logits.read(
        artifact, logits.read_identity(artifact), rows.read("general", "pool"), LABEL_NAMES
    )


def test_the_mean_is_that_of_the_raw_logits() -> None:
    assert average("general", ["t1", "t2"]) == 60
    expected = (read_pool("t1") + read_pool("t2")) / 2
    torch.testing.assert_close(read_pool("mean"), expected)


def test_teachers_of_other_tokenizers_and_class_orders_have_a_mean() -> None:
    before = [read_pool(teacher) for teacher in ("t1", "t2")]
    rewrite("t2", tokenizer="another", max_length=99, label_names=tuple(reversed(LABEL_NAMES)))
    average("general", ["t1", "t2"])
    torch.testing.assert_close(read_pool("mean"), (before[0] + before[1].flip(1)) / 2)
    identity = logits.read_identity(artifact_of("general", "mean"))
    assert (identity.label_names, identity.max_length) == (LABEL_NAMES, 99)


def test_teachers_of_other_classes_have_no_mean() -> None:
    rewrite("t2", label_names=("no", "yes"))
    with pytest.raises(UserError, match="'t1' and 't2' differ in label_names, so their logits"):
        average("general", ["t1", "t2"])


def rewrite(teacher: str, **changes: Any) -> None:
    """Write the logits of a teacher on the pool again, under an identity that differs."""
    artifact = dumped("general", teacher)
    identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
    pool = rows.read("general", "pool")
    tensor = logits.read(artifact, identity, pool, identity.label_names)

    def score(split: Rows, start: int, stop: int) -> torch.Tensor:
        return tensor[start:stop].clone()

    changed = replace(identity, **changes)
    parts = Path("parts")
    logits.write(artifact.directory, changed, [pool], notes=notes, score=score, parts=parts)


def test_no_teachers_and_a_missing_mean_say_what_to_do() -> None:
    with pytest.raises(UserError, match="no teacher has logits for general"):
        average("general", [])
    remedy = "run `dvc repro -f study/dvc.yaml:average_logits@general`"
    with pytest.raises(UserError, match=f"mean/card.json is missing: {remedy}"):
        content_hash(artifact_of("general", "mean"))


@pytest.mark.parametrize("rows_change", [True, False], ids=["rows and logits", "only logits"])
def test_parts_of_an_interrupted_run_over_other_logits_are_never_used(
    rows_change: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teachers' weights stay; the pool or the precision of the dump changes."""
    with monkeypatch.context() as patch:
        patch.setattr(logits, "whole_directory", _die)
        with pytest.raises(KeyboardInterrupt):
            average("general", ["t1", "t2"])
    if rows_change:
        rows.write(CORPORA / "general/pool.arrow", [pairs(60, 9)], LABEL_NAMES)
    split = rows.read("general", "pool")
    for teacher in ("t1", "t2"):
        artifact = dumped("general", teacher)
        identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
        parts = Path("parts")
        logits.write(artifact.directory, identity, [split], notes=notes, score=_ones, parts=parts)
    average("general", ["t1", "t2"])
    assert torch.equal(read_pool("mean"), torch.ones(60, 2))


def _ones(split: Rows, start: int, stop: int) -> torch.Tensor:
    return torch.ones(stop - start, 2)


def _die(*arguments: object) -> None:
    raise KeyboardInterrupt
