"""A pretrained encoder with named classification heads: the model of teachers and students."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.core.errors import UserError, explained
from pipeline.core.files import read_json, whole_directory, write_json
from pipeline.core.weights import weights_hash
from pipeline.model.attention import fit_attention
from pipeline.model.encoding import Batch
from pipeline.model.first_token import only_first_token
from pipeline.model.loading import load_encoder, remedy
from pipeline.model.settings import Pooling


@dataclass(frozen=True)
class Card:
    """What a saved model says about itself, in a file beside its weights."""

    label_names: Annotated[tuple[str, ...], Field(min_length=2)]
    """Class names in the order of the logits."""
    max_length: Annotated[int, Field(ge=1, le=10**6)]
    """Maximum number of tokens of a pair."""
    head_layers: Annotated[int, Field(ge=0, le=3)]
    """Fully connected layers in each head."""
    heads: Annotated[tuple[str, ...], Field(min_length=1)]
    """Head names in the order of the logits."""
    teachers: dict[str, str] = field(default_factory=dict)
    """For each soft head the hash of the teacher weights whose logits it learned from."""
    gold: dict[str, str] = field(default_factory=dict)
    """By place and split, as in ``task/train``, the ``gold_hash`` of the rows that it, or the
    teacher that it continues, has learned."""
    temperature: Annotated[float, Field(ge=1e-4, le=1e4)] = 1.0
    """What the mean of the heads' logits is divided by before the softmax."""
    thresholds: tuple[float, ...] = ()
    """For each of two classes the least probability at which answering it has had the best F1 on
    validation rows."""
    from_stage1: bool = False
    """Whether it has started from the student of stage 1."""
    checksum: str = ""
    """Hash of the weights, which it is saved with."""
    seed: int = 0
    """The seed that it was trained with, after restarts."""
    failed: bool = False
    """Whether its training has failed: its loss stayed that of a constant predictor."""
    still_falling: bool = False
    """Whether its loss was still falling steeply when its training ended."""


class Heads(nn.ModuleDict):
    """Heads by name, which may be that of a method of modules, such as ``train``."""

    def add_module(self, name: str, module: nn.Module | None) -> None:
        assert module
        self._modules[name] = module


class PairModel(nn.Module):
    """Scores text pairs. Each head reads the states of the encoder as ``pool`` combines them."""

    encoder: PreTrainedModel

    def __init__(
        self,
        encoder: PreTrainedModel,
        heads: Iterable[str],
        *,
        head_layers: int,
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.classes = classes
        self.heads = Heads({name: self._new_head(head_layers) for name in heads})
        if encoder.config.head_pooling == "cls":
            only_first_token(encoder)

    def _new_head(self, fully_connected: int) -> nn.Sequential:
        """A head of so many fully connected layers with ReLU between them."""
        width = self.encoder.config.hidden_size
        deviation = getattr(self.encoder.config, "initializer_range", 0.02)
        layers: list[nn.Module] = []
        for _ in range(fully_connected - 1):
            layers += [nn.Linear(width, width), nn.ReLU()]
        layers.append(nn.Linear(width, self.classes))
        for module in layers:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=deviation)
                nn.init.zeros_(module.bias)
        return nn.Sequential(*layers)

    def forward(self, batch: Batch, heads: Sequence[str]) -> Tensor:
        """Logits of the named heads, float32 of shape [rows, heads, classes]."""
        fit_attention(self.encoder, batch["input_ids"])
        hidden = self.encoder(**batch).last_hidden_state
        pooled = pool(hidden, batch["attention_mask"], self.encoder.config.head_pooling)
        state = self.dropout(pooled)
        return torch.stack([self.heads[name](state).float() for name in heads], dim=1)


def reorder_classes(head: nn.Module, order: Sequence[int]) -> None:
    """Let class i of ``head`` be what its class ``order[i]`` was."""
    last = [module for module in head.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        last.weight.copy_(last.weight[list(order)])
        last.bias.copy_(last.bias[list(order)])


def pool(hidden: Tensor, attention_mask: Tensor, pooling: Pooling) -> Tensor:
    """What a head reads of ``hidden`` [rows, tokens, width]: float of shape [rows, width].

    ``mean`` averages over the tokens of a row, special tokens included, as sentence-transformers
    does. Padding must be on the right.
    """
    if pooling == "cls":
        return hidden[:, 0]
    if pooling == "last":
        last = attention_mask.sum(dim=1) - 1
        return hidden[torch.arange(hidden.shape[0], device=hidden.device), last]
    weights = attention_mask[:, :, None].float()
    return (hidden.float() * weights).sum(dim=1) / weights.sum(dim=1)


def save(directory: Path, model: PairModel, tokenizer: Any, *, card: Card) -> None:
    """Write encoder and tokenizer (as transformers reads them), heads and card to ``directory``."""
    with whole_directory(directory) as draft:
        model.encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        save_file(
            {name: value.contiguous() for name, value in model.heads.state_dict().items()},
            draft / "heads.safetensors",
        )
        write_json(draft / "card.json", asdict(replace(card, checksum=weights_hash(draft))))


def load(directory: Path, dropout: float = 0.0) -> tuple[PairModel, Any, Card]:
    """Model, tokenizer and card that ``save`` wrote.

    Raises UserError if any of them is missing or damaged.
    """
    card = read_card(directory)
    encoder, tokenizer = load_encoder(directory, dropout=dropout)
    with explained(f"{directory} is damaged", remedy(directory)):
        model = PairModel(
            encoder,
            card.heads,
            head_layers=card.head_layers,
            classes=len(card.label_names),
            dropout=dropout,
        )
        model.heads.load_state_dict(load_file(directory / "heads.safetensors"))
    return model, tokenizer, card


def read_card(directory: Path) -> Card:
    """The card of a saved model; raises UserError if it is missing or damaged."""
    if not (directory / "card.json").exists():
        raise UserError(f"{directory} holds no model: {remedy(directory)}, or `dvc pull`.")
    card = read_json(directory / "card.json", Card, remedy(directory))
    if len(set(card.label_names)) < len(card.label_names):
        raise UserError(
            f"{directory / 'card.json'} is damaged (it names a class twice): {remedy(directory)}."
        )
    return card


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
