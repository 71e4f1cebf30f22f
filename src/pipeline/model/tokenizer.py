"""Load tokenizers with transformers, and refuse one that does not belong to its model."""

from pathlib import Path
from typing import Any

from tokenizers.processors import TemplateProcessing
from transformers import AutoTokenizer, PretrainedConfig

from pipeline.core.errors import UserError

PROBE = ("which question?", "a passage \U0001f937")
"""A pair of texts, with a character that most tokenizers do not know."""


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
