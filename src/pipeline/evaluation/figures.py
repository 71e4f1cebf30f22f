"""The evaluation as figures: for ``dvc metrics diff``, and as lines of CSV files."""

from collections.abc import Sequence
from typing import Any

from pipeline.evaluation.results import Evaluation
from pipeline.evaluation.scoring import Interval, Score

MAP = "mean_average_precision"


def is_ranked(evaluation: Evaluation) -> bool:
    """Whether rows are grouped by questions, so that rankings are scored."""
    return evaluation.all_questions > 0


def metrics(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The numbers of ``metrics/evaluation.json`` by test set, to four decimal places."""
    return {evaluation.test: _metrics(evaluation) for evaluation in evaluations}


def _metrics(evaluation: Evaluation) -> dict[str, Any]:
    systems = evaluation.systems
    student = systems["student"]
    leading = MAP if is_ranked(evaluation) else "accuracy"
    scores = {name: intervals(system.score) for name, system in systems.items()}
    content = {
        "student": {
            **{name: round(interval.value, 4) for name, interval in scores["student"].items()},
            "above_baseline": round(student.above_baseline.value, 4),
            "agreement_with_teachers": round(student.agreement, 4),
            "parameters": student.parameters,
            "speedup": round(student.speedup, 1),
        },
        f"{leading}_of": {
            _key(name): round(own[leading].value, 4)
            for name, own in scores.items()
            if name != "student"
        },
        "baseline": round(intervals(evaluation.baseline)[leading].value, 4),
        "not_above_baseline": sum(not system.has_learned for system in systems.values()),
        "failed_trainings": sum(
            system.failed and not system.has_learned for system in systems.values()
        ),
        "short_trainings": sum(system.still_falling for system in systems.values()),
        "rows": evaluation.rows,
        "cut_pairs": round(evaluation.fit.cut, 4),
    }
    if is_ranked(evaluation):
        content |= {"questions": evaluation.questions, "all_questions": evaluation.all_questions}
    return content


SCORES = ("test", "system", "score", "value", "low", "high")
"""The columns of ``metrics/scores.csv``."""


def scores(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``metrics/scores.csv``: every score of every system with its interval."""
    by_system = {name: system.score for name, system in evaluation.systems.items()}
    return [
        {
            "test": evaluation.test,
            "system": _key(name),
            "score": score,
            **{key: round(value, 4) for key, value in vars(interval).items()},
        }
        for name, own in {"baseline": evaluation.baseline, **by_system}.items()
        for score, interval in intervals(own).items()
    ]


def _key(name: str) -> str:
    return name.replace("'", "").replace(" ", "_")


def intervals(score: Score) -> dict[str, Interval]:
    """All scores by name, those of rankings first."""
    others = {name: value for name, value in vars(score).items() if isinstance(value, Interval)}
    return {**score.ranking, **others}


CONFUSION = ("test", "actual", "predicted")
"""The columns of ``metrics/confusion.csv``."""


def confusion(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``metrics/confusion.csv``: actual and predicted class of every row."""
    return [{"test": evaluation.test, **line} for line in evaluation.confusion]


CALIBRATION = ("test", "confidence", "accuracy", "rows")
"""The columns of ``metrics/calibration.csv``."""


def calibration(evaluation: Evaluation) -> list[dict[str, Any]]:
    """The lines of ``metrics/calibration.csv``: bins of the student's confidence."""
    return [{"test": evaluation.test, **line} for line in evaluation.reliability]
