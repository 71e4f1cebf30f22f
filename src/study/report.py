"""The report of the study: a page with plots (docs/study) and figures (metrics/study)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.core.files import whole_directory, write_csv, write_json
from study import plots
from study.figures import Comparison, TableResult, TableRow
from study.statistics import Estimate

SYSTEM_COLUMNS = (
    *("table", "system", "accuracy", "low", "high", "seeds", "validation_accuracy", "parameters"),
    *("speedup", "chosen", "failed_seeds", "accuracy_without_failed"),
    *("one_class_seeds", "above_majority", "above_majority_low"),
)
COMPARISON_COLUMNS = (
    *("table", "first", "second", "difference", "low", "high", "p", "corrected_p", "established"),
)
SEED_COLUMNS = ("table", "system", "seed", "accuracy")


def write(results: Sequence[TableResult], page: Path, metrics: Path, *, rows: int) -> None:
    """Write ``page``, a directory with a README and plots, and the figures in ``metrics``.

    ``rows`` is the number of test rows.
    """
    with whole_directory(page) as draft:
        limits = plots.scale(results)
        for result in results:
            plots.draw(result, draft / f"{result.name}.png", limits)
        plots.draw_cost(results, draft / "cost.png")
        text = markdown(results, rows)
        (draft / "README.md").write_text(text, encoding="utf-8", newline="\n")
    table_rows = [(result.name, row) for result in results for row in result.rows]
    systems = [{"table": table, **_system_figures(row)} for table, row in table_rows]
    comparisons = [
        {"table": result.name, **_comparison_figures(comparison)}
        for result in results
        for comparison in result.comparisons
    ]
    seeds = [
        {"table": table, "system": row.name, "seed": seed, "accuracy": round(accuracy, 4)}
        for table, row in table_rows
        for seed, accuracy in enumerate(row.by_seed, start=1)
    ]
    write_csv(metrics / "systems.csv", SYSTEM_COLUMNS, systems)
    write_csv(metrics / "comparisons.csv", COMPARISON_COLUMNS, comparisons)
    write_csv(metrics / "seeds.csv", SEED_COLUMNS, seeds)
    write_json(
        metrics / "accuracy.json",
        {
            result.name: {_key(row.name): round(row.accuracy.value, 4) for row in result.rows}
            for result in results
        },
    )


def sentence(comparison: Comparison) -> str:
    """A comparison in words."""
    verdict = "" if comparison.established else ", not established"
    pair = f"{comparison.first.title} minus {comparison.second.title}"
    return f"{pair}: {comparison.difference.points}{verdict}"


def markdown(results: Sequence[TableResult], rows: int) -> str:
    """The page: for each table a heading, a plot, the figures and the tested differences."""
    parts = [
        "# The study\n",
        f"Accuracy on {rows:,} test rows, in %, with 95% intervals that hold for other rows and "
        "other seeds. A difference is established if its p-value is below 0.05 after Holm's "
        "correction for the number of differences in its table. `val` is the accuracy on the "
        "validation rows, `speed` the pairs per second relative to the slowest teacher. The "
        "systems are defined in `study/params.yaml`. This page is written by `make study`.\n",
        "![accuracy against cost](cost.png)\n",
    ]
    for result in results:
        parts.append(f"## {result.table.title}\n\n![{result.name}]({result.name}.png)\n")
        parts.append(_table(result))
        warnings = [warning for row in result.rows for warning in warnings_of(row)]
        parts.append("".join(f"- {warning}\n" for warning in warnings))
        parts.append("".join(f"- {sentence(comparison)}\n" for comparison in result.comparisons))
    return "\n".join(part for part in parts if part)


def _table(result: TableResult) -> str:
    head = "| | accuracy | interval | seeds | val | size | speed |\n|---|---|---|---|---|---|---|\n"
    low, high = 100 * result.majority.low, 100 * result.majority.high
    majority = f"| majority class | {100 * result.majority.value:.1f} | {low:.1f} to {high:.1f} |"
    return f"{head}{majority} | | | |\n" + "".join(
        f"| {row.title} "
        f"| {100 * row.accuracy.value:.1f} "
        f"| {100 * row.accuracy.low:.1f} to {100 * row.accuracy.high:.1f} "
        f"| {', '.join(f'{100 * value:.1f}' for value in row.by_seed)} "
        f"| {100 * row.validation:.1f} "
        f"| {row.parameters / 1e6:.1f} M | {row.speedup:.1f}x |\n"
        for row in result.rows
    )


def warnings_of(row: TableRow) -> list[str]:
    """Which seeds of a system have failed or collapsed, and whether it has learned anything."""
    found = []
    seeds = len(row.by_seed)
    if any(row.failed):
        without = row.without_failed
        mean = f"without: {100 * without:.1f}" if without is not None else "no other seeds"
        count = f"{sum(row.failed)} of {len(row.failed)}"
        found.append(f"{row.title}: {count} trainings failed, their loss stayed constant; {mean}")
    if any(row.one_class):
        count = f"{sum(row.one_class)} of {seeds}"
        found.append(f"{row.title}: with {count} seeds it answers one class for nearly all rows")
    if row.above_majority.low <= 0:
        found.append(
            f"{row.title} is not established to be better than the majority class: "
            f"{row.above_majority.points}"
        )
    return found


def _system_figures(row: TableRow) -> dict[str, Any]:
    without = row.without_failed
    return {
        "system": row.name,
        **_rounded("accuracy", row.accuracy),
        "seeds": len(row.by_seed),
        "validation_accuracy": round(row.validation, 4),
        "parameters": row.parameters,
        "speedup": round(row.speedup, 1),
        "chosen": row.chosen,
        "failed_seeds": sum(row.failed),
        "accuracy_without_failed": "" if without is None else round(without, 4),
        "one_class_seeds": sum(row.one_class),
        "above_majority": round(row.above_majority.value, 4),
        "above_majority_low": round(row.above_majority.low, 4),
    }


def _comparison_figures(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first.name,
        "second": comparison.second.name,
        **_rounded("difference", comparison.difference),
        "p": round(comparison.difference.p, 4),
        "corrected_p": round(comparison.corrected_p, 4),
        "established": comparison.established,
    }


def _rounded(name: str, estimate: Estimate) -> dict[str, float]:
    values = {name: estimate.value, "low": estimate.low, "high": estimate.high}
    return {key: round(value, 4) for key, value in values.items()}


def _key(name: str) -> str:
    """A metric name for DVC, which splits names at dots."""
    return name.replace(".", "_")
