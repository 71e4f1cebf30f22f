"""The student: stage 1 on the teachers' logits alone, stage 2 with gold labels beside them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from pipeline import logits, models, runtime
from pipeline.encoding import Batch, Encoded, encode
from pipeline.errors import UserError
from pipeline.inference import predict_together
from pipeline.logits import Source
from pipeline.losses import SoftLoss, soft_loss, student_loss
from pipeline.models import GOLDEN, Card, PairModel
from pipeline.params import require
from pipeline.resume import Checkpoint, fingerprint
from pipeline.rows import Rows
from pipeline.training import Epoch, Training, train

HELD_OUT = 20
"""One in so many rows of the pool measures stage 1 instead of being learned."""
SOFT_LABEL = "soft_label"
"""The head that learns the corpus's own soft label."""
LEAST_PROBABILITY = 1e-4
"""A soft label of 0 counts as this much, for a logit must be finite."""


@dataclass(frozen=True, kw_only=True)
class Student:
    """``student``: its shape, the same in both stages."""

    weights: str
    """Whose lowest layers it starts from: ``pretrained/NAME`` or ``teachers/NAME``."""
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
    soft_label: bool = False
    """Learn the corpus's own soft label too, as if one more teacher had said it."""
    soft_loss: SoftLoss = "mse"
    """``mse`` on logits (paper) or ``kl`` on softened probabilities."""
    temperature: float = 1.0
    """Of ``kl``; ``mse`` has none."""
    rows: int | None = None
    """Learn only so many rows, drawn by chance; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(bool(self.soft_heads), "teachers", "at least one teacher, or soft_label true")
        require(len(set(self.teachers)) == len(self.teachers), "teachers", "free of repetition")
        require(self.temperature > 0, "temperature", "above 0")
        require(
            self.soft_loss == "kl" or self.temperature == 1,
            "temperature",
            "1 where soft_loss is mse",
        )
        require(self.rows is None or self.rows >= 1, "rows", "at least 1")

    @property
    def soft_heads(self) -> tuple[str, ...]:
        return (*self.teachers, SOFT_LABEL) if self.soft_label else self.teachers


@dataclass(frozen=True, kw_only=True)
class Stage2(Stage):
    """``stage2``."""

    from_stage1: bool = True
    """Start from the stage-1 student; false starts from ``student.weights`` (KD and MKD)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(len(self.teachers) > 0, "teachers", "at least one teacher to stand beside")


@dataclass(frozen=True)
class Heads:
    """What became of the soft heads between the stages, by name."""

    carried_over: tuple[str, ...]
    started_afresh: tuple[str, ...]


