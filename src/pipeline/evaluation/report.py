"""The evaluation as tables and sentences for people."""

import io
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline.evaluation.figures import MAP, is_ranked
from pipeline.evaluation.markdown import escaped
from pipeline.evaluation.results import Evaluation, SystemResult
from pipeline.evaluation.scoring import Interval, Score

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
        if is_ranked(evaluation):
            rows += f" of {evaluation.all_questions:,} questions"
        title = (
            f"Results on the test set '{evaluation.test}': {rows}, 95% intervals "
            f"(fingerprint {evaluation.fingerprint})."
        )
        listed = "\n".join(f"- {sentence}" for sentence in sentences(evaluation))
        parts.append(f"{title}\n\n{table}\n\n{listed}\n")
    return "\n".join(parts)


def _table(evaluation: Evaluation) -> Table:
    """Systems by line; the leading score, with its interval, is the first column."""
    table = Table(box=box.MARKDOWN)
    table.add_column("", no_wrap=True)
    has_auc = evaluation.baseline.roc_auc is not None
    columns = ["accuracy", "interval", *(["AUC"] if has_auc else [])]
    if is_ranked(evaluation):
        columns = ["MAP", "interval", "MRR", "P@1", "accuracy"]
    for column in (*columns, "agrees", "size", "speed"):
        table.add_column(column, justify="right", no_wrap=True)
    name = "random order" if is_ranked(evaluation) else "majority class"
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
    if is_ranked(evaluation):
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
        if is_ranked(evaluation):
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
        ranks = is_ranked(evaluation) and system.has_learned
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
        baseline = "a random order" if is_ranked(evaluation) else "the majority class"
        lines.append(
            f"{name} is not established to be better than {baseline}: "
            f"{_difference(evaluation, system.above_baseline, verdict=False)}; {advice}"
        )
    return lines


def _difference(evaluation: Evaluation, gain: Interval, *, verdict: bool = True) -> str:
    """A difference of the leading score in words."""
    text = gain.points
    if is_ranked(evaluation):
        text = f"{gain.value:+.3f} [{gain.low:+.3f}, {gain.high:+.3f}]"
    return text + (_verdict(gain) if verdict else "")


def _verdict(gain: Interval) -> str:
    established = gain.low > 0 or gain.high < 0
    return "" if established else ", not established: the interval includes 0"
