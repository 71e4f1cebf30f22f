"""The student: stage 1 on the teachers' logits alone, stage 2 with gold labels beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline import logits, models, runtime
from pipeline.encoding import Batch, encode
from pipeline.errors import UserError
from pipeline.inference import predict
from pipeline.logits import Source
from pipeline.losses import SoftLoss, soft_loss, student_loss
from pipeline.models import GOLDEN, Card, PairModel
from pipeline.params import require
from pipeline.resume import Checkpoint, fingerprint
from pipeline.rows import Rows
from pipeline.training import Epoch, Training, train

HELD_OUT = 20
"""One in so many rows of the pool measures stage 1 instead of being learned."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """``student``: its shape, the same in both stages."""

    weights: str
    """Hub id, directory, or ``package:NAME`` of the encoder whose lowest layers it starts from."""
    revision: str | None = None
    """Commit of the hub id."""
    layers: int = 3
    """Encoder layers (paper: 3)."""
    head_layers: Literal[1, 2, 3] = 1
    """Fully connected layers in each head."""

    def __post_init__(self) -> None:
        require(self.layers >= 1, "layers", "at least 1")


@dataclass(frozen=True, kw_only=True)
class Stage(Training):
    """``stage1``, and what ``stage2`` shares with it."""

    teachers: tuple[str, ...]
    """The teachers whose logits are learned, each by a soft head of its own."""
    soft_loss: SoftLoss = "mse"
    """``mse`` on logits (paper) or ``kl`` on softened probabilities."""
    temperature: float = 1.0
    """Of ``kl``; ``mse`` has none."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.teachers) > 0, "teachers", "at least one teacher")
        require(len(set(self.teachers)) == len(self.teachers), "teachers", "free of repetition")
        require(self.temperature > 0, "temperature", "above 0")
        require(
            self.soft_loss == "kl" or self.temperature == 1,
            "temperature",
            "1 where soft_loss is mse",
        )


@dataclass(frozen=True, kw_only=True)
class Stage2(Stage):
    """``stage2``."""

    from_stage1: bool = True
    """Start from the stage-1 student; false starts from the pretrained weights (KD and MKD)."""


@dataclass(frozen=True)
class Heads:
    """What became of the soft heads between the stages, by teacher."""

    carried_over: tuple[str, ...]
    started_afresh: tuple[str, ...]


def distill(
    student: Student,
    settings: Stage,
    max_length: int,
    pool: Rows,
    logits_root: Path,
    directory: Path,
) -> list[Epoch]:
    """Stage 1 (paper equation 4): train soft heads on ``pool``, whose labels are not read.

    Saves the student to ``directory`` and returns its curve; losses are mean soft losses per row,
    and the last twentieth of the pool is held out to measure them.
    """
    if len(pool) < HELD_OUT:
        raise UserError(f"{pool.name} has {len(pool)} rows, but stage 1 needs {HELD_OUT} or more.")
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = _pretrained(student, settings.dropout, max_length)
    sources = _sources(settings.teachers, logits_root, tokenizer, max_length)
    targets = _targets(sources, logits_root, pool)
    label_names = sources[0].label_names
    model = PairModel(
        encoder, settings.teachers, student.head_layers, len(label_names), settings.dropout
    )
    cut = len(pool) - len(pool) // HELD_OUT
    encoded = encode(tokenizer, pool, max_length, 0, cut)
    held_out = encode(tokenizer, pool, max_length, cut)

    loss = partial(soft_loss, kind=settings.soft_loss, temperature=settings.temperature)

    def row_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
        soft = model(batch, settings.teachers)
        return loss(soft, targets[indices].to(soft.device))

    def validate() -> float:
        return loss(predict(model, held_out, settings.teachers), targets[cut:]).mean().item()

    arrays = (encoded.ids, held_out.ids, targets.numpy())
    identity = fingerprint((student, settings, max_length), model, arrays)
    checkpoint = Checkpoint("distill", identity)
    curve = train(model, encoded, row_loss, settings, "stage 1", checkpoint, validate)
    card = Card(label_names, max_length, student.head_layers, settings.teachers, _weights(sources))
    models.save(directory, model, tokenizer, card)
    checkpoint.clear()
    return curve


