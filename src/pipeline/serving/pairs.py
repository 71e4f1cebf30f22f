"""Read text pairs from CSV, TSV, JSON lines or Parquet, piece by piece."""

import csv
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from pipeline.core.errors import UserError, explained
from pipeline.corpus.delimited import DELIMITERS, LONGEST_FIELD, layout, other_delimiter

STANDARD = "-"
"""The name of standard input and of standard output."""
JSON_LINES, PARQUET = (".jsonl", ".json"), ".parquet"
KINDS = (*DELIMITERS, *JSON_LINES, PARQUET)
PIECE = 2_048
"""Rows that are read at once."""
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
    if "\0" in name:
        raise UserError(f"{name!r} is no name of a file: correct it.")
    if name != STANDARD and not Path(name).is_file():
        raise UserError(f"there is no file '{name}': correct its path.")
    if kind == PARQUET:
        source = _read_parquet(name)
    elif kind in JSON_LINES:
        source = _read_json_lines(name, kind)
    else:
        source = _read_delimited(name, kind)
    for column in source.columns:
        text(column, f"a column of '{name}'")
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
        is_quoted, count = found.is_quoted, found.rows
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
                    row = json.loads(line, object_pairs_hook=_unique)
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


def _unique(pairs: list[tuple[str, Any]]) -> Row:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise ValueError("it has a key twice")
    return row


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


def text_columns(
    source: Source, chosen: Sequence[str] | None, trained_on: Sequence[str] | None
) -> tuple[str, str]:
    """The columns of both texts: those that are ``chosen``, else those of the corpus that the
    student was ``trained_on``, else the only two that there are.

    Raises UserError if there are no such columns.
    """
    names = ", ".join(column or "''" for column in source.columns)
    if len(source.columns) < 2:
        separator = other_delimiter(source.columns)
        hint = f": it is separated by {separator}, not as its name says" if separator else ""
        raise UserError(
            f"'{source.name}' has less than two columns ({names}), but needs one for each of both "
            f"texts{hint}."
        )
    if chosen is None:
        if trained_on is not None and set(trained_on) <= set(source.columns):
            return trained_on[0], trained_on[1]
        if len(source.columns) > 2:
            raise UserError(
                f"'{source.name}' has the columns {names}: say which ones are the texts, as in "
                f"--columns {' '.join(trained_on or source.columns[:2])}."
            )
    first, second = chosen or source.columns
    for column in (first, second):
        if column not in source.columns:
            raise UserError(
                f"'{source.name}' has no column '{column}' but {names}: correct --columns."
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


def pieces(rows: Iterator[Any]) -> Iterator[list[Any]]:
    """``rows`` in lists of at most ``PIECE``."""
    while piece := list(islice(rows, PIECE)):
        yield piece
