"""Compare the student with its teachers on the test rows: scores, size and speed."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline import logits
from pipeline.core.errors import UserError, explained
from pipeline.core.rows import Rows, class_order
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
from pipeline.evaluation.speed import Timed
from pipeline.logits import Artifact
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import mean_probability, predict, probabilities

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
    failed: bool = False
    """Whether its training has failed: its loss stayed that of a constant predictor."""


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
    if set(card.label_names) != set(test.label_names):
        raise UserError(
            f"{stage2} scores the classes {', '.join(card.label_names)}, but {test.name} has "
            f"{', '.join(test.label_names)}: run `dvc repro finetune_student`."
        )
    encoded = encode(tokenizer, test, card.max_length)
    predicted: dict[str, Tensor] = {}
    teacher_logits: list[Tensor] = []
    parameters: dict[str, int] = {}
    failed: dict[str, bool] = {}
    architectures: dict[str, str] = {}
    timed: dict[str, Timed] = {}
    for artifact in teachers:
        identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
        name = identity.teacher
        logits.check_classes(name, identity.label_names, test)
        teacher_logits.append(logits.read(artifact, identity, test, test.label_names).double())
        predicted[name] = probabilities(teacher_logits[-1][:, None])
        parameters[name] = notes.parameters
        failed[name] = notes.failed
        # Teachers that compute the same are timed once.
        architectures[name] = json.dumps((notes.encoder, notes.lengths), sort_keys=True)
        if architectures[name] not in timed:
            path = artifact.directory / "notes.json"
            with explained(f"the encoder in {path} cannot be built", artifact.remedy):
                twin = speed.untrained_twin(notes.encoder, notes.lengths, len(test.label_names))
            timed[architectures[name]] = twin
    predicted[MEAN_OF_TEACHERS] = mean_probability(torch.stack(teacher_logits, dim=1))
    parameters[MEAN_OF_TEACHERS] = sum(parameters.values())
    stage1_student, _, stage1_card = pair_model.load(stage1)
    students = {"stage 1": (stage1_student, stage1_card), "student": (student, card)}
    for name, (model, own_card) in students.items():
        if set(own_card.label_names) == set(test.label_names):
            order = class_order(own_card.label_names, test.label_names)
            own_logits = predict(model, encoded, own_card.heads)[:, :, order].double()
            if not own_logits.isfinite().all():
                raise UserError(
                    f"{name} gives logits that are not finite: run `dvc repro -f "
                    f"{'distill' if name == 'stage 1' else 'finetune_student'}`."
                )
            predicted[name] = probabilities(own_logits, own_card.temperature)
            parameters[name] = pair_model.parameters(model)
            failed[name] = own_card.failed
            timed[name] = Timed(model, own_card.heads, encoded.first(logits.TIMED_ROWS))
    rates = dict(zip(timed, speed.pairs_per_second(list(timed.values())), strict=True))
    rates |= {name: rates[architecture] for name, architecture in architectures.items()}
    rates[MEAN_OF_TEACHERS] = 1 / sum(1 / rates[name] for name in architectures)
    slowest = min(rates[name] for name in architectures)
    speedups = {name: rates[name] / slowest for name in predicted}
    return _compare(test, predicted, parameters=parameters, speedups=speedups, failed=failed)


def _compare(
    test: Rows,
    predicted: dict[str, Tensor],
    *,
    parameters: dict[str, int],
    speedups: dict[str, float],
    failed: dict[str, bool],
) -> Evaluation:
    labels, groups = test.labels, test.groups
    systems = {
        name: SystemResult(
            score(own, labels, groups),
            agreement(own, predicted[MEAN_OF_TEACHERS]),
            parameters[name],
            speedups[name],
            failed.get(name, False),
        )
        for name, own in predicted.items()
    }
    student = predicted["student"]
    gains = {
        name: gain(student, own, labels) for name, own in predicted.items() if name != "student"
    }
    return Evaluation(
        len(test),
        test.label_names,
        systems,
        gains,
        confusion(student, labels, test.label_names),
        reliability(student, labels),
    )
