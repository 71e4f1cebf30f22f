"""Tiny random models of several architectures, each with a tokenizer of its family."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    BartConfig,
    BertTokenizer,
    DebertaV2Config,
    DebertaV2Tokenizer,
    DistilBertConfig,
    ElectraConfig,
    GPT2Config,
    GPT2Tokenizer,
    ModernBertConfig,
    PretrainedConfig,
    PreTrainedTokenizerFast,
    RobertaConfig,
    RobertaTokenizer,
)

WIDTH: dict[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
}


def word_pieces(words: list[str]) -> BertTokenizer:
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return BertTokenizer(vocab={word: i for i, word in enumerate([*special, *words])})


def byte_level(words: list[str], special: list[str]) -> tuple[dict[str, int], list[Any]]:
    """A vocabulary of bytes, after ``special``; no merges, so that every letter is a token."""
    alphabet = sorted(ByteLevel.alphabet())
    return {token: i for i, token in enumerate([*special, *alphabet])}, []


def electra(words: list[str]) -> tuple[PretrainedConfig, Any]:
    tokenizer = word_pieces(words)
    config = ElectraConfig(vocab_size=len(tokenizer), embedding_size=16, **WIDTH)
    return config, tokenizer


def distilbert(words: list[str]) -> tuple[PretrainedConfig, Any]:
    tokenizer = word_pieces(words)
    config = DistilBertConfig(vocab_size=len(tokenizer), dim=32, n_layers=2, n_heads=2)
    config.hidden_dim = 64
    return config, tokenizer


def roberta(words: list[str]) -> tuple[PretrainedConfig, Any]:
    vocabulary, merges = byte_level(words, ["<s>", "<pad>", "</s>", "<unk>", "<mask>"])
    tokenizer = RobertaTokenizer(vocab=vocabulary, merges=merges)
    config = RobertaConfig(
        vocab_size=len(tokenizer),
        type_vocab_size=1,
        max_position_embeddings=130,
        bos_token_id=0,
        pad_token_id=1,
        eos_token_id=2,
        **WIDTH,
    )
    return config, tokenizer


def deberta(words: list[str]) -> tuple[PretrainedConfig, Any]:
    special = ["[PAD]", "[CLS]", "[SEP]", "[UNK]"]
    pieces = [*special, *(f"▁{word}" for word in words), "▁"]
    scores = [(piece, 0.0 if piece in special else -1.0) for piece in pieces]
    tokenizer = DebertaV2Tokenizer(vocab=scores, unk_id=3)
    as_v3: dict[str, Any] = {
        "relative_attention": True,
        "position_buckets": 16,
        "norm_rel_ebd": "layer_norm",
        "share_att_key": True,
        "pos_att_type": ["p2c", "c2p"],
        "position_biased_input": False,
    }
    config = DebertaV2Config(vocab_size=len(tokenizer), type_vocab_size=0, **as_v3, **WIDTH)
    return config, tokenizer


def modernbert(words: list[str]) -> tuple[PretrainedConfig, Any]:
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=word_pieces(words).backend_tokenizer,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    config = ModernBertConfig(
        vocab_size=len(tokenizer),
        pad_token_id=0,
        cls_token_id=2,
        sep_token_id=3,
        bos_token_id=2,
        eos_token_id=3,
        **WIDTH,
    )
    return config, tokenizer


def gpt2(words: list[str]) -> tuple[PretrainedConfig, Any]:
    vocabulary, merges = byte_level(words, [])
    end = vocabulary["<|endoftext|>"] = len(vocabulary)
    tokenizer = GPT2Tokenizer(vocab=vocabulary, merges=merges)
    config = GPT2Config(
        vocab_size=len(tokenizer),
        n_embd=32,
        n_layer=2,
        n_head=2,
        n_positions=128,
        bos_token_id=end,
        eos_token_id=end,
    )
    return config, tokenizer


def bart(words: list[str]) -> tuple[PretrainedConfig, Any]:
    _, tokenizer = roberta(words)
    config = BartConfig(
        vocab_size=len(tokenizer),
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        max_position_embeddings=128,
        decoder_start_token_id=2,
    )
    return config, tokenizer


FAMILIES: dict[str, Callable[[list[str]], tuple[PretrainedConfig, Any]]] = {
    function.__name__: function
    for function in (electra, distilbert, roberta, deberta, modernbert, gpt2)
}
"""Those that heads can be put on. ``bart`` is an encoder-decoder, and can only be ready-made."""


def save(family: str, directory: Path, words: list[str], model_class: Any, **settings: Any) -> None:
    """Save a random model of ``family`` and its tokenizer, whose words are ``words`` or letters.

    ``model_class`` is one of transformers' Auto classes, ``settings`` go into the configuration.
    """
    config, tokenizer = {**FAMILIES, "bart": bart}[family](words)
    for name, value in settings.items():
        setattr(config, name, value)
    torch.manual_seed(0)
    model_class.from_config(config).save_pretrained(directory)
    tokenizer.save_pretrained(directory)
