"""How good a model is on labelled rows, with intervals; sums that no training depends on."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import binomtest, bootstrap
from sklearn.metrics import f1_score, log_loss
from torch import Tensor

CONFIDENCE = 0.95
RESAMPLES = 2_000


@dataclass(frozen=True)
class Interval:
    """An estimate and its 95% interval, as shares of 1."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Score:
    """A model on labelled rows."""

    accuracy: Interval
    macro_f1: float
    log_loss: float
    """Nats per row."""


def score(probabilities: Tensor, labels: np.ndarray) -> Score:
    """Score ``probabilities`` of shape [rows, classes] against ``labels`` of shape [rows]."""
    predicted = probabilities.argmax(dim=1).numpy()
    classes = range(probabilities.shape[1])
    return Score(
        accuracy=share(predicted == labels),
        macro_f1=float(
            f1_score(labels, predicted, labels=classes, average="macro", zero_division=0.0)
        ),
        log_loss=float(log_loss(labels, probabilities.double().numpy(), labels=classes)),
    )


def share(hits: np.ndarray) -> Interval:
    """The share of true entries of ``hits`` (bool, [rows]) with its Wilson interval."""
    result = binomtest(int(hits.sum()), len(hits))
    limits = result.proportion_ci(CONFIDENCE, method="wilson")
    return Interval(float(result.statistic), float(limits.low), float(limits.high))


def agreement(first: Tensor, second: Tensor) -> float:
    """The share of rows for which two models of shape [rows, classes] choose the same class."""
    return float((first.argmax(dim=1) == second.argmax(dim=1)).double().mean())


def gain(better: Tensor, worse: Tensor, labels: np.ndarray) -> Interval:
    """The difference in accuracy of two models on the same rows: a paired bootstrap over rows."""
    hits = [(p.argmax(dim=1).numpy() == labels).astype(float) for p in (better, worse)]
    difference = hits[0] - hits[1]
    if not difference.any():
        return Interval(0.0, 0.0, 0.0)
    limits = bootstrap(
        (difference,),
        np.mean,
        n_resamples=RESAMPLES,
        confidence_level=CONFIDENCE,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(float(difference.mean()), float(limits.low), float(limits.high))


def confusion(
    probabilities: Tensor, labels: np.ndarray, label_names: Sequence[str]
) -> list[dict[str, str]]:
    """One line per row, with its actual and its predicted class, as DVC's confusion plot reads."""
    predicted = probabilities.argmax(dim=1).tolist()
    return [
        {"actual": label_names[actual], "predicted": label_names[one]}
        for actual, one in zip(labels, predicted, strict=True)
    ]
