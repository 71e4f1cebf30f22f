"""Read text pairs from CSV, TSV, JSON lines or Parquet, and write predictions, piece by piece."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from pipeline.core.errors import UserError, explained
from pipeline.corpus.delimited import DELIMITERS, LONGEST_FIELD, layout

STANDARD = "-"
"""The name of standard input and of standard output."""
JSON_LINES, PARQUET = (".jsonl", ".json"), ".parquet"
KINDS = (*DELIMITERS, *JSON_LINES, PARQUET)
PIECE = 2_048
"""Rows that are read or written at once."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Source:
    """An input that is read once, from its start to its end."""

    name: str
    kind: str
    """One of ``KINDS``."""
    columns: tuple[str, ...]
    rows: Iterator[Row]
    count: int | None
    """The number of rows, if it is known before they are read."""
    is_quoted: bool = True
    """Whether quotes enclose fields, in CSV and TSV, or are part of them."""
    schema: Any = None
    """The Arrow schema of a Parquet file."""


def kind_of(name: str, default: str = ".csv") -> str:
    """The kind of a file by its extension; standard input and output are of kind ``default``.

    Raises UserError for other extensions.
    """
    kind = default if name == STANDARD else Path(name).suffix.lower()
    if kind not in KINDS:
        raise UserError(f"'{name}' has none of the extensions {', '.join(KINDS)}: rename it.")
    return kind


def read(name: str) -> Source:
    """Open a file, or CSV on standard input. Raises UserError, also later, while rows are read."""
    kind = kind_of(name)
    if name != STANDARD and not Path(name).is_file():
        raise UserError(f"there is no file '{name}': correct its path.")
    if kind == PARQUET:
        source = _read_parquet(name)
    elif kind in JSON_LINES:
        source = _read_json_lines(name, kind)
    else:
        source = _read_delimited(name, kind)
    for column in source.columns:
        if source.columns.count(column) > 1:
            raise UserError(f"'{name}' has two columns '{column}': rename one of them.")
    return source


def _read_delimited(name: str, kind: str) -> Source:
    csv.field_size_limit(LONGEST_FIELD)
    if name == STANDARD:
        is_quoted, count = True, None
    else:
        with _reading(name):
            found = layout(f"'{name}'", [Path(name)], DELIMITERS[kind])
        is_quoted, count = found.quoting != csv.QUOTE_NONE, found.rows
    reader = csv.reader(
        lines(name),
        delimiter=DELIMITERS[kind],
        quoting=csv.QUOTE_MINIMAL if is_quoted else csv.QUOTE_NONE,
        strict=True,
    )
    with _reading(name):
        columns = next((tuple(fields) for fields in reader if fields), ())
    if not columns:
        raise UserError(f"'{name}' has no header: its first line must name the columns.")

    def rows() -> Iterator[Row]:
        with _reading(name):
            for fields in reader:
                if fields and len(fields) != len(columns):
                    raise UserError(
                        f"'{name}', line {reader.line_num}: it has {len(fields)} fields, but the "
                        f"header has {len(columns)}: quote texts that contain the delimiter."
                    )
                if fields:
                    yield dict(zip(columns, fields, strict=True))

    return Source(name, kind, columns, rows(), count, is_quoted)


def _read_json_lines(name: str, kind: str) -> Source:
    def rows() -> Iterator[Row]:
        with _reading(name):
            for number, line in enumerate(lines(name), 1):
                if not line.strip():
                    continue
                with explained(f"'{name}', line {number}, is no JSON", "write an object per line"):
                    row = json.loads(line)
                if not isinstance(row, dict):
                    raise UserError(f"'{name}', line {number}, is no JSON object: write one there.")
                yield row

    remaining = rows()
    first = next(remaining, None)
    if first is None:
        raise UserError(f"'{name}' has no rows: write an object per line.")

    def all_rows() -> Iterator[Row]:
        yield first
        yield from remaining

    return Source(name, kind, tuple(first), all_rows(), None)


def _read_parquet(name: str) -> Source:
    # Only this kind needs Arrow.
    from pyarrow.parquet import ParquetFile

    with _reading(name):
        file = ParquetFile(name)
        columns, schema, count = tuple(file.schema_arrow.names), file.schema_arrow, file.metadata

    def rows() -> Iterator[Row]:
        with _reading(name):
            for batch in file.iter_batches(PIECE):
                yield from batch.to_pylist()

    return Source(name, PARQUET, columns, rows(), count.num_rows, schema=schema)


