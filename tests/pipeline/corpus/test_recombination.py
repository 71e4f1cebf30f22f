"""A pool gets further pairs of its own texts, and none that an evaluation split has."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core import rows, settings
from pipeline.core.errors import UserError
from pipeline.corpus import cleaning
from pipeline.corpus.recombination import recombine
from pipeline.corpus.settings import Corpus

PAIRS = [
    ("the red cat sleeps", "a cat sleeps"),
    ("the red cat sleeps", "a dog barks"),
    ("a blue car drives", "the car is red"),
    ("a man reads a book", "he reads"),
    ("a woman reads a long book", "she reads a book"),
]
NEAREST = [
    ("the red cat sleeps", "the car is red"),
    ("a blue car drives", "a cat sleeps"),
    ("a man reads a book", "she reads a book"),
    ("a woman reads a long book", "he reads"),
]
"""The most similar other text_b: ``the`` and ``red`` are in two of the texts for the first, ``a``
is in most of them. The second shares a word with ``the car is red`` only, which is its own."""


def table(pairs: list[tuple[str, str]], **columns: list[Any]) -> pa.Table:
    first, second = zip(*pairs, strict=True)
    return pa.table({"text_a": first, "text_b": second, **columns})


def pairs_of(table: pa.Table) -> list[tuple[str, str]]:
    return list(zip(*(table[name].to_pylist() for name in ("text_a", "text_b")), strict=True))


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)
    labels = [0, 1, 0, 1, 0]
    pq.write_table(table(PAIRS, label=labels), tmp_path / "train.parquet")
    test = [NEAREST[2], ("who is it", "nobody")]
    pq.write_table(table(test, label=[0, 1]), tmp_path / "test.parquet")
    validation = [("what is it", "nothing"), ("where is it", "here")]
    pq.write_table(table(validation, label=[0, 1]), tmp_path / "validation.parquet")
    return tmp_path


def corpus(source: Path, **changes: Any) -> Corpus:
    splits = {"train": "train", "pool": "train", "test": "test", "validation": "validation"}
    content = {"source": str(source), "splits": splits, "label_names": ["no", "yes"], **changes}
    return settings.check(Corpus, content)


def pool(source: Path, given: Corpus) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """The card of the pool, and its pairs."""
    cards = cleaning.download({"mine": given}, ["mine"], "mine", ["mine"], directory=source / "out")
    read = rows.read("general", "pool", source / "out")
    assert set(read.labels) == {rows.UNLABELLED}
    return cards["general"]["splits"]["pool"], list(zip(*read.texts(), strict=True))


def test_each_text_is_put_beside_the_most_similar_one_that_is_not_its_own() -> None:
    assert pairs_of(recombine(table(PAIRS), 1)) == NEAREST


def test_a_text_has_no_more_new_pairs_than_there_are_others_with_a_common_word() -> None:
    new = pairs_of(recombine(table(PAIRS), 100))
    everything = {(a, b) for a, _ in PAIRS for _, b in PAIRS if {*a.split()} & {*b.split()}}
    assert set(new) == everything - set(PAIRS)
    assert len(new) == len(set(new)) == 10


def test_of_equally_similar_texts_the_first_ones_are_taken() -> None:
    pairs = [("red", "a cat"), *((f"a{i}", f"red b{i}") for i in range(300))]
    assert pairs_of(recombine(table(pairs), 2)) == [("red", "red b0"), ("red", "red b1")]


def test_a_text_is_not_put_beside_itself() -> None:
    pairs = [("a red cat", "a cat"), ("a cat", "a red cat"), ("a cat", "a dog")]
    assert pairs_of(recombine(table(pairs), 3)) == [("a red cat", "a dog")]


def test_many_texts_are_compared_a_part_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = pairs_of(recombine(table(PAIRS), 2))
    monkeypatch.setattr("pipeline.corpus.recombination.SIMILARITIES", 11)
    assert pairs_of(recombine(table(PAIRS), 2)) == expected


def test_texts_of_single_letters_and_signs_are_recombined() -> None:
    assert pairs_of(recombine(table([("a ?", "b !"), ("b", "a ??")]), 1)) == [
        ("a ?", "a ??"),
        ("b", "b !"),
    ]


def test_one_pair_has_no_other() -> None:
    new = recombine(table(PAIRS[:1]), 3)
    assert pairs_of(new) == []
    assert new.schema.types == [pa.string(), pa.string()]


def test_a_pool_has_its_own_pairs_and_new_ones_that_no_evaluation_split_has(source: Path) -> None:
    card, pairs = pool(source, corpus(source, recombined=1))
    expected = [pair for pair in NEAREST if pair != NEAREST[2]]
    assert pairs == [*PAIRS, *expected]
    assert (card["rows"], card["recombined"]) == (8, 3)
    assert card["left_out"]["also_in_evaluation"] == 1
    # Teachers learn from the labelled rows alone.
    assert len(rows.read("task", "train", source / "out")) == len(PAIRS)


def test_new_pairs_do_not_count_among_the_rows_of_a_pool(source: Path) -> None:
    card, pairs = pool(source, corpus(source, rows={"pool": 2}, recombined=5))
    own = [pair for pair in pairs if pair in PAIRS]
    assert len(own) == 2
    texts_b = {text_b for _, text_b in own}
    assert set(pairs) == {(a, b) for a, _ in own for b in texts_b} - {NEAREST[2]}
    assert card["recombined"] == len(pairs) - 2


def test_new_pairs_of_questions_are_of_questions_that_are_not_evaluated(source: Path) -> None:
    passages = [
        ("who is it", "it is me"),
        ("is it red", "it is blue"),
        ("is it late", "it is early"),
    ]
    asked = [("Who  is it", "nobody"), ("Who is it", "somebody")]
    pq.write_table(table(passages, id=["1", "2", "3"]), source / "pool.parquet")
    pq.write_table(table(asked, id=["1", "1"], label=[1, 0]), source / "test.parquet")
    for name in ("train", "validation"):
        ranked = table([(name, "because"), (name, "so")], id=["7", "7"], label=[1, 0])
        pq.write_table(ranked, source / f"{name}.parquet")
    splits = {role: role for role in ("train", "validation", "test", "pool")}
    given = corpus(source, splits=splits, group="id", relevant_label="yes", recombined=2)
    card, pairs = pool(source, given)
    assert pairs == [*passages[1:], ("is it red", "it is early"), ("is it late", "it is blue")]
    assert card["recombined"] == 2


def test_each_corpus_is_recombined_by_itself_and_no_pair_of_another_is_repeated(
    source: Path,
) -> None:
    second = {
        "question": ["the red cat sleeps", "the man reads"],
        "answers": [["the car is red", "the dog"], ["he reads", "the end"]],
    }
    tables = {
        "first": table(PAIRS[:3]).rename_columns(["premise", "hypothesis"]),
        "second": pa.table(second),
    }
    corpora = {"mine": corpus(source)}
    for count, (name, own) in zip((1, 5), tables.items(), strict=True):
        (source / name).mkdir()
        pq.write_table(own, source / name / "pool.parquet")
        columns = dict(zip(("text_a", "text_b"), own.column_names, strict=True))
        splits = {"pool": "pool"}
        corpora[name] = corpus(source / name, splits=splits, recombined=count, **columns)
    cards = cleaning.download(corpora, [*tables], "mine", ["mine"], directory=source / "out")
    read = rows.read("general", "pool", source / "out")
    new = list(zip(*read.texts(), strict=True))[7:]
    # The other new pair of the first, NEAREST[0], is in the second.
    assert new[0] == NEAREST[1]
    assert set(new[1:]) == {
        ("the red cat sleeps", "the end"),
        ("the man reads", "the car is red"),
        ("the man reads", "the dog"),
    }
    card = cards["general"]["splits"]["pool"]
    assert (card["recombined"], card["left_out"]["repeated"]) == (len(new), 1)


def test_without_the_setting_a_pool_is_as_it_was(source: Path) -> None:
    card, pairs = pool(source, corpus(source))
    assert pairs == PAIRS
    assert "recombined" not in card


@pytest.mark.parametrize("changes", [{"splits": {"train": "train"}}, {"soft_label": "score"}])
def test_new_pairs_need_a_pool_and_have_no_soft_label(
    source: Path, changes: dict[str, Any]
) -> None:
    corpus(source, **changes)
    with pytest.raises(UserError, match="'recombined' is 1, but must be 0 if there is no splits"):
        corpus(source, **changes, recombined=1)
