"""The page of the earlier reproduction, from results made up so that they can be read off."""

import csv
from pathlib import Path

import numpy as np
import pytest

from study import deck
from study.deck import COMMON, TASKS, TaskResult
from study.figures import TableRow
from study.statistics import Estimate


def row(name: str, accuracy: float, chosen: str = "", failed: bool = False) -> TableRow:
    estimate = Estimate(accuracy, accuracy - 0.05, accuracy + 0.05, 0.01)
    return TableRow(
        name,
        f"the {name}",
        estimate,
        (accuracy, accuracy),
        (failed, False),
        0.5,
        1_000,
        2.0,
        chosen,
        estimate,
        (False, False),
    )


def result(*more: TableRow) -> TaskResult:
    systems = {name: row(name, 0.4) for name in COMMON} | {one.name: one for one in more}
    curves = {name: np.full((2, 3, 2), [0.9, 0.5]) for name in systems if name != "vote"}
    return TaskResult(systems, curves, 1234)


@pytest.fixture
def results() -> dict[str, TaskResult]:
    found = {task: result() for task in TASKS}
    best = row("sgd", 0.3, chosen="sgd_1e-1", failed=True)
    found["mnli"] = result(row("heads_1", 0.6), row("layers_3", 0.7), best)
    found["mnli"].curves["sgd_1e-1"] = np.full((2, 3, 2), [0.35, 0.3])
    found["qnli"] = result(row("one_stage", 0.55), row("two_stages", 0.65))
    return found


def test_the_page_has_both_reports_side_by_side(
    results: dict[str, TaskResult], tmp_path: Path
) -> None:
    deck.write(results, tmp_path / "page", tmp_path / "metrics")
    text = (tmp_path / "page/README.md").read_text()
    assert "| the t1 | 40.0 [35.0, 45.0] (51.8) | 40.0 [35.0, 45.0] (56.8) |" in text
    assert "| the heads_1 | 90.0 (99.7) | 50.0 (36.8) | 60.0 [55.0, 65.0] (39.5) |" in text
    assert "| the layers_3 | 90.0 | 50.0 | 70.0 [65.0, 75.0] |" in text
    # Of several learning rates, the curve of the chosen one counts.
    assert "| the sgd | 35.0 (96.2) | 50.0 (29.3) " in text
    assert "30.0 [25.0, 35.0], 1 of 2 failed (31.6)" in text
    assert "| the two_stages | 90.0 (97.8) | 50.0 (48.2) | 65.0 " in text
    assert "RTE 1,234" in text
    for name in ("epochs.png", "qnli.png"):
        assert (tmp_path / "page" / name).stat().st_size > 5000


def test_the_figures_are_files_too(results: dict[str, TaskResult], tmp_path: Path) -> None:
    deck.write(results, tmp_path / "page", tmp_path / "metrics")
    with (tmp_path / "metrics/systems.csv").open(newline="") as file:
        lines = {(line["task"], line["system"]): line for line in csv.DictReader(file)}
    assert len(lines) == 4 * len(COMMON) + 3 + 2
    assert lines["mnli", "heads_1"]["earlier_train"] == "0.997"
    assert (lines["mnli", "sgd"]["failed_seeds"], lines["mnli", "sgd"]["test"]) == ("1", "0.3")
    assert lines["rte", "vote"]["train"] == ""
    with (tmp_path / "metrics/curves.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == 2 * 3 * (4 * (len(COMMON) - 1) + 3 + 1 + 2)
