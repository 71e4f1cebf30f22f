"""How the pictures of the studies look: readable on a phone, on light and on dark pages."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from study.statistics import Estimate

matplotlib.use("Agg")
MEAN, SEED, FAILED, GREY = "#3f87c8", "#8fb9df", "#d9604c", "#7f7f7f"
TRAINING = "#d9944c"
STYLE: dict[Any, Any] = {
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": GREY,
    "axes.labelsize": 9,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": GREY,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "figure.constrained_layout.use": True,
    "grid.alpha": 0.4,
    "grid.color": GREY,
    "grid.linewidth": 0.4,
    "legend.fontsize": 9,
    "legend.framealpha": 0.0,
    "legend.labelcolor": GREY,
    "savefig.dpi": 160,
    "savefig.transparent": True,
    "text.color": GREY,
    "xtick.color": GREY,
    "xtick.labelsize": 9,
    "ytick.color": GREY,
    "ytick.labelsize": 9,
}
WIDTH = 5.5
"""Of all pictures, in inches."""


@contextmanager
def picture(path: Path, height: float, rows: int = 1, columns: int = 1) -> Iterator[Any]:
    """The axes of a picture, which is saved to ``path``; several are an array."""
    with plt.rc_context(STYLE):
        figure, axes = plt.subplots(
            rows, columns, figsize=(WIDTH, height), sharex=rows > 1, sharey=columns > 1
        )
        yield axes
        # Without date and version in it, the same plot is the same file.
        figure.savefig(path, metadata={"Software": None})
        plt.close(figure)


def seeds(
    axes: Axes, at: float, by_seed: Sequence[float], failed: Sequence[bool], *, across: bool
) -> None:
    """Draw the accuracy of each seed at height ``at`` (``across``) or at ``at`` on the x axis.

    Seeds whose training has failed are crosses.
    """
    for accuracy, has_failed in zip(by_seed, failed, strict=True):
        x, y = (accuracy, at) if across else (at, accuracy)
        marker, colour = ("x", FAILED) if has_failed else ("o", SEED)
        axes.plot(x, y, marker, color=colour, markersize=4)


def interval(axes: Axes, at: float, accuracy: Estimate, *, across: bool) -> None:
    """Draw the interval of an accuracy, like ``seeds``."""
    along, beside = [accuracy.low, accuracy.high], [at, at]
    axes.plot(*(along, beside) if across else (beside, along), color=MEAN, linewidth=1.4)
