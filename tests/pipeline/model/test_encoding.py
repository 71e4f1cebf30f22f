from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from conftest import rows_of
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from pipeline.core.rows import Rows
from pipeline.model import encoding
from pipeline.model.encoding import collate, encode, scoring_batches, training_batches


def test_batches_hold_what_the_tokenizer_itself_makes_of_the_pairs(tiny_bert: Path) -> None:
    rows, tokenizer = rows_of(30), AutoTokenizer.from_pretrained(tiny_bert)
    encoded = encode(tokenizer, rows, max_length=12)
    for start in (0, 20):
        indices = np.array([start + 7, start, start + 3])
        text_a, text_b = rows.texts()
        expected = tokenizer(
            [text_a[i] for i in indices],
            [text_b[i] for i in indices],
            truncation="longest_first",
            max_length=12,
            padding=True,
            return_tensors="pt",
        )
        batch = collate(encoded, indices)
        assert set(batch) == set(expected)
        for name, values in batch.items():
            assert values.tolist() == expected[name].tolist(), name


@pytest.mark.parametrize(("words", "dtype"), [(65_533, np.uint16), (65_534, np.int32)])
def test_a_token_takes_two_bytes_unless_the_vocabulary_is_too_large(
    words: int, dtype: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = {
        word: i for i, word in enumerate(["[PAD]", "[UNK]", "[SEP]", *map(str, range(words))])
    }
    backend = Tokenizer(WordLevel(numbers, unk_token="[UNK]"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, pad_token="[PAD]")
    last = str(words - 1)
    table = pa.table({"text_a": [last], "text_b": ["0"], "label": [0]})
    encoded = encode(tokenizer, Rows("task/train", table, ("a", "b")), 8)
    assert encoded.ids.dtype == dtype
    assert collate(encoded, np.array([0]))["input_ids"].tolist() == [[words + 2, 3]]


def test_a_slice_of_rows_encodes_as_it_does_among_all(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "CHUNK_ROWS", 7)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    whole = encode(tokenizer, rows_of(30), 16)
    part = encode(tokenizer, rows_of(30), 16, start=11, stop=25)
    assert len(part) == 14
    assert part.lengths.tolist() == whole.lengths[11:25].tolist()
    assert part.ids.tolist() == whole.ids[whole.offsets[11] : whole.offsets[25]].tolist()


def test_masked_rows_encode_as_they_do_among_all(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "CHUNK_ROWS", 7)
    tokenizer = AutoTokenizer.from_pretrained(tiny_bert)
    whole = encode(tokenizer, rows_of(30), 16)
    mask = np.zeros(30, dtype=bool)
    mask[[2, 3, 20, 29]] = True  # no row of the second chunk
    part = encode(tokenizer, rows_of(30), 16, mask=mask)
    assert part.lengths.tolist() == whole.lengths[mask].tolist()
    rows = [whole.ids[whole.offsets[i] : whole.offsets[i + 1]] for i in np.flatnonzero(mask)]
    assert part.ids.tolist() == np.concatenate(rows).tolist()


def test_padding_is_the_tokenizers_own_id() -> None:
    offsets = np.array([0, 1, 4])
    ids, types = np.array([5, 6, 7, 8], dtype=np.int32), np.zeros(4, dtype=np.uint8)
    batch = collate(encoding.Encoded(ids, types, offsets, False, pad_id=1), np.array([0, 1]))
    assert batch["input_ids"].tolist() == [[5, 1, 1], [6, 7, 8]]
    assert batch["attention_mask"].tolist() == [[1, 0, 0], [1, 1, 1]]
    assert "token_type_ids" not in batch


def test_an_epoch_sees_every_row_once_in_an_order_of_its_own() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 1000)
    epochs = [
        np.concatenate(training_batches(lengths, 16, seed=1, epoch=epoch)) for epoch in (0, 1)
    ]
    for order in epochs:
        assert sorted(order.tolist()) == list(range(1000))
    assert epochs[0].tolist() != epochs[1].tolist()
    again = np.concatenate(training_batches(lengths, 16, seed=1, epoch=0))
    assert again.tolist() == epochs[0].tolist()


def test_training_batches_waste_little_on_padding() -> None:
    lengths = np.random.default_rng(0).integers(5, 60, 2000)
    batches = training_batches(lengths, 16, seed=1, epoch=0)
    padded = sum(lengths[batch].max() * len(batch) for batch in batches)
    assert padded < 1.15 * lengths.sum()


def test_scoring_starts_with_the_longest_batch_and_leaves_no_row_out() -> None:
    lengths = np.array([3, 9, 4, 8, 5])
    batches = scoring_batches(lengths, 2)
    assert [batch.tolist() for batch in batches] == [[1, 3], [4, 2], [0]]
