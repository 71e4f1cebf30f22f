"""What is known of each system on one test set, and of the student beside the others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline.core.rows import Rows
from pipeline.evaluation import ranking
from pipeline.evaluation.predictions import predictions
from pipeline.evaluation.ranking import Questions
from pipeline.evaluation.scoring import (
    Interval,
    Score,
    agreement,
    confusion,
    mean,
    one_class,
    reliability,
    score,
)
from pipeline.logits import Notes
from pipeline.model.pair_model import Card
from pipeline.model.text_fit import TextFit

MEAN_OF_TEACHERS = "teachers' mean"
RARE = 0.3
"""Below this share of the rows, a class is rare: accuracy says little about it."""


@dataclass(frozen=True)
class SystemResult:
    """One line of the results table."""

    score: Score
    agreement: float
    """Share of rows for which it chooses the same class as the mean of the teachers."""
    parameters: int
    speedup: float
    """Pairs per second divided by those of the slowest teacher."""
    failed: bool
    """Whether its training has failed: its loss stayed that of a constant predictor."""
    still_falling: bool
    """Whether its loss was still falling steeply when its training ended."""
    above_baseline: Interval
    """Its leading score minus that of the baseline, paired on the same rows or questions."""
    has_learned: bool
    """Whether it is established that it is better than the baseline: by the leading score or, if
    there are no questions, by log loss or, of two classes, by the area under the ROC curve. With
    classes of unequal size, a good model may answer the most frequent class for every row."""
    is_worse: bool
    """Whether it is established that it is worse than the baseline, by the leading score or, of two
    classes without questions, by the area under the ROC curve; it has not collapsed then."""
    one_class: str | None
    """The class that it answers for nearly all rows, if there is one."""


@dataclass(frozen=True)
class Positive:
    """How well the student finds the rows of a class that few rows have."""

    name: str
    share: float
    """Of the rows."""
    threshold: float
    """The least probability at which it is answered, chosen on validation rows for its F1."""
    precision: float
    recall: float


@dataclass(frozen=True)
class Evaluation:
    """The results on one test set.

    The leading score is accuracy or, if rows are grouped by question, mean average precision.
    """

    test: str
    """The name of the test set."""
    is_task: bool
    """Whether it is that of the task."""
    rows: int
    fingerprint: str
    """That of the rows."""
    relevant_label: str | None
    """The class by whose probability the rows of a question are ranked, if there are questions."""
    questions: int
    """Questions that have both right and wrong rows."""
    all_questions: int
    fit: TextFit
    """How well the tokenizer and the length of the student fit the rows."""
    absent: tuple[str, ...]
    """Classes that no row has, though systems may answer them."""
    positive: Positive | None
    """What the student finds of the positive class, if there are two and this is a rare one."""
    baseline: Score
    """That of a system that knows only the shares of the classes: it answers the most frequent
    class, and ranks at random."""
    systems: dict[str, SystemResult]
    """Teachers by name, their mean, ``stage 1`` (if the student has started from it and it has the
    task's classes), ``student``."""
    gains: dict[str, Interval]
    """The leading score of the student minus that of another system, paired, by name. Those are
    missing where neither of both is better than the baseline."""
    accuracy_gains: dict[str, Interval]
    """The same for accuracy, if it is not the leading score."""
    confusion: list[dict[str, str]]
    reliability: list[dict[str, float]]
    """Confidence and accuracy of the student, by bins of confidence."""
    predictions: list[dict[str, Any]]
    """What student and teachers answer for each row; see ``predictions``."""


def compare(
    test: Rows,
    predicted: dict[str, Tensor],
    *,
    is_task: bool,
    fit: TextFit,
    thresholds: dict[str, float],
    parameters: dict[str, int],
    speedups: dict[str, float],
    trainings: dict[str, Notes | Card],
) -> Evaluation:
    """The evaluation of what systems have ``predicted``, probabilities of shape [rows, classes].

    ``thresholds`` are those of the student by class; ``parameters``, ``speedups`` and ``trainings``
    belong to the systems by name.
    """
    labels = test.labels
    asked, relevant = _questions(test)
    shares = np.bincount(labels, minlength=len(test.label_names)) / len(labels)
    constant = torch.from_numpy(shares).expand(len(labels), -1)
    chosen = {name: own.argmax(dim=1).numpy() for name, own in predicted.items()}
    hits = {name: (own == labels).astype(float) for name, own in chosen.items()}
    constant_hits = (labels == shares.argmax()).astype(float)
    occurring = shares > 0
    constant_loss = -np.log(shares[labels])
    positive = relevant if relevant >= 0 else len(shares) - 1
    ranks: dict[str, np.ndarray] = {}
    random_ranks = None
    leading, leading_of_baseline = hits, constant_hits
    if asked is not None:
        ranks = {
            name: ranking.ranked(own[:, relevant].numpy(), asked) for name, own in predicted.items()
        }
        random_ranks = ranking.random_order(asked)
        leading = {name: own[asked.mixed, 0] for name, own in ranks.items()}
        leading_of_baseline = random_ranks[asked.mixed, 0]
    systems = {}
    for name, own in predicted.items():
        scored = score(own, labels, asked=asked, ranks=ranks.get(name), positive=positive)
        above = mean(leading[name] - leading_of_baseline)
        area = scored.roc_auc if asked is None else None
        losses = -np.log(np.clip(own.numpy()[np.arange(len(labels)), labels], 1e-15, 1))
        only = _name_of(one_class(chosen[name], labels), test.label_names)
        by_loss = asked is None and mean(constant_loss - losses).low > 0
        systems[name] = SystemResult(
            scored,
            agreement(own, predicted[MEAN_OF_TEACHERS]),
            parameters[name],
            speedups[name],
            name in trainings and trainings[name].failed,
            name in trainings and trainings[name].still_falling,
            above,
            above.low > 0 or by_loss or (area is not None and area.low > 0.5),
            only is None and (area.high < 0.5 if area else above.high < 0),
            only,
        )
    compared = [
        name
        for name, system in systems.items()
        if name != "student" and (system.has_learned or systems["student"].has_learned)
    ]
    accuracy_gains = {}
    if asked is not None:
        accuracy_gains = {
            name: mean(hits["student"] - hits[name], asked.numbers) for name in compared
        }
    return Evaluation(
        test.name.removeprefix("test/"),
        is_task,
        len(test),
        test.fingerprint,
        test.relevant_label,
        int(asked.mixed.sum()) if asked else 0,
        asked.count if asked else 0,
        fit,
        tuple(name for name, own in zip(test.label_names, occurring, strict=True) if not own),
        _positive(test, predicted["student"], positive, thresholds),
        score(constant, labels, asked=asked, ranks=random_ranks, positive=positive),
        systems,
        {name: mean(leading["student"] - leading[name]) for name in compared},
        accuracy_gains,
        confusion(predicted["student"], labels, test.label_names),
        reliability(predicted["student"], labels),
        predictions(test, predicted["student"], predicted[MEAN_OF_TEACHERS]),
    )


def _positive(
    test: Rows, student: Tensor, positive: int, thresholds: dict[str, float]
) -> Positive | None:
    name, gold = test.label_names[positive], test.labels == positive
    share = float(gold.mean())
    if len(test.label_names) != 2 or name not in thresholds or not 0 < share < RARE:
        return None
    found = student[:, positive].numpy() >= thresholds[name]
    both = float((found & gold).sum())
    return Positive(
        name, share, thresholds[name], both / max(1, found.sum()), both / max(1, gold.sum())
    )


def _questions(test: Rows) -> tuple[Questions | None, int]:
    """The questions of a test set, if it is ranked, and the number of the right class."""
    if test.groups is None or test.relevant_label is None:
        return None, -1
    relevant = test.label_names.index(test.relevant_label)
    return ranking.questions(test.groups, test.labels == relevant), relevant


def _name_of(number: int | None, names: Sequence[str]) -> str | None:
    return None if number is None else names[number]
