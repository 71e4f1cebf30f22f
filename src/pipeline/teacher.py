"""Teachers: a pretrained encoder and one head, fine-tuned on gold labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core import runtime
from pipeline.core.errors import explained
from pipeline.core.rows import Rows, class_order
from pipeline.core.settings import Text, Whole
from pipeline.model.encoding import encode
from pipeline.model.loading import load_encoder, remedy
from pipeline.model.pair_model import GOLDEN, Card, PairModel, read_card, reorder_classes
from pipeline.model.sequence_classifier import NO_HEADS
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

    It starts from ``models/<settings.weights>`` and is saved to ``models/teachers/<name>``. If it
    continues a teacher with the same classes, it keeps the head, else its head is new. Losses of
    its curve are cross-entropies, in nats per row.
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
    if settings.weights.startswith("teachers/"):
        _carry_over_head(model, models / settings.weights, training.label_names)

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


def _carry_over_head(model: PairModel, start: Path, label_names: Sequence[str]) -> None:
    """Give ``model`` the head of the teacher in ``start``, if that has the classes of this one."""
    card = read_card(start)
    if card.head_layers == NO_HEADS or set(card.label_names) != set(label_names):
        return
    with explained(f"{start} is damaged", remedy(start)):
        model.heads.load_state_dict(load_file(start / "heads.safetensors"))
    reorder_classes(model.heads[GOLDEN], class_order(card.label_names, label_names))
