"""The evaluation as a table for people, and as a few numbers for ``dvc metrics diff``."""

from typing import Any

from rich.table import Table

from pipeline.evaluation import Evaluation, System


def table(evaluation: Evaluation) -> Table:
    """The answer to "what did I get": one line per system."""
    result = Table(
        title=f"Test split of the task: {evaluation.rows:,} rows, 95% intervals",
        title_justify="left",
    )
    columns = ("accuracy", "interval", "agrees", "parameters", "MB", "speed")
    result.add_column("", no_wrap=True)
    for column in columns:
        result.add_column(column, justify="right", no_wrap=True)
    for name, system in evaluation.systems.items():
        accuracy = system.score.accuracy
        result.add_row(
            name,
            f"{accuracy.value:.1%}",
            f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}",
            f"{system.agreement:.1%}",
            f"{system.parameters / 1e6:.1f} M",
            f"{system.megabytes:.0f}",
            f"{system.speedup:.1f}x",
            style="bold" if name == "student" else None,
        )
    return result


def sentences(evaluation: Evaluation) -> list[str]:
    """Each comparison of the student in words; one whose interval holds 0 is not called a gain."""
    said = []
    for name, gain in evaluation.gains.items():
        points = f"{100 * gain.value:+.1f} points [{100 * gain.low:+.1f}, {100 * gain.high:+.1f}]"
        verdict = "" if gain.low > 0 or gain.high < 0 else ", within the noise of these rows"
        said.append(f"student against {name}: {points}{verdict}")
    return said


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of ``metrics/evaluation.json``; shares of 1, to four places."""
    student = evaluation.systems["student"]
    others = {
        name.replace("'", "").replace(" ", "_"): round(system.score.accuracy.value, 4)
        for name, system in evaluation.systems.items()
        if name != "student"
    }
    return {"student": _numbers(student), "accuracy_of": others, "rows": evaluation.rows}


def _numbers(system: System) -> dict[str, Any]:
    accuracy = system.score.accuracy
    return {
        "accuracy": round(accuracy.value, 4),
        "accuracy_low": round(accuracy.low, 4),
        "accuracy_high": round(accuracy.high, 4),
        "macro_f1": round(system.score.macro_f1, 4),
        "log_loss": round(system.score.log_loss, 4),
        "agreement_with_teachers": round(system.agreement, 4),
        "parameters": system.parameters,
        "speedup": round(system.speedup, 1),
    }
