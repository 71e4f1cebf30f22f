"""Cleaning and checks: rows left out are counted, and invalid rows are named."""

import csv
import json
import shutil
import tempfile
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import LABEL_NAMES, pairs
from datasets import ClassLabel, Dataset, Features, Value

from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.settings import check
from pipeline.corpus import cleaning, reading
from pipeline.corpus.settings import Corpus, Role

REASONS = (
    *("empty_text", "unlabelled", "repeated", "repeated_with_another_label"),
    *("also_in_evaluation", "question_in_evaluation"),
)


def corpus(source: Path, roles: str, **changes: Any) -> Corpus:
    splits = {role: role for role in roles.split()}
    return Corpus(
        **{"source": str(source), "splits": splits, "label_names": LABEL_NAMES, **changes}
    )


def both(source: Path, **task: Any) -> dict[str, Corpus]:
    return {
        "web": corpus(source / "general", "pool"),
        "qa": corpus(source / "task", "train validation test", **task),
    }


def download(given: dict[str, Corpus], out: Path, *general: str) -> dict[str, dict[str, Any]]:
    return cleaning.download(given, general or ("web",), "qa", ["qa"], directory=out)


def fetch(given: Corpus, role: Role = "train") -> pa.Table:
    with tempfile.TemporaryDirectory() as directory:
        split = reading.open_split("qa", given, role, Path(directory))
        return pa.concat_tables(split.batches())


def one_file(directory: Path, table: pa.Table, name: str = "train") -> Corpus:
    directory.mkdir(exist_ok=True)
    pq.write_table(table, directory / f"{name}.parquet")
    return corpus(directory, name)


def refusal(given: Corpus) -> str:
    with pytest.raises(UserError) as error:
        fetch(given)
    return str(error.value)


def test_clean_corpora_arrive_whole_with_a_card(corpora: Path, tmp_path: Path) -> None:
    cards = download(both(corpora), tmp_path / "out")
    read = rows.read("task", "train", tmp_path / "out")
    texts, original = read.texts(), pairs(120, 0)
    assert texts == (original["text_a"].to_pylist(), original["text_b"].to_pylist())
    assert cards["task"]["splits"]["train"] == {
        "rows": 120,
        "left_out": dict.fromkeys(REASONS, 0),
        "labels": {"irrelevant": 60, "relevant": 60, "unlabelled": 0},
        "labels_read_as": {"0": "irrelevant", "1": "relevant"},
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
        role: (card["rows"], *(card["left_out"][why] for why in ("repeated", "also_in_evaluation")))
        for name in ("task", "general", "test")
        for role, card in cards[name]["splits"].items()
    }
    overlap = {role: _shared(tmp_path / "out", role) for role in ("train", "validation", "pool")}
    assert overlap == {"train": 0, "validation": 0, "pool": 0}
    assert counts["qa"] == (60, 3, 0)
    assert counts["validation"][2] >= 2
    assert counts["train"][2] >= 11
    assert counts["pool"][2] >= 9


def _shared(root: Path, role: str) -> int:
    """Rows of ``role`` that stand in the splits it must keep out of."""
    kept_out = ("test",) if role == "validation" else ("test", "validation")
    own = rows.read("general" if role == "pool" else "task", role, root)
    mine = set(zip(*own.texts(), strict=True))
    places = {"test": ("test", "qa"), "validation": ("task", "validation")}
    theirs = [rows.read(*places[split], root).texts() for split in kept_out]
    return sum(pair in mine for texts in theirs for pair in zip(*texts, strict=True))


def test_validation_is_carved_from_train_by_row_id_alone(corpora: Path, tmp_path: Path) -> None:
    settings = both(corpora, splits={"train": "train", "test": "test"}, validation_rows=30)
    cards = download(settings, tmp_path / "out")["task"]["splits"]
    assert (cards["train"]["rows"], cards["validation"]["rows"]) == (90, 30)
    assert set(cards["train"]["left_out"].values()) == {0}
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


