"""The report of the earlier reproduction, made again: a page (docs/deck), figures (metrics/deck).

Each task is a project in study/deck, with teachers, students and their predictions.
"""

import csv
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core import rows, settings
from pipeline.core.files import whole_directory, write_csv
from pipeline.preflight import read_params
from study.cells import read_predictions
from study.drawing import FAILED, MEAN, picture
from study.figures import TableRow, compute_tables
from study.plots import draw_systems
from study.settings import FILE, read_study

DECK = Path("study/deck")
TASKS = ("mnli", "rte", "snli", "qnli")
COMMON = ("t1", "t2", "t3", "s1", "s2", "s3", "vote")
"""The systems that every task has."""
SPLITS = ("train", "validation", "test")
COLUMNS = (
    *("task", "system", "seeds", "train", "validation", "test", "low", "high", "failed_seeds"),
    *(f"earlier_{split}" for split in SPLITS),
)
CURVE_COLUMNS = ("task", "system", "seed", "epoch", "train_accuracy", "validation_accuracy")


@dataclass(frozen=True)
class TaskResult:
    """What one task has given."""

    systems: dict[str, TableRow]
    curves: dict[str, np.ndarray]
    """Of each trained system, float64 of shape [seeds, epochs, 2]: accuracy on training rows, as
    the mean over an epoch, and on validation rows after it."""
    test_rows: int

    def trained(self, system: str) -> float | None:
        """Accuracy on training rows in the last epoch, if the system has been trained itself."""
        chosen = self.systems[system].chosen or system
        return float(self.curves[chosen][:, -1, 0].mean()) if chosen in self.curves else None


def read_task(task: str) -> TaskResult:
    """The results of a task, from its project."""
    with chdir(DECK / task):
        study = read_study(read_params(), settings.read(FILE))
        systems = {row.name: row for table in compute_tables(study) for row in table.rows}
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
        return TaskResult(systems, curves, len(rows.read("test", study.test)))


def read_earlier() -> dict[tuple[str, str], dict[str, float]]:
    """The earlier accuracies, by task and system, then by split."""
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
        _draw_curves(results, draft / "epochs.png")
        systems = list(results["qnli"].systems.values())
        with picture(draft / "qnli.png", height=0.9 + 0.27 * len(systems)) as axes:
            draw_systems(axes, systems)
        text = markdown(results, earlier)
        (draft / "README.md").write_text(text, encoding="utf-8", newline="\n")
    lines: list[dict[str, Any]] = []
    for task, result in results.items():
        for name, row in result.systems.items():
            trained = result.trained(name)
            before = earlier.get((task, name), {})
            lines.append(
                {
                    "task": task,
                    "system": name,
                    "seeds": len(row.by_seed),
                    "train": "" if trained is None else round(trained, 4),
                    "validation": round(row.validation, 4),
                    "test": round(row.accuracy.value, 4),
                    "low": round(row.accuracy.low, 4),
                    "high": round(row.accuracy.high, 4),
                    "failed_seeds": sum(row.failed),
                    **{f"earlier_{split}": before.get(split, "") for split in SPLITS},
                }
            )
    write_csv(metrics / "systems.csv", COLUMNS, lines)
    curve_lines = [
        {
            "task": task,
            "system": name,
            "seed": seed,
            "epoch": epoch,
            "train_accuracy": round(float(train), 4),
            "validation_accuracy": round(float(validation), 4),
        }
        for task, result in results.items()
        for name, curves in result.curves.items()
        for seed, curve in enumerate(curves, start=1)
        for epoch, (train, validation) in enumerate(curve, start=1)
    ]
    write_csv(metrics / "curves.csv", CURVE_COLUMNS, curve_lines)


def markdown(
    results: Mapping[str, TaskResult], earlier: Mapping[tuple[str, str], Mapping[str, float]]
) -> str:
    """The page: the tables of the earlier report, with its figures in brackets."""
    counts = ", ".join(f"{task.upper()} {result.test_rows:,}" for task, result in results.items())
    parts = [
        "# An earlier reproduction, again\n",
        "An earlier reproduction of TMKD had 1,000 training rows of each task, teachers made from "
        "BERT-base at three learning rates, and students of one BERT layer. Its accuracies, on 139 "
        "to 220 test rows, are in brackets. Here the same systems start from MiniLM with six "
        "layers, also with 1,000 training rows, and are tested on the official evaluation splits: "
        f"{counts} rows. `train` is the accuracy on training rows in the last epoch.\n",
        "Accuracies are in %, with 95% intervals that hold for other test rows and, for students, "
        "other seeds (five). The settings are in `study/deck`. This page is written by `make "
        "deck`.\n",
        f"| | {' | '.join(task.upper() for task in results)} |\n|---|{'---|' * len(results)}",
    ]
    for name in COMMON:
        cells = [_test(results[task], name, earlier.get((task, name), {})) for task in results]
        parts.append(f"| {results['mnli'].systems[name].title} | {' | '.join(cells)} |")
    parts += [
        "\n![accuracy by epoch](epochs.png)\n",
        "## Architecture and optimizer, on MNLI\n",
        *_splits("mnli", results["mnli"], earlier),
        "\n## One stage or two, on QNLI\n",
        "Stage 1 learns from three teachers of RTE, on its 1,000 training rows.\n",
        *_splits("qnli", results["qnli"], earlier),
        "\n![systems on QNLI](qnli.png)\n",
    ]
    return "\n".join(parts)


def _test(result: TaskResult, name: str, earlier: Mapping[str, float]) -> str:
    row = result.systems[name]
    low, high = 100 * row.accuracy.low, 100 * row.accuracy.high
    failed = f", {sum(row.failed)} of {len(row.failed)} failed" if any(row.failed) else ""
    before = f" ({100 * earlier['test']:.1f})" if earlier else ""
    return f"{100 * row.accuracy.value:.1f} [{low:.1f}, {high:.1f}]{failed}{before}"


def _splits(
    task: str, result: TaskResult, earlier: Mapping[tuple[str, str], Mapping[str, float]]
) -> list[str]:
    """A table of the systems that only this task has, on all splits."""
    lines = ["| | train | validation | test |\n|---|---|---|---|"]
    for name, row in result.systems.items():
        if name in COMMON:
            continue
        before = earlier.get((task, name), {})
        trained = result.trained(name)
        train, validation = (
            ("" if value is None else f"{100 * value:.1f}")
            + (f" ({100 * before[split]:.1f})" if before else "")
            for split, value in (("train", trained), ("validation", row.validation))
        )
        lines.append(f"| {row.title} | {train} | {validation} | {_test(result, name, before)} |")
    return lines


def _draw_curves(results: Mapping[str, TaskResult], path: Path) -> None:
    """Draw the accuracy of students 1 to 3 by epoch, all seeds and their mean, task by task."""
    with picture(path, height=4.8, rows=2, columns=2) as grid:
        for axes, (task, result) in zip(grid.flat, results.items(), strict=True):
            curves = np.concatenate([result.curves[name] for name in ("s1", "s2", "s3")])
            epochs = np.arange(1, curves.shape[1] + 1)
            for split, colour, label in ((0, FAILED, "training"), (1, MEAN, "validation")):
                axes.plot(epochs, curves[:, :, split].T, color=colour, linewidth=0.4, alpha=0.5)
                mean = curves[:, :, split].mean(axis=0)
                axes.plot(epochs, mean, color=colour, label=label)
            axes.set_title(task.upper())
        grid[0, 0].legend()
        for axes in grid[-1]:
            axes.set_xlabel("epoch")
        for axes in grid[:, 0]:
            axes.set_ylabel("accuracy of s1 to s3")