def distill(
    student: Student,
    settings: Stage,
    max_length: int,
    pool: Rows,
    logits_root: Path,
    start: Path,
    directory: Path,
) -> list[Epoch]:
    """Stage 1 (paper equation 4): train soft heads on ``pool``, which has no gold label.

    Starts from the weights in ``start``, reads ``logits_root/<teacher>`` and saves the student to
    ``directory``. Returns its curve; losses are mean soft losses per row, and the last twentieth of
    the rows is held out to measure them.
    """
    if (count := settings.rows or len(pool)) < HELD_OUT:
        raise UserError(f"stage 1 needs {HELD_OUT} rows or more, but {pool.name} gives it {count}.")
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = _encoder(student, settings.dropout, max_length, start)
    sources = _sources(settings.teachers, logits_root, tokenizer, max_length)
    label_names = sources[0].label_names if sources else pool.label_names
    if settings.soft_label:
        for source in sources:
            logits.check_labels(source, pool)
    targets = _targets(sources, logits_root, pool, settings.soft_label)
    pool, targets = _drawn(settings.rows, pool, targets)
    heads = settings.soft_heads
    model = PairModel(encoder, heads, student.head_layers, len(label_names), settings.dropout)
    cut = len(pool) - len(pool) // HELD_OUT
    encoded = encode(tokenizer, pool, max_length, 0, cut)
    held_out = encode(tokenizer, pool, max_length, cut)

    loss = partial(soft_loss, kind=settings.soft_loss, temperature=settings.temperature)

    def row_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
        soft = model(batch, heads)
        return loss(soft, targets[indices].to(soft.device))

    def validate(held_out: Encoded) -> float:
        return loss(predict_together(model, held_out, heads), targets[cut:]).mean().item()

    arrays = (encoded.ids, held_out.ids, targets.numpy())
    identity = fingerprint((student, settings, max_length), model, arrays)
    checkpoint = Checkpoint(f"student-{directory.name}", identity)
    curve = train(model, encoded, held_out, row_loss, settings, "stage 1", checkpoint, validate)
    runtime.leave_writing_to_one()
    card = Card(label_names, max_length, student.head_layers, heads, _weights(sources, heads))
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
    start: Path,
    directory: Path,
) -> tuple[list[Epoch], Heads]:
    """Stage 2 (paper equation 5): learn gold labels and the teachers' logits together.

    It starts from ``start``: the student of stage 1 or, without ``from_stage1``, other weights. The
    student has a golden head if ``alpha`` is below 1 and soft heads if it is above 0, and is saved
    to ``directory``; the curve's losses are mean student losses per row.
    """
    golden = (GOLDEN,) if alpha < 1 else ()
    soft_heads = settings.soft_heads if alpha > 0 else ()
    heads = (*golden, *soft_heads)
    if settings.from_stage1:
        earlier, tokenizer, card = models.load(start, settings.dropout)
        encoder = earlier.encoder
    else:
        earlier, card = None, None
        encoder, tokenizer = _encoder(student, settings.dropout, max_length, start)
    teachers = settings.teachers if alpha > 0 else ()
    sources = _sources(teachers, logits_root, tokenizer, max_length)
    label_names = training.label_names
    for source in sources:
        logits.check_labels(source, training)
    runtime.seed_step(settings.seed, -1)
    model = PairModel(encoder, heads, student.head_layers, len(label_names), settings.dropout)
    weights = _weights(sources, soft_heads)
    carried: tuple[str, ...] = ()
    if earlier and card and card.label_names == label_names:
        carried = tuple(name for name in soft_heads if card.teachers.get(name) == weights[name])
        for name in carried:
            model.heads[name].load_state_dict(earlier.heads[name].state_dict())
    targets, held_out_targets = (
        _targets(sources, logits_root, rows, settings.soft_label and alpha > 0)
        for rows in (training, validation)
    )
    training, targets = _drawn(settings.rows, training, targets)
    encoded, held_out = (encode(tokenizer, rows, max_length) for rows in (training, validation))
    labels, held_out_labels = (torch.from_numpy(rows.labels) for rows in (training, validation))

    def loss(said: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        golden_logits, soft_logits = said[:, 0], said[:, len(golden) :]
        kind, temperature = settings.soft_loss, settings.temperature
        return student_loss(golden_logits, labels, soft_logits, targets, alpha, kind, temperature)

    def row_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
        said = model(batch, heads)
        return loss(said, labels[indices].to(said.device), targets[indices].to(said.device))

    def validate(held_out: Encoded) -> float:
        said = predict_together(model, held_out, heads)
        return loss(said, held_out_labels, held_out_targets).mean().item()

    arrays = (encoded.ids, held_out.ids, training.labels, validation.labels)
    soft = (targets.numpy(), held_out_targets.numpy())
    identity = fingerprint((student, settings, alpha, max_length), model, (*arrays, *soft))
    checkpoint = Checkpoint(f"student-{directory.name}", identity)
    curve = train(model, encoded, held_out, row_loss, settings, "stage 2", checkpoint, validate)
    runtime.leave_writing_to_one()
    saved = Card(label_names, max_length, student.head_layers, heads, weights)
    models.save(directory, model, tokenizer, saved)
    checkpoint.clear()
    return curve, Heads(carried, tuple(name for name in soft_heads if name not in carried))


def _encoder(
    student: Student, dropout: float, max_length: int, start: Path
) -> tuple[PreTrainedModel, Any]:
    return models.load_encoder(start, layers=student.layers, dropout=dropout, max_length=max_length)


def _drawn(count: int | None, rows: Rows, targets: Tensor) -> tuple[Rows, Tensor]:
    """``count`` of the rows, the same ones in every run, with their targets."""
    if count is None:
        return rows, targets
    if count > len(rows):
        raise UserError(
            f"params.yaml asks a student to learn {count} rows of {rows.name}, which has "
            f"{len(rows)}: give a stage fewer rows, or leave the setting out to learn all."
        )
    chosen = np.sort(np.random.default_rng(0).permutation(len(rows))[:count])
    return replace(rows, table=rows.table.take(chosen)), targets[torch.from_numpy(chosen)]


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


def _targets(sources: Sequence[Source], root: Path, rows: Rows, soft_label: bool) -> Tensor:
    """What each soft head learns of ``rows``, float32 of shape [rows, soft heads, classes]."""
    said = [logits.read(root / source.teacher, source, rows) for source in sources]
    if soft_label:
        said.append(_soft_label_logits(rows))
    return torch.stack(said, 1) if said else torch.empty(len(rows), 0, len(rows.label_names))


def _soft_label_logits(rows: Rows) -> Tensor:
    """Logits, centred per row, whose softmax is the corpus's soft label."""
    if (given := rows.soft_labels) is None:
        raise UserError(
            f"{rows.name} has no soft label: set soft_label in each of its corpora, or set "
            "soft_label to false in params.yaml's stage."
        )
    log = torch.from_numpy(given).clamp(min=LEAST_PROBABILITY).log()
    return log - log.mean(dim=1, keepdim=True)


def _weights(sources: Sequence[Source], heads: Sequence[str]) -> dict[str, str]:
    """What each soft head learned from: the hash of its teacher's weights, or the corpus."""
    weights = {source.teacher: source.weights for source in sources}
    return weights | ({SOFT_LABEL: "corpus"} if SOFT_LABEL in heads else {})
