"""The model of a teacher before its training: a pretrained encoder and one head."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from pipeline.core import runtime
from pipeline.core.errors import explained
from pipeline.core.rows import Rows, class_order
from pipeline.model.loading import load_encoder, remedy
from pipeline.model.pair_model import Card, PairModel, read_card, reorder_classes
from pipeline.model.sequence_classifier import NO_HEADS
from pipeline.model.settings import GOLDEN
from pipeline.training.settings import TeacherTraining


def new_teacher(
    settings: TeacherTraining, gold: Rows, *, max_length: int, models: Path
) -> tuple[PairModel, Any, Card]:
    """Model, tokenizer and card of a teacher that will learn the labels of ``gold``.

    It starts from ``models/<settings.weights>`` and reads ``max_length`` tokens unless it has its
    own. If it continues a teacher with the same classes, it keeps the head, else its head is new.
    """
    max_length = settings.max_length or max_length
    start = models / settings.weights
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = load_encoder(
        start, layers=settings.layers, dropout=settings.dropout, max_length=max_length
    )
    names = gold.label_names
    model = PairModel(
        encoder, [GOLDEN], head_layers=1, classes=len(names), dropout=settings.dropout
    )
    learned = {gold.name: gold.gold_hash}
    if settings.weights.startswith("teachers/"):
        before = read_card(start)
        _carry_over_head(model, start, before, names)
        learned = before.gold | learned
    card = Card(names, max_length, head_layers=1, heads=(GOLDEN,), gold=learned)
    return model, tokenizer, card


def _carry_over_head(model: PairModel, start: Path, card: Card, label_names: Sequence[str]) -> None:
    """Give ``model`` the head of the teacher in ``start``, if that has the classes of this one."""
    if card.head_layers == NO_HEADS or set(card.label_names) != set(label_names):
        return
    with explained(f"{start} is damaged", remedy(start)):
        model.heads.load_state_dict(load_file(start / "heads.safetensors"))
    reorder_classes(model.heads[GOLDEN], class_order(card.label_names, label_names))
