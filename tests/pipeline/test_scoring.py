"""Scores against numbers worked out by hand or known from the literature."""

import numpy as np
import pytest
import torch

from pipeline import scoring


def probabilities(predicted: list[int], classes: int = 2) -> torch.Tensor:
    return torch.eye(classes, dtype=torch.float64)[predicted] * 0.8 + 0.2 / classes


def test_accuracy_has_the_wilson_interval() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263 has the interval 0.2553 to 0.3662.
    interval = scoring.share(np.arange(263) < 81)
    assert interval.value == pytest.approx(81 / 263)
    assert interval.low == pytest.approx(0.2553, abs=5e-5)
    assert interval.high == pytest.approx(0.3662, abs=5e-5)


def test_a_score_worked_out_by_hand() -> None:
    # Classes 0, 0, 1, 1 predicted as 0, 1, 1, 1. F1: class 0 2/3, class 1 4/5; mean 11/15.
    result = scoring.score(probabilities([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    assert result.accuracy.value == 0.75
    assert result.macro_f1 == pytest.approx(11 / 15)
    assert result.log_loss == pytest.approx(-(3 * np.log(0.9) + np.log(0.1)) / 4)


def test_a_class_that_no_row_has_and_nobody_predicts_is_no_error() -> None:
    result = scoring.score(probabilities([0, 1], classes=3), np.array([0, 1]))
    assert result.accuracy.value == 1.0


def test_agreement_is_the_share_of_equal_choices() -> None:
    assert scoring.agreement(probabilities([0, 1, 1, 0]), probabilities([0, 1, 0, 1])) == 0.5


def test_a_gain_is_paired_so_that_shared_errors_do_not_widen_it() -> None:
    labels = np.zeros(1000, dtype=int)
    worse = np.where(np.arange(1000) < 500, 0, 1)
    better = np.where(np.arange(1000) < 520, 0, 1)
    result = scoring.gain(probabilities(better.tolist()), probabilities(worse.tolist()), labels)
    assert result.value == pytest.approx(0.02)
    # 20 discordant rows, all one way: the standard error is sqrt(0.02 * 0.98 / 1000) = 0.0044;
    # two independent samples would have 0.022 and an interval that holds 0.
    assert result.low == pytest.approx(0.02 - 1.96 * 0.0044, abs=0.002)
    assert result.high == pytest.approx(0.02 + 1.96 * 0.0044, abs=0.002)


def test_equal_answers_differ_by_nothing() -> None:
    same = probabilities([0, 1, 0])
    assert scoring.gain(same, same, np.array([0, 0, 0])) == scoring.Interval(0.0, 0.0, 0.0)


def test_confusion_names_the_classes() -> None:
    lines = scoring.confusion(probabilities([0, 1]), np.array([1, 1]), ["no", "yes"])
    assert lines == [{"actual": "yes", "predicted": "no"}, {"actual": "yes", "predicted": "yes"}]
