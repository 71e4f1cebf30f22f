"""Predictions are written whole or not at all, in any kind of file."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pair_files import ROWS, written

from pipeline.core.errors import UserError
from pipeline.serving import pairs, predictions

ADDED = ("predicted", "probability")


@pytest.mark.parametrize("source_kind", pairs.KINDS)
@pytest.mark.parametrize("kind", pairs.KINDS)
def test_predictions_are_written_in_any_kind(kind: str, source_kind: str, tmp_path: Path) -> None:
    source = pairs.read(written(tmp_path / f"pairs{source_kind}"))
    rows = [{**row, "predicted": "yes", "probability": 0.5} for row in source.rows]
    out = tmp_path / f"out{kind}"
    if kind == ".parquet" and source_kind in pairs.JSON_LINES:
        with (
            pytest.raises(UserError, match=r"write \.jsonl or \.csv instead"),
            predictions.writer(str(out), source, ADDED) as write,
        ):
            write(rows)
        assert not out.exists()
        return
    with predictions.writer(str(out), source, ADDED) as write:
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
    with predictions.writer(str(tmp_path / "out.parquet"), source, ADDED) as write:
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
            with predictions.writer(str(out), source, ADDED) as write:
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
    with predictions.writer(str(tmp_path / "out.tsv"), source, ADDED) as write:
        write(rows)
    assert (tmp_path / "out.tsv").read_text().splitlines()[1] == '"a\tb "c" d\tyes\t0.5'


def test_a_text_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text('{"q": "a", "p": "b", "x": "\\ud800"}\n')
    for name in ("out.jsonl", "out.csv"):
        source = pairs.read(str(path))
        rows = list(source.rows)

        def write(name: str = name, source: Any = source, rows: Any = rows) -> None:
            with predictions.writer(str(tmp_path / name), source, ()) as write:
                write(rows)

        with pytest.raises(UserError, match=r"a row of .* cannot be written"):
            write()
        assert not (tmp_path / name).exists()


def test_what_is_interrupted_leaves_no_file(tmp_path: Path) -> None:
    source = pairs.read(written(tmp_path / "pairs.csv"))
    out = tmp_path / "out.csv"
    out.write_text("from before\n")

    def interrupted() -> None:
        with predictions.writer(str(out), source, ADDED) as write:
            write([])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert out.read_text() == "from before\n"
    assert {path.name for path in tmp_path.iterdir()} == {"pairs.csv", "out.csv"}


@pytest.mark.parametrize("kind", [".csv", ".tsv"])
def test_a_carriage_return_alone_does_not_end_a_row(kind: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"q": "a\\rb", "p": "c"}\n{"q": "d", "p": "e"}\n')
    source = pairs.read(str(tmp_path / "in.jsonl"))
    with predictions.writer(str(tmp_path / f"out{kind}"), source, ADDED) as write:
        write([{**row, "predicted": "yes", "probability": 0.5} for row in source.rows])
    again = list(pairs.read(str(tmp_path / f"out{kind}")).rows)
    assert [(row["q"], row["p"]) for row in again] == [("a\rb", "c"), ("d", "e")]
