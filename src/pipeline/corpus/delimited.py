"""Find out how CSV and TSV files are to be read, and how many rows they have, before that."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from pipeline.core.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
LONGEST_FIELD = 2**31 - 1
"""In characters. By default it is 128 KiB, and passages may be longer."""
HINT = "quote texts with commas, tabs, quotes or line breaks, and double the quotes in them"


@dataclass(frozen=True)
class Layout:
    """How a file is to be read."""

    quoting: int
    """A constant of ``csv``: whether quotes enclose fields or are part of them."""
    header: tuple[str, ...]
    rows: int
    """The number of rows below the header."""


def delimiter_of(path: Path) -> str | None:
    """The delimiter of a CSV or TSV file, by its name; None if it is another file."""
    return next((DELIMITERS[end] for end in path.suffixes if end in DELIMITERS), None)


def layout(where: str, paths: Sequence[Path], delimiter: str) -> Layout:
    """How the files of a split are to be read, with the number of all their rows.

    Most files quote fields that need it; then every row must have as many fields as the header. In
    others, as in those of GLUE, quotes are part of the texts. Read with quoting, they would lose
    rows. In such a file, all lines have as many fields as the header, and a field starts with a
    quote that does not end it. In a CSV file that may also be a quoted text of several lines with
    commas, so that it must be impossible to read it with quoting. Raises UserError, naming the
    line, if a file can be read in neither way.
    """
    csv.field_size_limit(LONGEST_FIELD)
    unquoted = [_without_quoting(path, delimiter) for path in paths]
    plain = [found for found, _ in unquoted if found]
    may_be_plain = len(plain) == len(paths) and any(misfits for _, misfits in unquoted)
    if may_be_plain and delimiter == "\t":
        return _together(where, plain)
    try:
        return _together(where, [_with_quoting(where, path, delimiter) for path in paths])
    except UserError:
        if may_be_plain:
            return _together(where, plain)
        raise


def _together(where: str, files: Sequence[Layout]) -> Layout:
    rows = sum(file.rows for file in files)
    if not rows:
        raise UserError(f"{where} has no rows below its header: write them first.")
    return Layout(files[0].quoting, files[0].header, rows)


def _open(path: Path) -> TextIO:
    if path.suffix in DELIMITERS:
        return path.open(encoding="utf-8-sig", newline="")
    # Only compressed files need it, and an exported student runs without it.
    import fsspec

    file: TextIO = fsspec.open(
        str(path), "rt", compression="infer", encoding="utf-8-sig", newline=""
    ).open()
    return file


def _without_quoting(path: Path, delimiter: str) -> tuple[Layout | None, bool]:
    """The layout, if all lines have as many fields, and whether there are quotes that misfit."""
    header: list[str] = []
    rows, misfits = 0, False
    with _open(path) as file:
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
    return Layout(csv.QUOTE_NONE, tuple(header), rows), misfits


def _with_quoting(where: str, path: Path, delimiter: str) -> Layout:
    header: list[str] = []
    rows = 0
    with _open(path) as file:
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
    return Layout(csv.QUOTE_MINIMAL, tuple(header), rows)


def _misfits(field: str) -> bool:
    """Whether a field starts with a quote that does not end it, or ends before it does."""
    if not field.startswith('"'):
        return False
    inner = field[1:-1].replace('""', "")
    return len(field) == 1 or not field.endswith('"') or '"' in inner
