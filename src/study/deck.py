"""The report of an earlier reproduction, made again: a page (docs/deck), figures (metrics/deck).

Each task is a project in study/deck, with teachers, students and their predictions.
"""

import csv
from collections.abc import Iterator, Mapping
from contextlib import chdir
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import rows, settings
from pipeline.core.files import whole_directory, write_csv
from pipeline.evaluation.scoring import Interval
from pipeline.preflight import read_params
from study.cells import read_predictions
from study.drawing import MEAN, TRAINING, picture
from study.figures import Comparison, TableRow, compute_tables
from study.plots import draw_systems
from study.report import sentence, warnings_of
from study.settings import FILE, read_study

DECK = Path("study/deck")
TASKS = ("mnli", "rte", "snli", "qnli")
SPLITS = ("train", "validation", "test")
COLUMNS = (
    *("task", "system", "seeds", "train", "validation", "test", "low", "high", "failed_seeds"),
    *(f"earlier_{split}" for split in SPLITS),
)
CURVE_COLUMNS = ("task", "system", "seed", "epoch", "train_accuracy", "validation_accuracy")
Earlier = Mapping[tuple[str, str], Mapping[str, float]]
"""The earlier accuracies, by task and system, then by split."""


@dataclass(frozen=True)
class TaskResult:
    """What one task has given."""

    rows: tuple[TableRow, ...]
    comparisons: tuple[Comparison, ...]
    majority: Interval
    """The share of the most frequent class of the test rows."""
    curves: dict[str, np.ndarray]
    """Of each trained system, float64 of shape [seeds, epochs, 2]: accuracy on training rows, as
    the mean over an epoch, and on validation rows after it."""
    test_rows: int

    def curve(self, row: TableRow) -> np.ndarray | None:
        """The curve of a system, or None if it is a combination that was not trained itself."""
        return self.curves.get(row.chosen or row.name)


def read_task(task: str) -> TaskResult:
    """The results of a task, from its project."""
    with chdir(DECK / task):
        study = read_study(read_params(), settings.read(FILE))
        (table,) = compute_tables(study)
        curves = {
            name: np.array(
                [
                    [(epoch["train_accuracy"], epoch["validation_accuracy"]) for epoch in one.curve]
                    for one in read_predictions(name, seeds)
                ]
            )
            for name, seeds in study.seeds().items()
        }
        for name in study.teachers:
            with Path(f"metrics/curves/{name}.csv").open(newline="") as file:
                lines = [
                    (float(line["train_accuracy"]), float(line["validation_accuracy"]))
                    for line in csv.DictReader(file)
                ]
            curves[name] = np.array([lines])
        test_rows = len(rows.read("test", study.test))
        return TaskResult(table.rows, table.comparisons, table.majority, curves, test_rows)


def read_earlier() -> Earlier:
    """The accuracies that the earlier reproduction reported."""
    with (DECK / "earlier.csv").open(newline="") as file:
        return {
            (line["task"], line["system"]): {
                split: float(line[split]) for split in SPLITS if line[split]
            }
            for line in csv.DictReader(file)
        }


def write(results: Mapping[str, TaskResult], page: Path, metrics: Path) -> None:
    """Write ``page``, a directory with a README and pictures, and the figures in ``metrics``."""
    earlier = read_earlier()
    with whole_directory(page) as draft:
        for task, result in results.items():
            with picture(draft / f"{task}.png", height=0.9 + 0.27 * len(result.rows)) as axes:
                draw_systems(axes, result.rows)
            _draw_curves(result, draft / f"{task}_epochs.png")
        text = markdown(results, earlier)
        (draft / "README.md").write_text(text, encoding="utf-8", newline="\n")
    write_csv(metrics / "systems.csv", COLUMNS, [*_system_lines(results, earlier)])
    write_csv(metrics / "curves.csv", CURVE_COLUMNS, [*_curve_lines(results)])


