"""Write predictions beside the pairs that they are for, piece by piece."""

import csv
import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from pipeline.core.errors import UserError, explained
from pipeline.corpus.delimited import DELIMITERS
from pipeline.serving.pairs import JSON_LINES, PARQUET, STANDARD, Row, Source, kind_of


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
    if path.is_dir():
        raise UserError(f"'{name}' is a directory: name a file in it.")
    # Two runs at once may have the same output.
    draft = path.with_name(f".{path.name}.{os.getpid()}.part")
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
    # By default, a carriage return alone is not quoted, and reads as the end of a row.
    quoted = csv.DictWriter(
        file, columns, delimiter=DELIMITERS[kind], lineterminator="\n", quoting=csv.QUOTE_ALL
    )

    def write(rows: list[Row]) -> None:
        what = f"a row of '{source.name}' cannot be written as {kind}"
        with explained(what, "correct it, or write .jsonl, where rows may have other columns"):
            for row in rows:
                has_return = not is_plain and any("\r" in str(value) for value in row.values())
                (quoted if has_return else made).writerow(row)

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
