"""Files are read as they are now: columns that are needed, of the types that they have."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import UserError
from pipeline.core.settings import check
from pipeline.corpus import reading, tables
from pipeline.corpus.settings import Corpus

PAIRS = pd.DataFrame(
    {"question": ["red cat", "blue dog"], "passage": ["None", "2010-01-01"], "label": [0, 1]}
)
ROWS = [
    {"text_a": "red cat", "text_b": "None", "label": 0},
    {"text_a": "blue dog", "text_b": "2010-01-01", "label": 1},
]


def fetch(directory: Path, **changes: Any) -> list[dict[str, Any]]:
    content = {
        "source": str(directory),
        "splits": {"train": "train"},
        "text_a": "question",
        "text_b": "passage",
        "label_names": ["no", "yes"],
    }
    corpus = check(Corpus, {**content, **changes})
    split = reading.open_split("own", corpus, "train", directory)
    rows: list[dict[str, Any]] = pa.concat_tables(split.batches()).to_pylist()
    return rows


def refusal(directory: Path, **changes: Any) -> str:
    with pytest.raises(UserError) as error:
        fetch(directory, **changes)
    return str(error.value)


def write(path: Path, *lines: str) -> None:
    path.write_text("".join(f"{line}\n" for line in lines))


WRITERS: dict[str, Callable[[pd.DataFrame, Path], object]] = {
    "csv": lambda frame, path: frame.to_csv(path, index=False),
    "csv.gz": lambda frame, path: frame.to_csv(path, index=False, compression="gzip"),
    "csv with its index": lambda frame, path: frame.to_csv(path),
    "tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
    "json": lambda frame, path: frame.to_json(path, orient="records"),
    "parquet": lambda frame, path: frame.to_parquet(path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_what_pandas_writes_is_read(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](PAIRS, tmp_path / f"train.{kind.split()[0]}")
    assert fetch(tmp_path) == ROWS


@pytest.mark.parametrize("kind", WRITERS)
def test_a_file_that_was_replaced_is_read_again(kind: str, tmp_path: Path) -> None:
    """Also if its name, its size and its time are those of the file before it."""
    path = tmp_path / f"train.{kind.split()[0]}"
    WRITERS[kind](PAIRS, path)
    fetch(tmp_path)
    before = path.stat()
    WRITERS[kind](PAIRS.assign(question=["big cow", "blue cow"]), path)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [row["text_a"] for row in fetch(tmp_path)] == ["big cow", "blue cow"]


def test_columns_that_are_not_named_never_matter(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "question,passage,label,", "red cat,None,0,")
    assert fetch(tmp_path) == ROWS[:1]
    odd = {"question": "red cat", "passage": "None", "label": 0, "": [1, "x", {}], "a": {}}
    write(tmp_path / "train.jsonl", json.dumps(odd), json.dumps({**odd, "": 5, "a": None}))
    (tmp_path / "train.csv").unlink()
    assert fetch(tmp_path) == ROWS[:1] * 2


def test_labels_may_start_anywhere(tmp_path: Path) -> None:
    """The types of a JSON column are those of all its rows, not of the first megabytes."""
    unlabelled = [{"question": f"cat {i}", "passage": "x" * 1000} for i in range(12_000)]
    rows: list[dict[str, Any]] = [{**row, "label": None} for row in unlabelled[:11_000]]
    rows += [*unlabelled[11_000:], {"question": "cat", "passage": "y", "label": "yes"}]
    write(tmp_path / "train.jsonl", *map(json.dumps, rows))
    found = [row["label"] for row in fetch(tmp_path)]
    assert found == [-1] * 12_000 + [1]


def test_nan_is_no_label_and_no_text(tmp_path: Path) -> None:
    frame = PAIRS.assign(label=[np.nan, 1.0], passage=["None", np.nan])
    lines = [json.dumps(row) for row in frame.to_dict("records")]
    assert "NaN" in lines[0]
    write(tmp_path / "train.jsonl", *lines)
    assert [(row["text_b"], row["label"]) for row in fetch(tmp_path)] == [("None", -1), ("", 1)]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([0, "yes"], "column 'label': line 2 of FILE has a text, \"yes\", but others have a num"),
        ([True, 0], "line 2 of FILE has a number, 0, but others have a truth value"),
        (["no", None, 1], "line 3 of FILE has a number, 1, but others have a text"),
        (["no", [1]], "line 2 of FILE has a list with a number, [1], but others have a text"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_line(
    values: list[Any], sentence: str, tmp_path: Path
) -> None:
    path = tmp_path / "train.jsonl"
    rows = [{"question": "q", "passage": "p", "label": value} for value in values]
    write(path, *map(json.dumps, rows))
    assert sentence.replace("FILE", str(path)) in refusal(tmp_path)


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (["question, passage, label", "a, b, 1"], "but question, ' passage', ' label': correct"),
        (["question;passage;label", "a;b;1"], "as its file is separated by semicolons"),
        (["question,question,passage,label", "a,b,c,1"], "has the column 'question' twice"),
        (
            ["question,passage,label", '"say \\"hi\\" 1",b1,1', "c,d,0"],
            "line 2 of FILE escapes quotes with backslashes: double the quotes",
        ),
    ],
)
def test_a_csv_file_in_another_form_is_refused_with_its_name(
    lines: list[str], sentence: str, tmp_path: Path
) -> None:
    write(tmp_path / "train.csv", *lines)
    assert sentence.replace("FILE", str(tmp_path / "train.csv")) in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_another_encoding_is_named_with_its_line(kind: str, tmp_path: Path) -> None:
    WRITERS[kind](PAIRS.assign(question=["red cat", "CAFE"]), tmp_path / f"train.{kind}")
    path = tmp_path / f"train.{kind}"
    path.write_bytes(path.read_bytes().replace(b"CAFE", "caf\xe9".encode("cp1252")))
    line = 3 if kind == "csv" else 2
    assert f"line {line} of {path} is not UTF-8: save the file in that" in refusal(tmp_path)


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "train.csv")
    assert "train.csv is not a file" in refusal(tmp_path)


@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_lists_of_right_and_of_wrong_passages_give_a_row_each(kind: str, tmp_path: Path) -> None:
    """As data for rerankers usually have them."""
    rows = [
        {"question": "cat", "pos": ["a"], "neg": ["b", "c"]},
        {"question": "dog", "pos": [], "neg": None},
        {"question": "cow", "pos": ["d", "e"], "neg": ["f"]},
    ]
    if kind == "jsonl":
        write(tmp_path / "train.jsonl", *map(json.dumps, rows))
    else:
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / "train.parquet")
    changes = {"text_b": "pos", "wrong_passages": "neg", "group": "question"}
    found = fetch(tmp_path, **changes)
    assert [(row["group"], row["text_b"], row["label"]) for row in found] == [
        *(("cat", "a", 1), ("cat", "b", 0), ("cat", "c", 0)),
        *(("cow", "d", 1), ("cow", "e", 1), ("cow", "f", 0)),
    ]
    swapped = fetch(tmp_path, **changes, label_names=["yes", "no"], relevant_label="yes")
    assert [row["label"] for row in swapped] == [0, 1, 1, 0, 0, 1]
    said = "label' is 'gold', but must be left out, because wrong_passages says what is right"
    assert said in refusal(tmp_path, **changes, label="gold")


def test_one_wrong_passage_per_row_needs_no_list(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "question,good,bad", "cat,a,b", "dog,c,d")
    found = fetch(tmp_path, text_b="good", wrong_passages="bad")
    assert [(row["text_b"], row["label"]) for row in found] == [
        *(("a", 1), ("b", 0), ("c", 1), ("d", 0)),
    ]


def test_numbers_that_become_fractions_later_are_one_column(tmp_path: Path) -> None:
    parts = [pa.table({"x": [1, 2]}), pa.table({"x": [None]}), pa.table({"x": [0.5]})]
    found = tables.on_disk(iter(parts), tmp_path)
    assert found["x"].to_pylist() == [1.0, 2.0, None, 0.5]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_no_part_of_a_split_is_passed_over(kind: str, tmp_path: Path) -> None:
    """As ``split -l`` leaves the later parts of a CSV file: without a header."""
    for number in range(3):
        frame = PAIRS if number != 1 else PAIRS.set_axis(["a", "b", "c"], axis=1)
        WRITERS[kind](frame, tmp_path / f"train-0000{number}-of-00003.{kind}")
    assert "train-00001-of-00003" in (said := refusal(tmp_path))
    assert "do not all have the column" in said


def test_a_label_means_the_same_in_all_rows(tmp_path: Path) -> None:
    """Whatever the labels of the first some thousand rows are."""
    lines = ["question,passage,label", *(f"q{i},p,yes" for i in range(10_000)), "q,p,1", "r,p,0"]
    write(tmp_path / "train.csv", *lines)
    assert "row 10000: '1' is not one of no, yes" in refusal(tmp_path)


def test_groups_of_large_numbers_do_not_become_one(tmp_path: Path) -> None:
    rows = [{"question": "q", "passage": "p", "label": 1, "id": 2**63 + i} for i in range(2)]
    write(tmp_path / "train.jsonl", *map(json.dumps, rows))
    assert "9223372036854775808 is too large a number: write it as a text" in refusal(
        tmp_path, group="id"
    )


@pytest.mark.parametrize(("kind", "value"), [("csv", ""), ("csv", " "), ("parquet", np.nan)])
def test_rows_without_a_group_are_no_group(kind: str, value: Any, tmp_path: Path) -> None:
    WRITERS[kind](PAIRS.assign(id=[1, value]), tmp_path / f"train.{kind}")
    assert "column 'id', row 1" in refusal(tmp_path, group="id")


def test_truth_values_in_csv_may_contradict_the_relevant_label_too(tmp_path: Path) -> None:
    write(tmp_path / "train.csv", "question,passage,label", "a,b,True", "c,d,False")
    names = {"label_names": ["relevant", "irrelevant"], "relevant_label": "relevant"}
    assert "reverse label_names" in refusal(tmp_path, **names)


def test_a_parquet_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    columns = [pa.array(["a"]), pa.array(["b"]), pa.array(["c"]), pa.array([1])]
    table = pa.table(columns, names=["question", "passage", "passage", "label"])
    pq.write_table(table, tmp_path / "train.parquet")
    assert "has the column 'passage' twice" in refusal(tmp_path)


@pytest.mark.parametrize("wrong", [[{"text": "x"}], [5], 5, [["x"]], [True]])
def test_wrong_passages_that_are_no_texts_are_named(wrong: Any, tmp_path: Path) -> None:
    row = {"question": "q", "pos": ["right"], "neg": wrong}
    write(tmp_path / "train.jsonl", json.dumps(row))
    assert "column 'neg' holds" in refusal(tmp_path, text_b="pos", wrong_passages="neg")


def test_a_readme_whose_class_names_are_no_texts_is_to_blame(tmp_path: Path) -> None:
    write(tmp_path / "train.jsonl", json.dumps({"question": "q", "passage": "p", "label": 1}))
    label = "{name: label, dtype: {class_label: {names: [no, yes]}}}"
    head = f"---\ndataset_info: {{features: [{label}]}}\n---\n"
    (tmp_path / "README.md").write_text(head)
    assert "class names of" in refusal(tmp_path)