def lines(name: str) -> Iterator[str]:
    """The lines of a UTF-8 file or of standard input, with their ends."""
    with _reading(name):
        if name == STANDARD:
            yield from sys.stdin
            return
        with open(name, encoding="utf-8-sig", newline="") as file:
            yield from file


def _reading(name: str) -> AbstractContextManager[None]:
    return explained(f"'{name}' cannot be read", "correct it; texts must be saved as UTF-8")


def text_columns(source: Source, chosen: Sequence[str] | None) -> tuple[str, str]:
    """The columns of both texts: those that are ``chosen``, else the first two.

    Raises UserError if there are no such columns.
    """
    if chosen is None and len(source.columns) < 2:
        raise UserError(
            f"'{source.name}' has less than two columns ({', '.join(source.columns)}): it needs "
            "one for each of both texts."
        )
    first, second = chosen or source.columns[:2]
    for column in (first, second):
        if column not in source.columns:
            raise UserError(
                f"'{source.name}' has no column '{column}' but {', '.join(source.columns)}: "
                "correct --columns."
            )
    if first == second:
        raise UserError(f"--columns names '{first}' twice: name the columns of both texts.")
    return first, second


def texts(source: Source, row: Row, number: int, columns: tuple[str, str]) -> tuple[str, str]:
    """Both texts of a row; raises UserError if one is missing or no text."""
    values: list[str] = []
    for column in columns:
        value = row.get(column)
        if not isinstance(value, str):
            raise UserError(
                f"'{source.name}', row {number}: its {column} is {value!r:.50}, but must be a text."
            )
        values.append(text(value, f"'{source.name}', row {number}: its {column}"))
    return values[0], values[1]


def text(value: str, what: str) -> str:
    """``value``, called ``what``; raises UserError if it has bytes that are no character."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise UserError(f"{what} is not valid Unicode: correct it.") from None
    return value


@contextmanager
def writer(
    name: str, source: Source, added: Sequence[str]
) -> Iterator[Callable[[list[Row]], None]]:
    """A function that writes rows, those of ``source`` with the columns ``added``, to a file.

    The file appears only when it is complete. Standard output gets the kind of the input, or CSV
    if that is Parquet.
    """
    kind = kind_of(name, ".csv" if source.kind == PARQUET else source.kind)
    columns = [*source.columns, *added]
    if name == STANDARD:
        yield _text_writer(sys.stdout, source, kind, columns)
        return
    path = Path(name)
    draft = path.with_name(f".{path.name}.part")
    try:
        if kind == PARQUET:
            with _parquet_writer(draft, source, added) as write:
                yield write
        else:
            with open(draft, "w", encoding="utf-8", newline="") as file:
                yield _text_writer(file, source, kind, columns)
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _text_writer(
    file: TextIO, source: Source, kind: str, columns: list[str]
) -> Callable[[list[Row]], None]:
    def write_json(rows: list[Row]) -> None:
        with explained(f"a row of '{source.name}' cannot be written", "correct its texts"):
            file.writelines(json.dumps(row, ensure_ascii=False, default=str) + "\n" for row in rows)

    if kind in JSON_LINES:
        return write_json
    # Where quotes are part of the texts, they stay as they are.
    is_plain = kind == source.kind and not source.is_quoted
    made = csv.DictWriter(
        file,
        columns,
        delimiter=DELIMITERS[kind],
        lineterminator="\n",
        quoting=csv.QUOTE_NONE if is_plain else csv.QUOTE_MINIMAL,
        quotechar=None if is_plain else '"',
    )
    made.writeheader()

    def write(rows: list[Row]) -> None:
        what = f"a row of '{source.name}' cannot be written as {kind}"
        with explained(what, "correct it, or write .jsonl, where rows may have other columns"):
            made.writerows(rows)

    return write


@contextmanager
def _parquet_writer(
    path: Path, source: Source, added: Sequence[str]
) -> Iterator[Callable[[list[Row]], None]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetWriter

    if source.kind in JSON_LINES:
        raise UserError("values of JSON lines have no fixed types: write .jsonl or .csv instead.")
    own = source.schema or pa.schema([(column, pa.string()) for column in source.columns])
    for column in added:
        own = own.append(pa.field(column, pa.string() if column == added[0] else pa.float32()))
    with ParquetWriter(path, own) as file:
        yield lambda rows: file.write_table(pa.Table.from_pylist(rows, schema=own))


def pieces(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """``rows`` in lists of at most ``PIECE``."""
    while piece := list(islice(rows, PIECE)):
        yield piece
