"""Which rows of the pool are learned: the confident ones, and as many of each class."""

from collections.abc import Sequence

import numpy as np

from pipeline.core.errors import UserError
from pipeline.pseudo_labels.artifact import PseudoLabels


def confident(confidence: np.ndarray, candidates: np.ndarray, settings: PseudoLabels) -> np.ndarray:
    """The numbers, in order, of the rows that the filter keeps; int64.

    ``confidence`` (float) and ``candidates`` (bool) have shape [rows]. Of equally confident rows,
    earlier ones are kept first.
    """
    numbers = np.flatnonzero(candidates)
    most_confident = numbers[np.argsort(-confidence[numbers], kind="stable")]
    top = most_confident[: round(settings.top_share * len(numbers))]
    return np.sort(top[confidence[top] >= settings.threshold])


def balanced(
    labels: np.ndarray, confidence: np.ndarray, kept: np.ndarray, label_names: Sequence[str]
) -> np.ndarray:
    """Of the row numbers ``kept``, the same number of each class, about as many rows in all.

    A class with more rows loses its least confident ones; the rows of a class with fewer are
    repeated, the most confident ones once more often. Raises UserError if a class has none.
    """
    size = len(kept) // len(label_names)
    chosen = []
    for number, name in enumerate(label_names):
        own = kept[labels[kept] == number]
        if not len(own):
            raise UserError(
                f"the teacher labels no row of the pool as '{name}' with enough confidence, so the "
                "classes cannot be balanced: lower the threshold, raise top_share, or set balance "
                "to false in params.yaml."
            )
        most_confident = own[np.argsort(-confidence[own], kind="stable")]
        chosen.append(np.resize(most_confident, size))
    return np.sort(np.concatenate(chosen))