def markdown(results: Mapping[str, TaskResult], earlier: Earlier) -> str:
    """The page: for each task a table, with the earlier figures in brackets, and two pictures."""
    parts = [
        "# An earlier reproduction, again\n",
        "An earlier reproduction of TMKD had 1,000 training rows of each task, teachers made from "
        "BERT-base at three learning rates, and students of one BERT layer. Its accuracies, on 139 "
        "to 220 test rows, are in brackets. Here teachers and students start from MiniLM with six "
        "layers, also with 1,000 training rows, and are tested on the official evaluation "
        "splits.\n",
        "Accuracies are in %. The intervals hold for other test rows and, for students, other "
        "seeds (five), with a probability of 95%. `train` is the accuracy on training rows in the "
        "last epoch; a vote is not trained and has none. Of several learning rates, the one with "
        "the highest validation accuracy counts. A difference is established if its p-value is "
        "below 0.05 after Holm's correction for the differences of its task. The settings are in "
        "`study/deck`, all figures in `metrics/deck`. This page is written by `make deck`.\n",
    ]
    for task, result in results.items():
        parts.append(
            f"## {task.upper()}: {result.test_rows:,} test rows\n\n"
            "| | train | validation | test | interval |\n|---|---|---|---|---|\n"
            f"| majority class | | | {100 * result.majority.value:.1f} | |"
        )
        for row in result.rows:
            before = earlier.get((task, row.name), {})
            cells = " | ".join(
                ("" if value is None else f"{100 * value:.1f}")
                + (f" ({100 * before[split]:.1f})" if split in before else "")
                for split, value in _accuracies(result, row).items()
            )
            low, high = 100 * row.accuracy.low, 100 * row.accuracy.high
            parts.append(f"| {row.title} | {cells} | {low:.1f} to {high:.1f} |")
        parts += ["", *(f"- {warning}" for row in result.rows for warning in warnings_of(row))]
        parts += [f"- {sentence(comparison)}" for comparison in result.comparisons]
        parts.append(f"\n![systems]({task}.png)\n\n![accuracy by epoch]({task}_epochs.png)\n")
    return "\n".join(parts)


def _accuracies(result: TaskResult, row: TableRow) -> dict[str, float | None]:
    """The accuracy of a system by split, as the mean over its seeds."""
    curve = result.curve(row)
    train = None if curve is None else float(curve[:, -1, 0].mean())
    return {"train": train, "validation": row.validation, "test": row.accuracy.value}


def _system_lines(results: Mapping[str, TaskResult], earlier: Earlier) -> Iterator[dict[str, Any]]:
    for task, result in results.items():
        for row in result.rows:
            before = earlier.get((task, row.name), {})
            yield {
                "task": task,
                "system": row.name,
                "seeds": len(row.by_seed),
                **{
                    split: "" if value is None else round(value, 4)
                    for split, value in _accuracies(result, row).items()
                },
                "low": round(row.accuracy.low, 4),
                "high": round(row.accuracy.high, 4),
                "failed_seeds": sum(row.failed),
                **{f"earlier_{split}": before.get(split, "") for split in SPLITS},
            }


def _curve_lines(results: Mapping[str, TaskResult]) -> Iterator[dict[str, Any]]:
    for task, result in results.items():
        for name, curves in result.curves.items():
            for seed, curve in enumerate(curves, start=1):
                for epoch, (train, validation) in enumerate(curve, start=1):
                    yield {
                        "task": task,
                        "system": name,
                        "seed": seed,
                        "epoch": epoch,
                        "train_accuracy": round(float(train), 4),
                        "validation_accuracy": round(float(validation), 4),
                    }


def _draw_curves(result: TaskResult, path: Path) -> None:
    """Draw accuracy by epoch, a panel for each trained system, with all seeds and their mean."""
    curves = {row.title: curve for row in result.rows if (curve := result.curve(row)) is not None}
    lines = ceil(len(curves) / 2)
    with picture(path, height=0.5 + 1.35 * lines, rows=lines, columns=2) as grid:
        panels = np.ravel(grid)
        for axes, (title, curve) in zip(panels, curves.items(), strict=False):
            epochs = np.arange(1, curve.shape[1] + 1)
            for split, colour, label in ((0, TRAINING, "training"), (1, MEAN, "validation")):
                axes.plot(epochs, curve[:, :, split].T, color=colour, linewidth=0.4, alpha=0.5)
                axes.plot(epochs, curve[:, :, split].mean(axis=0), color=colour, label=label)
            axes.set_title(title, fontsize=9)
        for axes in panels[len(curves) :]:
            axes.set_axis_off()
        panels[0].legend()
        for axes in panels[-2:]:
            axes.set_xlabel("epoch")
