"""Ranking scores per question, as used for answer selection."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

SCORES = ("mean_average_precision", "mean_reciprocal_rank", "precision_at_1")
"""The names of the scores, in the order of the columns of ``ranked`` and ``random_order``."""


@dataclass(frozen=True)
class Questions:
    """Which rows belong to which question, and which of them are right."""

    numbers: np.ndarray
    """Question of each row, from 0; shape [rows], int64."""
    right: np.ndarray
    """Shape [rows], bool."""

    @property
    def count(self) -> int:
        return int(self.numbers.max()) + 1

    @property
    def mixed(self) -> np.ndarray:
        """Which questions have both right and wrong rows; shape [questions], bool."""
        sizes = np.bincount(self.numbers)
        hits = np.bincount(self.numbers, weights=self.right)
        return np.asarray((hits > 0) & (hits < sizes))


def questions(groups: Sequence[str], right: np.ndarray) -> Questions:
    """The questions that ``groups`` names, one name per row; ``right`` has shape [rows], bool."""
    return Questions(np.unique(np.asarray(groups), return_inverse=True)[1], right)


def ranked(scores: np.ndarray, asked: Questions) -> np.ndarray:
    """The ``SCORES`` of each question if its rows are ranked by ``scores`` [rows].

    The result has shape [questions, 3]. Of rows with equal scores, the wrong ones count as ranked
    first. A question without a right row has 0 in all scores, one without a wrong row 1.
    """
    order = np.lexsort((asked.right, -scores, asked.numbers))
    values = np.zeros((asked.count, len(SCORES)))
    for question, hits in enumerate(_by_question(asked, order)):
        if hits.any():
            ranks = np.flatnonzero(hits) + 1
            precision = (np.arange(1, len(ranks) + 1) / ranks).mean()
            values[question] = precision, 1 / ranks[0], hits[0]
    return values


def random_order(asked: Questions) -> np.ndarray:
    """The expected ``SCORES`` of each question if its rows are ranked at random.

    The result is like that of ``ranked``. Of n rows, r of them right, the row at rank k is right
    with probability r/n, and then the k - 1 rows before it have (k - 1)(r - 1)/(n - 1) right ones.
    """
    values = np.zeros((asked.count, len(SCORES)))
    for question, hits in enumerate(_by_question(asked, np.argsort(asked.numbers, kind="stable"))):
        n, r = len(hits), int(hits.sum())
        if r == 0:
            continue
        ranks = np.arange(1, n + 1)
        before = (ranks - 1) * (r - 1) / max(n - 1, 1)
        precision = ((1 + before) / ranks).mean()
        # The first right row is at rank k if none of the k - 1 rows before it is right.
        none_yet = np.cumprod([1.0, *((n - r - ranks[:-1] + 1).clip(0) / (n - ranks[:-1] + 1))])
        first_at = none_yet * np.minimum(1, r / (n - ranks + 1))
        values[question] = precision, (first_at / ranks).sum(), r / n
    return values


def _by_question(asked: Questions, order: np.ndarray) -> list[np.ndarray]:
    """``right`` of each question, whose rows are together in ``order``."""
    starts = np.searchsorted(asked.numbers[order], np.arange(asked.count + 1))
    return [asked.right[order[start:stop]] for start, stop in pairwise(starts)]
