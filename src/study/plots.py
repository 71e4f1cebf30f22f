"""Plots of the study: one per table, and accuracy against cost."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import LogLocator, NullLocator

from study.drawing import GREY, MEAN, SEED, interval, picture, seeds
from study.figures import TableResult, TableRow


def scale(results: Sequence[TableResult]) -> tuple[float, float]:
    """The limits of the accuracy in the plots of all tables: every seed is within them."""
    values = [value for result in results for row in result.rows for value in row.by_seed]
    return min(values) - 0.02, max(values) + 0.02


def draw(result: TableResult, path: Path, limits: tuple[float, float]) -> None:
    """Draw a table: as a curve if its systems differ by a number, else with one line per system.

    ``limits`` are those of the accuracy.
    """
    if result.table.at:
        with picture(path, height=3.4) as axes:
            _curve(axes, result)
            axes.set_ylim(limits)
    else:
        with picture(path, height=0.9 + 0.27 * len(result.rows)) as axes:
            draw_systems(axes, result.rows)
            axes.set_xlim(limits)


def draw_systems(axes: Axes, rows: Sequence[TableRow]) -> None:
    """Draw one line per system, from top to bottom."""
    for y, row in enumerate(reversed(rows)):
        seeds(axes, y, row.by_seed, row.failed, across=True)
        interval(axes, y, row.accuracy, across=True)
        axes.plot(row.accuracy.value, y, "|", color=MEAN, markersize=11, markeredgewidth=2)
    axes.set_yticks(range(len(rows)), [row.title for row in reversed(rows)])
    axes.set_xlabel("accuracy: mean, 95% interval, seeds (x: failed)", loc="right")


def _curve(axes: Axes, result: TableResult) -> None:
    at = result.table.at
    for x, row in zip(at, result.rows, strict=True):
        seeds(axes, x, row.by_seed, row.failed, across=False)
        interval(axes, x, row.accuracy, across=False)
    axes.plot(at, [row.accuracy.value for row in result.rows], "-", color=MEAN)
    axes.set_xlabel(result.table.x)
    axes.set_ylabel("accuracy: mean, 95% interval, seeds")


def draw_cost(results: Sequence[TableResult], path: Path) -> None:
    """Draw accuracy against speed for all systems of all tables, with the names of the best."""
    rows = {row.name: row for result in reversed(results) for row in result.rows}
    with picture(path, height=4.2) as axes:
        for row in rows.values():
            axes.plot(row.speedup, row.accuracy.value, "o", color=SEED, markersize=5)
        for row in best_at_their_speed(rows.values()):
            axes.plot(row.speedup, row.accuracy.value, "o", color=MEAN, markersize=5)
            axes.annotate(
                row.title,
                (row.speedup, row.accuracy.value),
                xytext=(0, 7),
                textcoords="offset points",
                horizontalalignment="center",
                fontsize=8,
                color=GREY,
            )
        axes.set_xscale("log")
        axes.margins(x=0.2, y=0.1)
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}x")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("pairs per second relative to the slowest teacher, log scale")
        axes.set_ylabel("accuracy; named if all as fast are less accurate")


def best_at_their_speed(rows: Iterable[TableRow]) -> list[TableRow]:
    """Those that are more accurate than all that are as fast or faster; the fastest first."""
    best: list[TableRow] = []
    for row in sorted(rows, key=lambda row: (-row.speedup, -row.accuracy.value)):
        if not best or row.accuracy.value > best[-1].accuracy.value:
            best.append(row)
    return best
