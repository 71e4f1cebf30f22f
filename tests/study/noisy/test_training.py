"""Cells of noisy students: trained once, after their teachers, and again only if they changed."""

import copy
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from noisy_study import CONTENT
from study_project import prepare

from pipeline.core import settings
from pipeline.core.errors import UserError
from study.noisy import report, training
from study.noisy.cells import PREDICTIONS, WORK, cells, read_predictions
from study.noisy.settings import NoisyStudyParams


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    prepare(tiny_bert)


def study(**changes: Any) -> NoisyStudyParams:
    return settings.check(NoisyStudyParams, {**copy.deepcopy(CONTENT), **changes})


def times() -> dict[str, int]:
    """When each file of predictions was written, in nanoseconds."""
    return {path.stem: path.stat().st_mtime_ns for path in PREDICTIONS.iterdir()}


def identities(given: NoisyStudyParams) -> dict[str, str]:
    return {str(cell): cell.identity for cell in cells(given, 16, "qa")}


def test_a_setting_changes_the_cell_and_the_students_of_its_model_only() -> None:
    before = identities(study())
    assert len(set(before.values())) == 6
    changed = study(noisy_students={"first": {"gold_share": 0.6}, "second": {"teacher": "first"}})
    after = identities(changed)
    same = {name for name in before if before[name] == after[name]}
    assert same == {"teacher, seed 1", "teacher, seed 2"}
    changed = study(noisy_students={"first": {"gold_share": 0.5}, "second": {"cutoff": 0.3}})
    after = identities(changed)
    assert {name for name in before if before[name] != after[name]} == {
        "second, seed 1",
        "second, seed 2",
    }


@pytest.mark.slow
def test_the_study_trains_every_cell_once_and_writes_its_report(tmp_path: Path) -> None:
    given = study()
    assert training.train(given, 16, "qa") == 6
    before = times()
    assert set(before) == {f"{n}-{s}" for n in ("teacher", "first", "second") for s in (1, 2)}
    assert not WORK.exists()
    assert training.train(given, 16, "qa") == 6
    assert times() == before
    # A student whose predictions are lost is trained again, and its teacher, whose weights it
    # needs; the result is the same.
    (lost,) = (cell.logits for cell in read_predictions("first", 1))
    (PREDICTIONS / "first-1.safetensors").unlink()
    training.train(given, 16, "qa")
    (again,) = (cell.logits for cell in read_predictions("first", 1))
    assert set(again) == {"validation", "test"} | set(report._faults())
    assert all(torch.equal(lost[split], again[split]) for split in lost)
    assert times()["second-1"] == before["second-1"]

    tested = report.write(given, "qa", tmp_path / "page", tmp_path / "metrics")
    assert [(one.first, one.second) for one in tested if one.split == "test"] == [
        ("first", "teacher"),
        ("second", "first"),
    ]
    # `second` is not tested for robustness.
    assert len(tested) == 2 + 9
    text = (tmp_path / "page/README.md").read_text()
    accuracy = 100 * report.read_systems(given, "qa")["first"].hits["test"].mean()
    assert f"| first | {accuracy:.1f} | " in text
    assert "## Test pairs with dropped words" in text
    assert (tmp_path / "page/generations.png").stat().st_size > 5000
    lines = (tmp_path / "metrics/systems.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 11 + 2


def test_missing_predictions_are_named() -> None:
    shutil.rmtree(PREDICTIONS, ignore_errors=True)
    with pytest.raises(UserError, match="has no predictions of 'teacher' with seed 1, or damaged"):
        report.read_systems(study(), "qa")
