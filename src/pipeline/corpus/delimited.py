"""Find out how CSV and TSV files are to be read, and read them in that way."""

import bz2
import csv
import gzip
import lzma
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from pipeline.core.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
OTHER_DELIMITERS = {";": "semicolons", "\t": "tabs", "|": "vertical bars", ",": "commas"}
COMPRESSED: dict[str, Callable[..., Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
}
LONGEST_FIELD = 2**31 - 1
"""In characters. By default it is 128 KiB, and passages may be longer."""
HINT = "quote texts with commas, tabs, quotes or line breaks, and double the quotes in them"


@dataclass(frozen=True)
class Layout:
    """How a file is to be read."""

    delimiter: str
    is_quoted: bool
    """Whether quotes enclose fields or are part of them."""
    header: tuple[str, ...]
    rows: int
    """The number of rows below the header."""


def layout(where: str, paths: Sequence[Path], delimiter: str) -> Layout:
    """How the files of a split are to be read, with the header of the first and all their rows.

    Most files quote fields that need it; then every row must have as many fields as the header. In
    others, as in those of GLUE, quotes are part of the texts. Read with quoting, they would lose
    rows. In such a file, all lines have as many fields as the header, and a field starts with a
    quote that does not end it. In a CSV file that may also be a quoted text of several lines with
    commas, so that it must be impossible to read it with quoting. Raises UserError, naming the
    line, if a file can be read in neither way, or if it escapes quotes with backslashes.
    """
    csv.field_size_limit(LONGEST_FIELD)
    unquoted = [_without_quoting(where, path, delimiter) for path in paths]
    plain = [found for found, _ in unquoted if found]
    may_be_plain = len(plain) == len(paths) and any(misfits for _, misfits in unquoted)
    if may_be_plain:
        _refuse_backslashes(where, paths, delimiter)
    if may_be_plain and delimiter == "\t":
        return _together(where, plain)
    try:
        return _together(where, [_with_quoting(where, path, delimiter) for path in paths])
    except UserError:
        if may_be_plain:
            return _together(where, plain)
        raise


def records(where: str, path: Path, layout: Layout) -> Iterator[list[str]]:
    """The header of a file and then its rows, read as ``layout`` says."""
    with open_text(where, path) as file:
        reader = csv.reader(
            file,
            delimiter=layout.delimiter,
            quoting=csv.QUOTE_MINIMAL if layout.is_quoted else csv.QUOTE_NONE,
            strict=True,
        )
        yield from filter(None, reader)


@contextmanager
def open_text(where: str, path: Path) -> Iterator[TextIO]:
    """A file in UTF-8, possibly compressed; raises UserError naming the line that is not UTF-8."""
    opened = COMPRESSED.get(path.suffix, open)
    try:
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            yield file
    except UnicodeDecodeError:
        raise UserError(_not_utf8(where, path)) from None


def _not_utf8(where: str, path: Path) -> str:
    number = 0
    with COMPRESSED.get(path.suffix, open)(path, "rb") as file, suppress(UnicodeDecodeError):
        for line in file:
            number += 1
            line.decode()
    return f"{where}: line {number} of {path} is not UTF-8: save the file in that encoding."


def other_delimiter(header: Sequence[str]) -> str | None:
    """What a header of one field is separated by, if its file has another delimiter."""
    (first,) = header if len(header) == 1 else [""]
    return next((name for mark, name in OTHER_DELIMITERS.items() if mark in first), None)


def _together(where: str, files: Sequence[Layout]) -> Layout:
    rows = sum(file.rows for file in files)
    if not rows:
        raise UserError(f"{where} has no rows below its header: write them first.")
    return Layout(files[0].delimiter, files[0].is_quoted, files[0].header, rows)


def _without_quoting(where: str, path: Path, delimiter: str) -> tuple[Layout | None, bool]:
    """The layout, if all lines have as many fields, and whether there are quotes that misfit."""
    header: list[str] = []
    rows, misfits = 0, False
    with open_text(where, path) as file:
        for line in file:
            if not (text := line.rstrip("\r\n")):
                continue  # A blank line is no row.
            if not header:
                header = text.split(delimiter)
                continue
            if text.count(delimiter) != len(header) - 1:
                return None, misfits
            rows += 1
            if '"' in text and not misfits:
                misfits = any(map(_misfits, text.split(delimiter)))
    return Layout(delimiter, False, tuple(header), rows), misfits


def _with_quoting(where: str, path: Path, delimiter: str) -> Layout:
    header: list[str] = []
    rows = 0
    with open_text(where, path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if not row:
                    continue
                if not header:
                    header = row
                    continue
                if len(row) != len(header):
                    raise UserError(
                        f"{where}: the row that ends in line {reader.line_num} of {path} has "
                        f"{len(row)} fields, but its header has {len(header)}: {HINT}."
                    )
                rows += 1
        except csv.Error as error:
            raise UserError(
                f"{where}: the row that ends in line {reader.line_num} of {path} has a quote that "
                f"does not fit ({error}): {HINT}."
            ) from None
    return Layout(delimiter, True, tuple(header), rows)


def _misfits(field: str) -> bool:
    """Whether a field starts with a quote that does not end it, or ends before it does."""
    if not field.startswith('"'):
        return False
    inner = field[1:-1].replace('""', "")
    return len(field) == 1 or not field.endswith('"') or '"' in inner


def _refuse_backslashes(where: str, paths: Sequence[Path], delimiter: str) -> None:
    """Refuse files that fit if ``\\"`` is a quote inside of quotes, as Spark and MySQL write it.

    Read without quoting, all their texts would have quotes around them.
    """
    for path in paths:
        escaped: list[int] = []
        fields: set[int] = set()

        def noted(lines: TextIO, escaped: list[int] = escaped) -> Iterator[str]:
            for number, line in enumerate(lines, start=1):
                if '\\"' in line:
                    escaped.append(number)
                yield line

        with open_text(where, path) as file:
            reader = csv.reader(
                noted(file), delimiter=delimiter, doublequote=False, escapechar="\\", strict=True
            )
            try:
                fields.update(len(row) for row in reader)
            except csv.Error:
                continue
        if escaped and len(fields - {0}) == 1:
            raise UserError(
                f"{where}: line {escaped[0]} of {path} escapes quotes with backslashes: double the "
                "quotes instead (in Spark, the option escape='\"')."
            )
