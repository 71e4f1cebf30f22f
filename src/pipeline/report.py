"""The evaluation as a table for people, and as a few numbers for ``dvc metrics diff``."""

from typing import Any

from rich import box
from rich.table import Table

from pipeline.evaluation import Evaluation
from pipeline.scoring import Interval, Score


def table(evaluation: Evaluation) -> Table:
    """The answer to "what did I get": one line per system."""
    result = Table(
        title=f"Test split of the task: {evaluation.rows:,} rows, 95% intervals",
        title_justify="left",
        box=box.SIMPLE,
        padding=(0, 0, 0, 1),
    )
    scores = [system.score for system in evaluation.systems.values()]
    extra = {"AUC": "roc_auc", "MAP": "mean_average_precision"}
    shown = {name: field for name, field in extra.items() if getattr(scores[0], field)}
    result.add_column("", no_wrap=True)
    for column in ("accuracy", "interval", *shown, "agrees", "size", "speed"):
        result.add_column(column, justify="right", no_wrap=True)
    for name, system in evaluation.systems.items():
        accuracy = system.score.accuracy
        result.add_row(
            name,
            f"{accuracy.value:.1%}",
            f"{100 * accuracy.low:.1f}-{100 * accuracy.high:.1f}",
            *(f"{getattr(system.score, field).value:.3f}" for field in shown.values()),
            f"{system.agreement:.1%}",
            f"{system.parameters / 1e6:.1f} M",
            f"{system.speedup:.1f}x",
            style="bold" if name == "student" else None,
        )
    return result


def sentences(evaluation: Evaluation) -> list[str]:
    """Each comparison of the student in words; one whose interval holds 0 is not called a gain."""
    said = []
    if questions := evaluation.systems["student"].score.questions:
        said.append(
            f"MAP, MRR and P@1: {questions:,} questions with right and wrong rows, ranked by the "
            f"probability of '{evaluation.label_names[-1]}', the last of label_names"
        )
    for name, gain in evaluation.gains.items():
        verdict = "" if gain.low > 0 or gain.high < 0 else ", within the noise of these rows"
        said.append(f"student against {name}: {gain.points}{verdict}")
    return said


def metrics(evaluation: Evaluation) -> dict[str, Any]:
    """The numbers of ``metrics/evaluation.json``, to four places."""
    systems = evaluation.systems
    student = systems["student"]
    others = {
        _key(name): round(system.score.accuracy.value, 4)
        for name, system in systems.items()
        if name != "student"
    }
    questions = {"questions": student.score.questions} if student.score.questions else {}
    return {
        "student": {
            **{name: round(found.value, 4) for name, found in _intervals(student.score).items()},
            "agreement_with_teachers": round(student.agreement, 4),
            "parameters": student.parameters,
            "speedup": round(student.speedup, 1),
        },
        "accuracy_of": others,
        "rows": evaluation.rows,
        **questions,
    }


def scores(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``metrics/scores.csv``: every score of every system with its interval."""
    return [
        {
            "system": _key(name),
            "score": score,
            **{key: round(value, 4) for key, value in vars(found).items()},
        }
        for name, system in evaluation.systems.items()
        for score, found in _intervals(system.score).items()
    ]


def _key(name: str) -> str:
    return name.replace("'", "").replace(" ", "_")


def _intervals(score: Score) -> dict[str, Interval]:
    return {name: value for name, value in vars(score).items() if isinstance(value, Interval)}
