"""Cleaning and checking: what is cut is counted, and what cannot be mended is named."""

import csv
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import LABEL_NAMES, pairs
from datasets import ClassLabel, Dataset, Features, Value

from pipeline import rows, sources
from pipeline.corpora import download
from pipeline.errors import UserError
from pipeline.sources import Corpus


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def corpus(source: Path, roles: str, **changes: Any) -> Corpus:
    splits = {role: role for role in roles.split()}
    return Corpus(
        **{"source": str(source), "splits": splits, "label_names": LABEL_NAMES, **changes}
    )


def both(source: Path, **task: Any) -> dict[str, Corpus]:
    return {
        "general": corpus(source / "general", "pool"),
        "task": corpus(source / "task", "train validation test", **task),
    }


def one_file(directory: Path, table: pa.Table, name: str = "train") -> Corpus:
    directory.mkdir(exist_ok=True)
    pq.write_table(table, directory / f"{name}.parquet")
    return corpus(directory, name)


def refusal(given: Corpus) -> str:
    with pytest.raises(UserError) as error:
        sources.fetch("task", given)
    return str(error.value)


def test_clean_corpora_arrive_whole_with_a_card(corpora: Path, tmp_path: Path) -> None:
    cards = download(both(corpora), tmp_path / "out")
    read = rows.read("task", "train", tmp_path / "out")
    texts, original = read.texts(), pairs(120, 0)
    assert texts == (original["text_a"].to_pylist(), original["text_b"].to_pylist())
    assert cards["task"]["splits"]["train"] == {
        "rows": 120,
        "repeated": 0,
        "also_in_evaluation": 0,
        "labels": {"irrelevant": 60, "relevant": 60, "unlabelled": 0},
        "fingerprint": read.fingerprint,
    }
    assert json.loads((tmp_path / "out/task/card.json").read_text()) == cards["task"]


def test_repetitions_and_rows_of_the_evaluation_splits_are_cut_and_counted(
    corpora: Path, tmp_path: Path
) -> None:
    source = tmp_path / "source"
    (source / "task").mkdir(parents=True)
    test, validation, train = pairs(60, 2), pairs(40, 1), pairs(120, 0)
    tables = {
        "test": pa.concat_tables([test, test.slice(0, 3)]),
        "validation": pa.concat_tables([validation, test.slice(5, 2)]),
        "train": pa.concat_tables([train, test.slice(0, 7), validation.slice(0, 4)]),
    }
    for name, table in tables.items():
        pq.write_table(table, source / "task" / f"{name}.parquet")
    (source / "general").mkdir()
    pool = pa.concat_tables([pairs(300, 3), train.slice(0, 5), test.slice(0, 9)])
    pq.write_table(pool, source / "general" / "pool.parquet")
    cards = download(both(source), tmp_path / "out")
    counts = {
        role: (card["rows"], card["repeated"], card["also_in_evaluation"])
        for name in ("task", "general")
        for role, card in cards[name]["splits"].items()
    }
    overlap = {role: _shared(tmp_path / "out", role) for role in ("train", "validation", "pool")}
    assert overlap == {"train": 0, "validation": 0, "pool": 0}
    assert counts["test"] == (60, 3, 0)
    assert counts["validation"][2] >= 2
    assert counts["train"][2] >= 11
    assert counts["pool"][2] >= 9


def _shared(root: Path, role: str) -> int:
    """Rows of ``role`` that stand in the splits it must keep out of."""
    kept_out = ("test",) if role == "validation" else ("test", "validation")
    own = rows.read("general" if role == "pool" else "task", role, root)
    mine = set(zip(*own.texts(), strict=True))
    theirs = [rows.read("task", split, root).texts() for split in kept_out]
    return sum(pair in mine for texts in theirs for pair in zip(*texts, strict=True))


def test_validation_is_carved_from_train_by_row_id_alone(corpora: Path, tmp_path: Path) -> None:
    settings = both(corpora, splits={"train": "train", "test": "test"}, validation_rows=30)
    cards = download(settings, tmp_path / "out")["task"]["splits"]
    assert (cards["train"]["rows"], cards["validation"]["rows"]) == (90, 30)
    shuffled = tmp_path / "source" / "task"
    shuffled.mkdir(parents=True)
    pq.write_table(pairs(120, 0).take(list(range(119, -1, -1))), shuffled / "train.parquet")
    pq.write_table(pairs(60, 2), shuffled / "test.parquet")
    (tmp_path / "source" / "general").symlink_to(corpora / "general")
    again = both(shuffled.parent, splits={"train": "train", "test": "test"}, validation_rows=30)
    download(again, tmp_path / "again")
    first, second = (
        rows.read("task", "validation", tmp_path / place).texts()[0] for place in ("out", "again")
    )
    assert Counter(first) == Counter(second)


def test_a_cap_takes_that_many_rows_in_corpus_order(corpora: Path, tmp_path: Path) -> None:
    cards = download(both(corpora, rows={"train": 50}), tmp_path / "out")
    assert cards["task"]["splits"]["train"]["rows"] == 50
    texts = rows.read("task", "train", tmp_path / "out").texts()[0]
    order = pairs(120, 0)["text_a"].to_pylist()
    places = [order.index(text) for text in texts]
    assert places == sorted(places)


