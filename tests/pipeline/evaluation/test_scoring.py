"""Scores against numbers worked out by hand or known from the literature."""

import numpy as np
import pytest
import torch
from scipy.stats import bootstrap
from sklearn.metrics import average_precision_score, f1_score, log_loss, roc_auc_score

from pipeline.evaluation import scoring


def probabilities(predicted: list[int], classes: int = 2) -> torch.Tensor:
    return torch.eye(classes, dtype=torch.float64)[predicted] * 0.8 + 0.2 / classes


def test_accuracy_has_the_wilson_interval() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263 has the interval 0.2553 to 0.3662.
    interval = scoring.proportion(np.arange(263) < 81)
    assert interval.value == pytest.approx(81 / 263)
    assert interval.low == pytest.approx(0.2553, abs=5e-5)
    assert interval.high == pytest.approx(0.3662, abs=5e-5)


def test_a_score_worked_out_by_hand() -> None:
    # Classes 0, 0, 1, 1 predicted as 0, 1, 1, 1. F1: class 0 2/3, class 1 4/5; mean 11/15.
    result = scoring.score(probabilities([0, 1, 1, 1]), np.array([0, 0, 1, 1]))
    assert result.accuracy.value == 0.75
    assert result.macro_f1.value == pytest.approx(11 / 15)
    assert result.log_loss.value == pytest.approx(-(3 * np.log(0.9) + np.log(0.1)) / 4)
    # All rows are 0.9 sure and three of four are right.
    assert result.calibration_error.value == pytest.approx(0.9 - 0.75)
    assert result.roc_auc is not None
    # Of the four pairs of a right and a wrong row, two are won and two tied.
    assert result.roc_auc.value == pytest.approx(0.75)


def random_answers(rows: int, classes: int) -> tuple[torch.Tensor, np.ndarray]:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, classes, rows)
    logits = generator.normal(size=(rows, classes)) + np.eye(classes)[labels]
    # Coarse logits make ties.
    return torch.softmax(torch.from_numpy(logits.round(1)), dim=1), labels


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_scores_are_those_of_scikit_learn(classes: int) -> None:
    answers, labels = random_answers(500, classes)
    result = scoring.score(answers, labels)
    predicted = answers.argmax(dim=1).numpy()
    assert result.macro_f1.value == pytest.approx(f1_score(labels, predicted, average="macro"))
    assert result.log_loss.value == pytest.approx(log_loss(labels, answers.numpy()))
    if classes == 2:
        assert result.roc_auc is not None
        assert result.roc_auc.value == pytest.approx(roc_auc_score(labels, answers[:, 1].numpy()))
        assert result.average_precision is not None
        expected = average_precision_score(labels, answers[:, 1].numpy())
        assert result.average_precision.value == pytest.approx(expected)
    else:
        assert result.roc_auc is None


def test_bootstrap_intervals_are_those_of_scipy() -> None:
    answers, labels = random_answers(400, 2)
    result = scoring.score(answers, labels)
    assert result.roc_auc is not None
    data = (labels, answers[:, 1].numpy(), answers.argmax(dim=1).numpy())
    statistics = {
        result.roc_auc: lambda y, p, _: roc_auc_score(y, p),
        result.macro_f1: lambda y, _, c: f1_score(y, c, average="macro"),
        result.log_loss: lambda y, p, _: log_loss(y, p),
    }
    for ours, statistic in statistics.items():
        limits = bootstrap(
            data,
            statistic,
            paired=True,
            vectorized=False,
            n_resamples=1000,
            method="percentile",
            rng=np.random.default_rng(7),
        ).confidence_interval
        width = limits.high - limits.low
        assert ours.low == pytest.approx(limits.low, abs=0.12 * width)
        assert ours.high == pytest.approx(limits.high, abs=0.12 * width)


def test_many_rows_are_resampled_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(0).normal(size=200)
    whole = scoring.mean(values)
    monkeypatch.setattr(scoring, "WEIGHTS_AT_ONCE", 999)
    assert scoring.mean(values) == whole


