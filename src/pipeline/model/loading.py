"""Load pretrained encoders and their tokenizers with transformers."""

import hashlib
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, AutoTokenizer, PretrainedConfig, PreTrainedModel
from transformers.utils import logging

from pipeline.core.errors import UserError

logging.set_verbosity_error()
logging.disable_progress_bar()

PROBE = "What is a café's naïve 2nd question? It is — e.g. 東京 — an ANSWER: don't cut it!"


def load_encoder(
    directory: Path, *, layers: int | None = None, dropout: float = 0.0, max_length: int = 1
) -> tuple[PreTrainedModel, Any]:
    """The encoder saved in ``directory``, cut to its lowest ``layers`` (None: all), and tokenizer.

    The directory may hold a pretrained encoder, a teacher or a student. Only safetensors are read
    and no remote code is run. Raises UserError if it holds no model, or one with too few layers or
    that cannot read ``max_length`` tokens.
    """
    if not (directory / "config.json").exists():
        raise UserError(f"{directory} holds no model: run the stage that makes it, or `dvc pull`.")
    config = AutoConfig.from_pretrained(directory)
    depth = config.num_hidden_layers
    if layers is not None and layers > depth:
        raise UserError(
            f"{directory} has {depth} layers, so it cannot give its lowest {layers}: set fewer "
            "layers in params.yaml, or other weights."
        )
    if max_length > (longest := getattr(config, "max_position_embeddings", max_length)):
        raise UserError(
            f"params.yaml: 'max_length' is {max_length}, but {directory} reads at most {longest} "
            "tokens."
        )
    config.num_hidden_layers = layers or depth
    # Model families name their dropout rates differently, but always with this word.
    for name, value in config.to_dict().items():
        if "dropout" in name and isinstance(value, float):
            setattr(config, name, dropout)
    return from_pretrained(directory, config)


def from_pretrained(
    name: str | Path, config: PretrainedConfig, revision: str | None = None
) -> tuple[PreTrainedModel, Any]:
    """Encoder and tokenizer from a directory or hub id; raises what transformers raises."""
    encoder = AutoModel.from_pretrained(
        name,
        config=config,
        revision=revision,
        use_safetensors=True,
        dtype=torch.float32,
        **without_pooler(config),
    )
    return encoder, AutoTokenizer.from_pretrained(name, revision=revision)


def without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """The argument that leaves out the pooler of a BERT, which no head here reads."""
    return {"add_pooling_layer": False} if config.model_type == "bert" else {}


def tokenizer_hash(tokenizer: Any) -> str:
    """A hash of the vocabulary and of the tokens of a probe pair.

    It depends on behaviour, not on files, so that a new release that writes the files differently
    does not change it.
    """
    vocabulary = sorted(tokenizer.get_vocab().items())
    own_words = " ".join([word for word, _ in vocabulary if word.isalpha()][:500])
    behaviour = repr((vocabulary, tokenizer(PROBE, own_words.title())["input_ids"]))
    return hashlib.sha256(behaviour.encode()).hexdigest()
