"""Load pretrained encoders and their tokenizers with transformers."""

import inspect
import json
from pathlib import Path
from typing import Any, Literal, cast

import torch
from huggingface_hub.errors import StrictDataclassError
from tokenizers.processors import TemplateProcessing
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging
from transformers.utils.hub import cached_file

from pipeline.core.errors import UserError

logging.set_verbosity_error()
logging.disable_progress_bar()

Pooling = Literal["mean", "cls", "last"]
"""What a head reads of a pair: the mean over its tokens, its first or its last token."""
POOLING_FILE = "1_Pooling/config.json"
"""Where the weights of sentence-transformers say how they are pooled."""
POOLING_MODES: dict[str, Pooling] = {
    "mean": "mean",
    "mean_tokens": "mean",
    "cls": "cls",
    "cls_token": "cls",
    "lasttoken": "last",
}
"""The pooling that heads read, by its names there."""


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
    config = load_config(directory)
    depth = config.num_hidden_layers
    if layers is not None and layers > depth:
        raise UserError(
            f"{directory} has {depth} layers, so it cannot give its lowest {layers}: set fewer "
            "layers in params.yaml, or other weights."
        )
    config.num_hidden_layers = layers or depth
    if getattr(config, "layer_types", None):
        # ModernBERT and others list what each layer is.
        config.layer_types = config.layer_types[: config.num_hidden_layers]
    try:
        config.validate()
    except StrictDataclassError:
        raise UserError(
            f"{directory} is a {config.model_type}, which transformers cannot cut to {layers} of "
            f"its {depth} layers: set no layers, or other weights."
        ) from None
    # Model families name their dropout rates differently, but always with one of these words.
    for name, value in config.to_dict().items():
        if ("dropout" in name or name.endswith("pdrop")) and type(value) in (int, float):
            setattr(config, name, dropout)
    encoder, tokenizer = from_pretrained(directory, config)
    if max_length > (longest := longest_input(encoder, max_length)):
        raise UserError(
            f"params.yaml: 'max_length' is {max_length}, but {directory} reads at most {longest} "
            "tokens: set a lower one."
        )
    return encoder, tokenizer


def from_pretrained(
    name: str | Path,
    config: PretrainedConfig,
    revision: str | None = None,
    *,
    pooling: Pooling | None = None,
) -> tuple[PreTrainedModel, Any]:
    """Encoder and tokenizer from a directory or hub id.

    Its configuration records the pooling as ``head_pooling``, so that it stays with the weights:
    ``pooling``, else what was recorded, else ``natural_pooling``. Raises what transformers raises,
    and UserError for an encoder-decoder or if weights are missing.
    """
    if config.is_encoder_decoder:
        raise UserError(
            f"'{name}' is an encoder-decoder, for which this pipeline has no heads: name an "
            "encoder or a decoder, or a fine-tuned classifier under classifiers."
        )
    recorded = getattr(config, "head_pooling", None)
    config.head_pooling = pooling or recorded or natural_pooling(name, config, revision)
    if hasattr(config, "use_cache"):
        # Decoders would keep the keys and values of all tokens for a next token.
        config.use_cache = False
    encoder, missing = load_weights(AutoModel, name, config, revision, **without_pooler(config))
    if missing:
        raise UserError(
            f"the weights of '{name}' lack {missing[0]} and {len(missing) - 1} more tensors, which "
            "would stay random: name other weights."
        )
    tokenizer = load_tokenizer(name, config, revision)
    separate_texts(tokenizer, name)
    return encoder, tokenizer


def load_weights(
    kind: Any, name: str | Path, config: PretrainedConfig, revision: str | None, **options: Any
) -> tuple[PreTrainedModel, list[str]]:
    """A model of the Auto class ``kind``, from safetensors only, and what its weights lack."""
    model, info = kind.from_pretrained(
        name,
        config=config,
        revision=revision,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        **options,
    )
    return model, sorted(info["missing_keys"])


def load_config(name: str | Path, revision: str | None = None) -> PretrainedConfig:
    """The configuration of a directory or hub id; raises what transformers raises."""
    config: PretrainedConfig = AutoConfig.from_pretrained(
        name, revision=revision, trust_remote_code=False
    )
    return config


