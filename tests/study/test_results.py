"""Figures from answers made up so that they can be counted by hand."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from study_project import MAIN, STUDY, prepare
from torch import Tensor

from pipeline import models, rows
from study import report, systems
from study.cells import SPLITS, Answers, Cell, write_answers
from study.results import Result, results

STUDENTS = {"gold": (10, 4), "kd": (6, 6), "stage1": (20, 20), "tmkd": (2, 0)}
"""How many of 40 test rows each gets wrong, with seed 1 and 2."""


@pytest.fixture
def found(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> list[Result]:
    monkeypatch.chdir(tmp_path)
    prepare(tiny_bert)
    study = systems.read(MAIN, STUDY)
    encoder = models.load_encoder(tiny_bert)[0].config.to_diff_dict()
    for name, wrong in STUDENTS.items():
        for seed, count in enumerate(wrong, start=1):
            said = {split: answer(split, count) for split in SPLITS}
            cell = Cell(name, seed, study.recipes[name], "identity", None)
            cell.answers.parent.mkdir(parents=True, exist_ok=True)
            write_answers(cell, Answers(said, 1_000, encoder))
    return results(study, Path("models"))


def answer(split: str, wrong: int) -> Tensor:
    """Sure logits of one head, the first ``wrong`` of which contradict the label."""
    labels = torch.from_numpy(rows.read("task", split).labels)
    labels[:wrong] = 1 - labels[:wrong]
    return torch.nn.functional.one_hot(labels, 2).float()[:, None] * 4


def test_accuracy_by_seed_and_over_all(found: list[Result]) -> None:
    lines = {line.name: line for line in found[0].lines}
    assert lines["gold"].by_seed == (0.75, 0.9)
    assert lines["gold"].accuracy.value == pytest.approx(0.825)
    assert lines["t1"].by_seed == (1.0,)
    assert lines["tmkd"].by_seed == (0.95, 1.0)
    assert lines["gold"].validation == pytest.approx((6 / 16 + 12 / 16) / 2)


def test_a_table_of_fewer_seeds_has_the_first_ones(found: list[Result]) -> None:
    assert [line.by_seed for line in found[1].lines] == [(0.75,), (0.95,)]


def test_combinations_answer_seed_by_seed_and_the_best_is_chosen_on_validation_rows(
    found: list[Result],
) -> None:
    lines = {line.name: line for line in found[0].lines}
    # Two equally sure voters: where they differ, the lower class is taken.
    labels = rows.read("task", "test").labels
    ties = [np.flatnonzero(labels[6:10] == 1).size, np.flatnonzero(labels[4:6] == 1).size]
    assert lines["mom"].by_seed == (1 - (6 + ties[0]) / 40, 1 - (4 + ties[1]) / 40)
    assert lines["mom"].parameters == 2_000
    assert lines["best"].chosen == "tmkd"
    assert lines["best"].by_seed == lines["tmkd"].by_seed


def test_costs_add_up_where_several_answer(found: list[Result]) -> None:
    lines = {line.name: line for line in found[0].lines}
    assert lines["t1"].speedup == 1.0
    assert lines["ensemble"].parameters == 2_000_000
    assert lines["ensemble"].speedup == pytest.approx(0.5)


def test_differences_are_paired_and_corrected(found: list[Result]) -> None:
    against_gold, against_kd = found[0].comparisons
    assert against_gold.difference.value == pytest.approx((8 + 4) / 80)
    assert against_kd.difference.value == pytest.approx((4 + 6) / 80)
    for comparison in (against_gold, against_kd):
        assert comparison.corrected_p >= comparison.difference.p
        assert comparison.established == (comparison.corrected_p < 0.05)


def test_the_report_says_it_in_numbers_pictures_and_words(found: list[Result]) -> None:
    for _ in range(2):
        report.write(found, Path("docs/study"), Path("metrics"), 40)
    text = Path("docs/study/README.md").read_text()
    assert "| gold | 82.5 |" in text
    assert "| 75.0, 90.0 |" in text
    assert "- tmkd against gold: +15.0 points [" in text
    for name in ("methods", "alpha", "cost"):
        assert f"({name}.png)" in text
        assert Path(f"docs/study/{name}.png").stat().st_size > 5_000
    with Path("metrics/seeds.csv").open() as file:
        seeds = {(r["table"], r["system"], r["seed"]): r["accuracy"] for r in csv.DictReader(file)}
    assert seeds["methods", "gold", "2"] == "0.9"
    assert json.loads(Path("metrics/accuracy.json").read_text())["methods"]["tmkd"] == 0.975
