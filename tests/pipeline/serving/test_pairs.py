"""Files of pairs are read piece by piece, and predictions are written whole or not at all."""

import csv
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core.errors import UserError
from pipeline.corpus.delimited import DELIMITERS
from pipeline.serving import pairs

ROWS = [
    {"q": 'a "quoted" text', "p": "one, two"},
    {"q": "tab\tand\nline\ttab", "p": "東京"},
    {"q": "", "p": " spaces "},
]
ADDED = ("predicted", "probability")


def written(path: Path, rows: list[dict[str, Any]] = ROWS) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".jsonl", ".json"):
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n\n".join(lines) + "\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=DELIMITERS[path.suffix])
            writer.writeheader()
            writer.writerows(rows)
    return str(path)


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


@pytest.mark.parametrize("source_kind", pairs.KINDS)
@pytest.mark.parametrize("kind", pairs.KINDS)
def test_predictions_are_written_in_any_kind(kind: str, source_kind: str, tmp_path: Path) -> None:
    source = pairs.read(written(tmp_path / f"pairs{source_kind}"))
    rows = [{**row, "predicted": "yes", "probability": 0.5} for row in source.rows]
    out = tmp_path / f"out{kind}"
    if kind == ".parquet" and source_kind in pairs.JSON_LINES:
        with (
            pytest.raises(UserError, match=r"write \.jsonl or \.csv instead"),
            pairs.writer(str(out), source, ADDED) as write,
        ):
            write(rows)
        assert not out.exists()
        return
    with pairs.writer(str(out), source, ADDED) as write:
        write(rows[:2])
        assert not out.exists()
        write(rows[2:])
    again = list(pairs.read(str(out)).rows)
    has_types = kind in (".parquet", *pairs.JSON_LINES)
    probability: Any = 0.5 if has_types else "0.5"
    assert again == [{**row, "predicted": "yes", "probability": probability} for row in ROWS]


def test_the_types_of_a_parquet_file_are_kept(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"q": "a", "p": "b", "id": 7, "tags": ["x"]},
        {"q": "c", "p": "d", "id": None, "tags": []},
    ]
    source = pairs.read(written(tmp_path / "pairs.parquet", rows))
    with pairs.writer(str(tmp_path / "out.parquet"), source, ADDED) as write:
        write([{**row, "predicted": "yes", "probability": 0.5} for row in source.rows])
    table = pq.read_table(tmp_path / "out.parquet")
    assert table.schema.field("id").type == pa.int64()
    assert table.select(["q", "p", "id", "tags"]).to_pylist() == rows


def test_rows_with_other_columns_fit_json_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"q": "a", "p": "b"}\n{"q": "c", "p": "d", "id": 7}\n')
    for out in (tmp_path / "out.jsonl", tmp_path / "out.csv"):
        source = pairs.read(str(path))
        rows = [{**row, "predicted": "yes", "probability": 0.5} for row in source.rows]

        def write(out: Path = out, source: Any = source, rows: Any = rows) -> None:
            with pairs.writer(str(out), source, ADDED) as write:
                write(rows)

        if out.suffix == ".csv":
            with pytest.raises(UserError, match=r"a row of .* cannot be written as \.csv"):
                write()
            assert not out.exists()
        else:
            write()
            assert "7" in out.read_text()


def test_quotes_that_enclose_nothing_stay_as_they_are(tmp_path: Path) -> None:
    """As in the TSV files of GLUE."""
    (tmp_path / "x.tsv").write_text('q\tp\n"a\tb "c" d\n')
    source = pairs.read(str(tmp_path / "x.tsv"))
    rows = [{**row, "predicted": "yes", "probability": 0.5} for row in source.rows]
    with pairs.writer(str(tmp_path / "out.tsv"), source, ADDED) as write:
        write(rows)
    assert (tmp_path / "out.tsv").read_text().splitlines()[1] == '"a\tb "c" d\tyes\t0.5'


def test_a_text_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"q": "a", "p": "b", "x": "\\ud800"}\n')
    for name in ("out.jsonl", "out.csv"):
        source = pairs.read(str(path))
        rows = list(source.rows)

        def write(name: str = name, source: Any = source, rows: Any = rows) -> None:
            with pairs.writer(str(tmp_path / name), source, ()) as write:
                write(rows)

        with pytest.raises(UserError, match=r"a row of .* cannot be written"):
            write()
        assert not (tmp_path / name).exists()


def test_blank_lines_before_the_header_are_no_header(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("\n\nq,p\n\na,b\n")
    assert list(pairs.read(str(tmp_path / "x.csv")).rows) == [{"q": "a", "p": "b"}]


def test_what_is_interrupted_leaves_no_file(tmp_path: Path) -> None:
    source = pairs.read(written(tmp_path / "pairs.csv"))
    out = tmp_path / "out.csv"
    out.write_text("from before\n")

    def interrupted() -> None:
        with pairs.writer(str(out), source, ADDED) as write:
            write([])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.read_text() == "from before\n"
    assert {path.name for path in tmp_path.iterdir()} == {"pairs.csv", "out.csv"}


REFUSED = {
    ("x.txt", b"q,p\n"): "has none of the extensions",
    ("x.csv", b""): "has no rows below its header",
    ("x.csv", b"q,p\na,b,c\n"): "has 3 fields, but its header has 2",
    ("x.csv", b'q,p\n"a,b\nc\n'): "has a quote that does not fit",
    ("x.csv", b"q,p\n\xff,b\n"): "cannot be read",
    ("x.csv", b"q,p,q\na,b,c\n"): "has two columns 'q': rename one of them",
    ("x.jsonl", b""): "has no rows: write an object per line",
    ("x.jsonl", b'{"q": "a"\n'): "line 1, is no JSON",
    ("x.jsonl", b'{"q": "a", "p": "b"}\n[1]\n'): "line 2, is no JSON object",
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


def test_columns_are_the_first_two_or_those_that_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "x.csv", [{"id": "1", "q": "a", "p": "b"}])
    assert pairs.text_columns(pairs.read(path), None) == ("id", "q")
    assert pairs.text_columns(pairs.read(path), ["q", "p"]) == ("q", "p")
    with pytest.raises(UserError, match="has no column 'x' but id, q, p: correct --columns"):
        pairs.text_columns(pairs.read(path), ["q", "x"])
    one = pairs.read(written(tmp_path / "one.csv", [{"q": "a"}]))
    with pytest.raises(UserError, match=r"has less than two columns \(q\)"):
        pairs.text_columns(one, None)


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
