"""Where rows come from: the installed packages' docstrings, a directory, or the hub."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import docstrings
from pipeline.errors import UserError
from pipeline.params import require
from pipeline.rows import UNLABELLED

ROLES = ("test", "validation", "train", "pool")
"""What a split may serve as; a row that stands in several stays in the first of them."""
DOCS = "docs"


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """``corpora.general`` or ``corpora.task``: where its rows come from and what they mean."""

    source: str
    """``docs`` (docstrings of the installed packages), a directory, or a hub id.

    DVC does not look into a directory: after editing its files, run ``dvc repro -f download``.
    """
    config: str | None = None
    """The hub's name of a configuration, such as ``rte`` of ``nyu-mll/glue``."""
    revision: str | None = None
    """Commit of the hub id."""
    splits: dict[str, str]
    """Role (test, validation, train, pool) to the split of the source that serves as it."""
    text_a: str = "text_a"
    """Column of the question or premise."""
    text_b: str = "text_b"
    """Column of the passage or hypothesis."""
    label: str | None = "label"
    """Column of the gold label; null where there is none."""
    label_names: tuple[str, ...]
    """Class names; their order is the order of every logit."""
    rows: dict[str, int] = field(default_factory=dict)
    """Role to the most rows it takes, chosen by a hash of their texts; all by default."""
    validation_rows: int = 0
    """Rows to carve from train for validation, where the source has no split to spare."""

    def __post_init__(self) -> None:
        for setting, roles in (("splits", self.splits), ("rows", self.rows)):
            for role in roles:
                require(role in ROLES, f"{setting}.{role}", f"for one of {', '.join(ROLES)}")
        require(all(most > 0 for most in self.rows.values()), "rows", "above 0 for every role")
        names = len(set(self.label_names))
        require(names == len(self.label_names) >= 2, "label_names", "two or more different names")
        require(self.validation_rows >= 0, "validation_rows", "at least 0")
        if self.validation_rows:
            require("train" in self.splits, "splits.train", "given to carve validation from")
            carved = "validation" not in self.splits
            require(carved, "validation_rows", "0 where splits.validation is given")


def fetch(name: str, corpus: Corpus) -> dict[str, pa.Table]:
    """Role to its rows: columns text_a, text_b (text) and label (int64, -1 for unlabelled).

    Raises UserError naming corpus, split, column and first bad row.
    """
    return {role: _fetch_split(name, corpus, split) for role, split in corpus.splits.items()}


def _fetch_split(name: str, corpus: Corpus, split: str) -> pa.Table:
    where = f"corpus '{name}', split '{split}'"
    if corpus.source == DOCS:
        tables = docstrings.tables()
        if split not in tables:
            raise UserError(f"{where}: the docs corpus has only the splits {', '.join(tables)}.")
        table, names = tables[split], list(docstrings.LABEL_NAMES)
        labels = _labels(where, name, corpus, "label", table["label"], names)
        return table.set_column(2, "label", pa.array(labels))
    table, class_names = _load(name, where, corpus, split)
    columns = {"text_a": corpus.text_a, "text_b": corpus.text_b}
    if corpus.label is not None:
        columns["label"] = corpus.label
    for setting, column in columns.items():
        if column not in table.column_names:
            raise UserError(
                f"{where} has no column '{column}' but {', '.join(table.column_names)}: "
                f"mend corpora.{name}.{setting}."
            )
    texts = [_texts(where, table, column) for column in (corpus.text_a, corpus.text_b)]
    labels = np.full(len(table), UNLABELLED, dtype=np.int64)
    if corpus.label is not None:
        labels = _labels(where, name, corpus, corpus.label, table[corpus.label], class_names)
    return pa.table({"text_a": texts[0], "text_b": texts[1], "label": labels})


def _load(name: str, where: str, corpus: Corpus, split: str) -> tuple[pa.Table, list[str] | None]:
    """The split as Arrow, and the class names that the source itself declares."""
    # Only a corpus that is no docs corpus pays for this import.
    from datasets import ClassLabel, disable_progress_bars, load_dataset
    from datasets.exceptions import DatasetsError

    disable_progress_bars()
    # Without this, a directory's files would only count as splits under a few well-known names.
    files = {split: f"{split}.*"} if Path(corpus.source).is_dir() else None
    if files is None and corpus.revision is None:
        raise UserError(
            f"{where}: '{corpus.source}' is no directory here, and a hub id needs a revision, so "
            f"that its rows stay the same: set corpora.{name}.revision."
        )
    try:
        dataset = load_dataset(
            corpus.source, corpus.config, revision=corpus.revision, data_files=files, split=split
        )
    except (DatasetsError, OSError, ValueError) as error:
        reason = " ".join(str(error.__cause__ or error).split()).rstrip(".")
        raise UserError(
            f"{where}: '{corpus.source}' could not be read ({reason}); name a hub id that this "
            "machine can reach, or a local directory with one Parquet, CSV or JSON lines file per "
            "split."
        ) from None
    label = dataset.features.get(corpus.label) if corpus.label else None
    return dataset.data.table, label.names if isinstance(label, ClassLabel) else None


def _texts(where: str, table: pa.Table, column: str) -> pa.ChunkedArray:
    values = table[column]
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        raise UserError(f"{where}, column '{column}' holds {values.type}, not text.")
    values = values.cast(pa.string())
    empty = pc.fill_null(pc.equal(pc.utf8_trim_whitespace(values), ""), True)
    _refuse(where, column, empty, values, "is empty")
    return values


def _labels(
    where: str,
    name: str,
    corpus: Corpus,
    column: str,
    values: pa.ChunkedArray,
    class_names: list[str] | None,
) -> np.ndarray:
    """Labels as indices into ``corpus.label_names``, matched by name wherever there are names."""
    names = list(corpus.label_names)
    if class_names is not None and sorted(class_names) != sorted(names):
        raise UserError(
            f"{where}, column '{column}' declares the classes {', '.join(class_names)}, but "
            f"corpora.{name}.label_names has {', '.join(names)}: give the same names."
        )
    if pa.types.is_integer(values.type):
        given = values.cast(pa.int64()).fill_null(UNLABELLED)
        bad = pc.or_(pc.less(given, UNLABELLED), pc.greater_equal(given, len(names)))
        _refuse(where, column, bad, values, f"is not in 0 to {len(names) - 1}, nor -1")
        order = names if class_names is None else class_names
        places = np.array([names.index(one) for one in order] + [UNLABELLED])
        return np.asarray(places[given.to_numpy()], dtype=np.int64)
    as_text = values.cast(pa.string())
    found = pc.index_in(as_text, pa.array(names))
    _refuse(
        where,
        column,
        pc.and_(found.is_null(), as_text.is_valid()),
        values,
        f"is not among {', '.join(names)}",
    )
    return np.asarray(found.fill_null(UNLABELLED).to_numpy(), dtype=np.int64)


def _refuse(where: str, column: str, bad: Any, values: pa.ChunkedArray, why: str) -> None:
    if (row := pc.index(bad, True).as_py()) >= 0:
        raise UserError(f"{where}, column '{column}', row {row}: {values[row].as_py()!r} {why}.")
