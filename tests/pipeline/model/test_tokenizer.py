"""Tokenizers: what is added to them, and which are refused because they are not their model's."""

import json
import shutil
from pathlib import Path

import families
import pytest
from conftest import COLOURS, FILLERS, THINGS, rows_of, save_tiny_bert
from transformers import AutoModel, AutoTokenizer

from pipeline.core.errors import UserError
from pipeline.model.encoding import check_vocabulary, encode
from pipeline.model.loading import load_encoder
from pipeline.model.settings import Pretrained
from pipeline.pretrained import fetch

WORDS = [*COLOURS, *THINGS, *FILLERS]


def test_a_decoder_sees_where_the_first_text_ends(tmp_path: Path) -> None:
    families.save("gpt2", tmp_path / "source", WORDS, AutoModel)
    plain = AutoTokenizer.from_pretrained(tmp_path / "source")
    assert plain("ab", "c").input_ids == plain("a", "bc").input_ids
    fetch(Pretrained(source=str(tmp_path / "source")), tmp_path / "fetched")
    _, tokenizer = load_encoder(tmp_path / "fetched")
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("ab", "c").input_ids)
    assert tokens == ["a", "b", "<|endoftext|>", "c", "<|endoftext|>"]
    cut = tokenizer("abcdef", "abcdef", truncation="longest_first", max_length=6).input_ids
    assert tokenizer.convert_ids_to_tokens(cut)[-1] == "<|endoftext|>"


def test_a_padding_token_that_the_model_does_not_know_is_replaced(tmp_path: Path) -> None:
    families.save("gpt2", tmp_path, WORDS, AutoModel)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    tokenizer.save_pretrained(tmp_path)
    encoder, loaded = load_encoder(tmp_path)
    assert tokenizer.pad_token_id >= encoder.config.vocab_size
    assert loaded.pad_token == "<|endoftext|>"


def test_texts_that_no_token_could_separate_are_refused(tmp_path: Path) -> None:
    families.save("gpt2", tmp_path, WORDS, AutoModel)
    path = tmp_path / "tokenizer_config.json"
    content = {**json.loads(path.read_text()), "eos_token": None, "pad_token": "a"}
    path.write_text(json.dumps({**content, "tokenizer_class": "TokenizersBackend"}))
    with pytest.raises(UserError, match="puts nothing between the two texts of a pair and has no"):
        load_encoder(tmp_path)


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_weights_without_a_tokenizer_are_refused(family: str, tmp_path: Path) -> None:
    """transformers makes one of a few special tokens then, so that all words would be the same."""
    source = tmp_path / "source"
    words = [*WORDS, *(f"word{i}" for i in range(20))]
    families.save(family, source, words, AutoModel)
    for path in source.iterdir():
        if path.name not in ("config.json", "model.safetensors"):
            path.unlink()
    with pytest.raises(UserError, match="tokenizer"):
        fetch(Pretrained(source=str(source)), tmp_path / "fetched")
    assert not (tmp_path / "fetched").exists()


def test_a_tokenizer_with_more_tokens_than_embeddings_is_refused(
    tiny_bert: Path, tmp_path: Path
) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    save_tiny_bert(tmp_path / "larger", [*WORDS, "one", "more"])
    shutil.copy(tmp_path / "larger/tokenizer.json", source)
    with pytest.raises(UserError, match="has 33 tokens with numbers up to 32, but its model has"):
        fetch(Pretrained(source=str(source)), tmp_path / "fetched")


def test_added_tokens_that_no_pair_contains_do_no_harm(tiny_bert: Path, tmp_path: Path) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    tokenizer = AutoTokenizer.from_pretrained(source)
    tokenizer.add_special_tokens({"additional_special_tokens": ["[NEW]"]})
    tokenizer.save_pretrained(source)
    encoder, loaded = load_encoder(source)
    assert len(loaded) == encoder.config.vocab_size + 1


def test_a_tokenizer_that_does_not_know_the_words_of_a_corpus_is_refused(tmp_path: Path) -> None:
    rows = rows_of(20)
    save_tiny_bert(tmp_path / "some", [*COLOURS, *FILLERS])
    tokenizer = load_encoder(tmp_path / "some")[1]
    check_vocabulary(tokenizer, encode(tokenizer, rows, 16), rows.name)
    save_tiny_bert(tmp_path / "none", [f"word{i}" for i in range(20)])
    tokenizer = load_encoder(tmp_path / "none")[1]
    with pytest.raises(UserError, match="task/train: 100% of the words are unknown"):
        check_vocabulary(tokenizer, encode(tokenizer, rows, 16), rows.name)


def test_a_tokenizer_of_bytes_knows_all_words(tmp_path: Path) -> None:
    """That of GPT-2 calls its end token unknown as well, and short pairs have many of them."""
    families.save("gpt2", tmp_path, WORDS, AutoModel)
    tokenizer = load_encoder(tmp_path)[1]
    rows = rows_of(20)
    encoded = encode(tokenizer, rows, 4)
    assert (encoded.ids == tokenizer.unk_token_id).mean() >= 0.5
    check_vocabulary(tokenizer, encoded, rows.name)