def test_labels_are_matched_by_name_not_by_number(tmp_path: Path) -> None:
    features = Features(
        {
            "a": Value("string"),
            "b": Value("string"),
            "y": ClassLabel(names=["relevant", "irrelevant"]),
        }
    )
    (tmp_path / "s").mkdir()
    Dataset.from_dict({"a": ["p", "q"], "b": ["r", "s"], "y": [0, 1]}, features).to_parquet(
        tmp_path / "s" / "train.parquet"
    )
    given = corpus(tmp_path / "s", "train", text_a="a", text_b="b", label="y")
    assert sources.fetch("task", given)["train"]["label"].to_pylist() == [1, 0]
    other = corpus(
        tmp_path / "s", "train", text_a="a", text_b="b", label="y", label_names=("no", "yes")
    )
    assert (
        "declares the classes relevant, irrelevant, but corpora.task.label_names has no, yes"
        in (refusal(other))
    )


def test_csv_with_quotes_and_line_breaks_and_labels_in_words(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with (tmp_path / "s" / "dev.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["q", "p", "gold"], ['say "hi"', "two\nlines, one cell", "relevant"]])
    given = corpus(
        tmp_path / "s", "", splits={"train": "dev"}, text_a="q", text_b="p", label="gold"
    )
    assert sources.fetch("task", given)["train"].to_pylist() == [
        {"text_a": 'say "hi"', "text_b": "two\nlines, one cell", "label": 1}
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            {"text_b": ["", "x"]},
            "corpus 'task', split 'train', column 'text_b', row 0: '' is empty",
        ),
        ({"text_b": ["x", None]}, "column 'text_b', row 1: None is empty"),
        ({"text_a": ["x", " \n"]}, "column 'text_a', row 1: ' \\n' is empty"),
        ({"text_a": [1, 2]}, "column 'text_a' holds int64, not text"),
        ({"label": [0, 2]}, "column 'label', row 1: 2 is not in 0 to 1, nor -1"),
        ({"label": ["relevant", "maybe"]}, "row 1: 'maybe' is not among irrelevant, relevant"),
        ({"text_b": None}, "has no column 'text_b' but text_a, label: mend corpora.task.text_b"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    table = {"text_a": ["p", "q"], "text_b": ["r", "s"], "label": [0, 1], **change}
    given = one_file(tmp_path / "s", pa.table({k: v for k, v in table.items() if v is not None}))
    assert sentence in refusal(given)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([1] * 60, "task/test has rows of one class only, 'relevant'"),
        ([0, 1, -1] * 20, "task/test, row 2 has no label: only a pool may lack them"),
    ],
)
def test_a_useless_evaluation_split_is_refused(
    corpora: Path, tmp_path: Path, labels: list[int], sentence: str
) -> None:
    source = tmp_path / "source" / "task"
    source.mkdir(parents=True)
    for name, size in (("train", 120), ("validation", 40)):
        pq.write_table(pairs(size, size), source / f"{name}.parquet")
    pq.write_table(pairs(60, 2).set_column(2, "label", pa.array(labels)), source / "test.parquet")
    (source.parent / "general").symlink_to(corpora / "general")
    with pytest.raises(UserError, match=sentence):
        download(both(source.parent), tmp_path / "out")


def test_a_pool_may_lack_labels_altogether(tmp_path: Path) -> None:
    given = one_file(tmp_path / "s", pairs(10, 0).drop_columns("label"), "pool")
    unlabelled = Corpus(**{**vars(given), "label": None})
    assert sources.fetch("general", unlabelled)["pool"]["label"].to_pylist() == [-1] * 10


def test_an_unreachable_source_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    missing = corpus(tmp_path / "nowhere", "train")
    assert "is no directory here, and a hub id needs a revision" in refusal(missing)

    def offline(*arguments: Any, **settings: Any) -> None:
        assert settings["revision"] == "abc"
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr("datasets.load_dataset", offline)
    hub = Corpus(
        source="org/set", revision="abc", splits={"train": "train"}, label_names=LABEL_NAMES
    )
    assert "'org/set' could not be read (Couldn't reach the hub); name a hub id" in refusal(hub)


def test_a_malformed_file_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "train.jsonl").write_text('{"text_a": "x", "text_b"')
    assert "corpus 'task', split 'train'" in refusal(corpus(tmp_path / "s", "train"))
    (tmp_path / "s" / "train.jsonl").unlink()
    assert "could not be read" in refusal(corpus(tmp_path / "s", "train"))


def test_the_docs_corpus_knows_its_own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"text_a": ["p", "q"], "text_b": ["r", "s"], "label": [0, 1]})
    monkeypatch.setattr("pipeline.docstrings.tables", lambda: {"train": table})
    swapped = corpus(Path("docs"), "train", label_names=tuple(reversed(LABEL_NAMES)))
    assert sources.fetch("task", swapped)["train"]["label"].to_pylist() == [1, 0]
    foreign = corpus(Path("docs"), "train", label_names=("no", "yes"))
    assert "declares the classes irrelevant, relevant" in refusal(foreign)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"splits": {"dev": "dev"}}, "splits.dev' must be for one of test, validation"),
        ({"label_names": ("a", "a")}, "label_names' must be two or more different names"),
        ({"rows": {"train": 0}}, "rows' must be above 0"),
        ({"validation_rows": -5}, "validation_rows' must be at least 0"),
        ({"validation_rows": 5}, "validation_rows' must be 0 where splits.validation is given"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    changes: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ValueError, match=sentence):
        corpus(Path("x"), "train validation test", **changes)
