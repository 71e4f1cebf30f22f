"""Decide, on rows of this corpus, whether int8 is close enough to float32 to be shipped."""

from dataclasses import dataclass

import numpy as np

from pipeline.core.rows import Rows, class_order
from pipeline.evaluation.scoring import Interval, mean
from pipeline.export.settings import Export
from pipeline.serving.scorer import Pair, Scorer


@dataclass(frozen=True)
class Gate:
    """How int8 differs from float32, and whether it may be shipped."""

    rows: int
    """Rows compared: those of the pool and those of validation."""
    agreement: float
    """Share of them for which both choose the same class."""
    probability_difference: float
    """Mean difference of the probability of a class."""
    labelled_rows: int
    """Validation rows, on which accuracy is compared."""
    float32_accuracy: float
    int8_accuracy: float
    gain: Interval
    """Accuracy of int8 minus that of float32, paired."""
    refusal: str | None
    """Why int8 is not shipped, or None if it is."""


def compare(
    float32: Scorer, int8: Scorer, *, pool: Rows, validation: Rows, settings: Export
) -> Gate:
    """Compare both on ``settings.int8_rows`` rows of the pool, and as many of validation.

    The pool needs no labels. If there are more rows, they are drawn at equal distances.
    """
    labelled = _spread(validation, settings.int8_rows)
    pairs = pairs_of(pool, _spread(pool, settings.int8_rows)) + pairs_of(validation, labelled)
    both = [scorer.probabilities(pairs) for scorer in (float32, int8)]
    first, second = (own.argmax(axis=1) for own in both)
    agreement = float((first == second).mean())
    # The classes of float32 are those of the student; validation may have them in another order.
    order = np.array(class_order(float32.label_names, validation.label_names))
    labels = order[validation.labels[labelled]]
    hits = [own[-len(labels) :] == labels for own in (first, second)]
    gain = mean(hits[1].astype(float) - hits[0].astype(float))
    refusal = None
    if agreement < settings.int8_agreement:
        refusal = (
            f"it chooses the same class as float32 on {agreement:.2%} of {len(pairs):,} rows, and "
            f"export.int8_agreement asks for {settings.int8_agreement:.2%}"
        )
    elif gain.high < -settings.int8_loss:
        refusal = (
            f"its accuracy on {len(labels):,} validation rows differs by {gain.points}, and "
            f"export.int8_loss accepts a loss of {100 * settings.int8_loss:g} points"
        )
    return Gate(
        len(pairs),
        agreement,
        float(abs(both[0] - both[1]).mean()),
        len(labels),
        float(hits[0].mean()),
        float(hits[1].mean()),
        gain,
        refusal,
    )


def pairs_of(rows: Rows, numbers: np.ndarray) -> list[Pair]:
    """The texts of the rows with these ``numbers``, which are in ascending order."""
    mask = np.zeros(len(rows), dtype=bool)
    mask[numbers] = True
    return list(zip(*rows.texts(mask=mask), strict=True))


def _spread(rows: Rows, count: int) -> np.ndarray:
    return np.unique(np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int))
