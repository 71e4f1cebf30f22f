"""The report of the earlier reproduction, made again: a page (docs/deck), figures (metrics/deck).

Each task is a project in study/deck, with teachers, students and their predictions.
"""

import csv
from collections.abc import Mapping
from contextlib import chdir
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib import pyplot as plt

from pipeline.core import rows, settings
from pipeline.core.files import whole_directory, write_csv
from pipeline.preflight import read_params
from study.cells import read_predictions
from study.figures import TableRow, compute_tables
from study.settings import FILE, read_study

matplotlib.use("Agg")
DECK = Path("study/deck")
TASKS = ("mnli", "rte", "snli", "qnli")
NAMES = {
    "t1": "teacher 1 (2e-5)",
    "t2": "teacher 2 (3e-5)",
    "t3": "teacher 3 (5e-5)",
    "s1": "student 1 (1-o-1)",
    "s2": "student 2 (1-o-1)",
    "s3": "student 3 (1-o-1)",
    "vote": "students by majority vote (m-o-m)",
    "one_stage": "three teachers, one stage",
    "two_stages": "three teachers, two stages (m-o-1)",
    "heads_1": "1 BERT layer + 1 FC, Adam",
    "heads_2": "1 BERT layer + 2 FC, Adam",
    "heads_3": "1 BERT layer + 3 FC, Adam",
    "layers_3": "3 BERT layers + 1 FC, Adam",
    "sgd": "1 BERT layer + 1 FC, SGD",
}
"""What each system is, for people."""
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
        _draw_modes(results["qnli"], draft / "qnli.png")
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
        "# The earlier reproduction, again\n",
        "Accuracy in %, with 95% intervals that hold for other test rows and, for students, other "
        "seeds (five). 1,000 training rows of each task; the test rows are the official "
        f"evaluation splits: {counts}. In brackets the figures of the earlier reproduction, on 139 "
        "to 220 test rows. `train` is the accuracy on training rows in the last epoch. The "
        "settings are in `study/deck`; this page is written by `make deck`.\n",
        f"| | {' | '.join(task.upper() for task in results)} |\n|---|{'---|' * len(results)}",
    ]
    for name in COMMON:
        cells = [_test(results[task], name, earlier.get((task, name), {})) for task in results]
        parts.append(f"| {NAMES[name]} | {' | '.join(cells)} |")
    parts += [
        "\n![accuracy by epoch](epochs.png)\n",
        "## Architecture and optimizer, on MNLI\n",
        *_splits("mnli", results["mnli"], earlier),
        "\n## One stage or two, on QNLI\n",
        "Stage 1 learns three teachers of RTE on its 1,000 rows.\n",
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
        lines.append(f"| {NAMES[name]} | {train} | {validation} | {_test(result, name, before)} |")
    return lines


def _draw_curves(results: Mapping[str, TaskResult], path: Path) -> None:
    """Draw the accuracy of students 1 to 3 by epoch, all seeds and their mean, task by task."""
    figure, grid = plt.subplots(2, 2, figsize=(6, 5.2), sharex=True, sharey=True)
    for axes, (task, result) in zip(grid.flat, results.items(), strict=True):
        curves = np.concatenate([result.curves[name] for name in ("s1", "s2", "s3")])
        epochs = np.arange(1, curves.shape[1] + 1)
        for split, (colour, label) in enumerate(
            (("#d08a2e", "training"), ("#4a86c5", "validation"))
        ):
            axes.plot(epochs, curves[:, :, split].T, color=colour, linewidth=0.4, alpha=0.5)
            axes.plot(epochs, curves[:, :, split].mean(axis=0), color=colour, label=label)
        axes.set_title(task.upper(), fontsize=11)
        axes.grid(linewidth=0.4)
    grid[0, 0].legend(fontsize=9)
    figure.supxlabel("epoch", fontsize=10)
    figure.supylabel("accuracy of students 1 to 3", fontsize=10)
    _save(figure, path)


def _draw_modes(result: TaskResult, path: Path) -> None:
    """Draw the test accuracy of all systems of a task."""
    systems = [row for name, row in result.systems.items() if name in NAMES]
    figure, axes = plt.subplots(figsize=(6, 0.8 + 0.32 * len(systems)))
    for y, row in enumerate(reversed(systems)):
        axes.plot(row.by_seed, [y] * len(row.by_seed), "o", color="#9db8d2", markersize=4)
        axes.plot([row.accuracy.low, row.accuracy.high], [y, y], color="#2b5c8a", linewidth=1.2)
        axes.plot(row.accuracy.value, y, "|", color="#2b5c8a", markersize=11, markeredgewidth=2)
    names = [NAMES[row.name] for row in reversed(systems)]
    axes.set_yticks(range(len(names)), names, fontsize=9)
    axes.set_xlabel("accuracy on the test rows: mean, 95% interval, seeds", fontsize=9)
    axes.grid(axis="x", linewidth=0.4)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    figure.set_layout_engine("constrained")
    # Without date and version in it, the same plot is the same file.
    figure.savefig(path, dpi=120, metadata={"Software": None})
    plt.close(figure)
