"""Figures from answers made up so that they can be counted by hand."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from study_project import PARAMS, STUDY, prepare
from torch import Tensor

from pipeline.model.loading import load_encoder
from study import report
from study.cells import (
    Cell,
    StudentPredictions,
    labelled_rows,
    read_predictions,
    write_predictions,
)
from study.figures import TableResult, compute_tables
from study.plots import best_at_their_speed
from study.settings import read_study
from study.statistics import Estimate

STUDENTS = {"gold": (10, 4), "kd": (6, 6), "stage1": (20, 20), "tmkd": (2, 0)}
"""How many of 40 test rows each gets wrong, with seed 1 and 2."""
VALIDATION = {"gold": 6, "kd": 0, "stage1": 8, "tmkd": 2}
"""And of 16 validation rows, with either seed: another order."""
SIZES = {"validation": 16, "test": 40}


@pytest.fixture
def found(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> list[TableResult]:
    monkeypatch.chdir(tmp_path)
    prepare(tiny_bert)
    study = read_study(PARAMS, STUDY)
    encoder = load_encoder(tiny_bert)[0].config.to_diff_dict()
    for name, wrong in STUDENTS.items():
        loudness = 40 if name == "kd" else 1
        layers = 12 if name == "kd" else 1
        for seed, count in enumerate(wrong, start=1):
            said = {
                "validation": answer("validation", VALIDATION[name], loudness),
                "test": answer("test", count, loudness),
            }
            cell = Cell(name, seed, study.recipes[name], "qa", "identity", None)
            cell.file.parent.mkdir(parents=True, exist_ok=True)
            shape = {**encoder, "num_hidden_layers": layers}
            failed = (name, seed) == ("gold", 1)
            write_predictions(
                cell, StudentPredictions(said, 1_000, shape, [12] * 40, 1.0, failed, [])
            )
    return compute_tables(study)


def answer(split: str, wrong: int, loudness: float) -> Tensor:
    """Logits of one head, the first ``wrong`` of which contradict the label."""
    labels = torch.from_numpy(labelled_rows("qa")[split].labels)
    labels[:wrong] = 1 - labels[:wrong]
    return torch.nn.functional.one_hot(labels, 2).float()[:, None] * loudness


def test_accuracy_by_seed_and_over_all(found: list[TableResult]) -> None:
    lines = {line.name: line for line in found[0].rows}
    assert lines["gold"].by_seed == (0.75, 0.9)
    assert lines["gold"].accuracy.value == pytest.approx(0.825)
    assert lines["t1"].by_seed == (1.0,)
    assert lines["tmkd"].by_seed == (0.95, 1.0)
    assert lines["gold"].validation == 10 / 16


def test_a_table_of_fewer_seeds_has_the_first_ones(found: list[TableResult]) -> None:
    assert [line.by_seed for line in found[1].rows] == [(0.75,), (0.95,)]


def test_combinations_answer_seed_by_seed_and_the_best_is_chosen_on_validation_rows(
    found: list[TableResult],
) -> None:
    lines = {line.name: line for line in found[0].rows}
    # Of 40 rows two of the three get 10 and 6 wrong; the sure one alone would decide a mean.
    assert lines["mom"].by_seed == (30 / 40, 34 / 40)
    assert lines["mom"].parameters == 3_000
    assert lines["best"].chosen == "kd"
    assert lines["best"].by_seed == lines["kd"].by_seed


def test_failed_seeds_are_counted_and_left_out_of_a_second_mean(found: list[TableResult]) -> None:
    lines = {line.name: line for line in found[0].rows}
    assert lines["gold"].failed == (True, False)
    assert lines["gold"].without_failed == 0.9
    assert lines["tmkd"].without_failed is None
    # A vote in which one member has failed has failed.
    assert lines["mom"].failed == (True, False)
    report.write(found, Path("docs/study"), Path("metrics"), rows=40)
    text = Path("docs/study/README.md").read_text()
    assert "- gold: 1 of 2 trainings failed, their loss stayed constant; without: 90.0" in text
    assert "- tmkd: " not in text
    with Path("metrics/systems.csv").open() as file:
        systems = {r["system"]: r for r in csv.DictReader(file) if r["table"] == "methods"}
    assert systems["gold"]["failed_seeds"] == "1"
    assert systems["gold"]["accuracy_without_failed"] == "0.9"
    assert systems["tmkd"]["failed_seeds"] == "0"
    assert systems["tmkd"]["accuracy_without_failed"] == ""


def test_a_collapsed_student_is_named_and_the_majority_class_leads_the_table(
    found: list[TableResult],
) -> None:
    study = read_study(PARAMS, STUDY)
    same = {split: torch.tensor([1.0, 0.0]).expand(n, 1, 2).clone() for split, n in SIZES.items()}
    cell = Cell("gold", 1, study.recipes["gold"], "qa", "identity", None)
    (before,) = read_predictions("gold", 1)
    write_predictions(cell, replace(before, logits=same))
    report.write(compute_tables(study), Path("docs/study"), Path("metrics"), rows=40)
    text = Path("docs/study/README.md").read_text()
    assert text.count("| majority class | 50.0 | 35.2 to 64.8 | | | | |") == 2
    assert "- gold: with 1 of 2 seeds it answers one class for nearly all rows" in text
    assert "- gold is not established to be better than the majority class: +20.0 points [" in text
    assert "- stage1 is not established to be better than the majority class: +0.0 points" in text
    assert "tmkd is not established" not in text
    with Path("metrics/systems.csv").open() as file:
        systems = {r["system"]: r for r in csv.DictReader(file) if r["table"] == "methods"}
    assert systems["gold"]["one_class_seeds"] == "1"
    assert float(systems["stage1"]["above_majority"]) == 0.0
    assert float(systems["tmkd"]["above_majority_low"]) > 0.3


def test_costs_add_up_where_several_answer(found: list[TableResult]) -> None:
    lines = {line.name: line for line in found[0].rows}
    assert lines["t1"].speedup == 1.0
    assert lines["ensemble"].parameters == 2_000_000
    assert lines["ensemble"].speedup == pytest.approx(0.5)
    assert lines["kd"].speedup < lines["gold"].speedup


def test_the_best_at_their_speed_are_named(found: list[TableResult]) -> None:
    row = found[0].rows[0]
    figures = {"slow": (1, 0.8), "equal": (1, 0.7), "worse": (2, 0.6), "quick": (4, 0.65)}
    rows = [
        replace(row, name=name, speedup=speedup, accuracy=Estimate(accuracy, 0, 1, 0))
        for name, (speedup, accuracy) in figures.items()
    ]
    assert [row.name for row in best_at_their_speed(rows)] == ["quick", "slow"]


def test_differences_are_paired_and_corrected(found: list[TableResult]) -> None:
    against_gold, against_kd = found[0].comparisons
    assert against_gold.difference.value == pytest.approx((8 + 4) / 80)
    assert against_kd.difference.value == pytest.approx((4 + 6) / 80)
    for comparison in (against_gold, against_kd):
        assert comparison.corrected_p >= comparison.difference.p
        assert comparison.established == (comparison.corrected_p < 0.05)


def test_a_difference_that_may_be_chance_is_not_called_established(
    found: list[TableResult],
) -> None:
    comparison = found[0].comparisons[0]
    doubtful, sure = (replace(comparison, corrected_p=p) for p in (0.06, 0.04))
    assert report.sentence(doubtful).endswith("], not established")
    assert report.sentence(sure).endswith("]")


def test_the_report_says_it_in_numbers_pictures_and_words(found: list[TableResult]) -> None:
    for _ in range(2):
        report.write(found, Path("docs/study"), Path("metrics"), rows=40)
    text = Path("docs/study/README.md").read_text()
    assert "| gold | 82.5 |" in text
    assert "| 75.0, 90.0 |" in text
    assert "- tmkd minus gold: +15.0 points [" in text
    assert "- tmkd minus KD from t1: +12.5 points [" in text
    for title in ("teacher t1", "KD from t1", "their vote", "best: KD from t1"):
        assert f"| {title} | " in text
    for name in ("methods", "alpha", "cost"):
        assert f"({name}.png)" in text
        assert Path(f"docs/study/{name}.png").stat().st_size > 5_000
    with Path("metrics/seeds.csv").open() as file:
        seeds = {(r["table"], r["system"], r["seed"]): r["accuracy"] for r in csv.DictReader(file)}
    assert seeds["methods", "gold", "2"] == "0.9"
    assert json.loads(Path("metrics/accuracy.json").read_text())["methods"]["tmkd"] == 0.975


def test_a_study_that_compares_nothing_has_a_report_without_differences(
    found: list[TableResult],
) -> None:
    alone = [replace(result, comparisons=()) for result in found]
    report.write(alone, Path("docs/study"), Path("metrics"), rows=40)
    header = Path("metrics/comparisons.csv").read_text()
    assert header.startswith("table,first,second,difference,")
    assert header.count("\n") == 1
