"""Where rows come from: the installed packages' docstrings, a directory, or the hub."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline import docstrings
from pipeline.columns import Corpus, Split
from pipeline.errors import UserError

DOCS = "docs"


def open_split(name: str, corpus: Corpus, role: str) -> Split:
    """The split of corpus ``name`` that serves as ``role``; its rows are not read yet."""
    if role == "test":
        # What another model said is no measure of a test row.
        corpus = replace(corpus, soft_label=None)
    split = corpus.splits[role]
    where = f"corpus '{name}', split '{split}'"
    setting = f"corpora.{name}"
    if corpus.source == DOCS:
        tables = docstrings.tables()
        if split not in tables:
            raise UserError(f"{where}: the docs corpus has only the splits {', '.join(tables)}.")
        docs = replace(corpus, text_a="text_a", text_b="text_b", label="label")
        return Split(docs, where, setting, tables[split], list(docstrings.LABEL_NAMES))
    table, class_names = _load(where, setting, corpus, split)
    columns = {
        key: column
        for key in ("text_a", "text_b", "label", "soft_label", "group")
        if (column := getattr(corpus, key)) is not None
    }
    for key, column in columns.items():
        if column not in table.column_names:
            raise UserError(
                f"{where} has no column '{column}' but {', '.join(table.column_names)}: "
                f"mend {setting}.{key}."
            )
    return Split(
        corpus, where, setting, table.select(list(dict.fromkeys(columns.values()))), class_names
    )


def _load(
    where: str, setting: str, corpus: Corpus, split: str
) -> tuple[pa.Table, list[str] | None]:
    """The split as Arrow, mapped from disk, and the class names that the source declares."""
    # Only a corpus that is no docs corpus pays for this import.
    from datasets import ClassLabel, disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetsError

    disable_progress_bars()
    settings: dict[str, Any] = {"name": corpus.config, "revision": corpus.revision}
    if (directory := Path(corpus.source)).is_dir():
        if files := list(directory.glob(f"{split}.*")):
            # Else only a few well-known names would count as splits.
            settings = {"data_files": {split: f"{split}.*"}}
        if any(path.suffix in (".csv", ".tsv") for path in files):
            # Else a passage that says "None" or "NA" would count as missing.
            settings |= {"keep_default_na": False, "na_values": [""]}
    elif corpus.revision is None:
        raise UserError(
            f"{where}: '{corpus.source}' is no directory here, and a hub id needs a revision, so "
            f"that its rows stay the same: set {setting}.revision."
        )
    try:
        dataset = load_dataset(corpus.source, split=split, **settings).flatten()
    except (DatasetsError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        raise UserError(
            f"{where}: '{corpus.source}' could not be read ({reason}); name a hub id that this "
            "machine can reach, or a local directory with one Parquet, CSV or JSON lines file per "
            "split."
        ) from None
    label = dataset.features.get(corpus.label) if corpus.label else None
    label = getattr(label, "feature", label)
    class_names = label.names if isinstance(label, ClassLabel) else None
    return _lists_by_field(dataset.data.table), class_names


def _lists_by_field(table: pa.Table) -> pa.Table:
    """A column of lists of structures as one column of lists per field: nothing is copied."""
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
