"""Load tokenizers with transformers, and try a model on one pair of texts."""

from pathlib import Path
from typing import Any

import torch
from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PretrainedConfig, PreTrainedModel

from pipeline.core.errors import UserError

PROBE = ("which question?", "a passage \U0001f937")
"""A pair of texts, with a character that most tokenizers do not know."""
PADDING_TOLERANCE = 1e-3
"""Largest difference that padding may make, relative to the largest output."""


def load_tokenizer(name: str | Path, config: PretrainedConfig, revision: str | None = None) -> Any:
    """The tokenizer of a directory or hub id, which returns what a model of ``config`` reads.

    Without a padding token that the model knows, its end token pads. Raises UserError if it is not
    a tokenizer of the tokenizers library, does not fit the embeddings, or cannot pad.
    """
    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    if not tokenizer.is_fast:
        raise UserError(f"'{name}' has no tokenizer.json: name weights that have one.")
    _refuse_foreign(tokenizer, config.vocab_size, name)
    # What ``encode`` promises.
    tokenizer.truncation_side = "right"
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


def _refuse_foreign(tokenizer: Any, embeddings: int, name: str | Path) -> None:
    """Refuse a tokenizer that gives tokens without an embedding, or has far fewer tokens.

    Without tokenizer files, transformers makes one of a few special tokens. Added special tokens
    without an embedding are fine, because texts do not contain them. Raises ValueError if a pair
    does not become two texts.
    """
    pair = tokenizer.backend_tokenizer.encode(*PROBE)
    if not {0, 1} <= set(pair.sequence_ids) or not set(pair.type_ids) <= {0, 1}:
        raise ValueError("its tokenizer does not give both texts of a pair")
    unused = {
        number for number, token in tokenizer.added_tokens_decoder.items() if token.special
    } - set(pair.ids)
    highest = max(set(tokenizer.get_vocab().values()) - unused, default=0)
    if highest >= embeddings or 2 * len(tokenizer) < embeddings:
        raise UserError(
            f"the tokenizer of '{name}' has {len(tokenizer):,} tokens with numbers up to "
            f"{highest:,}, but its model has embeddings for {embeddings:,}: put the files of its "
            "own tokenizer beside the weights, or name other weights."
        )


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


def read_probe(model: PreTrainedModel, tokenizer: Any) -> tuple[Any, Any]:
    """What ``model`` makes of one pair of texts, alone and with padding.

    Raises anything if the model is unusable.
    """
    pair = tokenizer.backend_tokenizer.encode(*PROBE)
    inputs = {"input_ids": pair.ids, "attention_mask": pair.attention_mask}
    if "token_type_ids" in tokenizer.model_input_names:
        inputs["token_type_ids"] = pair.type_ids
    padding = {"input_ids": [tokenizer.pad_token_id] * 3}
    both = [inputs, {name: [*own, *padding.get(name, [0] * 3)] for name, own in inputs.items()}]
    with torch.inference_mode():
        alone, padded = (
            model(**{name: torch.tensor([values]) for name, values in own.items()}) for own in both
        )
    return alone, padded


def refuse_padding(name: str | Path, alone: torch.Tensor, padded: torch.Tensor) -> None:
    """Refuse a model whose output depends on padding, and so on the other rows of a batch."""
    difference = float((alone - padded).abs().max())
    if difference > PADDING_TOLERANCE * max(1.0, float(alone.abs().max())):
        raise UserError(
            f"'{name}' gives a pair another output if it is padded (a difference of "
            f"{difference:.2g}), so that scores would depend on the rows beside it: name weights "
            "of another family."
        )
