"""Rows with mistakes: each is refused in one sentence, or left out and counted.

None may end in a traceback, and none in a corpus that is silently wrong.
"""

import bz2
import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.corpus import cleaning
from pipeline.corpus.settings import Corpus

SPLITS = ("train", "validation", "test")
COUNT = 12
Row = dict[str, Any]


def rows(split: str) -> list[Row]:
    first = 100 * SPLITS.index(split)
    return [
        {"text_a": f"question {first + i}", "text_b": f"answer {i}", "label": i % 2}
        for i in range(COUNT)
    ]


def write(directory: Path, split: str, content: bytes, kind: str) -> None:
    directory.mkdir(exist_ok=True)
    (directory / f"{split}.{kind}").write_bytes(content)


def json_lines(table: list[Row]) -> bytes:
    return "".join(json.dumps(row) + "\n" for row in table).encode()


def csv(table: list[Row]) -> bytes:
    lines = [",".join(table[0]), *(",".join(map(str, row.values())) for row in table)]
    return "".join(line + "\n" for line in lines).encode()


def write_with(directory: Path, kind: str, change: Callable[[bytes], bytes]) -> None:
    """Write all splits, that of train with a changed content and the ending ``kind``."""
    whole = csv if kind == "csv" else json_lines
    for split in SPLITS[1:]:
        write(directory, split, whole(rows(split)), "csv" if kind == "csv" else "jsonl")
    write(directory, "train", change(whole(rows("train"))), kind)


def download(source: Path, **more: Any) -> dict[str, int]:
    """The number of rows of each split after download; raises what download raises."""
    content = {
        "source": str(source),
        "label_names": ["no", "yes"],
        "splits": {**{split: split for split in SPLITS}, "pool": "train"},
        **more,
    }
    corpus = settings.check(Corpus, content)
    out = source.parent / "out"
    cards = cleaning.download({"own": corpus}, ["own"], "own", ["own"], directory=out)
    counts = {"test": cards["test"]["splits"]["own"]["rows"]}
    return counts | {role: card["rows"] for role, card in cards["task"]["splits"].items()}


def refusal(source: Path, **more: Any) -> str:
    with pytest.raises((UserError, OSError)) as error:
        download(source, **more)
    assert len(str(error.value).splitlines()) == 1
    return str(error.value)


