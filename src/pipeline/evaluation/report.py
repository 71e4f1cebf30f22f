"""The evaluation as tables for people, and as numbers for ``dvc metrics diff``."""

import io
from collections.abc import Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.evaluation.comparison import Evaluation, SystemResult
from pipeline.evaluation.markdown import escaped
from pipeline.evaluation.scoring import Interval, Score

MAP = "mean_average_precision"
SHORT_NAMES = {"MAP": MAP, "MRR": "mean_reciprocal_rank", "P@1": "precision_at_1"}


def markdown(evaluations: Sequence[Evaluation]) -> str:
    """The content of ``metrics/results.md``: for each test set a table and what it says."""
    parts = []
    for evaluation in evaluations:
        output = io.StringIO()
        # The same text everywhere, whatever the terminal and its environment variables.
        plain = Console(file=output, width=1_000, color_system=None, force_terminal=False)
        plain.print(_table(evaluation))
        table = "\n".join(line.strip() for line in output.getvalue().splitlines() if line.strip())
        rows = f"{evaluation.rows:,} rows"
        if _is_ranked(evaluation):
            rows += f" of {evaluation.all_questions:,} questions"
        title = (
            f"Results on the test set '{evaluation.test}': {rows}, 95% intervals "
            f"(fingerprint {evaluation.fingerprint})."
        )
        listed = "\n".join(f"- {sentence}" for sentence in sentences(evaluation))
        parts.append(f"{title}\n\n{table}\n\n{listed}\n")
    return "\n".join(parts)


def _is_ranked(evaluation: Evaluation) -> bool:
    return evaluation.all_questions > 0


def _table(evaluation: Evaluation) -> Table:
    """Systems by line; the leading score, with its interval, is the first column."""
    table = Table(box=box.MARKDOWN)
    table.add_column("", no_wrap=True)
    has_auc = evaluation.baseline.roc_auc is not None
    columns = ["accuracy", "interval", *(["AUC"] if has_auc else [])]
    if _is_ranked(evaluation):
        columns = ["MAP", "interval", "MRR", "P@1", "accuracy"]
    for column in (*columns, "agrees", "size", "speed"):
        table.add_column(column, justify="right", no_wrap=True)
    name = "random order" if _is_ranked(evaluation) else "majority class"
    table.add_row(name, *_scores(evaluation.baseline))
    for name, system in evaluation.systems.items():
        table.add_row(
            name,
            *_scores(system.score),
            f"{system.agreement:.1%}",
            f"{system.parameters / 1e6:.1f} M",
            f"{system.speedup:.1f}x",
        )
    return table


def _scores(score: Score) -> list[str]:
    accuracy = score.accuracy
    if score.ranking:
        mean, reciprocal, first = (score.ranking[name] for name in SHORT_NAMES.values())
        return [
            f"{mean.value:.3f}",
            f"{mean.low:.2f}-{mean.high:.2f}",
            f"{reciprocal.value:.3f}",
            f"{first.value:.3f}",
            f"{accuracy.value:.1%}",
        ]
    interval = f"{100 * accuracy.low:.1f}-{100 * accuracy.high:.1f}"
    auc = [f"{score.roc_auc.value:.3f}"] if score.roc_auc else []
    return [f"{accuracy.value:.1%}", interval, *auc]


