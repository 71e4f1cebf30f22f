"""Ranking scores per question, as used for answer selection."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np


def by_question(
    scores: np.ndarray, right: np.ndarray, groups: Sequence[str]
) -> dict[str, np.ndarray]:
    """Ranking scores of each question that has both right and wrong rows.

    ``scores`` (float), ``right`` (bool) and ``groups`` have one entry per row; each result has one
    per question. Of rows with equal scores, the wrong ones count as ranked first. Questions without
    a right or without a wrong row are left out, as is usual for WikiQA.
    """
    names, numbers = np.unique(np.asarray(groups), return_inverse=True)
    order = np.lexsort((right, -scores, numbers))
    starts = np.searchsorted(numbers[order], np.arange(len(names) + 1))
    precisions, reciprocal_ranks, firsts = [], [], []
    for start, stop in pairwise(starts):
        hits = right[order[start:stop]]
        if hits.all() or not hits.any():
            continue
        ranks = np.flatnonzero(hits) + 1
        precisions.append((np.arange(1, len(ranks) + 1) / ranks).mean())
        reciprocal_ranks.append(1 / ranks[0])
        firsts.append(float(hits[0]))
    return {
        "mean_average_precision": np.array(precisions),
        "mean_reciprocal_rank": np.array(reciprocal_ranks),
        "precision_at_1": np.array(firsts),
    }
