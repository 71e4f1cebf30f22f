"""The evaluation as a table for people, and as numbers for ``dvc metrics diff``."""

import io
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.evaluation.comparison import Evaluation
from pipeline.evaluation.scoring import Interval, Score


def markdown(evaluation: Evaluation) -> str:
    """The content of ``metrics/results.md``: a table with a line per system, and comparisons."""
    output = io.StringIO()
    # The same text everywhere, whatever the terminal and its environment variables.
    plain = Console(file=output, width=1_000, color_system=None, force_terminal=False)
    plain.print(_table(evaluation))
    table = "\n".join(line.strip() for line in output.getvalue().splitlines() if line.strip())
    title = f"Results on the test split of the task: {evaluation.rows:,} rows, 95% intervals."
    comparisons = "\n".join(f"- {sentence}" for sentence in sentences(evaluation))
    return f"{title}\n\n{table}\n\n{comparisons}\n"


def _table(evaluation: Evaluation) -> Table:
    table = Table(box=box.MARKDOWN)
    scores = [system.score for system in evaluation.systems.values()]
    optional = {"AUC": "roc_auc", "MAP": "mean_average_precision"}
    shown = {name: field for name, field in optional.items() if getattr(scores[0], field)}
    table.add_column("", no_wrap=True)
    for column in ("accuracy", "interval", *shown, "agrees", "size", "speed"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, system in evaluation.systems.items():
        accuracy = system.score.accuracy
        table.add_row(
            name,
            f"{accuracy.value:.1%}",
            f"{100 * accuracy.low:.1f}-{100 * accuracy.high:.1f}",
            *(f"{getattr(system.score, field).value:.3f}" for field in shown.values()),
            f"{system.agreement:.1%}",
            f"{system.parameters / 1e6:.1f} M",
            f"{system.speedup:.1f}x",
        )
    return table


def sentences(evaluation: Evaluation) -> list[str]:
    """What the columns mean, and each comparison of the student with another system."""
    lines = [
        "agrees: share of rows for which it chooses the same class as the teachers' mean; "
        "size: parameters; speed: pairs per second relative to the slowest teacher"
    ]
    if questions := evaluation.systems["student"].score.questions:
        lines.append(
            f"MAP: mean average precision over {questions:,} questions with right and wrong rows, "
            f"ranked by the probability of '{evaluation.label_names[-1]}', the last of label_names"
        )
    for name, system in evaluation.systems.items():
        if system.failed:
            lines.append(
                f"the training of {name} has failed: its loss stayed that of a constant prediction"
            )
    for name, gain in evaluation.gains.items():
        established = gain.low > 0 or gain.high < 0
        verdict = "" if established else ", not established: the interval includes 0"
        lines.append(f"student minus {name}: {gain.points}{verdict}")
    return lines


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of ``metrics/evaluation.json``, to four decimal places."""
    systems = evaluation.systems
    student = systems["student"]
    others = {
        _key(name): round(system.score.accuracy.value, 4)
        for name, system in systems.items()
        if name != "student"
    }
    questions = {"questions": student.score.questions} if student.score.questions else {}
    intervals = _intervals(student.score)
    return {
        "student": {
            **{name: round(interval.value, 4) for name, interval in intervals.items()},
            "agreement_with_teachers": round(student.agreement, 4),
            "parameters": student.parameters,
            "speedup": round(student.speedup, 1),
        },
        "accuracy_of": others,
        "failed_trainings": sum(system.failed for system in systems.values()),
        "rows": evaluation.rows,
        **questions,
    }


SCORES = ("system", "score", "value", "low", "high")
"""The columns of ``metrics/scores.csv``."""


def scores(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``metrics/scores.csv``: every score of every system with its interval."""
    return [
        {
            "system": _key(name),
            "score": score,
            **{key: round(value, 4) for key, value in vars(interval).items()},
        }
        for name, system in evaluation.systems.items()
        for score, interval in _intervals(system.score).items()
    ]


def _key(name: str) -> str:
    return name.replace("'", "").replace(" ", "_")


def _intervals(score: Score) -> dict[str, Interval]:
    return {name: value for name, value in vars(score).items() if isinstance(value, Interval)}