BYTES: dict[str, tuple[str, Callable[[bytes], bytes], str]] = {
    "empty": ("jsonl", lambda content: b"", "train.jsonl is empty"),
    "only line ends": ("jsonl", lambda content: b"\n\n", "has no rows"),
    "null": ("jsonl", lambda content: b"null", "line 1 of"),
    "a null line first": ("jsonl", lambda content: b"null\n" + content, "line 1 of"),
    "a null line last": ("jsonl", lambda content: content + b" null\r\n", "line 13 of"),
    "null before a row": ("jsonl", lambda content: b"null " + content, "line 1 of"),
    "a number": ("jsonl", lambda content: b"5\n" + content, "line 1 of"),
    "a list": ("jsonl", lambda content: b"[1, 2]\n" + content, "could not be read"),
    "a text": ("jsonl", lambda content: b'"x"\n' + content, 'is "x", not a row'),
    "half a row": ("jsonl", lambda content: content[:-10], "could not be read"),
    "a nul byte": ("jsonl", lambda content: content.replace(b"answer", b"\0"), "could not be read"),
    "a lone surrogate": (
        "jsonl",
        lambda content: content.replace(b"answer", b"\\ud800"),
        "a value of",
    ),
    "a key twice": (
        "jsonl",
        lambda content: b'{"text_a": "x", "text_a": "y", "text_b": "z", "label": 1}\n' + content,
        "could not be read",
    ),
    "deep": (
        "jsonl",
        lambda content: b'{"text_a": ' + b"[" * 5000 + b"]" * 5000 + b"}\n" + content,
        "could not be read",
    ),
    "Latin-1 in JSON": (
        "jsonl",
        lambda content: content.replace(b"answer", b"caf\xe9"),
        "train.jsonl is not UTF-8: save the file",
    ),
    "UTF-16 in JSON": ("jsonl", lambda content: content.decode().encode("utf-16"), "UTF-8"),
    "infinite label": (
        "jsonl",
        lambda content: content.replace(b'"label": 1', b'"label": Infinity'),
        "column 'label', row 1: inf is not in 0 to 1 or -1",
    ),
    "empty CSV": ("csv", lambda content: b"", "train.csv is empty"),
    "only a header": ("csv", lambda content: content.split(b"\n")[0], "has no rows below its"),
    "Latin-1 in CSV": ("csv", lambda content: content.replace(b"answer", b"\xe9"), "UTF-8"),
    "UTF-16 in CSV": ("csv", lambda content: content.decode().encode("utf-16"), "UTF-8"),
    "an open quote beside closed ones": (
        "csv",
        lambda content: content.replace(b"answer 3", b'"answer 3').replace(b"answer 5", b'"a,"'),
        "has a quote that does not fit",
    ),
    "too many fields": (
        "csv",
        lambda content: content.replace(b"answer 3", b"answer 3,x,y"),
        "has 5 fields, but its header has 3",
    ),
    "too few fields": (
        "csv",
        lambda content: content.replace(b",answer 3,1", b""),
        "has 1 fields, but its header has 3",
    ),
    "a column twice": (
        "csv",
        lambda content: content.replace(b"text_b", b"text_a", 1),
        "has the column 'text_a' twice",
    ),
    "infinite label in CSV": (
        "csv",
        lambda content: content.replace(b"answer 0,0", b"answer 0,inf"),
        "'inf' is not in 0 to 1 or -1",
    ),
    "label beyond 64 bits in CSV": (
        "csv",
        lambda content: content.replace(b"answer 0,0", b"answer 0," + b"9" * 25),
        "is not in 0 to 1 or -1",
    ),
    "bytes": ("csv", lambda content: bytes(range(256)) * 10, "is not UTF-8"),
    "not gzip": ("csv.gz", lambda content: content, "could not be read"),
    "not Parquet": ("parquet", lambda content: content, "could not be read"),
    "empty Parquet": ("parquet", lambda content: b"", "train.parquet is empty"),
}


@pytest.mark.parametrize(("kind", "damage", "sentence"), BYTES.values(), ids=BYTES)
def test_a_file_that_is_not_what_it_is_called_is_refused(
    kind: str, damage: Callable[[bytes], bytes], sentence: str, tmp_path: Path
) -> None:
    write_with(tmp_path / "own", kind, damage)
    assert sentence in refusal(tmp_path / "own")


