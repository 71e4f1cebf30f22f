"""Open the splits of a corpus: the embedded docs corpus, a directory, or a dataset on the hub."""

from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.core.errors import UserError
from pipeline.corpus import docstrings
from pipeline.corpus.columns import Corpus, Role, Split

DOCS = "docs"


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
        columns = {"text_a": "text_a", "text_b": "text_b", "label": "label"}
        docs = corpus.model_copy(update=columns)
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
                f"correct {setting}.{key}."
            )
    return Split(
        corpus, where, setting, table.select(list(dict.fromkeys(columns.values()))), class_names
    )


def _load(
    where: str, setting: str, corpus: Corpus, split: str
) -> tuple[pa.Table, list[str] | None]:
    """The split as an Arrow table mapped from disk, and the class names in the source."""
    # Imported here, because the docs corpus does not need it.
    from datasets import ClassLabel, disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetsError

    disable_progress_bars()
    settings: dict[str, Any] = {"name": corpus.config, "revision": corpus.revision}
    if (directory := Path(corpus.source)).is_dir():
        if files := list(directory.glob(f"{split}.*")):
            # By default only a few well-known names count as splits.
            settings = {"data_files": {split: f"{split}.*"}}
        if any(path.suffix in (".csv", ".tsv") for path in files):
            # By default a passage that says "None" or "NA" counts as missing.
            settings |= {"keep_default_na": False, "na_values": [""]}
    elif corpus.revision is None:
        raise UserError(
            f"{where}: '{corpus.source}' is not a directory here, and a dataset on the hub needs a "
            f"revision, so that its rows stay the same: set {setting}.revision."
        )
    try:
        dataset = load_dataset(corpus.source, split=split, **settings).flatten()
    except (DatasetsError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        raise UserError(
            f"{where}: '{corpus.source}' could not be read ({reason}); name a dataset on a hub "
            "that this machine can reach, or a local directory with one Parquet, CSV or JSON lines "
            "file per split."
        ) from None
    label = dataset.features.get(corpus.label) if corpus.label else None
    label = getattr(label, "feature", label)
    class_names = label.names if isinstance(label, ClassLabel) else None
    return _lists_by_field(dataset.data.table), class_names


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
