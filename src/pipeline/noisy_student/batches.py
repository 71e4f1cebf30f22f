"""Batches with a fixed proportion of gold and pseudo-labelled rows."""

import math

import numpy as np

from pipeline.model.encoding import BATCHES_SORTED_TOGETHER, training_batches


def rows_per_batch(batch_size: int, gold_share: float) -> tuple[int, int]:
    """The numbers of gold and of pseudo-labelled rows in a batch of ``batch_size``.

    Each is at least 1, unless ``gold_share`` is 0 or 1.
    """
    gold = round(gold_share * batch_size)
    if 0 < gold_share < 1:
        gold = min(max(gold, 1), batch_size - 1)
    return gold, batch_size - gold


def mixed_batches(
    lengths: np.ndarray, gold: int, batch_size: int, *, gold_share: float, seed: int, epoch: int
) -> list[np.ndarray]:
    """Row numbers of the batches of an epoch.

    The first ``gold`` rows have gold labels, the others pseudo-labels; ``lengths`` are those of
    all, shape [rows]. An epoch reads each pseudo-labelled row once; if they do not fill the
    batches, they are spread evenly. Gold rows are read in passes of their own, which go on in the
    next epoch, so that all are read equally often. At a ``gold_share`` of 1, an epoch reads each
    gold row once, and no other.
    """
    gold_size, pseudo_size = rows_per_batch(batch_size, gold_share)
    if not pseudo_size:
        return training_batches(lengths[:gold], batch_size, seed=seed, epoch=epoch)
    generator = np.random.default_rng((seed, epoch))
    pseudo_rows = gold + generator.permutation(len(lengths) - gold)
    steps = math.ceil(len(pseudo_rows) / pseudo_size)
    gold_rows = _shuffled_passes(gold, epoch * steps * gold_size, steps * gold_size, seed)
    batches: list[np.ndarray] = []
    # Sorted by length within groups of batches, as all trainings do.
    for first in range(0, steps, BATCHES_SORTED_TOGETHER):
        last = min(first + BATCHES_SORTED_TOGETHER, steps)
        parts = []
        for rows in (gold_rows, pseudo_rows):
            group = rows[first * len(rows) // steps : last * len(rows) // steps]
            in_order = group[np.argsort(lengths[group], kind="stable")]
            parts.append(np.array_split(in_order, last - first))
        batches += [np.concatenate(pair) for pair in zip(*parts, strict=True)]
    return [batches[i] for i in generator.permutation(steps)]


def _shuffled_passes(rows: int, start: int, count: int, seed: int) -> np.ndarray:
    """``count`` row numbers from position ``start`` of endless passes, each in an own order."""
    passes = range(start // rows, -(-(start + count) // rows))
    orders = [np.random.default_rng((seed, number, 2)).permutation(rows) for number in passes]
    joined = np.concatenate(orders) if orders else np.empty(0, dtype=np.int64)
    return joined[start - passes.start * rows :][:count]
