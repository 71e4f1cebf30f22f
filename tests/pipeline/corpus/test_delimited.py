"""CSV and TSV files as people have them: quoted, not quoted, and broken."""

import gzip
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.corpus import reading
from pipeline.corpus.settings import Corpus


def columns(directory: Path, files: dict[str, str], **more: Any) -> dict[str, list[Any]]:
    """The columns of a split of ``files``, which have a content by name."""
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(exist_ok=True)
        encoded = text.encode()
        path.write_bytes(gzip.compress(encoded) if path.suffix == ".gz" else encoded)
    content: dict[str, Any] = {"source": str(directory), "splits": {"train": "train"}}
    corpus = settings.check(Corpus, {"label_names": ["no", "yes"], **content, **more})
    batches = reading.open_split("own", corpus, "train", directory).batches()
    found: dict[str, list[Any]] = pa.concat_tables(batches).to_pydict()
    return found


def read(directory: Path, **files: str) -> list[tuple[str, str, int]]:
    """The rows of a split of files, whose names say ``train_csv`` for ``train.csv``."""
    found = columns(directory, {name.replace("_", "."): text for name, text in files.items()})
    return list(zip(found["text_a"], found["text_b"], found["label"], strict=True))


def refusal(directory: Path, **files: str) -> str:
    with pytest.raises(UserError) as error:
        read(directory, **files)
    return str(error.value)


HEAD_TSV, HEAD_CSV = "text_a\ttext_b\tlabel\n", "text_a,text_b,label\n"


def test_tsv_in_the_form_of_glue_is_read_as_it_is(tmp_path: Path) -> None:
    """Read with quotes, the row that starts with one would swallow all rows to the next quote."""
    lines = [
        'who\t"It is open\t1',
        "what\tin the middle\t0",
        'why\the said "no" and left\t1',
        'how\tthe end"\t0',
        '"a"\t"b"\t1',
    ]
    expected = [(a, b, int(label)) for a, b, label in (line.split("\t") for line in lines)]
    assert read(tmp_path, train_tsv=HEAD_TSV + "\n".join(lines) + "\n") == expected


def test_quoted_files_are_read_with_their_quotes_delimiters_and_line_breaks(tmp_path: Path) -> None:
    content = HEAD_CSV + '"a, ""quoted""","b\nc",1\n"d",e,0\n\n'
    assert read(tmp_path, train_csv=content) == [('a, "quoted"', "b\nc", 1), ("d", "e", 0)]


def test_quotes_inside_of_fields_are_texts_in_both_forms(tmp_path: Path) -> None:
    assert read(tmp_path, train_csv=HEAD_CSV + 'a 5" nail,b,1\n') == [('a 5" nail', "b", 1)]


def test_commas_without_quotes_but_with_a_stray_quote_are_read(tmp_path: Path) -> None:
    content = HEAD_CSV + '"open,b,1\nc,d,0\n'
    assert read(tmp_path, train_csv=content) == [('"open', "b", 1), ("c", "d", 0)]


def test_the_files_of_a_split_are_read_in_one_way(tmp_path: Path) -> None:
    """Also if only one of them has a quote that does not fit."""
    files = {"train-00000-of-00002.tsv": HEAD_TSV + "a\tb\t1\n"}
    files["train-00001-of-00002.tsv"] = HEAD_TSV + 'c\t"d\t0\n'
    assert columns(tmp_path, files)["text_b"] == ["b", '"d']


def test_a_compressed_file_is_read_alike(tmp_path: Path) -> None:
    content = HEAD_TSV + 'NA\t"None\t1\nb\tnull\t0\n'
    assert read(tmp_path, train_tsv_gz=content) == [("NA", '"None', 1), ("b", "null", 0)]


def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    content = "\ufeff" + HEAD_TSV.replace("\n", "\r\n") + 'a\t"b\t1\r\nc\td\t0\r\n'
    assert read(tmp_path, train_tsv=content) == [("a", '"b', 1), ("c", "d", 0)]


