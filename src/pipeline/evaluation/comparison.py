"""Compare the student with its teachers on one test set: scores, size and speed."""

import json
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from pipeline import logits
from pipeline.core.errors import UserError, explained
from pipeline.core.rows import Rows, class_order
from pipeline.evaluation import speed
from pipeline.evaluation.results import MEAN_OF_TEACHERS, Evaluation, compare
from pipeline.evaluation.speed import Timed
from pipeline.logits import Artifact, Notes
from pipeline.model import pair_model, text_fit
from pipeline.model.encoding import encode
from pipeline.model.inference import mean_probability, predict, probabilities
from pipeline.model.pair_model import Card


def evaluate(
    test: Rows, teachers: Sequence[Artifact], *, is_task: bool, stage1: Path, stage2: Path
) -> Evaluation:
    """Score the teachers (by their logits) and the students of both stages on ``test``.

    ``is_task`` says whether it is the test set of the task. Students compute in float32, because
    bfloat16 gives many rows of a question equal scores. Raises UserError if the logits or the
    student do not fit ``test``.
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
    return compare(
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
