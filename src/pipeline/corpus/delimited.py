"""Find out how a CSV or TSV file quotes, and how many rows it has, before it is read."""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

import fsspec

from pipeline.core.errors import UserError

DELIMITERS = {".csv": ",", ".tsv": "\t"}
HINT = "quote texts with commas, tabs, quotes or line breaks, and double the quotes in them"


def delimiter_of(path: Path) -> str | None:
    """The delimiter of a CSV or TSV file, by its name; None if it is another file."""
    return next((DELIMITERS[end] for end in path.suffixes if end in DELIMITERS), None)


def quoting_and_rows(where: str, paths: Sequence[Path], delimiter: str) -> tuple[int, int]:
    """How the files of a split quote, as a constant of ``csv``, and their number of rows.

    If all lines of a file have as many fields as its header, and a field starts with a quote that
    does not end it, quotes are part of the texts, as in the files of GLUE; with quoting, such a
    file would lose rows. All other files are read with quoting, and must then have the same number
    of fields in every row. Raises UserError, naming the line, if they do not.
    """
    # Passages may be longer than the limit of 128 KiB.
    csv.field_size_limit(sys.maxsize)
    plain = [_read_without_quoting(path, delimiter) for path in paths]
    if any(misfits for _, misfits in plain) and all(rows is not None for rows, _ in plain):
        return csv.QUOTE_NONE, sum(rows or 0 for rows, _ in plain)
    return csv.QUOTE_MINIMAL, sum(_quoted_rows(where, path, delimiter) for path in paths)


def _open(path: Path) -> TextIO:
    file: TextIO = fsspec.open(
        str(path), "rt", compression="infer", encoding="utf-8-sig", newline=""
    ).open()
    return file


def _read_without_quoting(path: Path, delimiter: str) -> tuple[int | None, bool]:
    """The number of rows, None if their lengths differ, and whether there are quotes that misfit.

    A row is a line that is not blank, below the header.
    """
    rows, delimiters, misfits = -1, 0, False
    with _open(path) as file:
        for line in file:
            if not (text := line.rstrip("\r\n")):
                continue
            if rows == -1:
                delimiters = text.count(delimiter)
            elif text.count(delimiter) != delimiters:
                return None, misfits
            rows += 1
            if '"' in text and not misfits:
                misfits = any(map(_misfits, text.split(delimiter)))
    return max(rows, 0), misfits


def _quoted_rows(where: str, path: Path, delimiter: str) -> int:
    rows, fields = -1, 0
    with _open(path) as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        try:
            for row in reader:
                if not row:
                    continue  # A blank line is no row.
                fields = fields or len(row)
                if len(row) != fields:
                    raise UserError(
                        f"{where}: the row that ends in line {reader.line_num} of {path} has "
                        f"{len(row)} fields, but its header has {fields}: {HINT}."
                    )
                rows += 1
        except csv.Error as error:
            raise UserError(
                f"{where}: the row that ends in line {reader.line_num} of {path} has a quote that "
                f"does not fit ({error}): {HINT}."
            ) from None
    return max(rows, 0)


def _misfits(field: str) -> bool:
    """Whether a field starts with a quote that does not end it, or ends before it does."""
    if not field.startswith('"'):
        return False
    inner = field[1:-1].replace('""', "")
    return len(field) == 1 or not field.endswith('"') or '"' in inner