def test_a_long_passage_is_no_error(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert read(tmp_path, train_csv=f'{HEAD_CSV}a,"{long}",1\n') == [("a", long, 1)]


def test_a_quoted_text_of_several_lines_with_commas_is_one_text(tmp_path: Path) -> None:
    """Here all lines have as many commas as the header, as in a file without quoting."""
    content = 'text_a,text_b\r\nwhat,"A dog.\nIt barks, and eats."\r\nwho,A cat.\r\n'
    found = columns(tmp_path, {"train.csv": content}, label=None)
    assert found["text_b"] == ["A dog.\nIt barks, and eats.", "A cat."]


@pytest.mark.parametrize("name", ["data/train.tsv", "train-00000-of-00001.tsv"])
def test_a_file_where_a_clone_of_a_repository_has_it_is_read_alike(
    name: str, tmp_path: Path
) -> None:
    content = HEAD_TSV + '"a\tNone\t1\nNA\td\t0\ne"\tf\t1\n'
    found = columns(tmp_path, {name: content})
    assert found["text_a"] == ['"a', "NA", 'e"']
    assert found["text_b"] == ["None", "d", "f"]


def test_cells_are_texts_as_they_are_in_the_file(tmp_path: Path) -> None:
    """Types that pandas guesses would make one group of 1.1 and 1.10, and a number of 007."""
    ids = ["007", "7", "1.1", "1.10", "1e5", "100000", "12345678901234567.1", "9" * 30]
    rows = [f"{one},q,{one},{i % 2}" for i, one in enumerate(ids)]
    # From row 10,000 on, pandas guesses again.
    rows += ["x,q,a,"] * 10_000 + ["A1,q,007,1"]
    content = "id,text_a,text_b,label\n" + "\n".join(rows)
    found = columns(tmp_path, {"train.csv": content}, group="id")
    assert found["group"][:8] == found["text_b"][:8] == ids
    assert (found["group"][-1], found["text_b"][-1], found["label"][-1]) == ("A1", "007", 1)
    assert found["label"][:9] == [0, 1, 0, 1, 0, 1, 0, 1, -1]


@pytest.mark.parametrize(
    ("names", "cells", "expected"),
    [
        (["no", "yes"], ["0", "1", "-1", ""], [0, 1, -1, -1]),
        (["no", "yes"], ["0.0", "1.0", "", "1"], [0, 1, -1, 1]),
        (["no", "yes"], ["no", "yes", "", "yes"], [0, 1, -1, 1]),
        (["no", "yes"], ["False", "True", "", "true"], [0, 1, -1, 1]),
        (["True", "False"], ["False", "True", "", "True"], [1, 0, -1, 0]),
        (["1", "0"], ["0", "1", "-1", ""], [1, 0, -1, -1]),
        (["1", "2", "3"], ["1", "2", "3", ""], [0, 1, 2, -1]),
    ],
)
def test_labels_are_matched_by_name_where_names_are_words_for_them(
    names: list[str], cells: list[str], expected: list[int], tmp_path: Path
) -> None:
    content = HEAD_CSV + "".join(f"a,b,{cell}\n" for cell in cells)
    found = columns(tmp_path, {"train.csv": content}, label_names=names)
    assert found["label"] == expected


def test_a_row_without_a_question_needs_no_group(tmp_path: Path) -> None:
    found = columns(tmp_path, {"train.csv": HEAD_CSV + "a,b,1\n,c,0\n"}, group="text_a")
    assert found["group"] == ["a", ""]


def test_a_file_with_only_a_header_has_no_rows(tmp_path: Path) -> None:
    assert "split 'train' has no rows below its header" in refusal(tmp_path, train_csv=HEAD_CSV)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("a,b,1\nc,d,e,0\n", "the row that ends in line 3 of"),
        ("a,b,1\nc,0\n", "has 2 fields, but its header has 3"),
        ('a,"b,1\nc,d,0\n"e,f\n', "has a quote that does not fit"),
        ('a,"b"c,1\nd,"e, f",0\n', "has a quote that does not fit (',' expected after '\"')"),
        ('a,"b, c,1\nd,e,0\n', "line 3 of"),
    ],
)
def test_a_row_that_does_not_add_up_is_refused_with_its_line(
    tmp_path: Path, content: str, sentence: str
) -> None:
    said = refusal(tmp_path, train_csv=HEAD_CSV + content)
    assert sentence in said
    assert "quote texts with commas" in said


def test_a_split_is_a_name_and_not_a_path(tmp_path: Path) -> None:
    for path in (str(tmp_path / "train.csv"), "data/train"):
        content = {"source": str(tmp_path), "splits": {"train": path}, "label_names": ["a", "b"]}
        with pytest.raises(UserError, match=r"'splits.train' is .* must be a name of a split"):
            settings.check(Corpus, content)
