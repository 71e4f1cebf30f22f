"""Ready-made classifiers of transformers, with the heads that they were published with."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)

from pipeline.core.errors import UserError, explained
from pipeline.core.files import whole_directory, write_json
from pipeline.core.weights import (
    load_weights,
    refuse_damage,
    weights_hash,
)
from pipeline.model import pair_model
from pipeline.model.attention import fit_attention
from pipeline.model.encoding import Batch
from pipeline.model.loading import is_decoder, load_config, remedy
from pipeline.model.pair_model import Card, PairModel
from pipeline.model.tokenizer import load_tokenizer, read_probe, refuse_padding

NO_HEADS = 0
"""``Card.head_layers`` of a classifier, whose head is part of its transformers model."""
ONE_OUTPUT = ("negative", "positive")
"""The class names of a classifier with one output, before they are mapped."""


class SequenceClassifier(nn.Module):
    """A classifier of transformers as it is. It has one head, whatever its name."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self.encoder = model
        self.classes = len(class_names(model.config))

    def forward(self, batch: Batch, heads: Sequence[str]) -> Tensor:
        """Logits, float32 of shape [rows, 1, classes]; ``heads`` has one name.

        The single logit of a reranker counts as two, of which the first is 0, so that the softmax
        of both is the sigmoid of the one.
        """
        fit_attention(self.encoder, batch["input_ids"])
        logits: Tensor = self.encoder(**batch).logits.float()
        if logits.shape[-1] == 1:
            logits = torch.cat([torch.zeros_like(logits), logits], dim=-1)
        return logits[:, None]


def class_names(config: PretrainedConfig) -> tuple[str, ...]:
    """The classes of a classifier in the order of its logits.

    Raises UserError if its ``id2label`` does not name the classes 0, 1, 2 and so on, or if its
    classes do not exclude each other.
    """
    own = {int(number): name for number, name in (config.id2label or {}).items()}
    if len(own) > 1 and config.problem_type not in (None, "single_label_classification"):
        raise UserError(
            f"this classifier is for {config.problem_type}, so its scores are no probabilities of "
            "classes: name another one."
        )
    are_names = all(isinstance(name, str) and name.isprintable() for name in own.values())
    if sorted(own) != list(range(len(own))) or not are_names:
        raise UserError(f"the id2label in its config.json names the classes {own}: correct it.")
    return tuple(own[i] for i in range(len(own))) if len(own) > 1 else ONE_OUTPUT


def from_pretrained(
    name: str | Path, config: PretrainedConfig, revision: str | None = None
) -> tuple[SequenceClassifier, Any]:
    """Classifier and tokenizer from a directory or hub id.

    Raises what transformers raises, and UserError if the weights have no classification head.
    """
    tokenizer = load_tokenizer(name, config, revision)
    if is_decoder(config):
        # A decoder finds its last token by that of padding.
        config.pad_token_id = tokenizer.pad_token_id
        config.use_cache = False
    model, missing = load_weights(AutoModelForSequenceClassification, name, config, revision)
    if missing:
        raise UserError(
            f"'{name}' is not a fine-tuned classifier, because it lacks {missing[0]}: name it "
            "under pretrained in params.yaml and fine-tune a teacher from it."
        )
    alone, padded = (found.logits for found in read_probe(model, tokenizer))
    refuse_padding(name, alone, padded)
    width = alone.shape[-1]
    if width != config.num_labels:
        raise ValueError(f"it gives {width} logits for {config.num_labels} classes")
    return SequenceClassifier(model), tokenizer


def save(directory: Path, model: SequenceClassifier, tokenizer: Any, *, card: Card) -> None:
    """Write model and tokenizer, as transformers reads them, and the card to ``directory``."""
    with whole_directory(directory) as draft:
        model.encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        write_json(draft / "card.json", asdict(replace(card, checksum=weights_hash(draft))))


def load_teacher(directory: Path) -> tuple[PairModel | SequenceClassifier, Any, Card]:
    """The teacher saved in ``directory``, trained here or ready-made, its tokenizer and card.

    Raises UserError if it is missing or damaged.
    """
    card = pair_model.read_card(directory)
    if card.head_layers != NO_HEADS:
        return pair_model.load(directory)
    with explained(f"{directory} is damaged", remedy(directory)):
        refuse_damage(directory)
        return *from_pretrained(directory, load_config(directory)), card