def load_tokenizer(name: str | Path, config: PretrainedConfig, revision: str | None = None) -> Any:
    """The tokenizer of a directory or hub id, which returns what a model of ``config`` reads.

    Without a padding token that the model knows, its end token pads. Raises UserError if it is not
    a tokenizer of the tokenizers library, or cannot pad.
    """
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise UserError(f"'{name}' has no tokenizer.json: name weights that have one.")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id >= config.vocab_size:
        if tokenizer.eos_token_id is None or tokenizer.eos_token_id >= config.vocab_size:
            raise UserError(
                f"the tokenizer of '{name}' has neither a padding nor an end token that its model "
                "knows: name other weights."
            )
        tokenizer.pad_token = tokenizer.eos_token
    if getattr(config, "type_vocab_size", 0) < 2:
        inputs = tokenizer.model_input_names
        tokenizer.model_input_names = [one for one in inputs if one != "token_type_ids"]
    return tokenizer


def natural_pooling(
    name: str | Path, config: PretrainedConfig, revision: str | None = None
) -> Pooling:
    """What the weights say in ``1_Pooling/config.json``, else the ``default_pooling``.

    Raises UserError if the weights name a pooling that heads here cannot read.
    """
    path = cached_file(
        name,
        POOLING_FILE,
        revision=revision,
        _raise_exceptions_for_missing_entries=False,
    )
    if path is None:
        return default_pooling(config)
    content = json.loads(Path(path).read_text(encoding="utf-8"))
    # Newer files name the mode, older ones have a flag for each, such as pooling_mode_mean_tokens.
    flags = [key for key, value in content.items() if key.startswith("pooling_mode_") and value]
    mode = str(content.get("pooling_mode") or " ".join(flags)).removeprefix("pooling_mode_")
    if mode not in POOLING_MODES:
        raise UserError(
            f"{POOLING_FILE} of '{name}' names another pooling than mean, cls or last: set pooling "
            "beside the source in params.yaml."
        )
    return POOLING_MODES[mode]


def default_pooling(config: PretrainedConfig) -> Pooling:
    """The last token of a decoder, as no other sees the whole pair, else the first token."""
    return "last" if is_decoder(config) else "cls"


def is_decoder(config: PretrainedConfig) -> bool:
    """Whether this is a model like GPT, whose tokens see only those before them."""
    kind = type(config)
    return kind in MODEL_FOR_CAUSAL_LM_MAPPING and kind not in MODEL_FOR_MASKED_LM_MAPPING


def separate_texts(tokenizer: Any, name: str | Path) -> None:
    """Let a tokenizer that puts nothing around two texts put its end token after each.

    The tokenizer of GPT-2 is one. Its model could not tell where the first text ends, and the last
    token, which heads read, would be any word. Raises UserError if there is no end token.
    """
    if tokenizer.num_special_tokens_to_add(pair=True) == 0:
        end = tokenizer.eos_token
        if end is None:
            raise UserError(
                f"the tokenizer of '{name}' puts nothing between the two texts of a pair and has "
                "no end token that could: name other weights."
            )
        tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
            single=f"$A {end}",
            pair=f"$A {end} $B:1 {end}:1",
            special_tokens=[(end, tokenizer.eos_token_id)],
        )


def without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """The argument that leaves out the pooler of BERT and its like, which no head here reads."""
    model_class = cast(Any, MODEL_MAPPING[type(config)])
    if isinstance(model_class, tuple):  # of a family with several
        model_class = model_class[0]
    accepted = inspect.signature(model_class).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}


def longest_input(model: PreTrainedModel, unlimited: int) -> int:
    """The number of tokens that ``model`` can read, or ``unlimited`` if it states no limit."""
    longest: int = getattr(model.config, "max_position_embeddings", unlimited)
    for name, module in model.named_modules():
        # The positions of RoBERTa and its like start after the number of the padding token.
        if name.endswith("position_embeddings"):
            padding_idx = getattr(module, "padding_idx", None)
            return longest if padding_idx is None else longest - int(padding_idx) - 1
    return longest
