"""What the study found, for people (docs/study) and for machines (metrics/study)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.artifacts import whole_directory, write_csv, write_json
from study import plots
from study.comparison import Estimate
from study.results import Comparison, Line, Result


def write(found: Sequence[Result], page: Path, metrics: Path, rows: int) -> None:
    """Write ``page``, a folder with a README and its pictures, and the figures in ``metrics``."""
    with whole_directory(page) as draft:
        for result in found:
            plots.draw(result, draft / f"{result.name}.png")
        plots.draw_cost(found, draft / "cost.png")
        text = markdown(found, rows)
        (draft / "README.md").write_text(text, encoding="utf-8", newline="\n")
    lines = [(result.name, line) for result in found for line in result.lines]
    write_csv(metrics / "systems.csv", [{"table": name, **_figures(line)} for name, line in lines])
    write_csv(
        metrics / "comparisons.csv",
        [{"table": one.name, **_test(c)} for one in found for c in one.comparisons],
    )
    write_csv(
        metrics / "seeds.csv",
        [
            {"table": name, "system": line.name, "seed": seed, "accuracy": round(value, 4)}
            for name, line in lines
            for seed, value in enumerate(line.by_seed, start=1)
        ],
    )
    write_json(
        metrics / "accuracy.json",
        {
            result.name: {_key(line.name): round(line.accuracy.value, 4) for line in result.lines}
            for result in found
        },
    )


def sentence(comparison: Comparison) -> str:
    """A comparison in words that can be quoted."""
    verdict = "" if comparison.established else ", not established"
    return (
        f"{comparison.first} against {comparison.second}: {comparison.difference.points}{verdict}"
    )


def markdown(found: Sequence[Result], rows: int) -> str:
    """The report, with a picture, a table and the tested differences for each question."""
    parts = [
        "# The study\n",
        f"Accuracy on {rows:,} test rows, in %, with 95% intervals for other rows and "
        "other seeds. A difference is established if its p-value, corrected for the number of "
        "differences in its table (Holm), is below 0.05. `val` is the accuracy on the validation "
        "rows, `speed` the pairs per second over those of the slowest teacher. What each system "
        "is stands in `study/params.yaml`; this page is made by `make study`.\n",
        "![accuracy against cost](cost.png)\n",
    ]
    for result in found:
        parts.append(f"## {result.table.title}\n\n![{result.name}]({result.name}.png)\n")
        parts.append(_table(result.lines))
        parts.append("".join(f"- {sentence(one)}\n" for one in result.comparisons))
    return "\n".join(part for part in parts if part)


def _table(lines: Sequence[Line]) -> str:
    head = "| | accuracy | interval | seeds | val | size | speed |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| {line.label} "
        f"| {100 * line.accuracy.value:.1f} "
        f"| {100 * line.accuracy.low:.1f} to {100 * line.accuracy.high:.1f} "
        f"| {', '.join(f'{100 * value:.1f}' for value in line.by_seed)} "
        f"| {100 * line.validation:.1f} "
        f"| {line.parameters / 1e6:.1f} M | {line.speedup:.1f}x |\n"
        for line in lines
    )


def _figures(line: Line) -> dict[str, Any]:
    return {
        "system": line.name,
        **_rounded("accuracy", line.accuracy),
        "seeds": len(line.by_seed),
        "validation_accuracy": round(line.validation, 4),
        "parameters": line.parameters,
        "speedup": round(line.speedup, 1),
        "chosen": line.chosen,
    }


def _test(comparison: Comparison) -> dict[str, Any]:
    return {
        "first": comparison.first,
        "second": comparison.second,
        **_rounded("difference", comparison.difference),
        "p": round(comparison.difference.p, 4),
        "corrected_p": round(comparison.corrected_p, 4),
        "established": comparison.established,
    }


def _rounded(name: str, estimate: Estimate) -> dict[str, float]:
    values = {name: estimate.value, "low": estimate.low, "high": estimate.high}
    return {key: round(value, 4) for key, value in values.items()}


def _key(name: str) -> str:
    """DVC reads a dot in a metric's name as a step down."""
    return name.replace(".", "_")