VALUES: list[tuple[str, Any, str, dict[str, str]]] = [
    ("label", 1e300, "1e+300 is not in 0 to 1 or -1", {}),
    ("label", -1e300, "-1e+300 is not in 0 to 1 or -1", {}),
    ("label", 2, "2 is not in 0 to 1 or -1", {}),
    ("label", -2, "-2 is not in 0 to 1 or -1", {}),
    ("label", 2**63, "is too large a number: write it as a text", {}),
    ("label", 2**64, "is too large a number: write it as a text", {}),
    ("label", -(2**64), "is too large a number: write it as a text", {}),
    ("label", 10**30, "is too large a number: write it as a text", {}),
    ("label", 0.5, "0.5 is not a whole number", {}),
    ("label", "maybe", "'maybe' is not one of no, yes", {}),
    ("label", "Yes", "'Yes' is not one of no, yes", {}),
    ("label", [1], "column 'label' holds list", {}),
    ("label", {"x": 1}, "column 'label' holds struct", {}),
    ("text_a", 5, "column 'text_a' holds int64, not text", {}),
    ("text_a", ["x"], "column 'text_a' holds list<item: string>, not text", {}),
    ("text_b", [1, 2], "column 'text_b' holds int64, not text", {}),
    ("text_b", [["x"], ["y"]], "column 'text_b' holds list<item: string>, not text", {}),
    ("text_b", None, "has no rows left", {}),
    ("text_b", [], "has no rows left", {}),
    ("group", ["x"], "column 'group' holds list<item: string>, but a group", {"group": "group"}),
    ("group", {"x": 1}, "column 'group' holds struct", {"group": "group"}),
    ("group", None, "None names no group", {"group": "group"}),
    ("soft", "high", "column 'soft', row 0: 'high' is not a number", {"soft_label": "soft"}),
    ("soft", 8.1, "8.1 is not a probability per class: apply a sigmoid", {"soft_label": "soft"}),
    ("soft", ["0.5", "0.5"], "holds list<item: string>, but a soft", {"soft_label": "soft"}),
    ("soft", [[0.5], [0.5]], "holds list<item: list", {"soft_label": "soft"}),
    ("soft", [True, False], "holds list<item: bool>", {"soft_label": "soft"}),
    ("soft", [None, None], "is not a probability per class", {"soft_label": "soft"}),
    ("soft", [0.5, 0.6], "is not a probability per class", {"soft_label": "soft"}),
    ("soft", [0.5], "does not have 2 probabilities", {"soft_label": "soft"}),
    ("soft", 1e300, "is not a probability per class", {"soft_label": "soft"}),
    ("soft", -0.5, "is not a probability per class", {"soft_label": "soft"}),
    ("soft", None, "holds null, but a soft label", {"soft_label": "soft"}),
]


@pytest.mark.parametrize(
    ("column", "value", "sentence", "more"), VALUES, ids=[f"{c}-{v}"[:40] for c, v, _, _ in VALUES]
)
def test_a_column_of_wrong_values_is_refused(
    column: str, value: Any, sentence: str, more: dict[str, str], tmp_path: Path
) -> None:
    for split in SPLITS:
        table = [{**row, column: value} for row in rows(split)]
        write(tmp_path / "own", split, json_lines(table), "jsonl")
    assert sentence in refusal(tmp_path / "own", **more)


ARRAYS: dict[str, tuple[str, pa.Array, str]] = {
    "text of bytes": ("text_a", pa.array([b"x"] * COUNT), "holds binary, not text"),
    "text in Latin-1": (
        "text_a",
        pa.array([b"caf\xe9"] * COUNT).view(pa.string()),
        "column 'text_a' is damaged or not UTF-8",
    ),
    "label of 64 bits": (
        "label",
        pa.array([2**64 - 1] * COUNT, pa.uint64()),
        "18446744073709551615 is not in 0 to 1 or -1",
    ),
    "infinite label": ("label", pa.array([float("-inf")] * COUNT), "-inf is not in 0 to 1 or -1"),
    "half-precision label": (
        "label",
        pa.array([0.5] * COUNT, pa.float32()).cast(pa.float16()),
        "is not a whole number",
    ),
    "map": (
        "label",
        pa.array([[("a", 1)]] * COUNT, pa.map_(pa.string(), pa.int64())),
        "column 'label' holds map",
    ),
}


