"""Compare the student with its teachers on the test rows: scores, size and speed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline import logits
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.evaluation import speed
from pipeline.evaluation.scoring import (
    Interval,
    Score,
    agreement,
    confusion,
    gain,
    reliability,
    score,
)
from pipeline.logits import Artifact
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import mean_probability, predict
from pipeline.model.loading import tokenizer_hash
from pipeline.model.pair_model import PairModel

MEAN_OF_TEACHERS = "teachers' mean"


@dataclass(frozen=True)
class SystemResult:
    """One line of the results table."""

    score: Score
    agreement: float
    """Share of rows for which it chooses the same class as the mean of the teachers."""
    parameters: int
    speedup: float
    """Pairs per second divided by those of the slowest teacher."""


@dataclass(frozen=True)
class Evaluation:
    """The result of the pipeline."""

    rows: int
    label_names: tuple[str, ...]
    systems: dict[str, SystemResult]
    """Teachers by name, their mean, ``stage 1`` (if it has the task's classes), ``student``."""
    gains: dict[str, Interval]
    """Accuracy of the student minus that of another system, paired on the same rows, by name."""
    confusion: list[dict[str, str]]
    reliability: list[dict[str, float]]
    """Confidence and accuracy of the student, by bins of confidence."""


def evaluate(test: Rows, teachers: Sequence[Artifact], *, stage1: Path, stage2: Path) -> Evaluation:
    """Score the teachers (by their logits) and the students of both stages on ``test``.

    Raises UserError if the logits or the student do not fit ``test``.
    """
    student, tokenizer, card = pair_model.load(stage2)
    if card.label_names != test.label_names:
        raise UserError(
            f"{stage2} scores the classes {', '.join(card.label_names)}, but {test.name} has "
            f"{', '.join(test.label_names)}: run `dvc repro finetune_student`."
        )
    encoded = encode(tokenizer, test, card.max_length)
    expected_tokenizer = tokenizer_hash(tokenizer)
    all_logits: dict[str, Tensor] = {}
    parameters: dict[str, int] = {}
    architectures: dict[str, str] = {}
    timed: dict[str, tuple[PairModel, Sequence[str]]] = {}
    for artifact in teachers:
        name = artifact.teacher
        identity, notes = logits.check_identity(
            artifact, tokenizer=expected_tokenizer, max_length=card.max_length
        )
        logits.check_labels(identity, test)
        all_logits[name] = logits.read(artifact, identity, test)[:, None]
        parameters[name] = notes["parameters"]
        architectures[name] = json.dumps(notes["encoder"], sort_keys=True)
        if architectures[name] not in timed:
            twin = speed.untrained_twin(notes["encoder"], len(test.label_names))
            timed[architectures[name]] = (twin, list(twin.heads))
    all_logits[MEAN_OF_TEACHERS] = torch.cat(list(all_logits.values()), dim=1)
    parameters[MEAN_OF_TEACHERS] = sum(parameters.values())
    stage1_student, _, stage1_card = pair_model.load(stage1)
    students = {"stage 1": (stage1_student, stage1_card), "student": (student, card)}
    for name, (model, own_card) in students.items():
        if own_card.label_names == test.label_names:
            all_logits[name] = predict(model, encoded, own_card.heads)
            parameters[name] = pair_model.parameters(model)
            timed[name] = (model, own_card.heads)
    rates = dict(
        zip(
            timed,
            speed.pairs_per_second(list(timed.values()), encoded.first(speed.ROWS)),
            strict=True,
        )
    )
    rates |= {name: rates[architecture] for name, architecture in architectures.items()}
    rates[MEAN_OF_TEACHERS] = 1 / sum(1 / rates[name] for name in architectures)
    slowest = min(rates[name] for name in architectures)
    speedups = {name: rates[name] / slowest for name in all_logits}
    return _compare(test, all_logits, parameters, speedups)


def _compare(
    test: Rows,
    all_logits: dict[str, Tensor],
    parameters: dict[str, int],
    speedups: dict[str, float],
) -> Evaluation:
    labels, groups = test.labels, test.groups
    probabilities = {name: mean_probability(own.double()) for name, own in all_logits.items()}
    systems = {
        name: SystemResult(
            score(own, labels, groups),
            agreement(own, probabilities[MEAN_OF_TEACHERS]),
            parameters[name],
            speedups[name],
        )
        for name, own in probabilities.items()
    }
    student = probabilities["student"]
    gains = {
        name: gain(student, own, labels) for name, own in probabilities.items() if name != "student"
    }
    return Evaluation(
        len(test),
        test.label_names,
        systems,
        gains,
        confusion(student, labels, test.label_names),
        reliability(student, labels),
    )
