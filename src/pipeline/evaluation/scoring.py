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
from pipeline.evaluation.ranking import Questions

CONFIDENCE = 0.95
RESAMPLES = 1_000
WEIGHTS_AT_ONCE = 10_000_000
BINS = 10
ONE_CLASS_SHARE = 0.1
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
    """Scores of a model on labelled rows, from 0 to 1 except ``log_loss``.

    If rows are grouped by question, all intervals are those of other questions.
    """

    accuracy: Interval
    """With Wilson's interval, unless there are questions; all other intervals are bootstrapped."""
    macro_f1: Interval
    log_loss: Interval
    """Nats per row."""
    calibration_error: Interval
    """Mean distance of confidence from accuracy over ten bins of confidence, weighted by rows.

    It is biased upwards, and more so in bootstrap samples; its interval is therefore the basic
    bootstrap's, of at least 0."""
    roc_auc: Interval | None
    """If there are two classes."""
    average_precision: Interval | None
    """That of the positive of two classes: the mean precision over its rows, by their scores."""
    ranking: dict[str, Interval]
    """If there are questions: mean average precision, mean reciprocal rank and precision at 1 over
    those that have both right and wrong rows. Those called ``_all`` are over all questions: one
    without a right row counts as 0, one without a wrong row as 1."""


def score(
    probabilities: Tensor,
    labels: np.ndarray,
    *,
    asked: Questions | None = None,
    ranks: np.ndarray | None = None,
    positive: int = 1,
) -> Score:
    """Score ``probabilities`` of shape [rows, classes] against ``labels`` of shape [rows].

    Of two classes, ``positive`` is the one that is looked for. If rows are grouped by the questions
    ``asked``, ``ranks`` are the scores of each question, as ``ranking`` computes them.
    """
    values = probabilities.double().numpy()
    classes = values.shape[1]
    predicted = values.argmax(axis=1)
    losses = -np.log(np.clip(values[np.arange(len(labels)), labels], 1e-15, 1))
    units = np.arange(len(labels)) if asked is None else asked.numbers
    hits = predicted == labels
    return Score(
        accuracy=proportion(hits) if asked is None else mean(hits.astype(float), units),
        macro_f1=estimate(_macro_f1(predicted, labels, classes), units),
        log_loss=mean(losses, units),
        calibration_error=_basic(estimate(_calibration_error(values, labels), units)),
        roc_auc=estimate(_roc_auc(values[:, 1], labels == 1), units) if classes == 2 else None,
        average_precision=estimate(
            _average_precision(values[:, positive], labels == positive), units
        )
        if classes == 2
        else None,
        ranking={} if asked is None or ranks is None else _ranking(asked, ranks),
    )


def _ranking(asked: Questions, ranks: np.ndarray) -> dict[str, Interval]:
    intervals = {}
    for mask, ending in ((asked.mixed, ""), (np.ones(asked.count, dtype=bool), "_all")):
        for name, values in zip(ranking.SCORES, ranks[mask].T, strict=True):
            if len(values):
                intervals[f"{name}{ending}"] = mean(values)
    return intervals


def estimate(statistic: Statistic, units: np.ndarray) -> Interval:
    """``statistic`` of all rows, with the percentile interval of a bootstrap over units.

    ``units``, int64 of shape [rows], numbers what a row belongs to: itself, or its question.
    """
    value = float(statistic(np.ones((1, len(units))))[0])
    generator = np.random.default_rng(0)
    draws: list[np.ndarray] = []
    count = int(units.max()) + 1
    at_once = max(1, min(RESAMPLES, WEIGHTS_AT_ONCE // len(units)))
    for start in range(0, RESAMPLES, at_once):
        chosen = generator.integers(0, count, (min(at_once, RESAMPLES - start), count))
        weights = np.stack([np.bincount(sample, minlength=count)[units] for sample in chosen])
        draws.append(statistic(weights.astype(np.float64)))
    tail = (1 - CONFIDENCE) / 2
    low, high = np.nanquantile(np.concatenate(draws), [tail, 1 - tail])
    return Interval(value, float(low), float(high))


def _basic(percentile: Interval) -> Interval:
    """The basic bootstrap interval of a statistic of at least 0, from its percentile interval."""
    low, high = (max(0.0, 2 * percentile.value - end) for end in (percentile.high, percentile.low))
    return Interval(percentile.value, low, high)


def mean(values: np.ndarray, units: np.ndarray | None = None) -> Interval:
    """The mean of ``values``, one per row or question; ``units`` as for ``estimate``."""
    return estimate(
        lambda weights: weights @ values / weights.sum(axis=1),
        np.arange(len(values)) if units is None else units,
    )


def _macro_f1(predicted: np.ndarray, labels: np.ndarray, classes: int) -> Statistic:
    """The mean over the classes that occur."""
    cells = np.eye(classes * classes)[labels * classes + predicted]
    occurs = np.bincount(labels, minlength=classes) > 0

    def statistic(weights: np.ndarray) -> np.ndarray:
        confusion = (weights @ cells).reshape(-1, classes, classes)
        hits = np.diagonal(confusion, axis1=1, axis2=2)
        both = confusion.sum(axis=1) + confusion.sum(axis=2)
        return np.asarray((2 * hits / np.maximum(both, 1))[:, occurs].mean(axis=1))

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


def _average_precision(scores: np.ndarray, positive: np.ndarray) -> Statistic:
    """The sum of precision times the gain in recall at each score, from the highest on."""
    order = np.argsort(-scores, kind="stable")
    starts = np.flatnonzero(np.diff(scores[order], prepend=np.inf))
    sides = [positive[order].astype(float), (~positive[order]).astype(float)]

    def statistic(weights: np.ndarray) -> np.ndarray:
        right, wrong = (np.add.reduceat(weights[:, order] * s, starts, axis=1) for s in sides)
        found = right.cumsum(axis=1)
        precision = found / np.maximum(found + wrong.cumsum(axis=1), 1e-9)
        total = found[:, -1]
        sums = (right * precision).sum(axis=1)
        return np.asarray(np.divide(sums, total, out=np.full(len(sums), np.nan), where=total > 0))

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


def one_class(predicted: np.ndarray, labels: np.ndarray) -> int | None:
    """The class that a model answers for nearly all rows, if there is one.

    It is if all other classes together are answered less than a tenth as often as they are right.
    Both inputs are classes of shape [rows].
    """
    common = int(np.bincount(predicted).argmax())
    answered_others = (predicted != common).sum()
    return common if answered_others < ONE_CLASS_SHARE * (labels != common).sum() else None


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