@pytest.mark.parametrize(("column", "array", "sentence"), ARRAYS.values(), ids=ARRAYS)
def test_a_parquet_column_of_a_wrong_type_is_refused(
    column: str, array: pa.Array, sentence: str, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    for split in SPLITS:
        table = pa.Table.from_pylist(rows(split))
        table = table.set_column(table.column_names.index(column), column, array)
        pq.write_table(table, tmp_path / "own" / f"{split}.parquet")
    assert sentence in refusal(tmp_path / "own")


@pytest.mark.parametrize("kind", ["ndjson", "json", "jsonl.gz", "jsonl.bz2"])
@pytest.mark.parametrize("start", [b"null\n", b"\xef\xbb\xbfnull\n"])
def test_a_null_row_is_refused_in_files_of_all_kinds(
    kind: str, start: bytes, tmp_path: Path
) -> None:
    def change(content: bytes) -> bytes:
        content = start + content
        if kind.endswith("gz"):
            return gzip.compress(content)
        return bz2.compress(content) if kind.endswith("bz2") else content

    write_with(tmp_path / "own", kind, change)
    assert "line 1 of" in refusal(tmp_path / "own")


def test_files_of_two_types_for_one_split_are_refused(tmp_path: Path) -> None:
    for split in SPLITS:
        write(tmp_path / "own", split, json_lines(rows(split)), "jsonl")
        write(tmp_path / "own", split, csv(rows(split)), "csv")
    assert "has test.csv and test.jsonl: keep one of them" in refusal(tmp_path / "own")


@pytest.mark.parametrize(
    "split", ["**", "train*", "[t]rain", "../train", "/etc/passwd", "nothing", "train/x"]
)
def test_a_split_that_is_not_a_name_is_refused(split: str, tmp_path: Path) -> None:
    for own in SPLITS:
        write(tmp_path / "own", own, json_lines(rows(own)), "jsonl")
    splits = {**{own: own for own in SPLITS}, "train": split, "pool": "test"}
    said = refusal(tmp_path / "own", splits=splits)
    assert f"split '{split}'" in said or f"'splits.train' is '{split}', but must be a name" in said


UNUSUAL = ["a[1]b", "[x]", "a*b", "a**", "a?b", "a{b,c}", "with space", "ünïcode", "a%20b", "a#b"]
UNUSUAL += ["it's", '"q"', "x;y", "$(z)", "-n", "..."]


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_directory_of_any_name_is_read(name: str, tmp_path: Path) -> None:
    for split in SPLITS:
        write(tmp_path / name, split, json_lines(rows(split)), "jsonl")
    assert download(tmp_path / name) == dict.fromkeys(("test", "validation", "train"), COUNT)


HARMLESS: dict[str, tuple[str, Callable[[bytes], bytes], int]] = {
    "byte order mark in JSON": ("jsonl", lambda content: b"\xef\xbb\xbf" + content, COUNT),
    "byte order mark in CSV": ("csv", lambda content: b"\xef\xbb\xbf" + content, COUNT),
    "blank lines": ("jsonl", lambda content: content.replace(b"\n", b"\n\n") + b"  \n", COUNT),
    "empty rows": ("jsonl", lambda content: b"{}\n" + content, COUNT),
    "one array": (
        "json",
        lambda content: b"[" + content.strip().replace(b"\n", b",") + b"]",
        COUNT,
    ),
    "old line ends": ("csv", lambda content: content.replace(b"\n", b"\r"), COUNT),
    "Windows line ends": ("csv", lambda content: content.replace(b"\n", b"\r\n"), COUNT),
    "a text is missing": ("jsonl", lambda content: content.replace(b'"answer 3"', b"null"), 11),
    "an open quote": ("csv", lambda content: content.replace(b"answer 3", b'"answer 3'), COUNT),
    "class names": (
        "jsonl",
        lambda content: content.replace(b": 1}", b': "yes"}').replace(b": 0}", b': "no"}'),
        COUNT,
    ),
    "truth values": (
        "jsonl",
        lambda content: content.replace(b": 1}", b": true}").replace(b": 0}", b": false}"),
        COUNT,
    ),
    "whole floats": ("jsonl", lambda content: content.replace(b": 1}", b": 1.0}"), COUNT),
}


@pytest.mark.parametrize(("kind", "change", "kept"), HARMLESS.values(), ids=HARMLESS)
def test_what_is_only_unusual_is_read(
    kind: str, change: Callable[[bytes], bytes], kept: int, tmp_path: Path
) -> None:
    write_with(tmp_path / "own", kind, change)
    assert download(tmp_path / "own") == {"test": COUNT, "validation": COUNT, "train": kept}
