"""Cells of noisy students: trained once, after their teachers, and again only if they changed."""

import copy
import csv
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import LABEL_NAMES
from noisy_study import CONTENT
from sklearn.metrics import log_loss
from study_project import PARAMS, fork_workers, prepare

from pipeline.core import rows, settings
from pipeline.core.errors import UserError
from pipeline.core.rows import CORPORA
from study.noisy import report, training
from study.noisy.cells import PREDICTIONS, WORK, cells, read_predictions
from study.noisy.corruption import CORRUPTIONS, faults
from study.noisy.settings import NoisyStudyParams


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fork_workers(monkeypatch)
    prepare(tiny_bert)


def study(**changes: Any) -> NoisyStudyParams:
    return settings.check(NoisyStudyParams, {**copy.deepcopy(CONTENT), **changes})


def times() -> dict[str, int]:
    """When each file of predictions was written, in nanoseconds."""
    return {path.stem: path.stat().st_mtime_ns for path in PREDICTIONS.iterdir()}


def identities(given: NoisyStudyParams) -> dict[str, str]:
    return {str(cell): cell.identity for cell in cells(given, PARAMS)}


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


def test_what_is_tested_changes_predictions_and_no_model() -> None:
    before, after = (cells(given, PARAMS) for given in (study(), study(robustness=[])))
    changed = {str(a) for a, b in zip(before, after, strict=True) if a.identity != b.identity}
    assert changed == {f"{name}, seed {seed}" for name in ("teacher", "first") for seed in (1, 2)}
    models = [[cell.model_identity for cell in found] for found in (before, after)]
    assert models[0] == models[1]


def test_systems_with_the_same_settings_have_models_of_their_own() -> None:
    found = cells(study(noisy_students={"first": {}, "second": {}}), PARAMS)
    assert len({cell.model for cell in found}) == 6


def test_another_tokenizer_makes_other_models(tiny_bert: Path) -> None:
    before = identities(study())
    weights = Path("models/pretrained/tiny")
    weights.unlink()
    shutil.copytree(tiny_bert, weights)
    assert identities(study()) == before
    (weights / "tokenizer.json").write_text("{}")
    assert not set(identities(study()).values()) & set(before.values())


def test_predictions_have_the_class_order_of_the_test_set() -> None:
    given = study(robustness=[])
    cell = cells(given, PARAMS)[0]
    training.train_cell(cell)
    (before,) = (found.logits["test"] for found in read_predictions(cell.system, 1))
    file = CORPORA / f"test/{cell.test}.arrow"
    table = rows.read("test", cell.test).table
    reversed_labels = pa.array(1 - table["label"].to_numpy())
    flipped = table.set_column(table.column_names.index("label"), "label", reversed_labels)
    rows.write(file, [flipped], LABEL_NAMES[::-1])
    training.train_cell(cell)
    (after,) = (found.logits["test"] for found in read_predictions(cell.system, 1))
    assert torch.equal(after, before.flip(1))


def test_no_cell_starts_again_with_the_seed_of_another() -> None:
    given = study(teacher={**CONTENT["teacher"], "restarts": 2})
    assert identities(given) == identities(study())
    assert {cell.recipe.restarts for cell in cells(given, PARAMS)} == {0}


@pytest.mark.slow
def test_a_cell_that_fails_is_named() -> None:
    refused = {"first": {"pseudo_labels": {"threshold": 1.0}}, "second": {"teacher": "first"}}
    with pytest.raises(UserError, match=r"first, seed \d could not be trained \(no row of the p"):
        training.train(study(noisy_students=refused), PARAMS)
    assert {"teacher-1", "teacher-2"} >= set(times())


@pytest.mark.slow
def test_the_study_trains_every_cell_once_and_writes_its_report(tmp_path: Path) -> None:
    given = study()
    assert training.train(given, PARAMS) == 6
    before = times()
    assert set(before) == {f"{n}-{s}" for n in ("teacher", "first", "second") for s in (1, 2)}
    assert not WORK.exists()
    assert training.train(given, PARAMS) == 6
    assert times() == before
    # A student whose predictions are lost is trained again, and its teacher, whose weights it
    # needs; the result is the same.
    (lost,) = (cell.logits for cell in read_predictions("first", 1))
    (PREDICTIONS / "first-1.safetensors").unlink()
    training.train(given, PARAMS)
    (again,) = (cell.logits for cell in read_predictions("first", 1))
    with_faults = {name for kind in CORRUPTIONS for name in faults(kind)}
    assert len(with_faults) == 9
    assert set(again) == {"validation", "test"} | with_faults
    assert all(torch.equal(lost[split], again[split]) for split in lost)
    assert times()["second-1"] == before["second-1"]

    tested = report.write(given, PARAMS, tmp_path / "page", tmp_path / "metrics")
    assert [(one.first, one.second) for one in tested if one.split == "test"] == [
        ("first", "teacher"),
        ("second", "first"),
    ]
    # `second` is not tested for robustness, and the tokenizer does not see changed case.
    assert [one.split for one in tested[2:]] == [
        f"{kind} {strength}" for kind in ("typos", "dropped_words") for strength in (0.1, 0.2, 0.3)
    ]
    text = (tmp_path / "page/README.md").read_text()
    accuracy = 100 * report.read_systems(given, PARAMS)["first"].hits["test"].mean()
    assert f"| first | {accuracy:.1f} | " in text
    assert "## Test pairs with dropped words\n\n| share of the words | none | 10% |" in text
    assert "## Test pairs with changed case\n\nNo prediction changes, because" in text
    assert (tmp_path / "page/generations.png").stat().st_size > 5000
    with (tmp_path / "metrics/systems.csv").open(newline="") as file:
        lines = {(line["system"], line["split"]): line for line in csv.DictReader(file)}
    assert len(lines) == 2 * 11 + 2
    labels = rows.read("test", PARAMS.tests[0]).labels
    losses = [
        log_loss(labels, cell.logits["test"].double().softmax(dim=-1).numpy())
        for cell in read_predictions("first", 2)
    ]
    found = float(lines["first", "test"]["log_loss"])
    assert found == pytest.approx(sum(losses) / 2, abs=1e-4)


def test_a_study_without_robustness_says_nothing_of_it() -> None:
    hits = {"validation": np.ones((2, 4)), "test": np.eye(2, 4)}
    system = report.System(hits, {"test": 0.5}, (False, False), frozenset())
    text = report.markdown({"teacher": system}, [], rows=4)
    assert "| teacher | 25.0 | " in text
    assert "Test pairs with" not in text


def test_missing_predictions_are_named() -> None:
    shutil.rmtree(PREDICTIONS, ignore_errors=True)
    with pytest.raises(UserError, match="has no predictions of 'teacher' with seed 1, or damaged"):
        report.read_systems(study(), PARAMS)