def sentences(evaluation: Evaluation) -> list[str]:
    """What the columns mean, what has gone wrong, and comparisons with the student."""
    lines = [
        "agrees: share of rows for which it chooses the same class as the teachers' mean; "
        "size: parameters; speed: pairs per second relative to the slowest teacher"
    ]
    if _is_ranked(evaluation):
        lines += _about_ranking(evaluation)
    lines += [f"for the student, {sentence}" for sentence in evaluation.fit.sentences()]
    lines += [
        f"no row is of the class '{escaped(name)}', which systems may answer: to count it as "
        f"another one, set corpora.{evaluation.test}.merged"
        for name in evaluation.absent
    ]
    if found := evaluation.positive:
        precision = evaluation.systems["student"].score.average_precision
        assert precision is not None
        lines.append(
            f"'{escaped(found.name)}' are {found.share:.1%} of the rows: the student finds them "
            f"with an average precision of {precision.value:.3f} [{precision.low:.2f}, "
            f"{precision.high:.2f}]; from a probability of {found.threshold:.2f} on, which was "
            f"chosen on validation rows, with a precision of {found.precision:.0%} and a recall of "
            f"{found.recall:.0%}"
        )
    for name, system in evaluation.systems.items():
        lines += _warnings(evaluation, name, system)
    for name, gain in evaluation.gains.items():
        if _is_ranked(evaluation):
            accuracy = evaluation.accuracy_gains[name]
            lines.append(
                f"student minus {name}: MAP {_difference(evaluation, gain)}; "
                f"accuracy {accuracy.points}{_verdict(accuracy)}"
            )
        else:
            lines.append(f"student minus {name}: {_difference(evaluation, gain)}")
    return lines


def _about_ranking(evaluation: Evaluation) -> list[str]:
    scores = evaluation.systems["student"].score.ranking
    over_all = ", ".join(
        f"{short} {scores[f'{name}_all'].value:.3f}" for short, name in SHORT_NAMES.items()
    )
    return [
        "MAP: mean average precision; MRR: mean reciprocal rank; P@1: precision at 1, over the "
        f"{evaluation.questions:,} questions with right and wrong rows, ranked by the probability "
        f"of '{escaped(evaluation.relevant_label or '')}'; intervals are those of other questions; "
        "accuracy of random order: that of the most frequent class",
        f"over all {evaluation.all_questions:,} questions, of which one without a right row counts "
        f"as 0 and one without a wrong row as 1, the student has {over_all}",
    ]


def _warnings(evaluation: Evaluation, name: str, system: SystemResult) -> list[str]:
    lines = []
    if system.failed:
        constant = "its loss stayed close to that of a constant prediction"
        lines.append(
            f"the training of {name} was weak: {constant}, though it is better than that here"
            if system.has_learned
            else f"the training of {name} has failed: {constant}"
        )
    if system.still_falling:
        lines.append(
            f"the training of {name} was too short: its loss was still falling steeply when it "
            "ended; raise its epochs"
        )
    if system.one_class is not None:
        ranks = _is_ranked(evaluation) and system.has_learned
        lines.append(
            f"{name} answers '{escaped(system.one_class)}' for nearly all rows"
            + ("; its accuracy says nothing, but its ranking does" if ranks else "")
        )
    if system.is_worse:
        lines.append(
            f"{name} is worse than chance: are classes swapped? See label_names and relevant_label"
        )
    elif not system.has_learned:
        advice = (
            "README says what to do when a training collapses"
            if evaluation.is_task
            else "its rows may be of another kind than those of training"
        )
        baseline = "a random order" if _is_ranked(evaluation) else "the majority class"
        lines.append(
            f"{name} is not established to be better than {baseline}: "
            f"{_difference(evaluation, system.above_baseline, verdict=False)}; {advice}"
        )
    return lines


def _difference(evaluation: Evaluation, gain: Interval, *, verdict: bool = True) -> str:
    """A difference of the leading score in words."""
    text = gain.points
    if _is_ranked(evaluation):
        text = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    return text + (_verdict(gain) if verdict else "")


def _verdict(gain: Interval) -> str:
    established = gain.low > 0 or gain.high < 0
    return "" if established else ", not established: the interval includes 0"


def metrics(evaluations: Sequence[Evaluation]) -> dict[str, Any]:
    """The numbers of ``metrics/evaluation.json`` by test set, to four decimal places."""
    return {evaluation.test: _metrics(evaluation) for evaluation in evaluations}


def _metrics(evaluation: Evaluation) -> dict[str, Any]:
    systems = evaluation.systems
    student = systems["student"]
    leading = MAP if _is_ranked(evaluation) else "accuracy"
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
    if _is_ranked(evaluation):
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