def test_repeated_pairs_with_another_label_are_counted_apart(corpora: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(corpora, source)
    train = pq.read_table(source / "task" / "train.parquet")
    opposite = pa.array([1 - label for label in train["label"].to_pylist()])
    other = train.set_column(2, "label", opposite).slice(0, 60)
    pq.write_table(
        pa.concat_tables([train, other, train.slice(0, 7)]), source / "task" / "train.parquet"
    )
    left_out = download(both(source), tmp_path / "out")["task"]["splits"]["train"]["left_out"]
    assert (left_out["repeated"], left_out["repeated_with_another_label"]) == (7, 60)


def test_truth_values_that_contradict_the_relevant_label_are_refused(tmp_path: Path) -> None:
    table = pairs(4, 0).set_column(2, "label", pa.array([True, False] * 2))
    reverse = {"label_names": ("relevant", "irrelevant"), "relevant_label": "relevant"}
    given = one_file(tmp_path / "s", table).model_copy(update=reverse)
    assert "true is the second of corpora.qa.label_names, 'irrelevant', but rel" in refusal(given)
    unsaid = given.model_copy(update={"relevant_label": None})
    split = reading.open_split("qa", unsaid, "train", tmp_path)
    list(split.batches())
    assert split.labels_said == {"true": "irrelevant", "false": "relevant"}


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
    assert fetch(given)["label"].to_pylist() == [1, 0]
    other = corpus(
        tmp_path / "s", "train", text_a="a", text_b="b", label="y", label_names=("no", "yes")
    )
    assert "declares the classes relevant, irrelevant, but corpora.qa.label_names has no, yes" in (
        refusal(other)
    )


def test_csv_with_quotes_and_line_breaks_and_labels_in_words(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    with (tmp_path / "s" / "dev.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([["q", "p", "gold"], ['say "hi"', "two\nlines, one cell", "relevant"]])
    given = corpus(
        tmp_path / "s", "", splits={"train": "dev"}, text_a="q", text_b="p", label="gold"
    )
    assert fetch(given).to_pylist() == [
        {"text_a": 'say "hi"', "text_b": "two\nlines, one cell", "label": 1}
    ]


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"text_a": [1, 2]}, "column 'text_a' holds int64, not text"),
        ({"label": [0, 2]}, "column 'label', row 1: 2 is not in 0 to 1 or -1"),
        ({"label": ["relevant", "maybe"]}, "row 1: 'maybe' is not one of irrelevant, relevant"),
        ({"text_b": None}, "has no column 'text_b' but text_a, label: correct corpora.qa.text_b"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, Any], sentence: str) -> None:
    table = {"text_a": ["p", "q"], "text_b": ["r", "s"], "label": [0, 1], **change}
    given = one_file(tmp_path / "s", pa.table({k: v for k, v in table.items() if v is not None}))
    assert sentence in refusal(given)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([1] * 60, "test/qa has rows of one class only, 'relevant'"),
        ([-1] * 60, "'qa' has no rows left for test/qa .left out: unlabelled 60"),
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


def test_the_labels_of_a_pool_need_not_be_classes(corpora: Path, tmp_path: Path) -> None:
    pool = pq.read_table(corpora / "general/pool.parquet")
    other = pool.set_column(2, "label", pa.array(["to be labelled"] * len(pool)))
    given = both(corpora) | {"web": one_file(tmp_path / "source", other, "pool")}
    cards = download(given, tmp_path / "out")
    assert cards == download(both(corpora), tmp_path / "again")


@pytest.mark.parametrize("other", ["train.old.parquet", "train.0.csv", "training.parquet"])
def test_a_split_is_the_file_with_its_name(tmp_path: Path, other: str) -> None:
    given = one_file(tmp_path / "source", pairs(12, 0))
    (tmp_path / "source" / other).write_bytes(b"an older version")
    assert len(fetch(given)) == 12


def test_a_pool_may_lack_labels_altogether(tmp_path: Path) -> None:
    given = one_file(tmp_path / "s", pairs(10, 0).drop_columns("label"), "pool")
    unlabelled = Corpus(**{**vars(given), "label": None})
    assert fetch(unlabelled, "pool")["label"].to_pylist() == [-1] * 10


def test_an_unreachable_source_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    missing = Corpus(source="set", splits={"train": "train"}, label_names=LABEL_NAMES)
    assert "is not a directory here, and a dataset on the hub needs a revision" in refusal(missing)
    missing = Corpus(source="../set", splits={"train": "train"}, label_names=LABEL_NAMES)
    assert (
        "there is no directory '../set': set corpora.qa.source to its path as seen from "
        f"{tmp_path}." in refusal(missing)
    )

    def offline(*arguments: Any, **settings: Any) -> None:
        assert settings["revision"] == "abc"
        raise ConnectionError("Couldn't reach the hub")

    monkeypatch.setattr("datasets.load_dataset", offline)
    hub = Corpus(
        source="org/set", revision="abc", splits={"train": "train"}, label_names=LABEL_NAMES
    )
    assert (
        "'org/set' could not be read (Couldn't reach the hub): name a dataset on a hub"
        in refusal(hub)
    )


