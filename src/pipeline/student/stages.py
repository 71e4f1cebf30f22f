"""The two stages of the student: distillation on the pool, then fine-tuning on the task."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline import logits
from pipeline.core import runtime
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows, class_order
from pipeline.logits import Artifact
from pipeline.model import pair_model, text_fit
from pipeline.model.encoding import encode
from pipeline.model.inference import mean_probability
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel, reorder_classes
from pipeline.model.settings import GOLDEN
from pipeline.student.losses import soft_loss, student_loss
from pipeline.student.settings import Stage, Stage1, Stage2, Student
from pipeline.student.targets import (
    HELD_OUT,
    draw,
    is_held_out,
    read_targets,
    read_teachers,
    soft_heads,
    teacher_weights,
)
from pipeline.training.loop import Examples, Trained
from pipeline.training.run import restarting, train_and_save

CODE = "pipeline.student"
"""The code, beside that of all trainings, that determines the result of both stages."""


@dataclass(frozen=True)
class TrainedStudent(Trained):
    """A finished stage 2, and how its soft heads have started."""

    carried_over: tuple[str, ...]
    """Soft heads that started with the weights that they have after stage 1."""
    new: tuple[str, ...]
    """Soft heads that started with random weights."""


@restarting
def distill(
    student: Student,
    settings: Stage1,
    *,
    max_length: int,
    pool: Rows,
    teachers: Sequence[Artifact],
    start: Path,
    directory: Path,
) -> Trained:
    """Stage 1 (paper equation 4): train soft heads on ``pool``, which has no gold labels.

    ``teachers`` are the logits of ``settings.teachers``, in that order. The student starts from the
    weights in ``start`` and is saved to ``directory``. Losses of its curve are mean soft losses per
    row, accuracy is agreement with the mean of the teachers, and one in ``HELD_OUT`` rows is held
    out for validation.
    """
    held_out = is_held_out(pool)
    if len(pool) < HELD_OUT or held_out.all():
        raise UserError(
            f"{pool.name} has {len(pool)} rows, which are too few for stage 1: it needs at least "
            f"{HELD_OUT}. Use more rows or larger corpora."
        )
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = _pretrained(student, settings, max_length, start)
    text_fit.say(tokenizer, pool, max_length)
    identities = read_teachers(teachers, pool)
    label_names = pool.label_names
    if identities and set(identities[0].label_names) != set(label_names):
        # A pool may have other classes, because its labels are not read.
        label_names = identities[0].label_names
    if settings.soft_label:
        for identity in identities:
            logits.check_classes(identity.teacher, identity.label_names, pool)
    heads = soft_heads(settings)
    model = PairModel(
        encoder,
        heads,
        head_layers=student.head_layers,
        classes=len(label_names),
        dropout=settings.dropout,
    )

    def examples() -> list[Examples]:
        """For training and validation; the logits of all rows are in memory only here."""
        targets = read_targets(
            teachers,
            identities,
            pool,
            label_names=label_names,
            soft_label=settings.soft_label,
        )
        learned = draw(settings.rows, ~held_out, pool.name)
        parts = []
        for mask in (learned, held_out):
            logits = targets[torch.from_numpy(mask)]
            teachers_choice = mean_probability(logits).argmax(dim=-1)
            tokens = encode(tokenizer, pool, max_length, mask=mask)
            parts.append(Examples(tokens, teachers_choice, logits))
        return parts

    training, validation = examples()

    def loss(logits: Tensor, _: Tensor, targets: Tensor) -> Tensor:
        return soft_loss(logits, targets, settings.soft_loss, temperature=settings.temperature)

    return train_and_save(
        model,
        tokenizer,
        Card(
            label_names, max_length, student.head_layers, heads, teacher_weights(identities, heads)
        ),
        directory=directory,
        training=training,
        validation=validation,
        loss=loss,
        settings=settings,
        more_settings=(student, max_length),
        code=CODE,
        name="stage 1",
    )


@restarting
def finetune_student(
    student: Student,
    settings: Stage2,
    *,
    alpha: float,
    max_length: int,
    training: Rows,
    validation: Rows,
    teachers: Sequence[Artifact],
    start: Path,
    directory: Path,
) -> TrainedStudent:
    """Stage 2 (paper equation 5): learn gold labels and the teachers' logits together.

    ``teachers`` are the logits of ``settings.teachers``, in that order. The student starts from
    ``start``: the student of stage 1 or, without ``from_stage1``, pretrained weights. It has a
    golden head if ``alpha`` is below 1 and soft heads if ``alpha`` is above 0, and is saved to
    ``directory``. Losses of the curve are mean student losses per row.
    """
    golden = (GOLDEN,) if alpha < 1 else ()
    own_soft_heads = soft_heads(settings) if alpha > 0 else ()
    teachers = teachers if alpha > 0 else ()
    heads = (*golden, *own_soft_heads)
    if settings.from_stage1:
        stage1_student, tokenizer, stage1_card = pair_model.load(start, settings.dropout)
        encoder = stage1_student.encoder
    else:
        stage1_student, stage1_card = None, None
        encoder, tokenizer = _pretrained(student, settings, max_length, start)
    text_fit.say(tokenizer, training, max_length)
    identities = read_teachers(teachers, training)
    label_names = training.label_names
    for identity in identities:
        logits.check_classes(identity.teacher, identity.label_names, training)
    runtime.seed_step(settings.seed, -1)
    model = PairModel(
        encoder,
        heads,
        head_layers=student.head_layers,
        classes=len(label_names),
        dropout=settings.dropout,
    )
    weights = teacher_weights(identities, own_soft_heads)
    carried_over: tuple[str, ...] = ()
    if stage1_student and stage1_card and set(stage1_card.label_names) == set(label_names):
        carried_over = tuple(
            head for head in own_soft_heads if stage1_card.teachers.get(head) == weights[head]
        )
        for head in carried_over:
            model.heads[head].load_state_dict(stage1_student.heads[head].state_dict())
            reorder_classes(model.heads[head], class_order(stage1_card.label_names, label_names))

    def examples(rows: Rows, count: int | None) -> Examples:
        soft_label = settings.soft_label and alpha > 0
        targets = read_targets(
            teachers, identities, rows, label_names=label_names, soft_label=soft_label
        )
        mask = draw(count, np.ones(len(rows), dtype=bool), rows.name)
        tokens = encode(tokenizer, rows, max_length, mask=mask)
        return Examples(
            tokens, torch.from_numpy(rows.labels[mask]), targets[torch.from_numpy(mask)]
        )

    def loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        return student_loss(
            golden=logits[:, 0],
            labels=labels,
            soft=logits[:, len(golden) :],
            teacher=targets,
            alpha=alpha,
            kind=settings.soft_loss,
            temperature=settings.temperature,
        )

    trained = train_and_save(
        model,
        tokenizer,
        Card(
            label_names,
            max_length,
            student.head_layers,
            heads,
            weights,
            from_stage1=settings.from_stage1,
        ),
        directory=directory,
        training=examples(training, settings.rows),
        validation=examples(validation, None),
        loss=loss,
        settings=settings,
        more_settings=(student, alpha, max_length),
        code=CODE,
        name="stage 2",
        calibrated=True,
    )
    new = tuple(head for head in own_soft_heads if head not in carried_over)
    return TrainedStudent(**vars(trained), carried_over=carried_over, new=new)


def _pretrained(
    student: Student, settings: Stage, max_length: int, start: Path
) -> tuple[PreTrainedModel, Any]:
    """The encoder, cut to the layers of the student, and tokenizer of weights in ``start``."""
    return load_encoder(
        start,
        layers=student.layers,
        dropout=settings.dropout,
        max_length=max_length,
        pooling=student.pooling,
    )
