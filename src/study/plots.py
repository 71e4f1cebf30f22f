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
    with picture(path, height=5.4) as axes:
        for row in rows.values():
            axes.plot(row.accuracy.value, row.speedup, "o", color=SEED, markersize=5)
        for row in best_at_their_speed(rows.values()):
            axes.plot(row.accuracy.value, row.speedup, "o", color=MEAN, markersize=5)
            axes.annotate(
                row.title,
                (row.accuracy.value, row.speedup),
                xytext=(6, 0),
                textcoords="offset points",
                verticalalignment="center",
                fontsize=8,
                color=GREY,
            )
        values = [row.accuracy.value for row in rows.values()]
        # Names need room at the right of the most accurate.
        axes.set_xlim(min(values) - 0.02, max(values) + 0.4 * (max(values) - min(values)))
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter("{x:g}x")
        axes.yaxis.set_minor_locator(NullLocator())
        axes.set_xlabel("accuracy (named: none as fast is more accurate)", loc="right")
        axes.set_ylabel("pairs per second, slowest teacher 1x, log scale")


def best_at_their_speed(rows: Iterable[TableRow]) -> list[TableRow]:
    """Those that are more accurate than all that are as fast or faster; the fastest first."""
    best: list[TableRow] = []
    for row in sorted(rows, key=lambda row: (-row.speedup, -row.accuracy.value)):
        if not best or row.accuracy.value > best[-1].accuracy.value:
            best.append(row)
    return best
