"""Open the splits of a corpus: the embedded docs corpus, a directory, or a dataset on the hub."""

import glob
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa

from pipeline.core.errors import UserError, explained
from pipeline.corpus import delimited, docstrings
from pipeline.corpus.columns import Split
from pipeline.corpus.delimited import Layout, delimiter_of
from pipeline.corpus.settings import Corpus, Role

DOCS = "docs"
FILES = "files"
"""How ``datasets`` calls a split that is read from files of a directory."""
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def open_split(name: str, corpus: Corpus, role: Role) -> Split:
    """The split of corpus ``name`` that serves as ``role``; its rows are not read yet.

    Raises UserError if the split cannot be read or lacks a column.
    """
    if role == "test":
        # Test rows are scored on gold labels only.
        corpus = corpus.model_copy(update={"soft_label": None})
    split = corpus.splits[role]
    where = f"corpus '{name}', split '{split}'"
    setting = f"corpora.{name}"
    if corpus.source == DOCS:
        tables = docstrings.tables()
        if split not in tables:
            raise UserError(f"{where}: the docs corpus has only the splits {', '.join(tables)}.")
        table = tables[split]
        class_names: list[str] | None = list(docstrings.LABEL_NAMES)
        columns = {"text_a": "text_a", "text_b": "text_b", "label": "label"}
        corpus = corpus.model_copy(update=columns)
    else:
        table, class_names = _load(where, setting, corpus, split)
    columns = {
        key: column
        for key in ("text_a", "text_b", "label", "soft_label", "group")
        if (column := getattr(corpus, key)) is not None
    }
    is_only_pool = role == "pool" and list(corpus.splits.values()).count(split) == 1
    if is_only_pool and "label" in columns:
        # Labels of a pool are not needed; they need not even be classes.
        del columns["label"]
        corpus = corpus.model_copy(update={"label": None})
    for key, column in columns.items():
        if role == "pool" and key in ("label", "group") and column not in table.column_names:
            # Its rows may belong to no question.
            corpus = corpus.model_copy(update={key: None})
            continue
        if column not in table.column_names:
            raise UserError(
                f"{where} has no column '{column}' but {', '.join(table.column_names)}: "
                f"correct {setting}.{key}."
            )
    present = [column for column in dict.fromkeys(columns.values()) if column in table.column_names]
    return Split(corpus, where, setting, table.select(present), class_names)


def _load(
    where: str, setting: str, corpus: Corpus, split: str
) -> tuple[pa.Table, list[str] | None]:
    """The split as an Arrow table mapped from disk, and the class names in the source."""
    # Imported here, because the docs corpus does not need it.
    from datasets import (
        ClassLabel,
        disable_progress_bars,
        load_dataset,
        load_dataset_builder,
    )
    from datasets.utils import logging

    disable_progress_bars()
    # It would log each error that is raised as well.
    logging.set_verbosity(logging.CRITICAL)
    settings: dict[str, Any] = {"name": corpus.config, "revision": corpus.revision}
    files: list[Path] = []
    expected_rows = None
    if (directory := Path(corpus.source)).is_dir():
        files = sorted(path for path in directory.iterdir() if _is_of_split(path, split))
        _refuse_unreadable(where, files)
    elif _is_path(corpus.source):
        raise UserError(
            f"{where}: there is no directory '{corpus.source}': set {setting}.source to its path "
            f"as seen from {Path.cwd()}."
        )
    elif corpus.revision is None:
        raise UserError(
            f"{where}: '{corpus.source}' is not a directory here, and a dataset on the hub needs a "
            f"revision, so that its rows stay the same: set {setting}.revision."
        )
    with explained(
        f"{where}: '{corpus.source}' could not be read",
        "name a dataset on a hub that this machine can reach, or a local directory with one "
        "Parquet, CSV or JSON lines file per split, in UTF-8",
    ):
        if directory.is_dir() and not files:
            # A clone of a hub repository may have them elsewhere.
            found = load_dataset_builder(corpus.source, **settings).config.data_files or {}
            files = [Path(name) for name in found.get(split, []) if delimiter_of(Path(name))]
        if files:
            # Under a name of our own: few names count as splits, and `all` has another meaning.
            paths = [glob.escape(str(path.resolve())) for path in files]
            settings = {"data_files": {FILES: paths}}
        if files and (delimiter := delimiter_of(files[0])):
            layout = delimited.layout(where, files, delimiter)
            expected_rows = layout.rows
            settings |= _for_pandas(corpus, layout)
        loaded = FILES if files else split
        dataset = load_dataset(corpus.source, split=loaded, **settings).flatten()
    if expected_rows not in (None, len(dataset)):
        raise UserError(
            f"{where}: {len(dataset):,} rows were read of {expected_rows:,} in its files: write "
            "them as Parquet or JSON lines."
        )
    label = dataset.features.get(corpus.label) if corpus.label else None
    label = getattr(label, "feature", label)
    class_names = label.names if isinstance(label, ClassLabel) else None
    return _lists_by_field(dataset.data.table), class_names


