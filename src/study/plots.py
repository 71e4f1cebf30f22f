"""Plots of the study: one per table, and accuracy against cost."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from study.figures import TableResult, TableRow

matplotlib.use("Agg")
COLOUR, SEED, EDGE = "#2b5c8a", "#9db8d2", "#444444"


def draw(result: TableResult, path: Path) -> None:
    """Draw a table: as a curve if its systems differ by a number, else with one line per system."""
    curve = bool(result.table.at)
    height = 3.6 if curve else 0.9 + 0.28 * len(result.rows)
    figure, axes = plt.subplots(figsize=(7, height), layout="constrained")
    (_curve if curve else _list)(axes, result)
    axes.set_title(result.table.title, loc="left", fontsize=11)
    _save(figure, path)


def _list(axes: Axes, result: TableResult) -> None:
    for y, row in enumerate(reversed(result.rows)):
        axes.plot(row.by_seed, [y] * len(row.by_seed), "o", color=SEED, markersize=4)
        axes.plot([row.accuracy.low, row.accuracy.high], [y, y], color=COLOUR, linewidth=1.2)
        axes.plot(row.accuracy.value, y, "|", color=COLOUR, markersize=11, markeredgewidth=2)
    names = [row.label for row in reversed(result.rows)]
    axes.set_yticks(range(len(names)), names, fontsize=8)
    axes.set_xlabel("accuracy on the test rows: mean, 95% interval, seeds")
    axes.grid(axis="x", linewidth=0.4)


def _curve(axes: Axes, result: TableResult) -> None:
    at = result.table.at
    for x, row in zip(at, result.rows, strict=True):
        axes.plot([x] * len(row.by_seed), row.by_seed, "o", color=SEED, markersize=4)
        axes.plot([x, x], [row.accuracy.low, row.accuracy.high], color=COLOUR, linewidth=1.2)
    axes.plot(at, [row.accuracy.value for row in result.rows], "-", color=COLOUR)
    axes.set_xlabel(result.table.x)
    axes.set_ylabel("accuracy: mean, 95% interval, seeds", fontsize=8)
    axes.grid(linewidth=0.4)


def draw_cost(results: Sequence[TableResult], path: Path) -> None:
    """Draw accuracy against cost for all systems of all tables."""
    rows = {row.name: row for result in reversed(results) for row in result.rows}
    figure, axes = plt.subplots(figsize=(7, 4.5), layout="constrained")
    by_cost: dict[float, list[TableRow]] = {}
    for row in rows.values():
        by_cost.setdefault(round(row.speedup, 2), []).append(row)
    for speedup, together in by_cost.items():
        best = max(together, key=lambda row: row.accuracy.value)
        for row in together:
            axes.plot(speedup, row.accuracy.value, "o", color=SEED, markersize=5)
        axes.plot(speedup, best.accuracy.value, "o", color=COLOUR, markersize=5)
        axes.annotate(
            best.name,
            (speedup, best.accuracy.value),
            xytext=(4, 5),
            textcoords="offset points",
            fontsize=8,
            color=EDGE,
        )
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}x")
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("pairs per second over those of the slowest teacher, log scale")
    axes.set_ylabel("accuracy on the test rows")
    axes.set_title("Accuracy against cost; the best of each cost is named", loc="left", fontsize=11)
    axes.grid(linewidth=0.4)
    _save(figure, path)


def _save(figure: Figure, path: Path) -> None:
    # Without date and version in it, the same plot is the same file.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
