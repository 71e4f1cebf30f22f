"""A pretrained encoder with named classification heads: the model of teachers and students."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.core import runtime
from pipeline.core.errors import UserError
from pipeline.core.files import file_hash, read_json, whole_directory, write_json
from pipeline.model.encoding import Batch
from pipeline.model.first_token import only_first_token
from pipeline.model.loading import load_encoder

GOLDEN = "golden"
"""The head that learns from gold labels. Every other head has the name of its teacher."""


@dataclass(frozen=True)
class Card:
    """What a saved model says about itself, in a file beside its weights."""

    label_names: tuple[str, ...]
    """Class names in the order of the logits."""
    max_length: int
    """Maximum number of tokens of a pair."""
    head_layers: int
    """Fully connected layers in each head."""
    heads: tuple[str, ...]
    """Head names in the order of the logits."""
    teachers: dict[str, str] = field(default_factory=dict)
    """For each soft head the hash of the teacher weights whose logits it learned from."""


class PairModel(nn.Module):
    """Scores text pairs. Each head reads the state of the encoder at the first token, [CLS]."""

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
        self.heads = nn.ModuleDict({name: self._new_head(head_layers) for name in heads})
        if (pooler := getattr(encoder, "pooler", None)) is not None:
            # No head reads it, and processes that train together would wait for its gradient.
            pooler.requires_grad_(False)
        only_first_token(encoder)
        if runtime.fused_attention_is_slow():
            encoder.set_attn_implementation("eager")

    def _new_head(self, fully_connected: int) -> nn.Sequential:
        """A head of so many fully connected layers with ReLU between them."""
        width = self.encoder.config.hidden_size
        layers: list[nn.Module] = []
        for _ in range(fully_connected - 1):
            layers += [nn.Linear(width, width), nn.ReLU()]
        layers.append(nn.Linear(width, self.classes))
        for module in layers:
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=self.encoder.config.initializer_range)
                nn.init.zeros_(module.bias)
        return nn.Sequential(*layers)

    def forward(self, batch: Batch, heads: Sequence[str]) -> Tensor:
        """Logits of the named heads, float32 of shape [rows, heads, classes]."""
        state = self.dropout(self.encoder(**batch).last_hidden_state[:, 0])
        return torch.stack([self.heads[name](state).float() for name in heads], dim=1)


def save(directory: Path, model: PairModel, tokenizer: Any, *, card: Card) -> None:
    """Write encoder and tokenizer (as transformers reads them), heads and card to ``directory``."""
    with whole_directory(directory) as draft:
        model.encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        save_file(
            {name: value.contiguous() for name, value in model.heads.state_dict().items()},
            draft / "heads.safetensors",
        )
        write_json(draft / "card.json", asdict(card))


def load(directory: Path, dropout: float = 0.0) -> tuple[PairModel, Any, Card]:
    """Model, tokenizer and card that ``save`` wrote; raises UserError if they are missing."""
    if not (directory / "card.json").exists():
        raise UserError(f"{directory} holds no model: run the stage that makes it, or `dvc pull`.")
    content = read_json(directory / "card.json")
    content["label_names"] = tuple(content["label_names"])
    content["heads"] = tuple(content["heads"])
    card = Card(**content)
    encoder, tokenizer = load_encoder(directory, dropout=dropout)
    model = PairModel(
        encoder,
        card.heads,
        head_layers=card.head_layers,
        classes=len(card.label_names),
        dropout=dropout,
    )
    model.heads.load_state_dict(load_file(directory / "heads.safetensors"))
    return model, tokenizer, card


def weights_hash(directory: Path) -> str:
    """A hash over the weights of a saved model."""
    return file_hash(directory / "model.safetensors", directory / "heads.safetensors")


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())
