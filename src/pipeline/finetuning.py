"""Teachers: a pretrained encoder and one head, trained on gold labels."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline import models, runtime
from pipeline.encoding import Batch, Encoded, encode
from pipeline.inference import predict_together
from pipeline.models import GOLDEN, Card, PairModel
from pipeline.params import require
from pipeline.resume import Checkpoint, fingerprint
from pipeline.rows import Rows
from pipeline.training import Epoch, Training, train


@dataclass(frozen=True, kw_only=True)
class Teacher(Training):
    """One entry of ``teachers``."""

    weights: str
    """Where it starts: ``pretrained/NAME``, or ``teachers/NAME`` to go on from another teacher."""
    corpus: Literal["task", "general"]
    """The corpus whose gold labels it learns."""
    layers: int | None = None
    """Keep only the lowest layers; all by default."""

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.layers is None or self.layers >= 1, "layers", "at least 1")


def finetune(
    name: str,
    settings: Teacher,
    max_length: int,
    training: Rows,
    validation: Rows,
    models_root: Path,
) -> list[Epoch]:
    """Train teacher ``name`` on ``training`` and return its curve.

    It starts from ``models_root/<settings.weights>``, with a new head in any case, and is saved to
    ``models_root/teachers/<name>``. The curve's losses are cross-entropies, in nats per row.
    """
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = models.load_encoder(
        models_root / settings.weights,
        layers=settings.layers,
        dropout=settings.dropout,
        max_length=max_length,
    )
    label_names = training.label_names
    model = PairModel(encoder, [GOLDEN], 1, len(label_names), settings.dropout)
    encoded = encode(tokenizer, training, max_length)
    held_out = encode(tokenizer, validation, max_length)
    labels = torch.from_numpy(training.labels)
    held_out_labels = torch.from_numpy(validation.labels)

    def row_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
        logits = model(batch, [GOLDEN])[:, 0]
        return cross_entropy(logits, labels[indices].to(logits.device), reduction="none")

    def validate(held_out: Encoded) -> float:
        return cross_entropy(
            predict_together(model, held_out, [GOLDEN])[:, 0], held_out_labels
        ).item()

    arrays = (encoded.ids, held_out.ids, training.labels, validation.labels)
    identity = fingerprint((settings, max_length), model, arrays)
    checkpoint = Checkpoint(f"finetune_teacher-{name}", identity)
    curve = train(
        model, encoded, held_out, row_loss, settings, f"teacher {name}", checkpoint, validate
    )
    runtime.leave_writing_to_one()
    models.save(
        models_root / "teachers" / name,
        model,
        tokenizer,
        Card(label_names, max_length, 1, (GOLDEN,)),
    )
    checkpoint.clear()
    return curve
