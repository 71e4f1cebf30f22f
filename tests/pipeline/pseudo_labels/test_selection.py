"""Which rows are learned: worked out by hand, and at the ends of the settings."""

from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import UserError
from pipeline.pseudo_labels.artifact import PseudoLabels
from pipeline.pseudo_labels.selection import balanced, confident

CONFIDENCE = np.array([0.9, 0.6, 1.0, 0.7, 0.8, 0.6, 0.9, 0.5])
ALL = np.ones(8, dtype=bool)
NAMES = ("no", "yes")


def kept(candidates: np.ndarray = ALL, **changes: Any) -> list[int]:
    numbers: list[int] = confident(CONFIDENCE, candidates, PseudoLabels(**changes)).tolist()
    return numbers


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"threshold": 0.7}, [0, 2, 3, 4, 6]),
        ({"threshold": 1.0}, [2]),
        ({"top_share": 0.5}, [0, 2, 4, 6]),
        # Of the two rows with 0.9, the first.
        ({"top_share": 0.25}, [0, 2]),
        ({"top_share": 0.75, "threshold": 0.65}, [0, 2, 3, 4, 6]),
        ({"top_share": 0.01}, []),
    ],
)
def test_the_filter_keeps_the_confident_rows(changes: dict[str, Any], expected: list[int]) -> None:
    assert kept(**changes) == expected


def test_rows_that_are_no_candidates_are_left_out_and_do_not_count() -> None:
    candidates = ALL.copy()
    candidates[[0, 2]] = False
    assert kept(candidates) == [1, 3, 4, 5, 6, 7]
    assert kept(candidates, top_share=0.5) == [3, 4, 6]


def test_plentiful_classes_lose_their_least_confident_rows_and_scarce_ones_repeat() -> None:
    labels = np.array([0, 0, 0, 0, 0, 0, 1, 1])
    # Six and two of eight become four and four.
    chosen = balanced(labels, CONFIDENCE, np.arange(8), NAMES)
    assert chosen.tolist() == [0, 2, 3, 4, 6, 6, 7, 7]
    # Of an odd number of copies, the most confident rows have one more.
    labels = np.array([0, 0, 0, 0, 0, 1, 1, 0])
    chosen = balanced(labels, CONFIDENCE, np.array([0, 1, 2, 3, 5, 6]), NAMES)
    assert chosen.tolist() == [0, 2, 3, 5, 6, 6]


def test_balanced_classes_stay_as_they_are() -> None:
    labels = np.array([0, 1] * 4)
    assert balanced(labels, CONFIDENCE, np.arange(8), NAMES).tolist() == list(range(8))


def test_a_class_without_a_row_cannot_be_balanced() -> None:
    with pytest.raises(UserError, match="labels no row of the pool as 'yes' with enough confid"):
        balanced(np.zeros(8, dtype=int), CONFIDENCE, np.arange(8), NAMES)