def finetune_student(
    student: Student,
    settings: Stage2,
    alpha: float,
    max_length: int,
    training: Rows,
    validation: Rows,
    logits_root: Path,
    stage1: Path,
    directory: Path,
) -> tuple[list[Epoch], Heads]:
    """Stage 2 (paper equation 5): learn gold labels and the teachers' logits together.

    The student has a golden head if ``alpha`` is below 1 and soft heads if it is above 0. It is
    saved to ``directory``; the curve's losses are mean student losses per row.
    """
    teachers = settings.teachers if alpha > 0 else ()
    golden = (GOLDEN,) if alpha < 1 else ()
    heads = (*golden, *teachers)
    if settings.from_stage1:
        earlier, tokenizer, card = models.load(stage1, settings.dropout)
        encoder = earlier.encoder
    else:
        earlier, card = None, None
        encoder, tokenizer = _pretrained(student, settings.dropout, max_length)
    sources = _sources(teachers, logits_root, tokenizer, max_length)
    label_names = training.label_names
    for source in sources:
        logits.check_labels(source, training)
    runtime.seed_step(settings.seed, -1)
    model = PairModel(encoder, heads, student.head_layers, len(label_names), settings.dropout)
    weights = _weights(sources)
    carried: tuple[str, ...] = ()
    if earlier and card and card.label_names == label_names:
        carried = tuple(name for name in teachers if card.teachers.get(name) == weights[name])
        for name in carried:
            model.heads[name].load_state_dict(earlier.heads[name].state_dict())
    encoded, held_out = (encode(tokenizer, rows, max_length) for rows in (training, validation))
    targets, held_out_targets = (
        _targets(sources, logits_root, rows) for rows in (training, validation)
    )
    labels, held_out_labels = (torch.from_numpy(rows.labels) for rows in (training, validation))

    def loss(said: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        golden_logits, soft_logits = said[:, 0], said[:, len(golden) :]
        kind, temperature = settings.soft_loss, settings.temperature
        return student_loss(golden_logits, labels, soft_logits, targets, alpha, kind, temperature)

    def row_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
        said = model(batch, heads)
        return loss(said, labels[indices].to(said.device), targets[indices].to(said.device))

    def validate() -> float:
        said = predict(model, held_out, heads)
        return loss(said, held_out_labels, held_out_targets).mean().item()

    arrays = (encoded.ids, held_out.ids, training.labels, validation.labels)
    soft = (targets.numpy(), held_out_targets.numpy())
    identity = fingerprint((student, settings, alpha, max_length), model, (*arrays, *soft))
    checkpoint = Checkpoint("finetune_student", identity)
    curve = train(model, encoded, row_loss, settings, "stage 2", checkpoint, validate)
    saved = Card(label_names, max_length, student.head_layers, heads, weights)
    models.save(directory, model, tokenizer, saved)
    checkpoint.clear()
    return curve, Heads(carried, tuple(name for name in teachers if name not in carried))


def _pretrained(student: Student, dropout: float, max_length: int) -> tuple[PreTrainedModel, Any]:
    return models.load_pretrained(
        student.weights,
        revision=student.revision,
        layers=student.layers,
        dropout=dropout,
        max_length=max_length,
    )


def _sources(teachers: Sequence[str], root: Path, tokenizer: Any, max_length: int) -> list[Source]:
    """What made each teacher's logits, checked against what the student reads."""
    expected = models.tokenizer_hash(tokenizer)
    sources = [logits.check_source(root / t, t, expected, max_length)[0] for t in teachers]
    for source in sources[1:]:
        if source.label_names != sources[0].label_names:
            raise UserError(
                f"teachers '{sources[0].teacher}' and '{source.teacher}' name their classes "
                f"differently ({', '.join(sources[0].label_names)}; "
                f"{', '.join(source.label_names)}): give a stage teachers of one label set."
            )
    return sources


def _targets(sources: Sequence[Source], root: Path, rows: Rows) -> Tensor:
    """The teachers' logits for ``rows``, float32 of shape [rows, teachers, classes]."""
    if not sources:
        return torch.empty(len(rows), 0, len(rows.label_names))
    return torch.stack([logits.read(root / s.teacher, s, rows) for s in sources], dim=1)


def _weights(sources: Sequence[Source]) -> dict[str, str]:
    return {source.teacher: source.weights for source in sources}