def _is_of_split(path: Path, split: str) -> bool:
    """Whether a file is named after a split: ``train.csv`` or ``train.csv.gz``, but not
    ``train.old.csv``, which may be an older version of it."""
    end = path.name.removeprefix(f"{split}.")
    if fsspec.utils.infer_compression(end):
        end = end.rsplit(".", 1)[0]
    return path.name.startswith(f"{split}.") and "." not in end


def _is_path(source: str) -> bool:
    """Whether a source can only be a path: names of datasets on a hub have one slash at most."""
    return source.startswith((".", "/", "~")) or "\\" in source or source.count("/") > 1


def _for_pandas(corpus: Corpus, layout: Layout) -> dict[str, Any]:
    """How pandas, which reads CSV for ``datasets``, takes all cells but scores as they are.

    By default it guesses types, some thousand rows at a time: ids such as 007 become numbers, and a
    passage that says "None" or "NA" counts as missing.
    """
    from datasets import Features, Value

    settings = {"quoting": layout.quoting, "keep_default_na": False, "na_values": [""]}
    if len(set(layout.header)) < len(layout.header):
        return settings
    types = {name: "float64" if name == corpus.soft_label else "string" for name in layout.header}
    return {**settings, "features": Features({name: Value(own) for name, own in types.items()})}


def _refuse_unreadable(where: str, files: list[Path]) -> None:
    if len(kinds := {path.suffix for path in files}) > 1:
        names = ", ".join(path.name for path in files)
        raise UserError(f"{where}: it has files of {len(kinds)} types, {names}: keep one type.")
    for path in files:
        if path.is_file() and path.stat().st_size == 0:
            raise UserError(f"{where}: {path} is empty.")
        if {".json", ".jsonl", ".ndjson"} & set(path.suffixes):
            local = fsspec.filesystem("file")
            with (
                explained(f"{where}: {path} could not be read", "write it again"),
                local.open(str(path), compression="infer") as lines,
            ):
                for number, line in enumerate(lines, start=1):
                    start = line.removeprefix(BYTE_ORDER_MARK).lstrip()
                    if number == 1 and start.startswith(b"["):
                        break  # One array of all rows, where null does no harm.
                    # A row that is null ends the process in Arrow.
                    if start.startswith(b"null"):
                        raise UserError(f"{where}: line {number} of {path} is null, not a row.")


def _lists_by_field(table: pa.Table) -> pa.Table:
    """Turn a column of lists of structures into one column of lists per field, without copying."""
    columns: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        if not (pa.types.is_list(kind) and pa.types.is_struct(kind.value_type)):
            columns[name] = column
            continue
        for i, field in enumerate(kind.value_type):
            lists = [
                pa.ListArray.from_arrays(chunk.offsets, chunk.values.field(i))
                for chunk in column.chunks
            ]
            columns[f"{name}.{field.name}"] = pa.chunked_array(lists, pa.list_(field.type))
    return pa.table(columns)
