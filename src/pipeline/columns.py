"""What the rows of a source mean: its columns as checked texts, labels and groups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UserError
from pipeline.params import require
from pipeline.rows import BATCH_ROWS, UNLABELLED

ROLES = ("test", "validation", "train", "pool")
"""What a split may serve as."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One entry of ``corpora``: where its rows come from and what they mean.

    A column may lie inside a structure, as in ``passages.passage_text``, and may hold a list of
    passages per question: each item then makes a row, with the label of its own in a label column
    of lists, and the other columns repeated.
    """

    source: str
    """``docs`` (docstrings of the installed packages), a directory, or a hub id.

    DVC does not look into a directory: after editing its files, run ``dvc repro -f download``.
    """
    config: str | None = None
    """The hub's name of a configuration, such as ``rte`` of ``nyu-mll/glue``."""
    revision: str | None = None
    """Commit of the hub id."""
    splits: dict[str, str]
    """Role (test, validation, train, pool) to the split of the source that serves as it.

    One split may serve as both train and pool.
    """
    text_a: str = "text_a"
    """Column of the question or premise."""
    text_b: str = "text_b"
    """Column of the passage or hypothesis."""
    label: str | None = "label"
    """Column of the gold label; null where there is none."""
    soft_label: str | None = None
    """Column of what another model said: a probability per class, or, of two classes, that of the
    second. A row of train or validation without a gold label takes the likeliest class instead."""
    group: str | None = None
    """Column that names the question a row answers; scores then rank the rows of each question by
    the probability of the last class."""
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

    def serves_as(self, role: str) -> bool:
        return role in self.splits or (role == "validation" and self.validation_rows > 0)