def test_the_interval_of_the_calibration_error_holds_the_estimate() -> None:
    """Although nearly all bootstrap samples are worse calibrated than the rows."""
    given, labels = torch.tensor([[0.75, 0.25]] * 10_000).double(), np.array([0, 0, 0, 1] * 2_500)
    interval = scoring.score(given, labels).calibration_error
    assert interval.low == 0.0 <= interval.value <= interval.high


def test_a_model_that_says_what_it_knows_is_calibrated() -> None:
    sure, unsure = torch.tensor([[1.0, 0.0]] * 10), torch.tensor([[0.75, 0.25]] * 100)
    labels = np.array([0] * 10 + [0] * 75 + [1] * 25)
    given = torch.cat([sure, unsure]).double()
    assert scoring.score(given, labels).calibration_error.value == pytest.approx(0.0, abs=1e-9)
    lines = scoring.reliability(given, labels)
    assert lines == [
        {"confidence": 0.75, "accuracy": 0.75, "rows": 100},
        {"confidence": 1.0, "accuracy": 1.0, "rows": 10},
    ]


def test_a_class_that_no_row_has_and_nobody_predicts_is_no_error() -> None:
    result = scoring.score(probabilities([0, 1], classes=3), np.array([0, 1]))
    assert result.accuracy.value == result.macro_f1.value == 1.0


def test_agreement_is_the_share_of_equal_choices() -> None:
    assert scoring.agreement(probabilities([0, 1, 1, 0]), probabilities([0, 1, 0, 1])) == 0.5


def test_a_gain_is_paired_so_that_shared_errors_do_not_widen_it() -> None:
    better = (np.arange(1000) < 520).astype(float)
    worse = (np.arange(1000) < 500).astype(float)
    result = scoring.mean(better - worse)
    assert result.value == pytest.approx(0.02)
    # 20 discordant rows, all one way: the standard error is sqrt(0.02 * 0.98 / 1000) = 0.0044;
    # two independent samples would have 0.022 and an interval that holds 0.
    assert result.low == pytest.approx(0.02 - 1.96 * 0.0044, abs=0.002)
    assert result.high == pytest.approx(0.02 + 1.96 * 0.0044, abs=0.002)


def test_rows_of_a_question_are_drawn_together() -> None:
    """100 questions of 10 rows that are all right or all wrong are 100 observations, not 1,000."""
    hits = np.repeat(np.arange(100) % 2, 10).astype(float)
    by_row = scoring.mean(hits)
    by_question = scoring.mean(hits, np.repeat(np.arange(100), 10))
    assert by_row.value == by_question.value == 0.5
    assert by_row.high - by_row.low == pytest.approx(2 * 1.96 * 0.5 / 1000**0.5, rel=0.1)
    assert by_question.high - by_question.low == pytest.approx(2 * 1.96 * 0.5 / 100**0.5, rel=0.1)


@pytest.mark.parametrize(
    ("predicted", "labels", "expected"),
    [
        ([0] * 100, [0, 1] * 50, 0),
        ([0] * 96 + [1] * 4, [0, 1] * 50, 0),
        ([0] * 95 + [1] * 5, [0, 1] * 50, None),
        # Where one class is rare, so may be its predictions.
        ([0] * 99 + [1], [0] * 95 + [1] * 5, None),
        ([2] * 100, [0, 1] * 50, 2),
        ([0] * 100, [0] * 100, None),
    ],
)
def test_one_class_for_nearly_all_rows_is_noticed(
    predicted: list[int], labels: list[int], expected: int | None
) -> None:
    assert scoring.one_class(np.array(predicted), np.array(labels)) == expected


def test_confusion_names_the_classes() -> None:
    lines = scoring.confusion(probabilities([0, 1]), np.array([1, 1]), ["no", "yes"])
    assert lines == [{"actual": "yes", "predicted": "no"}, {"actual": "yes", "predicted": "yes"}]
