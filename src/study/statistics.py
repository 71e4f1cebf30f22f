"""Intervals and tests of differences if both the rows and the seeds are a sample.

The hits of S seeds on R rows form a table in which all seeds have the same rows. The variance of
its mean is that of a crossed two-way layout with random effects.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import t

from pipeline.evaluation.scoring import CONFIDENCE, Interval


@dataclass(frozen=True)
class Estimate(Interval):
    """A mean over seeds and rows, its 95% interval, and the p-value for a mean of 0."""

    p: float


def crossed_mean(values: np.ndarray) -> Estimate:
    """The mean of ``values`` of shape [seeds, rows], with an interval for other seeds and rows.

    Its variance is MS_seeds / RS + MS_rows / RS - MS_rest / RS, but at least each of the first two;
    the degrees of freedom are Satterthwaite's. With one seed, the interval is for other rows only.
    """
    seeds, rows = values.shape
    mean = float(values.mean())
    by_seed, by_row = values.mean(axis=1), values.mean(axis=0)
    of_rows = by_row.var(ddof=1) / rows
    of_seeds = rest = 0.0
    if seeds > 1:
        of_seeds = by_seed.var(ddof=1) / seeds
        left = values - by_seed[:, None] - by_row[None, :] + mean
        rest = float((left**2).sum()) / ((seeds - 1) * (rows - 1)) / (seeds * rows)
    variance = max(of_seeds, of_rows, of_seeds + of_rows - rest)
    if variance == 0:
        return Estimate(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    per_freedom = of_rows**2 / (rows - 1)
    if seeds > 1:
        per_freedom += of_seeds**2 / (seeds - 1) + rest**2 / ((seeds - 1) * (rows - 1))
    freedom = variance**2 / per_freedom
    half = float(t.ppf((1 + CONFIDENCE) / 2, freedom)) * variance**0.5
    p = float(2 * t.sf(abs(mean) / variance**0.5, freedom))
    return Estimate(mean, mean - half, mean + half, p)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values corrected for their number (Holm 1979), in the order given."""
    order = np.argsort(p_values)
    factors = np.arange(len(p_values), 0, -1)
    corrected = np.maximum.accumulate(np.asarray(p_values)[order] * factors).clip(max=1.0)
    result = np.empty(len(p_values))
    result[order] = corrected
    return [float(p) for p in result]
