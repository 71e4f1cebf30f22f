"""Load pretrained encoders with transformers, and refuse what is not one."""

import inspect
import json
from pathlib import Path
from typing import Any, cast, get_args

from huggingface_hub.errors import StrictDataclassError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    MODEL_MAPPING,
    AutoConfig,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.utils import logging
from transformers.utils.hub import cached_file

from pipeline.core.errors import UserError, explained
from pipeline.core.weights import load_weights, refuse_damage
from pipeline.model.settings import Pooling
from pipeline.model.tokenizer import (
    load_tokenizer,
    read_probe,
    refuse_padding,
    separate_texts,
)

logging.set_verbosity_error()
logging.disable_progress_bar()

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
    directory: Path,
    *,
    layers: int | None = None,
    dropout: float = 0.0,
    max_length: int = 1,
    pooling: Pooling | None = None,
) -> tuple[PreTrainedModel, Any]:
    """The encoder saved in ``directory``, cut to its lowest ``layers`` (None: all), and tokenizer.

    Heads read what ``pooling`` says (None: what its configuration says). The directory may hold a
    pretrained encoder, a teacher or a student. Only safetensors are read and no remote code is run.
    Raises UserError if it holds no model, a damaged one, or one with too few layers or that cannot
    read ``max_length`` tokens.
    """
    if not (directory / "config.json").exists():
        raise UserError(f"{directory} holds no model: {remedy(directory)}, or `dvc pull`.")
    with explained(f"{directory} is damaged", remedy(directory)):
        refuse_damage(directory)
        config = load_config(directory)
    depth = config.num_hidden_layers
    if layers is not None and layers > depth:
        raise UserError(
            f"{directory} has {depth} layers, so it cannot give its lowest {layers}: set fewer "
            "layers in params.yaml, or other weights."
        )
    config.num_hidden_layers = layers or depth
    for name in ("layer_types", "attention_window"):
        # ModernBERT, Longformer and others list what each layer is.
        if isinstance(getattr(config, name, None), list):
            setattr(config, name, getattr(config, name)[: config.num_hidden_layers])
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
    with explained(f"{directory} is damaged", remedy(directory)):
        encoder, tokenizer = from_pretrained(directory, config, pooling=pooling)
    if max_length > (longest := longest_input(encoder, max_length)):
        raise UserError(
            f"params.yaml: 'max_length' is {max_length}, but {directory} reads at most {longest} "
            "tokens: set a lower one."
        )
    return encoder, tokenizer


def remedy(directory: Path) -> str:
    """What to do about a damaged model in ``directory``: the stage to run again."""
    name = directory.name
    stages = {
        "pretrained": ("fetch_pretrained@",),
        "teachers": ("finetune_teacher@", "fetch_classifier@", "train_noisy_student@"),
        "student": ("distill",) if name == "stage1" else ("finetune_student",),
    }.get(directory.parent.name, ())
    commands = [f"`dvc repro -f {stage}{name if '@' in stage else ''}`" for stage in stages]
    return f"run {' or '.join(commands)}" if commands else "run the study again"


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
    ValueError if weights are missing, and UserError for an encoder-decoder.
    """
    if config.is_encoder_decoder:
        raise UserError(
            f"'{name}' is an encoder-decoder, for which this pipeline has no heads: name an "
            "encoder or a decoder, or a fine-tuned classifier under classifiers."
        )
    recorded = getattr(config, "head_pooling", None)
    config.head_pooling = pooling or recorded or natural_pooling(name, config, revision)
    if config.head_pooling not in get_args(Pooling):
        raise ValueError(f"its config.json has the head_pooling {config.head_pooling!r}")
    if hasattr(config, "use_cache"):
        # Decoders would keep the keys and values of all tokens for a next token.
        config.use_cache = False
    encoder, missing = load_weights(AutoModel, name, config, revision, **without_pooler(config))
    if missing:
        raise ValueError(
            f"its weights lack {missing[0]}, one of {len(missing)} tensors that would stay random"
        )
    tokenizer = load_tokenizer(name, config, revision)
    separate_texts(tokenizer, name)
    alone, padded = read_probe(encoder, tokenizer)
    hidden = alone.last_hidden_state
    refuse_padding(name, hidden, padded.last_hidden_state[:, : hidden.shape[1]])
    if hidden.shape[-1] != config.hidden_size or not hidden.isfinite().all():
        raise ValueError("its states are not finite, or not as wide as its config.json says")
    return encoder, tokenizer


def load_config(name: str | Path, revision: str | None = None) -> PretrainedConfig:
    """The configuration of a directory or hub id.

    Raises what transformers raises, ValueError if values in it make no sense or name code, and
    UserError if it is not that of a model of text.
    """
    config: PretrainedConfig = AutoConfig.from_pretrained(
        name, revision=revision, trust_remote_code=False
    )
    inputs = getattr(_model_class(config), "main_input_name", "input_ids")
    if inputs != "input_ids" or not hasattr(config, "vocab_size"):
        raise UserError(
            f"'{name}' is a {config.model_type}, which does not read text alone: name weights of "
            "an encoder or decoder of text."
        )
    # What only adds outputs, or computes the same in another way.
    config.output_attentions = config.output_hidden_states = False
    config.return_dict = True
    if hasattr(config, "chunk_size_feed_forward"):
        config.chunk_size_feed_forward = 0
    if "/" in str(config._attn_implementation):
        raise ValueError("its config.json names code on a hub for its attention")
    if not 0 < getattr(config, "initializer_range", 0.02) < 1:
        raise ValueError(f"its config.json has the initializer_range {config.initializer_range}")
    if config.num_hidden_layers < 1:
        raise ValueError(f"its config.json gives it {config.num_hidden_layers} layers")
    return config


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


def without_pooler(config: PretrainedConfig) -> dict[str, bool]:
    """The argument that leaves out the pooler of BERT and its like, which no head here reads."""
    accepted = inspect.signature(_model_class(config)).parameters
    return {"add_pooling_layer": False} if "add_pooling_layer" in accepted else {}


def _model_class(config: PretrainedConfig) -> Any:
    model_class = cast(Any, MODEL_MAPPING[type(config)])
    # Some families have several.
    return model_class[0] if isinstance(model_class, tuple) else model_class


def longest_input(model: PreTrainedModel, unlimited: int) -> int:
    """The number of tokens that ``model`` can read, or ``unlimited`` if it states no limit."""
    longest: int = getattr(model.config, "max_position_embeddings", unlimited)
    # XLNet has -1.
    longest = longest if longest > 0 else unlimited
    for name, module in model.named_modules():
        # The positions of RoBERTa and its like start after the number of the padding token.
        if name.endswith("position_embeddings"):
            padding_idx = getattr(module, "padding_idx", None)
            return longest if padding_idx is None else longest - int(padding_idx) - 1
    return longest
