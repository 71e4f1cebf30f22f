"""The page of the earlier reproduction, from results made up so that they can be read off."""

import csv
from pathlib import Path

import numpy as np
import pytest

from pipeline.evaluation.scoring import Interval
from study import deck
from study.deck import TASKS, TaskResult
from study.figures import Comparison, TableRow
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


def result(*rows: TableRow) -> TaskResult:
    curves = {row.name: np.full((2, 3, 2), [0.9, 0.5]) for row in rows if row.name != "vote"}
    comparisons = (Comparison(rows[1], rows[0], Estimate(-0.1, -0.2, -0.05, 0.001), 0.002),)
    return TaskResult(rows, comparisons, Interval(0.34, 0.31, 0.37), curves, 1234)


@pytest.fixture
def results() -> dict[str, TaskResult]:
    teacher, student, vote = row("t1", 0.4), row("s1", 0.3), row("vote", 0.45)
    found = {task: result(teacher, student, vote) for task in TASKS}
    best = row("sgd", 0.3, chosen="sgd_1e-1", failed=True)
    found["mnli"] = result(teacher, student, vote, row("heads_1", 0.6), row("layers_3", 0.7), best)
    found["mnli"].curves["sgd_1e-1"] = np.full((2, 3, 2), [[0.1, 0.2], [0.2, 0.2], [0.35, 0.3]])
    found["qnli"] = result(teacher, student, vote, row("two_stages", 0.65))
    return found


def test_the_page_has_both_reports_side_by_side(
    results: dict[str, TaskResult], tmp_path: Path
) -> None:
    deck.write(results, tmp_path / "page", tmp_path / "metrics")
    text = (tmp_path / "page/README.md").read_text()
    mnli, rte, _, qnli = text.split("\n## ")[1:]
    assert mnli.startswith("MNLI: 1,234 test rows\n")
    assert "| majority class | | | 34.0 | |\n" in mnli
    assert "| the t1 | 90.0 | 50.0 | 40.0 (51.8) | 35.0 to 45.0 |\n" in mnli
    assert "| the t1 | 90.0 | 50.0 | 40.0 (56.8) | 35.0 to 45.0 |\n" in rte
    assert "| the vote |  | 50.0 | 45.0 (59.5) | 40.0 to 50.0 |\n" in rte
    assert "| the heads_1 | 90.0 (99.7) | 50.0 (36.8) | 60.0 (39.5) | 55.0 to 65.0 |\n" in mnli
    assert "| the layers_3 | 90.0 | 50.0 | 70.0 | 65.0 to 75.0 |\n" in mnli
    # Of several learning rates, the curve of the chosen one counts, at its end.
    assert "| the sgd | 35.0 (96.2) | 50.0 (29.3) | 30.0 (31.6) | 25.0 to 35.0 |\n" in mnli
    assert "- the sgd: 1 of 2 trainings failed" in mnli
    assert "- the s1 minus the t1: -10.0 points [-20.0, -5.0]\n" in mnli
    assert "| the two_stages | 90.0 (97.8) | 50.0 (48.2) | 65.0 (53.2) | " in qnli
    for name in (*TASKS, *(f"{task}_epochs" for task in TASKS)):
        assert (tmp_path / f"page/{name}.png").stat().st_size > 5000
        assert f"({name}.png)" in text


def test_the_figures_are_files_too(results: dict[str, TaskResult], tmp_path: Path) -> None:
    deck.write(results, tmp_path / "page", tmp_path / "metrics")
    with (tmp_path / "metrics/systems.csv").open(newline="") as file:
        lines = {(line["task"], line["system"]): line for line in csv.DictReader(file)}
    assert len(lines) == 4 * 3 + 3 + 1
    assert lines["mnli", "heads_1"]["earlier_train"] == "0.997"
    sgd = lines["mnli", "sgd"]
    assert (sgd["failed_seeds"], sgd["train"], sgd["test"]) == ("1", "0.35", "0.3")
    assert lines["rte", "vote"]["train"] == ""
    with (tmp_path / "metrics/curves.csv").open(newline="") as file:
        curves = list(csv.DictReader(file))
    assert len(curves) == 2 * 3 * (4 * 2 + 3 + 1 + 1)
    assert [line["train_accuracy"] for line in curves if line["system"] == "sgd_1e-1"] == [
        *("0.1", "0.2", "0.35", "0.1", "0.2", "0.35"),
    ]
