"""Files of pairs are read piece by piece."""

import io
from pathlib import Path
from typing import Any

import pytest
from pair_files import ROWS, written

from pipeline.core.errors import UserError
from pipeline.serving import pairs


@pytest.mark.parametrize("kind", pairs.KINDS)
def test_rows_come_back_as_they_were_written(kind: str, tmp_path: Path) -> None:
    source = pairs.read(written(tmp_path / f"pairs{kind}"))
    assert source.columns == ("q", "p")
    assert list(source.rows) == ROWS
    assert source.count == (None if kind in pairs.JSON_LINES else 3)


def test_a_million_rows_are_not_read_at_once(tmp_path: Path) -> None:
    path = tmp_path / "pairs.csv"
    with path.open("w") as file:
        file.write("q,p\n")
        file.writelines(f"question {number},passage\n" for number in range(50_000))
    source = pairs.read(str(path))
    assert source.count == 50_000
    piece = next(pairs.pieces(source.rows))
    assert len(piece) == pairs.PIECE
    assert sum(len(rest) for rest in pairs.pieces(source.rows)) == 50_000 - pairs.PIECE


def test_blank_lines_before_the_header_are_no_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\n\nq,p\n\na,b\n")
    assert list(pairs.read(str(tmp_path / "x.csv")).rows) == [{"q": "a", "p": "b"}]


REFUSED = {
    ("x.txt", b"q,p\n"): "has none of the extensions",
    ("x.csv", b""): "has no rows below its header",
    ("x.csv", b"q,p\na,b,c\n"): "has 3 fields, but its header has 2",
    ("x.csv", b'q,p\n"a,b\nc\n'): "has a quote that does not fit",
    ("x.csv", b"q,p\n\xff,b\n"): "line 2 of .* is not UTF-8",
    ("x.csv", b"q,p,q\na,b,c\n"): "has two columns 'q': rename one of them",
    ("x.jsonl", b""): "has no rows: write an object per line",
    ("x.jsonl", b'{"q": "a"\n'): "line 1, is no JSON",
    ("x.jsonl", b'{"q": "a", "p": "b"}\n[1]\n'): "line 2, is no JSON object",
    ("x.jsonl", b'{"q": "a", "q": "b"}\n'): "line 1, is no JSON .it has a key twice",
    ("x.jsonl", b"[" * 100_000): "line 1, is no JSON",
    ("x.parquet", b"PAR1 no more"): "cannot be read",
}


@pytest.mark.parametrize(("file", "content"), REFUSED)
def test_a_file_that_cannot_be_read_is_refused(file: str, content: bytes, tmp_path: Path) -> None:
    path = tmp_path / file
    path.write_bytes(content)
    with pytest.raises(UserError, match=REFUSED[file, content]):
        list(pairs.read(str(path)).rows)


def test_a_missing_file_is_refused() -> None:
    with pytest.raises(UserError, match=r"there is no file 'x\.csv'"):
        pairs.read("x.csv")


NAMES = ("question", "passage")


@pytest.mark.parametrize(
    ("header", "chosen", "expected"),
    [
        (",question,passage,label", None, NAMES),
        ("id,question,passage", None, NAMES),
        ("label,passage,question", None, NAMES),
        ("q,p", None, ("q", "p")),
        ("question,passage,q,p", ["q", "p"], ("q", "p")),
    ],
)
def test_columns_are_those_of_the_corpus_or_the_only_two_or_named(
    header: str, chosen: list[str] | None, expected: tuple[str, str], tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\n{',' * header.count(',')}\n")
    source = pairs.read(str(tmp_path / "x.csv"))
    assert pairs.text_columns(source, chosen, NAMES) == expected


@pytest.mark.parametrize(
    ("header", "chosen", "said"),
    [
        (
            ",q,p",
            None,
            "has the columns '', q, p: say which ones are the texts, as in",
        ),
        ("id;question;passage", None, "it is separated by semicolons, not as its name says"),
        ("q", None, r"has less than two columns \(q\)"),
        ("q,p", ["q", "x"], "has no column 'x' but q, p: correct --columns"),
        ("q,p", ["q", "q"], "names 'q' twice"),
    ],
)
def test_columns_that_are_not_known_are_never_guessed(
    header: str, chosen: list[str] | None, said: str, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(f"{header}\n{',' * header.count(',')}1\n")
    with pytest.raises(UserError, match=said):
        pairs.text_columns(pairs.read(str(tmp_path / "x.csv")), chosen, NAMES)


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "is None"), (5, "is 5"), (["a"], "must be a text"), ("\ud800", "is not valid Unicode")],
)
def test_a_value_that_is_no_text_is_refused(value: Any, said: str, tmp_path: Path) -> None:
    source = pairs.read(written(tmp_path / "x.jsonl"))
    with pytest.raises(UserError, match=said) as error:
        pairs.texts(source, {"q": "a", "p": value}, 7, ("q", "p"))
    assert "row 7: its p" in str(error.value)


def test_standard_input_is_csv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO('q,p\n"a\nb",c\n', newline=""))
    source = pairs.read("-")
    assert (list(source.rows), source.count) == ([{"q": "a\nb", "p": "c"}], None)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    with pytest.raises(UserError, match="has no header"):
        pairs.read("-")
    monkeypatch.setattr("sys.stdin", io.StringIO("q,p\na\n"))
    with pytest.raises(UserError, match="line 2: it has 1 fields, but the header has 2"):
        list(pairs.read("-").rows)
