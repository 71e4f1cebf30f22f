"""Teachers: a pretrained encoder and one head, fine-tuned on gold labels."""

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core import runtime
from pipeline.core.rows import Rows
from pipeline.core.settings import Text, Whole
from pipeline.model.encoding import encode
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import GOLDEN, Card, PairModel
from pipeline.training.loop import Examples, Trained
from pipeline.training.run import restarting, train_and_save
from pipeline.training.settings import Training


class Teacher(Training):
    """An entry of ``teachers``: a model that is fine-tuned on gold labels."""

    weights: Text
    """Initial weights: ``pretrained/NAME``, or ``teachers/NAME`` to continue another teacher."""
    corpus: Literal["task", "general"]
    """Whether it learns the gold labels of the task or of the general corpus."""
    layers: Annotated[Whole, Field(ge=1)] | None = None
    """Number of lowest encoder layers to keep; default all."""
    max_length: Annotated[Whole, Field(ge=8)] | None = None
    """Maximum number of its own tokens of a pair; default that of the student."""


@restarting
def finetune_teacher(
    name: str,
    settings: Teacher,
    *,
    max_length: int,
    training: Rows,
    validation: Rows,
    models: Path,
) -> Trained:
    """Fine-tune teacher ``name`` on ``training``.

    It starts from ``models/<settings.weights>`` with a new head and is saved to
    ``models/teachers/<name>``. Losses of its curve are cross-entropies, in nats per row.
    """
    max_length = settings.max_length or max_length
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = load_encoder(
        models / settings.weights,
        layers=settings.layers,
        dropout=settings.dropout,
        max_length=max_length,
    )
    classes = len(training.label_names)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=classes, dropout=settings.dropout)

    def examples(rows: Rows) -> Examples:
        no_teachers = torch.empty(len(rows), 0, classes)
        tokens = encode(tokenizer, rows, max_length)
        return Examples(tokens, torch.from_numpy(rows.labels), no_teachers)

    def loss(logits: Tensor, labels: Tensor, _: Tensor) -> Tensor:
        return cross_entropy(logits[:, 0], labels, reduction="none")

    return train_and_save(
        model,
        tokenizer,
        Card(training.label_names, max_length, head_layers=1, heads=(GOLDEN,)),
        directory=models / "teachers" / name,
        training=examples(training),
        validation=examples(validation),
        loss=loss,
        settings=settings,
        more_settings=max_length,
        code=__name__,
        name=f"teacher {name}",
    )