@dataclass(frozen=True)
class Split:
    """One split of a source, mapped from disk where it lies there."""

    corpus: Corpus
    where: str
    """Corpus and split, as errors name them."""
    setting: str
    """The dotted path of the corpus in ``params.yaml``."""
    table: pa.Table
    class_names: list[str] | None
    """The class names, in order, that the source itself declares."""

    def batches(self) -> Iterator[pa.Table]:
        """All rows, in order, some thousands at a time; nothing is left out.

        Columns text_a and text_b (text, "" where missing), label (int64, -1 for unlabelled), and
        soft_label (list of float32) and group (text) where the corpus has them. Raises UserError
        naming corpus, split, column and first bad row.
        """
        # A split without rows still gives one batch, which tells its columns.
        for start in range(0, max(1, len(self.table)), BATCH_ROWS):
            yield self._batch(self.table.slice(start, BATCH_ROWS).combine_chunks(), start)

    def _batch(self, table: pa.Table, start: int) -> pa.Table:
        given = self.corpus
        rows = np.arange(start, start + len(table))
        if pa.types.is_list(table[given.text_b].type):
            table, rows = self._one_row_per_passage(table, start)
        columns = {"text_a": self._texts(table, given.text_a)}
        columns["text_b"] = self._texts(table, given.text_b)
        labels = np.full(len(table), UNLABELLED, dtype=np.int64)
        if given.label is not None:
            labels = self._labels(table, given.label, rows)
        if given.soft_label is not None:
            soft = self._soft_labels(table, given.soft_label, rows)
            labels = np.where(labels == UNLABELLED, soft.argmax(axis=1), labels)
            ends = np.arange(len(soft) + 1, dtype=np.int32) * soft.shape[1]
            columns["soft_label"] = pa.ListArray.from_arrays(ends, soft.ravel())
        if given.group is not None:
            missing = table[given.group].is_null()
            self._refuse(given.group, missing, table[given.group], rows, "names no group")
            columns["group"] = table[given.group].cast(pa.string())
        return pa.table({**columns, "label": labels})

    def _one_row_per_passage(self, table: pa.Table, start: int) -> tuple[pa.Table, np.ndarray]:
        passages = table[self.corpus.text_b].combine_chunks()
        parents = pc.list_parent_indices(passages)
        lengths = pc.fill_null(pc.list_value_length(passages), 0)
        columns = {}
        for name in table.column_names:
            column = table[name].combine_chunks()
            if not pa.types.is_list(column.type):
                columns[name] = column.take(parents)
                continue
            unlike = pc.not_equal(pc.fill_null(pc.list_value_length(column), 0), lengths)
            where = start + np.arange(len(table))
            self._refuse(name, unlike, column, where, f"is not as long as {self.corpus.text_b}")
            columns[name] = column.flatten()
        return pa.table(columns), start + parents.to_numpy()

    def _texts(self, table: pa.Table, column: str) -> pa.ChunkedArray:
        values = table[column]
        kind = values.type
        if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return values.cast(pa.string()).fill_null("")
        raise UserError(f"{self.where}, column '{column}' holds {kind}, not text.")

    def _labels(self, table: pa.Table, column: str, rows: np.ndarray) -> np.ndarray:
        """Labels as indices into ``label_names``, matched by name wherever there are names."""
        names = list(self.corpus.label_names)
        values, order = table[column], self.class_names
        if order is not None and sorted(order) != sorted(names):
            raise UserError(
                f"{self.where}, column '{column}' declares the classes {', '.join(order)}, but "
                f"{self.setting}.label_names has {', '.join(names)}: give the same names."
            )
        if pa.types.is_floating(values.type):
            # A column of whole numbers with empty cells arrives as floats.
            broken = pc.not_equal(pc.floor(values), values).fill_null(False)
            self._refuse(column, broken, values, rows, "is no whole number")
            values = values.cast(pa.int64())
        if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
            values = values.cast(pa.int64())
        if pa.types.is_integer(values.type):
            given = values.cast(pa.int64()).fill_null(UNLABELLED)
            bad = pc.or_(pc.less(given, UNLABELLED), pc.greater_equal(given, len(names)))
            self._refuse(column, bad, values, rows, f"is not in 0 to {len(names) - 1}, nor -1")
            places = np.array([names.index(one) for one in order or names] + [UNLABELLED])
            return np.asarray(places[given.to_numpy()], dtype=np.int64)
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            raise UserError(
                f"{self.where}, column '{column}' holds {values.type}, but a label is a class name "
                "or a whole number."
            )
        as_text = values.cast(pa.string())
        found = pc.index_in(as_text, pa.array(names))
        unknown = pc.and_(found.is_null(), as_text.is_valid())
        self._refuse(column, unknown, values, rows, f"is not among {', '.join(names)}")
        return np.asarray(found.fill_null(UNLABELLED).to_numpy(), dtype=np.int64)

    def _soft_labels(self, table: pa.Table, column: str, rows: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape [rows, classes]."""
        values, classes = table[column], len(self.corpus.label_names)
        if pa.types.is_list(values.type):
            unlike = pc.not_equal(pc.fill_null(pc.list_value_length(values), 0), classes)
            self._refuse(column, unlike, values, rows, f"has not {classes} probabilities")
            flat = values.combine_chunks().flatten().cast(pa.float32()).fill_null(-1)
            soft = np.asarray(flat.to_numpy()).reshape(-1, classes)
        elif classes == 2 and pa.types.is_floating(values.type):
            second = values.cast(pa.float32()).fill_null(-1).to_numpy()
            soft = np.stack([1 - second, second], axis=1)
        else:
            raise UserError(
                f"{self.where}, column '{column}' holds {values.type}, but a soft label is a list "
                f"of {classes} probabilities{', or that of the second' if classes == 2 else ''}."
            )
        bad = ~((soft >= 0) & (soft <= 1)).all(axis=1) | (abs(soft.sum(axis=1) - 1) > 0.01)
        self._refuse(column, pa.array(bad), values, rows, "is no probability per class")
        return soft

    def _refuse(self, column: str, bad: Any, values: Any, rows: np.ndarray, why: str) -> None:
        if (place := pc.index(bad, True).as_py()) >= 0:
            raise UserError(
                f"{self.where}, column '{column}', row {rows[place]}: "
                f"{values[place].as_py()!r} {why}."
            )
