"""Scores of a model on labelled rows, with 95% intervals.

A statistic is a function of row weights, from shape [resamples, rows] to [resamples]. With all
weights 1 it gives the estimate, with the counts of a bootstrap sample one draw from its
distribution.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest
from torch import Tensor

from pipeline.evaluation import ranking

CONFIDENCE = 0.95
RESAMPLES = 1_000
WEIGHTS_AT_ONCE = 10_000_000
BINS = 10
Statistic = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def points(self) -> str:
        """A difference of proportions as text, in percentage points."""
        return f"{100 * self.value:+.1f} points [{100 * self.low:+.1f}, {100 * self.high:+.1f}]"


@dataclass(frozen=True)
class Score:
    """Scores of a model on labelled rows, from 0 to 1 except ``log_loss``."""

    accuracy: Interval
    """With Wilson's interval; all other intervals are bootstrapped."""
    macro_f1: Interval
    log_loss: Interval
    """Nats per row."""
    calibration_error: Interval
    """Mean distance of confidence from accuracy over ten bins of confidence, weighted by rows."""
    roc_auc: Interval | None = None
    """If there are two classes."""
    mean_average_precision: Interval | None = None
    """This and the next two if rows are grouped by question: over the ``questions`` that have both
    right and wrong rows, ranked by the probability of the last class."""
    mean_reciprocal_rank: Interval | None = None
    precision_at_1: Interval | None = None
    questions: int = 0


def score(probabilities: Tensor, labels: np.ndarray, groups: Sequence[str] | None = None) -> Score:
    """Score ``probabilities`` of shape [rows, classes] against ``labels`` of shape [rows].

    ``groups`` names the question of each row, if there are questions.
    """
    values = probabilities.double().numpy()
    classes = values.shape[1]
    predicted = values.argmax(axis=1)
    losses = -np.log(np.clip(values[np.arange(len(labels)), labels], 1e-15, 1))
    ranking_scores: dict[str, Interval] = {}
    questions = 0
    if groups is not None:
        by_question = ranking.by_question(values[:, -1], labels == classes - 1, groups)
        questions = len(by_question["precision_at_1"])
        ranking_scores = {name: mean(scores) for name, scores in by_question.items() if questions}
    return Score(
        accuracy=proportion(predicted == labels),
        macro_f1=estimate(_macro_f1(predicted, labels, classes), len(labels)),
        log_loss=mean(losses),
        calibration_error=estimate(_calibration_error(values, labels), len(labels)),
        roc_auc=estimate(_roc_auc(values[:, 1], labels == 1), len(labels))
        if classes == 2
        else None,
        questions=questions,
        **ranking_scores,
    )


def estimate(statistic: Statistic, rows: int) -> Interval:
    """``statistic`` of all rows, with the percentile interval of a bootstrap over rows."""
    value = float(statistic(np.ones((1, rows)))[0])
    generator = np.random.default_rng(0)
    draws: list[np.ndarray] = []
    at_once = max(1, min(RESAMPLES, WEIGHTS_AT_ONCE // rows))
    for start in range(0, RESAMPLES, at_once):
        chosen = generator.integers(0, rows, (min(at_once, RESAMPLES - start), rows))
        weights = np.stack([np.bincount(sample, minlength=rows) for sample in chosen])
        draws.append(statistic(weights.astype(np.float64)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(np.concatenate(draws), [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def mean(values: np.ndarray) -> Interval:
    """The mean of ``values``, one per row or question."""
    return estimate(lambda weights: weights @ values / weights.sum(axis=1), len(values))


def _macro_f1(predicted: np.ndarray, labels: np.ndarray, classes: int) -> Statistic:
    cells = np.eye(classes * classes)[labels * classes + predicted]

    def statistic(weights: np.ndarray) -> np.ndarray:
        confusion = (weights @ cells).reshape(-1, classes, classes)
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        both = confusion.sum(axis=1) + confusion.sum(axis=2)
        return np.asarray((2 * hits / np.maximum(both, 1)).mean(axis=1))

    return statistic


def _calibration_error(probabilities: np.ndarray, labels: np.ndarray) -> Statistic:
    confidence = probabilities.max(axis=1)
    gap = (probabilities.argmax(axis=1) == labels) - confidence
    by_bin = np.eye(BINS)[_bins(confidence)] * gap[:, None]
    return lambda weights: np.asarray(abs(weights @ by_bin).sum(axis=1) / weights.sum(axis=1))


def _bins(confidence: np.ndarray) -> np.ndarray:
    return np.asarray(np.minimum((confidence * BINS).astype(int), BINS - 1))


def _roc_auc(scores: np.ndarray, positive: np.ndarray) -> Statistic:
    """The probability that a positive row scores above a negative one; a tie counts half."""
    order = np.argsort(scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=-np.inf))
    sides = [positive[order].astype(float), (~positive[order]).astype(float)]

    def statistic(weights: np.ndarray) -> np.ndarray:
        above, below = (np.add.reduceat(weights[:, order] * s, starts, axis=1) for s in sides)
        won = (above * (below.cumsum(axis=1) - below / 2)).sum(axis=1)
        pairs = above.sum(axis=1) * below.sum(axis=1)
        return np.asarray(np.divide(won, pairs, out=np.full(len(won), np.nan), where=pairs > 0))

    return statistic


def proportion(hits: np.ndarray) -> Interval:
    """The proportion of true entries of ``hits`` (bool, shape [rows]) with its Wilson interval."""
    result = binomtest(int(hits.sum()), len(hits))
    limits = result.proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(result.statistic), float(limits.low), float(limits.high))


def agreement(first: Tensor, second: Tensor) -> float:
    """The proportion of rows for which two models choose the same class.

    Both inputs are probabilities of shape [rows, classes].
    """
    return float((first.argmax(dim=1) == second.argmax(dim=1)).double().mean())


def gain(better: Tensor, worse: Tensor, labels: np.ndarray) -> Interval:
    """Accuracy of ``better`` minus that of ``worse``, with the interval of a paired bootstrap."""
    hits = [(p.argmax(dim=1).numpy() == labels).astype(float) for p in (better, worse)]
    return mean(hits[0] - hits[1])


def confusion(
    probabilities: Tensor, labels: np.ndarray, label_names: Sequence[str]
) -> list[dict[str, str]]:
    """One line per row with its actual and its predicted class, for DVC's confusion plot."""
    predicted = probabilities.argmax(dim=1).tolist()
    return [
        {"actual": label_names[actual], "predicted": label_names[choice]}
        for actual, choice in zip(labels, predicted, strict=True)
    ]


def reliability(probabilities: Tensor, labels: np.ndarray) -> list[dict[str, float]]:
    """For each bin of confidence that has rows: mean confidence, accuracy and number of rows."""
    values = probabilities.numpy()
    confidence = values.max(axis=1)
    hits = values.argmax(axis=1) == labels
    bins = _bins(confidence)
    return [
        {
            "confidence": round(float(confidence[bins == own].mean()), 4),
            "accuracy": round(float(hits[bins == own].mean()), 4),
            "rows": int((bins == own).sum()),
        }
        for own in np.unique(bins)
    ]
