"""A pretrained encoder with named classification heads: teacher and student alike."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from pipeline import runtime
from pipeline.artifacts import file_hash, read_json, whole_directory, write_json
from pipeline.encoding import Batch
from pipeline.errors import UserError
from pipeline.first_token import only_first_token

logging.set_verbosity_error()
logging.disable_progress_bar()

GOLDEN = "golden"
"""The head that learns from gold labels; every other head bears the name of its teacher."""
PROBE = "What is a café's naïve 2nd question? It is — e.g. 東京 — an ANSWER: don't cut it!"


@dataclass(frozen=True)
class Card:
    """What a saved model says of itself, beside its weights."""

    label_names: tuple[str, ...]
    """Class names in the order of the logits."""
    max_length: int
    """Most tokens of a pair that the model reads."""
    head_layers: int
    """Fully connected layers in a head."""
    heads: tuple[str, ...]
    """Head names in the order of the logits."""
    teachers: dict[str, str] = field(default_factory=dict)
    """Teacher name to the hash of the weights that made the logits a soft head learned from."""


class PairModel(nn.Module):
    """Scores text pairs: each head reads the encoder's state at the first token, [CLS]."""

    encoder: PreTrainedModel

    def __init__(
        self,
        encoder: PreTrainedModel,
        heads: Iterable[str],
        head_layers: int,
        classes: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.classes = classes
        self.heads = nn.ModuleDict({name: self._fresh_head(head_layers) for name in heads})
        if (pooler := getattr(encoder, "pooler", None)) is not None:
            # No head reads it, and processes that train together would wait for its gradient.
            pooler.requires_grad_(False)
        only_first_token(encoder)
        if runtime.fused_attention_is_slow():
            encoder.set_attn_implementation("eager")

    def _fresh_head(self, fully_connected: int) -> nn.Sequential:
        """So many fully connected layers with ReLU between them."""
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
        """Logits of the named heads, float32, of shape [rows, heads, classes]."""
        state = self.dropout(self.encoder(**batch).last_hidden_state[:, 0])
        return torch.stack([self.heads[name](state).float() for name in heads], dim=1)


def load_encoder(
    directory: Path, *, layers: int | None = None, dropout: float = 0.0, max_length: int = 1
) -> tuple[PreTrainedModel, Any]:
    """The encoder saved in ``directory``, cut to its lowest ``layers`` (None: all), and tokenizer.

    It may be a pretrained one, a teacher or a student. Only safetensors are read and no remote code
    is run. Raises UserError if it is missing, too shallow or cannot read ``max_length`` tokens.
    """
    if not (directory / "config.json").exists():
        raise UserError(f"{directory} holds no model: run the stage that makes it, or `dvc pull`.")
    config = AutoConfig.from_pretrained(directory)
    depth = config.num_hidden_layers
    if layers is not None and layers > depth:
        raise UserError(f"{directory} has {depth} layers, so it cannot give its lowest {layers}.")
    if max_length > (most := getattr(config, "max_position_embeddings", max_length)):
        raise UserError(
            f"params.yaml: 'max_length' is {max_length}, but {directory} reads at most {most} "
            "tokens."
        )
    config.num_hidden_layers = layers or depth
    # Each family names its dropouts in its own way, but always with this word.
    for name, value in config.to_dict().items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, dropout)
    return from_pretrained(directory, config)


def from_pretrained(
    source: str | Path, config: PretrainedConfig, revision: str | None = None
) -> tuple[PreTrainedModel, Any]:
    """Encoder and tokenizer as transformers finds them; raises what it raises."""
    encoder = AutoModel.from_pretrained(
        source,
        config=config,
        revision=revision,
        use_safetensors=True,
        dtype=torch.float32,
        **without_pooler(config),
    )
    return encoder, AutoTokenizer.from_pretrained(source, revision=revision)


def without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """The argument that spares a BERT the pooler, which no head here reads."""
    return {"add_pooling_layer": False} if config.model_type == "bert" else {}


def save(directory: Path, model: PairModel, tokenizer: Any, card: Card) -> None:
    """Write ``directory`` whole: encoder and tokenizer as transformers reads them, heads, card."""
    with whole_directory(directory) as draft:
        model.encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        save_file(
            {name: value.contiguous() for name, value in model.heads.state_dict().items()},
            draft / "heads.safetensors",
        )
        write_json(draft / "card.json", asdict(card))


def load(directory: Path, dropout: float = 0.0) -> tuple[PairModel, Any, Card]:
    """Read what ``save`` wrote; raises UserError if it is missing."""
    if not (directory / "card.json").exists():
        raise UserError(f"{directory} holds no model: run the stage that makes it, or `dvc pull`.")
    content = read_json(directory / "card.json")
    content["label_names"] = tuple(content["label_names"])
    content["heads"] = tuple(content["heads"])
    card = Card(**content)
    encoder, tokenizer = load_encoder(directory, dropout=dropout)
    model = PairModel(encoder, card.heads, card.head_layers, len(card.label_names), dropout)
    model.heads.load_state_dict(load_file(directory / "heads.safetensors"))
    return model, tokenizer, card


def weights_hash(directory: Path) -> str:
    """A hash over the weights of a saved model."""
    return file_hash(directory / "model.safetensors", directory / "heads.safetensors")


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def tokenizer_hash(tokenizer: Any) -> str:
    """A hash over the vocabulary and over what the tokenizer makes of a telling pair of texts.

    It is of behaviour, not of files, so that a release that writes them otherwise changes nothing.
    """
    vocabulary = sorted(tokenizer.get_vocab().items())
    own_words = " ".join([word for word, _ in vocabulary if word.isalpha()][:500])
    told = repr((vocabulary, tokenizer(PROBE, own_words.title())["input_ids"]))
    return hashlib.sha256(told.encode()).hexdigest()
