"""CSV and TSV files as people have them: quoted, not quoted, and broken."""

import gzip
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.corpus import reading
from pipeline.corpus.columns import Corpus


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def read(directory: Path, **files: str) -> list[tuple[str, str, int]]:
    """The rows of a split of these files, whose names say ``train_csv`` for ``train.csv``."""
    for name, text in files.items():
        path = directory / name.replace("_", ".")
        encoded = text.encode()
        path.write_bytes(gzip.compress(encoded) if path.suffix == ".gz" else encoded)
    content: dict[str, Any] = {"source": str(directory), "splits": {"train": "train"}}
    corpus = settings.check(Corpus, {**content, "label_names": ["no", "yes"]})
    batches = reading.open_split("own", corpus, "train").batches()
    rows = [row for batch in batches for row in batch.to_pylist()]
    return [(row["text_a"], row["text_b"], row["label"]) for row in rows]


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
    files = {"train_1_tsv": HEAD_TSV + "a\tb\t1\n", "train_2_tsv": HEAD_TSV + 'c\t"d\t0\n'}
    assert read(tmp_path, **files) == [("a", "b", 1), ("c", '"d', 0)]


def test_a_compressed_file_is_read_alike(tmp_path: Path) -> None:
    content = HEAD_TSV + 'NA\t"None\t1\nb\tnull\t0\n'
    assert read(tmp_path, train_tsv_gz=content) == [("NA", '"None', 1), ("b", "null", 0)]


def test_line_ends_and_a_byte_order_mark_change_nothing(tmp_path: Path) -> None:
    content = "\ufeff" + HEAD_TSV.replace("\n", "\r\n") + 'a\t"b\t1\r\nc\td\t0\r\n'
    assert read(tmp_path, train_tsv=content) == [("a", '"b', 1), ("c", "d", 0)]


def test_a_long_passage_is_no_error(tmp_path: Path) -> None:
    long = "word " * 100_000
    assert read(tmp_path, train_csv=f'{HEAD_CSV}a,"{long}",1\n') == [("a", long, 1)]


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
