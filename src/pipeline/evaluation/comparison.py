"""Compare the student with its teachers on one test set: scores, size and speed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline import logits
from pipeline.core.errors import UserError, explained
from pipeline.core.rows import Rows, class_order
from pipeline.evaluation import ranking, speed
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
from pipeline.evaluation.speed import Timed
from pipeline.logits import Artifact, Notes
from pipeline.model import pair_model, text_fit
from pipeline.model.encoding import encode
from pipeline.model.inference import mean_probability, predict, probabilities
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


def evaluate(
    test: Rows, teachers: Sequence[Artifact], *, is_task: bool, stage1: Path, stage2: Path
) -> Evaluation:
    """Score the teachers (by their logits) and the students of both stages on ``test``.

    ``is_task`` says whether it is the test set of the task.

    Students compute in float32, because bfloat16 gives many rows of a question equal scores.
    Raises UserError if the logits or the student do not fit ``test``.
    """
    student, tokenizer, card = pair_model.load(stage2)
    if set(card.label_names) != set(test.label_names):
        raise UserError(
            f"{stage2} scores the classes {', '.join(card.label_names)}, but {test.name} has "
            f"{', '.join(test.label_names)}: run `dvc repro finetune_student`."
        )
    fit = text_fit.measure(tokenizer, test, card.max_length)
    encoded = encode(tokenizer, test, card.max_length)
    predicted: dict[str, Tensor] = {}
    teacher_logits: list[Tensor] = []
    parameters: dict[str, int] = {}
    trainings: dict[str, Notes | Card] = {}
    architectures: dict[str, str] = {}
    timed: dict[str, Timed] = {}
    for artifact in teachers:
        identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
        name = identity.teacher
        logits.check_classes(name, identity.label_names, test)
        teacher_logits.append(logits.read(artifact, identity, test, test.label_names).double())
        predicted[name] = probabilities(teacher_logits[-1][:, None])
        parameters[name] = notes.parameters
        trainings[name] = notes
        # Teachers that compute the same are timed once.
        architectures[name] = json.dumps((notes.encoder, notes.lengths), sort_keys=True)
        if architectures[name] not in timed:
            path = artifact.directory / "notes.json"
            with explained(f"the encoder in {path} cannot be built", artifact.remedy):
                twin = speed.untrained_twin(notes.encoder, notes.lengths, len(test.label_names))
            timed[architectures[name]] = twin
    predicted[MEAN_OF_TEACHERS] = mean_probability(torch.stack(teacher_logits, dim=1))
    parameters[MEAN_OF_TEACHERS] = sum(parameters.values())
    students = {"student": (student, card)}
    if card.from_stage1:
        stage1_student, _, stage1_card = pair_model.load(stage1)
        students = {"stage 1": (stage1_student, stage1_card), **students}
    for name, (model, own_card) in students.items():
        if set(own_card.label_names) == set(test.label_names):
            order = class_order(own_card.label_names, test.label_names)
            own_logits = predict(model, encoded, own_card.heads, in_float32=True)
            own_logits = own_logits[:, :, order].double()
            if not own_logits.isfinite().all():
                raise UserError(
                    f"{name} gives logits that are not finite: run `dvc repro -f "
                    f"{'distill' if name == 'stage 1' else 'finetune_student'}`."
                )
            predicted[name] = probabilities(own_logits, own_card.temperature)
            parameters[name] = pair_model.parameters(model)
            trainings[name] = own_card
            timed[name] = Timed(model, own_card.heads, encoded.first(logits.TIMED_ROWS))
    rates = dict(zip(timed, speed.pairs_per_second(list(timed.values())), strict=True))
    rates |= {name: rates[architecture] for name, architecture in architectures.items()}
    rates[MEAN_OF_TEACHERS] = 1 / sum(1 / rates[name] for name in architectures)
    slowest = min(rates[name] for name in architectures)
    speedups = {name: rates[name] / slowest for name in predicted}
    if test.merged:
        predicted = {name: _merged(own, test) for name, own in predicted.items()}
        test = test.with_merged_classes()
    return _compare(
        test,
        predicted,
        is_task=is_task,
        fit=fit,
        thresholds=dict(zip(card.label_names, card.thresholds, strict=False)),
        parameters=parameters,
        speedups=speedups,
        trainings=trainings,
    )


def _merged(probabilities: Tensor, test: Rows) -> Tensor:
    """Probabilities of the classes of ``test`` once some are merged, of shape [rows, classes]."""
    kept = test.with_merged_classes().label_names
    columns = torch.zeros(len(test.label_names), len(kept), dtype=probabilities.dtype)
    for number, name in enumerate(test.label_names):
        columns[number, kept.index(test.merged.get(name, name))] = 1
    return probabilities @ columns


def _compare(
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
