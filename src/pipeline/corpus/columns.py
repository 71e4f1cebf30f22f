"""What the columns of a corpus mean: checked texts, labels, soft labels and groups."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import UserError
from pipeline.core.rows import BATCH_ROWS, UNLABELLED
from pipeline.corpus.arrow_types import as_names_or_numbers, is_number, with_usual_types
from pipeline.corpus.settings import Corpus


@dataclass(frozen=True)
class Split:
    """One split of a source, mapped from disk where it lies there."""

    corpus: Corpus
    where: str
    """Corpus and split, as error messages name them."""
    setting: str
    """The dotted path of the corpus in ``params.yaml``."""
    table: pa.Table
    class_names: list[str] | None
    """The class names, in order, that the source itself declares."""

    def batches(self) -> Iterator[pa.Table]:
        """All rows in order, some thousands at a time.

        Columns are text_a and text_b (text, "" if missing), label (int64, -1 if unlabelled), and
        soft_label (list of float32) and group (text) if the corpus has them. Raises UserError
        naming corpus, split, column and first invalid row.
        """
        # A split without rows still gives one batch, so that its columns are known.
        for start in range(0, max(1, len(self.table)), BATCH_ROWS):
            batch = with_usual_types(self.table.slice(start, BATCH_ROWS)).combine_chunks()
            for name in batch.column_names:
                try:
                    batch[name].validate(full=True)
                except pa.ArrowInvalid as error:
                    raise UserError(
                        f"{self.where}, column '{name}' is damaged or not UTF-8 ({error}): write "
                        "it again in that encoding."
                    ) from None
            yield self._batch(batch, start)

    def _batch(self, table: pa.Table, start: int) -> pa.Table:
        corpus = self.corpus
        rows = np.arange(start, start + len(table))
        if pa.types.is_list(table[corpus.text_b].type):
            table, rows = self._one_row_per_passage(table, start)
        columns = {"text_a": self._texts(table, corpus.text_a)}
        columns["text_b"] = self._texts(table, corpus.text_b)
        labels = np.full(len(table), UNLABELLED, dtype=np.int64)
        if corpus.label is not None:
            labels = self._labels(table, corpus.label, rows)
        if corpus.soft_label is not None:
            soft = self._soft_labels(table, corpus.soft_label, rows)
            labels = np.where(labels == UNLABELLED, soft.argmax(axis=1), labels)
            ends = np.arange(len(soft) + 1, dtype=np.int32) * soft.shape[1]
            columns["soft_label"] = pa.ListArray.from_arrays(ends, soft.ravel())
        if corpus.group is not None:
            groups = self._groups(table[corpus.group])
            # A row without a text is left out, and may have no group.
            missing = pc.and_(groups.is_null(), pc.not_equal(columns["text_a"], ""))
            self._refuse(corpus.group, missing, groups, rows, "names no group")
            columns["group"] = groups.fill_null("")
        return pa.table({**columns, "label": labels})

    def _one_row_per_passage(self, table: pa.Table, start: int) -> tuple[pa.Table, np.ndarray]:
        passages = table[self.corpus.text_b].combine_chunks()
        parents = pc.list_parent_indices(passages)
        lengths = pc.fill_null(pc.list_value_length(passages), 0)
        columns = {}
        first_rows = start + np.arange(len(table))
        for name in table.column_names:
            column = table[name].combine_chunks()
            if not pa.types.is_list(column.type):
                columns[name] = column.take(parents)
                continue
            differs = pc.not_equal(pc.fill_null(pc.list_value_length(column), 0), lengths)
            reason = f"is not as long as {self.corpus.text_b}"
            self._refuse(name, differs, column, first_rows, reason)
            columns[name] = column.flatten()
        return pa.table(columns), start + parents.to_numpy()

    def _texts(self, table: pa.Table, column: str) -> pa.ChunkedArray:
        values = table[column]
        kind = values.type
        if pa.types.is_null(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return values.cast(pa.string()).fill_null("")
        raise UserError(f"{self.where}, column '{column}' holds {kind}, not text.")

    def _groups(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        try:
            return values.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UserError(
                f"{self.where}, column '{self.corpus.group}' holds {values.type}, but a group is "
                "named by a text or a number."
            ) from None

    def _labels(self, table: pa.Table, column: str, rows: np.ndarray) -> np.ndarray:
        """Labels as indices of ``label_names``, matched by name if the source names its classes."""
        names = list(self.corpus.label_names)
        values, order = table[column], self.class_names
        if order is not None and sorted(order) != sorted(names):
            raise UserError(
                f"{self.where}, column '{column}' declares the classes {', '.join(order)}, but "
                f"{self.setting}.label_names has {', '.join(names)}: give the same names."
            )
        if order is None:
            values = as_names_or_numbers(values, names)
        if pa.types.is_boolean(values.type) or pa.types.is_null(values.type):
            values = values.cast(pa.int64())
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            # A column of whole numbers with empty cells arrives as floats. Numbers of any type and
            # size fit into a float, which is exact for those that are labels.
            floats = values.cast(pa.float64(), safe=False).fill_null(UNLABELLED)
            fractional = pc.not_equal(pc.floor(floats), floats)
            self._refuse(column, fractional, values, rows, "is not a whole number")
            invalid = pc.or_(pc.less(floats, UNLABELLED), pc.greater_equal(floats, len(names)))
            self._refuse(column, invalid, values, rows, f"is not in 0 to {len(names) - 1} or -1")
            numbers = floats.cast(pa.int64())
            indices = np.array([names.index(name) for name in order or names] + [UNLABELLED])
            return np.asarray(indices[numbers.to_numpy()], dtype=np.int64)
        if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
            raise UserError(
                f"{self.where}, column '{column}' holds {values.type}, but a label is a class name "
                "or a whole number."
            )
        texts = values.cast(pa.string())
        labels = pc.index_in(texts, pa.array(names))
        unknown = pc.and_(labels.is_null(), texts.is_valid())
        self._refuse(column, unknown, values, rows, f"is not one of {', '.join(names)}")
        return np.asarray(labels.fill_null(UNLABELLED).to_numpy(), dtype=np.int64)

    def _soft_labels(self, table: pa.Table, column: str, rows: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape [rows, classes]."""
        values, classes = table[column], len(self.corpus.label_names)
        kind = values.type
        if pa.types.is_list(kind) and is_number(kind.value_type):
            differs = pc.not_equal(pc.fill_null(pc.list_value_length(values), 0), classes)
            self._refuse(column, differs, values, rows, f"does not have {classes} probabilities")
            flat = values.combine_chunks().flatten().cast(pa.float32()).fill_null(-1)
            soft = np.asarray(flat.to_numpy()).reshape(-1, classes)
        elif classes == 2 and pa.types.is_floating(kind):
            second = values.cast(pa.float32()).fill_null(-1).to_numpy()
            soft = np.stack([1 - second, second], axis=1)
        else:
            raise UserError(
                f"{self.where}, column '{column}' holds {kind}, but a soft label is a list "
                f"of {classes} probabilities{', or that of the second' if classes == 2 else ''}."
            )
        in_range = np.logical_and.reduce((soft >= 0) & (soft <= 1), axis=1)
        sums = soft.sum(axis=1, where=in_range[:, None])
        invalid = ~in_range | (abs(sums - 1) > 0.01)
        self._refuse(column, pa.array(invalid), values, rows, "is not a probability per class")
        return soft

    def _refuse(
        self, column: str, invalid: Any, values: Any, rows: np.ndarray, reason: str
    ) -> None:
        if (first := pc.index(invalid, True).as_py()) >= 0:
            raise UserError(
                f"{self.where}, column '{column}', row {rows[first]}: "
                f"{values[first].as_py()!r} {reason}."
            )