def test_a_malformed_file_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "train.jsonl").write_text('{"text_a": "x", "text_b"')
    assert "corpus 'qa', split 'train'" in refusal(corpus(tmp_path / "s", "train"))
    (tmp_path / "s" / "train.jsonl").unlink()
    assert "train.jsonl but no such file" in refusal(corpus(tmp_path / "s", "train"))


def test_the_docs_corpus_knows_its_own_classes(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"text_a": ["p", "q"], "text_b": ["r", "s"], "label": [0, 1]})
    monkeypatch.setattr("pipeline.corpus.docstrings.tables", lambda: {"train": table})
    swapped = corpus(Path("docs"), "train", label_names=tuple(reversed(LABEL_NAMES)))
    assert fetch(swapped)["label"].to_pylist() == [1, 0]
    foreign = corpus(Path("docs"), "train", label_names=("no", "yes"))
    assert "declares the classes irrelevant, relevant" in refusal(foreign)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"splits": {"dev": "dev"}}, "'splits' has an entry named 'dev', but a name there must be"),
        ({"label_names": ("a", "a")}, "'label_names' is ['a', 'a'], but must be a list of diff"),
        ({"label_names": ("a",)}, "'label_names' is ['a'], but must be a list of at least 2"),
        ({"rows": {"train": 0}}, "'rows.train' is 0, but must be above 0"),
        ({"validation_rows": -5}, "'validation_rows' is -5, but must be at least 0"),
        ({"validation_rows": 5}, "'validation_rows' is 5, but must be 0 if splits.validation"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(
    changes: dict[str, Any], sentence: str
) -> None:
    roles = ("train", "validation", "test")
    content = {"source": "x", "splits": {r: r for r in roles}, "label_names": ["no", "yes"]}
    with pytest.raises(UserError) as error:
        check(Corpus, {**content, **changes})
    assert sentence in str(error.value)


def test_rows_that_cannot_serve_are_left_out_and_counted(corpora: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "task").mkdir(parents=True)
    (source / "general").symlink_to(corpora / "general")
    broken = pairs(6, 50)
    for column, value in (("text_a", "  \n"), ("text_b", None), ("label", -1)):
        broken = pa.concat_tables(
            [broken, pa.table({**pairs(1, 60).to_pydict(), column: [value]}, broken.schema)]
        )
    for name, size, seed in (("train", 120, 0), ("validation", 40, 1), ("test", 60, 2)):
        pq.write_table(
            pa.concat_tables([broken, pairs(size, seed)]), source / "task" / f"{name}.parquet"
        )
    found = download(both(source), tmp_path / "out")
    cards = {**found["task"]["splits"], "test": found["test"]["splits"]["qa"]}
    assert cards["test"]["rows"] == 66
    assert cards["test"]["left_out"] == {
        **dict.fromkeys(REASONS, 0),
        "empty_text": 2,
        "unlabelled": 1,
    }
    assert cards["train"]["left_out"]["also_in_evaluation"] >= 6


def test_a_pool_of_several_corpora_takes_one_after_another_each_with_its_cap(
    tmp_path: Path,
) -> None:
    given = {
        "qa": one_file(tmp_path / "qa", pairs(40, 0)),
        "web": one_file(tmp_path / "web", pairs(50, 1), "pool"),
        "nli": corpus(
            tmp_path / "nli",
            "",
            splits={"pool": "pool"},
            label_names=("yes", "maybe", "no"),
            rows={"pool": 20},
            text_a="premise",
        ),
    }
    given["qa"] = Corpus(
        **{
            **vars(given["qa"]),
            "splits": {"train": "train", "test": "test"},
            "validation_rows": 10,
        }
    )
    pq.write_table(pairs(30, 2), tmp_path / "qa" / "test.parquet")
    (tmp_path / "nli").mkdir()
    pq.write_table(
        pa.concat_tables([pairs(30, 3), pairs(10, 1)]).rename_columns(
            ["premise", "text_b", "label"]
        ),
        tmp_path / "nli" / "pool.parquet",
    )
    cards = download(given, tmp_path / "out", "web", "nli")
    assert cards["general"]["corpora"] == ["web", "nli"]
    pool = rows.read("general", "pool", tmp_path / "out")
    assert len(pool) == 70
    assert pool.texts(0, 50)[0] == pairs(50, 1)["text_a"].to_pylist()
    # Stage 1 holds out rows of each record batch, so of each corpus.
    assert [len(batch) for batch in pool.table.to_batches()] == [50, 20]
    assert set(pool.labels) == {-1}
    assert not (tmp_path / "out" / "general" / "train.arrow").exists()


def test_a_general_corpus_with_labels_can_teach_and_shares_one_split_with_the_pool(
    corpora: Path, tmp_path: Path
) -> None:
    given = both(corpora)
    own = corpus(corpora / "task", "", splits={"train": "train", "pool": "train"})
    given["web"] = Corpus(**{**vars(own), "validation_rows": 20})
    cards = download(given, tmp_path / "out")["general"]["splits"]
    assert {role: card["rows"] for role, card in cards.items()} == {
        "validation": 20,
        "train": 100,
        "pool": 100,
    }
    kept = {role: rows.read("general", role, tmp_path / "out") for role in cards}
    assert kept["train"].fingerprint == kept["pool"].fingerprint
    assert set(kept["train"].labels) == {0, 1}


@pytest.mark.parametrize(
    ("names", "labels", "expected"),
    [
        (("1", "0"), [0, 1, -1, None], [1, 0, -1, -1]),
        (("1", "2"), [1.0, 2.0, None], [0, 1, -1]),
        (("True", "False"), [True, False, None], [0, 1, -1]),
        (("false", "true"), [True, False], [1, 0]),
    ],
)
def test_a_class_whose_name_is_a_number_or_truth_value_is_that_of_its_name(
    names: tuple[str, ...], labels: list[Any], expected: list[int], tmp_path: Path
) -> None:
    table = pairs(len(labels), 0).set_column(2, "label", pa.array(labels))
    given = one_file(tmp_path / "s", table).model_copy(update={"label_names": names})
    assert fetch(given)["label"].to_pylist() == expected


def test_types_that_other_libraries_write_are_read(tmp_path: Path) -> None:
    """Large texts and lists, as polars writes them, and lists of a fixed size."""
    table = pa.table(
        {
            "text_a": pa.array(["p", "q"], pa.large_string()),
            "text_b": pa.array([["r", "s"], ["t"]], pa.large_list(pa.large_string())),
            "label": pa.array([[0, 1], [1]], pa.large_list(pa.int8())),
            "kind": pa.array(["x", "y"]).dictionary_encode(),
        }
    )
    found = fetch(one_file(tmp_path / "s", table).model_copy(update={"group": "kind"}))
    assert found["text_b"].to_pylist() == ["r", "s", "t"]
    assert found["label"].to_pylist() == [0, 1, 1]
    assert found["group"].to_pylist() == ["x", "x", "y"]
    scores = pa.array([[0.25, 0.75]] * 2, pa.list_(pa.float64(), 2))
    given = one_file(tmp_path / "t", pairs(2, 0).append_column("score", scores))
    soft = fetch(given.model_copy(update={"soft_label": "score"}))["soft_label"]
    assert soft.to_pylist() == [[0.25, 0.75]] * 2


def test_a_passage_list_gives_a_row_per_passage(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    lines: list[dict[str, Any]] = [
        {"q": "one", "found": {"text": ["a", "b"], "chosen": [0, 1]}, "id": "q1"},
        {"q": "none", "found": {"text": [], "chosen": []}, "id": "q2"},
        {"q": "two", "found": {"text": ["c"], "chosen": [1]}, "id": "q3"},
    ]
    path = tmp_path / "s" / "train.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    columns = {"text_a": "q", "text_b": "found.text", "label": "found.chosen", "group": "id"}
    given = corpus(tmp_path / "s", "train", **columns)
    assert fetch(given).to_pylist() == [
        {"text_a": "one", "text_b": "a", "group": "q1", "label": 0},
        {"text_a": "one", "text_b": "b", "group": "q1", "label": 1},
        {"text_a": "two", "text_b": "c", "group": "q3", "label": 1},
    ]
    lines[2]["found"] = {"text": ["c"], "chosen": [1, 0]}
    path.write_text("\n".join(json.dumps(line) for line in lines))
    assert "column 'found.chosen', row 2: [1, 0] is not as long as found.text" in refusal(given)
    # The same as a list of structures instead of a structure of lists.
    lines[2]["found"] = {"text": ["c"], "chosen": [1]}
    expected = []
    for line in lines:
        found = line["found"]
        pairs_found = zip(found["text"], found["chosen"], strict=True)
        line["found"] = [{"text": text, "chosen": chosen} for text, chosen in pairs_found]
        expected += [(line["q"], one["text"], one["chosen"]) for one in line["found"]]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    read = fetch(given).select(["text_a", "text_b", "label"])
    assert [tuple(row.values()) for row in read.to_pylist()] == expected


def test_a_soft_label_is_kept_and_replaces_a_missing_gold_label(tmp_path: Path) -> None:
    table = pairs(4, 0).set_column(2, "label", pa.array([-1, -1, 0, 1]))
    scored = table.append_column("score", pa.array([0.9, 0.2, 0.9, 0.6], pa.float32()))
    given = Corpus(**{**vars(one_file(tmp_path / "s", scored)), "soft_label": "score"})
    read = fetch(given)
    assert read["label"].to_pylist() == [1, 0, 0, 1]
    assert read["soft_label"].to_pylist()[1] == pytest.approx([0.8, 0.2])
    # A test row never takes its gold label from another model's score.
    one_file(tmp_path / "s", scored, "test")
    test = Corpus(**{**vars(given), "splits": {"test": "test"}})
    assert fetch(test, "test")["label"].to_pylist() == [-1, -1, 0, 1]
    per_class = table.append_column("score", pa.array([[0.1, 0.9]] * 4))
    one_file(tmp_path / "s", per_class)
    assert fetch(given)["label"].to_pylist() == [1, 1, 0, 1]


@pytest.mark.parametrize(
    ("scores", "sentence"),
    [
        ([0.5, 1.5], "column 'score', row 1: 1.5 is not a probability per class"),
        ([0.5, None], "row 1: None is not a probability per class"),
        ([[0.5, 0.5], [0.1, 0.1]], r"row 1: [0.1, 0.1] is not a probability per class"),
        ([[0.5, 0.5], [1.0]], "row 1: [1.0] does not have 2 probabilities"),
        (["high", "low"], "row 0: 'high' is not a number"),
    ],
)
def test_a_bad_soft_label_is_named(tmp_path: Path, scores: list[Any], sentence: str) -> None:
    table = pairs(2, 0).append_column("score", pa.array(scores))
    given = Corpus(**{**vars(one_file(tmp_path / "s", table)), "soft_label": "score"})
    assert sentence in refusal(given)


def test_csv_cells_that_look_missing_to_pandas_are_texts(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    files: tuple[tuple[Role, str, str], ...] = (("train", "csv", ","), ("test", "tsv", "\t"))
    for split, ending, comma in files:
        lines = [["text_a", "text_b", "label"], ["what", "None", "1"], ["NA", "nan", ""]]
        text = "\n".join(comma.join(line) for line in lines)
        (tmp_path / "s" / f"{split}.{ending}").write_text(text + "\n")
        assert fetch(corpus(tmp_path / "s", split), split).to_pylist() == [
            {"text_a": "what", "text_b": "None", "label": 1},
            {"text_a": "NA", "text_b": "nan", "label": -1},
        ]


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        ([True, False], [1, 0]),
        ([1.0, None], [1, -1]),
        ([None, None], [-1, -1]),
        (["relevant", None], [1, -1]),
        (["1", "0"], [1, 0]),
        (["relevant", "0"], "row 1: '0' is not one of irrelevant, relevant"),
        ([0.5, 1.0], "row 0: 0.5 is not a whole number"),
        ([[1], [0]], "but a label is a class name, a whole number, or true or false"),
    ],
)
def test_labels_of_any_column_type_are_read_or_refused(
    tmp_path: Path, labels: list[Any], expected: list[int] | str
) -> None:
    table = pairs(2, 0).set_column(2, "label", pa.array(labels))
    given = one_file(tmp_path / "s", table)
    if isinstance(expected, str):
        assert expected in refusal(given)
    else:
        assert fetch(given)["label"].to_pylist() == expected


def test_kept_rows_are_written_in_full_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.corpus.columns.BATCH_ROWS", 8)
    monkeypatch.setattr("pipeline.corpus.cleaning.BATCH_ROWS", 8)
    given = both(tmp_path)
    repeated = pairs(30, 5).take([i // 2 for i in range(60)])
    given["web"] = one_file(tmp_path / "web", repeated, "pool")
    given["qa"] = one_file(tmp_path / "qa", pairs(20, 0))
    pq.write_table(pairs(20, 1), tmp_path / "qa" / "test.parquet")
    changes = {"splits": {"train": "train", "test": "test"}, "validation_rows": 5}
    given["qa"] = given["qa"].model_copy(update=changes)
    download(given, tmp_path / "out")
    pool = rows.read("general", "pool", tmp_path / "out")
    sizes = [len(batch) for batch in pool.table.to_batches()]
    assert sizes == [8] * (len(sizes) - 1) + [len(pool) - 8 * (len(sizes) - 1)]
    assert len(pool) > 20
    assert pool.texts()[0] == [
        t for t in pairs(30, 5)["text_a"].to_pylist() if t in pool.texts()[0]
    ]


def test_odd_characters_and_very_long_texts_arrive_as_they_are(tmp_path: Path) -> None:
    odd = ["\ufffd \u200bzero\u202e", "naïve 東京 🎉\x00", "x" * 1_000_000]
    table = pa.table({"text_a": odd, "text_b": odd, "label": [0, 1, 0]})
    assert fetch(one_file(tmp_path / "s", table))["text_a"].to_pylist() == odd


def test_five_classes_are_matched_by_name(tmp_path: Path) -> None:
    names = ("perfect", "excellent", "good", "fair", "bad")
    table = pairs(5, 0).set_column(2, "label", pa.array(reversed(names)))
    given = Corpus(**{**vars(one_file(tmp_path / "s", table)), "label_names": names})
    assert fetch(given)["label"].to_pylist() == [4, 3, 2, 1, 0]


def test_many_rows_pass_through_in_little_memory(tmp_path: Path) -> None:
    """A hundred thousand rows of 2 kB: far more bytes than the memory they may take."""
    (tmp_path / "big").mkdir()
    schema = pairs(2, 0).schema
    with pq.ParquetWriter(tmp_path / "big" / "pool.parquet", schema) as file:
        for start in range(0, 100_000, 5_000):
            numbers = [str(i) for i in range(start, start + 5_000)]
            text = [f"{number} {'word ' * 200}" for number in numbers]
            file.write_table(
                pa.table({"text_a": text, "text_b": text, "label": [0] * 5_000}, schema)
            )
    given = corpus(tmp_path / "big", "pool")
    split = reading.open_split("web", given, "pool", tmp_path)
    before = pa.total_allocated_bytes()
    arrow_peak = 0

    def watched() -> Iterator[pa.Table]:
        nonlocal arrow_peak
        for batch in split.batches():
            arrow_peak = max(arrow_peak, pa.total_allocated_bytes() - before)
            yield batch

    tracemalloc.start()
    try:
        rows.write(tmp_path / "out" / "general" / "pool.arrow", watched(), LABEL_NAMES)
        kept = rows.read("general", "pool", tmp_path / "out")
        assert kept.texts(63_456, 63_457)[0][0].startswith("63456 word")
        assert len(kept.labels) == 100_000
        python_peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert kept.table.nbytes > 200e6
    assert max(arrow_peak, pa.total_allocated_bytes() - before) + python_peak < 100e6


def test_a_local_copy_replaces_a_hub_id_by_its_source_only(tmp_path: Path) -> None:
    hub = {"config": "rte", "revision": "bcdcba79d07bc864c1c254ccfcedcce55bcc9a8c"}
    local = one_file(tmp_path / "s", pairs(10, 0))
    given = Corpus(**{**vars(local), **hub})
    assert fetch(given).equals(fetch(local))
    # A clone of the hub's repository, with the configurations in its README, will do as well.
    clone = tmp_path / "clone"
    (clone / "rte").mkdir(parents=True)
    shutil.move(tmp_path / "s" / "train.parquet", clone / "rte" / "train-00000-of-00001.parquet")
    files = "data_files:\n  - split: train\n    path: rte/train-*"
    (clone / "README.md").write_text(f"---\nconfigs:\n- config_name: rte\n  {files}\n---\n")
    assert fetch(Corpus(**{**vars(given), "source": str(clone)})).to_pylist() == (
        pairs(10, 0).select(["text_a", "text_b", "label"]).to_pylist()
    )
