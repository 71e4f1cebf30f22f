"""What is said of texts that are cut or unknown, against counts by hand."""

from pathlib import Path

import pytest
from exports import rows_of
from transformers import AutoTokenizer

from pipeline.model import text_fit


def test_cut_pairs_and_unknown_words_are_counted(tiny_bert: Path) -> None:
    """With three special tokens, these pairs have 5, 7, 9 and 13 tokens."""
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    pairs = [("red", "cat"), ("red", "cat cat cat"), ("red red red", "cat cat cat")]
    pairs.append(("red " * 5, "cat cat cat cat Ж"))
    found = text_fit.measure(tokenizer, rows_of(pairs), max_length=7)
    assert found.cut == 0.5
    # The 95% quantile of 5, 7, 9, 13 is 12.4.
    assert found.needed == 13
    assert found.tokens_per_word == 1.0
    assert found.unknown == pytest.approx(1 / 22)
    (sentence,) = found.sentences()
    assert sentence.startswith("50% of the pairs have more than 7 tokens and lose the end")


def test_texts_in_another_language_are_said(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    found = text_fit.measure(tokenizer, rows_of([("Это", "кошка")] * 3), max_length=16)
    assert any("100% unknown tokens" in sentence for sentence in found.sentences())


def test_texts_that_fit_need_no_word(tiny_bert: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    found = text_fit.measure(tokenizer, rows_of([("red cat", "green horse")] * 3), max_length=16)
    assert found.sentences() == []
    # Measuring leaves nothing behind that ``encode`` does not set again.
    assert found.cut == 0.0
