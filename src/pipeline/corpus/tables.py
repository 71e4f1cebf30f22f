"""Read the columns that are needed from files of any kind, into an Arrow table on disk."""

import mmap
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from tempfile import TemporaryFile

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.core.errors import UserError
from pipeline.core.rows import BATCH_ROWS
from pipeline.corpus import delimited, json_rows
from pipeline.corpus.arrow_types import flat, with_usual_types
from pipeline.corpus.source_files import JSON, PARQUET, kind_of


def read(
    where: str, files: Sequence[Path], columns: Sequence[str], directory: Path
) -> tuple[pa.Table, list[str]]:
    """Those of ``columns`` that ``files`` have, and the names of all columns of the first file.

    The bytes are those that the files have now: nothing is taken from a cache. The table is mapped
    from a file without a name in ``directory``. Columns inside of structures, and of lists of
    structures, have names with dots. All cells of CSV and TSV files are texts. Raises UserError
    naming file and line.
    """
    kind = kind_of(files)
    if kind == PARQUET:
        names = flat(_empty(files[0])).column_names
        tables = _parquet(where, files, columns)
    elif kind in JSON:
        names = json_rows.names(where, files[0])
        tables = json_rows.tables(where, files, columns)
    else:
        layout = delimited.layout(where, files, delimited.DELIMITERS[kind])
        names = list(layout.header)
        tables = _delimited(where, files, columns, layout)
    table = on_disk(tables, directory)
    if not len(table) and (table.column_names or kind in JSON):
        raise UserError(f"{where} has no rows: write them to {files[0]} first.")
    found = [
        name
        for name in table.column_names
        if name in names or not pa.types.is_null(table[name].type)
    ]
    return table.select(found), names


def on_disk(tables: Iterable[pa.Table], directory: Path) -> pa.Table:
    """``tables`` one after another, mapped from a file that is gone when it is no longer used.

    Their types may differ, as those of numbers do where some batches have fractions and others not.
    """
    directory.mkdir(parents=True, exist_ok=True)
    mapped: list[pa.Table] = []
    rest = iter(tables)
    table = next(rest, None)
    while table is not None:
        schema = table.schema
        with TemporaryFile(dir=directory) as file:
            with pa.ipc.new_file(file, schema) as writer:
                while table is not None and table.schema == schema:
                    writer.write_table(table)
                    table = next(rest, None)
            file.flush()
            # The map keeps the content when the file is closed.
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        mapped.append(pa.ipc.open_file(pa.py_buffer(content)).read_all())
    return pa.concat_tables(mapped, promote_options="permissive") if mapped else pa.table({})


def _delimited(
    where: str, files: Sequence[Path], columns: Sequence[str], layout: delimited.Layout
) -> Iterator[pa.Table]:
    first: list[str] | None = None
    for path in files:
        records = delimited.records(where, path, layout)
        header = next(records)
        for name in columns:
            if header.count(name) > 1:
                raise UserError(f"{where}: {path} has the column '{name}' twice: rename one.")
        places = {name: header.index(name) for name in columns if name in header}
        first = _same_columns(where, path, list(places), first)
        if not places:
            continue
        while rows := list(islice(records, BATCH_ROWS)):
            cells = {name: [row[place] for row in rows] for name, place in places.items()}
            yield pa.table({name: pa.array(own, pa.string()) for name, own in cells.items()})


def _parquet(where: str, files: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.Table]:
    first: list[str] | None = None
    for path in files:
        with pq.ParquetFile(path) as file:
            fields = file.schema_arrow.names
            for name in columns:
                if fields.count(name) > 1:
                    raise UserError(f"{where}: {path} has the column '{name}' twice: rename one.")
            present = [name for name in columns if name in flat(_empty(path)).column_names]
            first = _same_columns(where, path, present, first)
            if not present:
                continue
            needed = [
                name
                for name in fields
                if any(column == name or column.startswith(f"{name}.") for column in columns)
            ]
            for batch in file.iter_batches(BATCH_ROWS, columns=needed):
                table = flat(pa.Table.from_batches([batch]))
                yield with_usual_types(table.select(present)).replace_schema_metadata()


def _same_columns(where: str, path: Path, found: list[str], first: list[str] | None) -> list[str]:
    """Refuse a file of a split that has other columns than the first; their rows would be lost."""
    if first is not None and found != first:
        missing = ", ".join(set(first) ^ set(found))
        raise UserError(
            f"{where}: {path} and the files before it do not all have the column {missing}: give "
            "all files of a split the same header."
        )
    return found


def _empty(path: Path) -> pa.Table:
    return pq.read_schema(path).empty_table()
