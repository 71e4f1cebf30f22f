"""What the columns of a corpus mean: checked texts, labels, soft labels and groups."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core.errors import UserError
from pipeline.core.rows import BATCH_ROWS, UNLABELLED
from pipeline.corpus.arrow_types import is_number, with_usual_types
from pipeline.corpus.labels import meanings, said
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
    label_meanings: dict[Any, int | str] = field(default_factory=dict)
    """What ``labels.meanings`` says of each label, once they are read."""
    labels_said: dict[str, str] = field(default_factory=dict)
    """The class that each label stands for, of those that are not its name, once it is read."""

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
        if corpus.wrong_passages is not None:
            table, rows = self._right_and_wrong_passages(table, start)
        elif pa.types.is_list(table[corpus.text_b].type):
            table, rows = self._one_row_per_passage(table, start)
        columns = {"text_a": self._texts(table, corpus.text_a)}
        columns["text_b"] = self._texts(table, corpus.text_b)
        labels = np.full(len(table), UNLABELLED, dtype=np.int64)
        if corpus.wrong_passages is not None:
            labels = table[corpus.wrong_passages].to_numpy()
        elif corpus.label is not None:
            labels = self._labels(table, corpus.label, rows)
        if corpus.soft_label is not None:
            soft = self._soft_labels(table, corpus.soft_label, rows)
            labels = np.where(labels == UNLABELLED, soft.argmax(axis=1), labels)
            ends = np.arange(len(soft) + 1, dtype=np.int32) * soft.shape[1]
            columns["soft_label"] = pa.ListArray.from_arrays(ends, soft.ravel())
        if corpus.group is not None:
            groups = self._groups(table[corpus.group])
            # A row without a text is left out, and may have no group.
            groups_or_empty = groups.fill_null("")
            blank = pc.equal(pc.utf8_trim_whitespace(groups_or_empty), "")
            missing = pc.and_(blank, pc.not_equal(columns["text_a"], ""))
            self._refuse(corpus.group, missing, groups, rows, "names no group")
            columns["group"] = groups_or_empty
        return pa.table({**columns, "label": labels})

    def _right_and_wrong_passages(self, table: pa.Table, start: int) -> tuple[pa.Table, np.ndarray]:
        """A row per passage, with its label in place of the wrong passages."""
        corpus = self.corpus
        assert corpus.wrong_passages is not None
        names = corpus.label_names
        right = names.index(corpus.relevant_label) if corpus.relevant_label else 1
        parts, parents = [], []
        for column, label in ((corpus.text_b, right), (corpus.wrong_passages, 1 - right)):
            passages = table[column].combine_chunks()
            if pa.types.is_null(passages.type):
                passages = passages.cast(pa.list_(pa.string()))
            if not pa.types.is_list(passages.type):
                # One passage, or none.
                lengths = passages.is_valid().cast(pa.int32()).to_numpy(zero_copy_only=False)
                offsets = pa.array([0, *lengths.cumsum()], pa.int32())
                passages = pa.ListArray.from_arrays(offsets, passages.drop_null())
            kind = passages.type.value_type
            if not (pa.types.is_string(kind) or pa.types.is_null(kind)):
                raise UserError(f"{self.where}, column '{column}' holds {kind}, not text.")
            own = pc.list_parent_indices(passages)
            part = table.drop_columns([corpus.text_b, corpus.wrong_passages]).take(own)
            part = part.append_column(corpus.text_b, [passages.flatten()])
            labels = pa.array(np.full(len(own), label, dtype=np.int64))
            parts.append(part.append_column(corpus.wrong_passages, labels))
            parents.append(own.to_numpy())
        order = np.argsort(np.concatenate(parents), kind="stable")
        joined = pa.concat_tables(parts, promote_options="permissive").take(order)
        return joined.combine_chunks(), start + np.concatenate(parents)[order]

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
        if pa.types.is_floating(values.type):
            values = pc.if_else(pc.is_nan(values), None, values)
        try:
            return values.cast(pa.string())
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            raise UserError(
                f"{self.where}, column '{self.corpus.group}' holds {values.type}, but a group is "
                "named by a text or a number."
            ) from None

    def _labels(self, table: pa.Table, column: str, rows: np.ndarray) -> np.ndarray:
        """Labels as indices of ``label_names``, matched by name if the source names its classes."""
        names, values = self.corpus.label_names, table[column]
        if pa.types.is_null(values.type):
            values = values.cast(pa.int64())
        kind = values.type
        if self.class_names is not None and sorted(self.class_names) != sorted(names):
            raise UserError(
                f"{self.where}, column '{column}' declares the classes "
                f"{', '.join(self.class_names)}, but {self.setting}.label_names has "
                f"{', '.join(names)}: give the same names."
            )
        is_text, is_truth = pa.types.is_string(kind), pa.types.is_boolean(kind)
        if not (is_text or is_truth or is_number(kind)):
            raise UserError(
                f"{self.where}, column '{column}' holds {kind}, but a label is a class name, a "
                "whole number, or true or false."
            )
        encoded = values.combine_chunks().dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy()
        present = encoded.dictionary.to_pylist()
        if not self.label_meanings:
            self.label_meanings.update(meanings(self._counts(column), names, self.class_names))
        found = {value: self.label_meanings[value] for value in present if value == value}
        for value, meaning in found.items():
            if isinstance(meaning, str):
                first = rows[codes == present.index(value)][0]
                raise UserError(
                    f"{self.where}, column '{column}', row {first}: {value!r} {meaning}."
                )
        if self.class_names is None:
            self.labels_said.update(said(found, names))
        relevant = self.corpus.relevant_label
        for label, name in self.labels_said.items():
            if label.casefold() == "true" and relevant not in (None, name):
                raise UserError(
                    f"{self.where}, column '{column}': true is the second of {self.setting}."
                    f"label_names, '{names[1]}', but relevant_label is '{relevant}': reverse "
                    "label_names."
                )
        # NaN, which is not even equal to itself, is no label.
        own = [found.get(value, UNLABELLED) for value in present]
        indices = np.array([*own, UNLABELLED], dtype=np.int64)
        return np.asarray(indices[codes])

    def _counts(self, column: str) -> dict[Any, int]:
        """How often each label occurs in the whole split, on which it depends what they mean."""
        values = with_usual_types(self.table.select([column]))[column]
        while pa.types.is_list(values.type):
            values = pc.list_flatten(values)
        if pa.types.is_null(values.type):
            return {}
        pairs = pc.value_counts(values.drop_null()).to_pylist()
        return {pair["values"]: pair["counts"] for pair in pairs}

    def _soft_labels(self, table: pa.Table, column: str, rows: np.ndarray) -> np.ndarray:
        """Probabilities, float32 of shape [rows, classes]."""
        values, classes = table[column], len(self.corpus.label_names)
        if classes == 2 and pa.types.is_string(values.type):
            values = self._numbers(column, values, rows)
        kind = values.type
        if pa.types.is_list(kind) and is_number(kind.value_type):
            differs = pc.not_equal(pc.fill_null(pc.list_value_length(values), 0), classes)
            self._refuse(column, differs, values, rows, f"does not have {classes} probabilities")
            flat = values.combine_chunks().flatten().cast(pa.float32(), safe=False).fill_null(-1)
            soft = np.asarray(flat.to_numpy()).reshape(-1, classes)
        elif classes == 2 and is_number(kind) and not pa.types.is_null(kind):
            second = values.cast(pa.float32(), safe=False).fill_null(-1).to_numpy()
            soft = np.stack([1 - second, second], axis=1)
        else:
            raise UserError(
                f"{self.where}, column '{column}' holds {kind}, but a soft label is a list "
                f"of {classes} probabilities{', or that of the second' if classes == 2 else ''}."
            )
        in_range = np.logical_and.reduce((soft >= 0) & (soft <= 1), axis=1)
        sums = soft.sum(axis=1, where=in_range[:, None])
        invalid = ~in_range | (abs(sums - 1) > 0.01)
        reason = "is not a probability per class: apply a sigmoid or a softmax to other scores"
        self._refuse(column, pa.array(invalid), values, rows, reason)
        return soft

    def _numbers(self, column: str, values: pa.ChunkedArray, rows: np.ndarray) -> pa.ChunkedArray:
        """Numbers that are written as texts, as in CSV files."""
        numbers: list[float] = []
        for row, text in zip(rows, values.to_pylist(), strict=True):
            try:
                numbers.append(float(text))
            except (TypeError, ValueError):
                raise UserError(
                    f"{self.where}, column '{column}', row {row}: {text!r} is not a number."
                ) from None
        return pa.chunked_array([pa.array(numbers, pa.float64())])

    def _refuse(
        self, column: str, invalid: Any, values: Any, rows: np.ndarray, reason: str
    ) -> None:
        if (first := pc.index(invalid, True).as_py()) >= 0:
            raise UserError(
                f"{self.where}, column '{column}', row {rows[first]}: "
                f"{values[first].as_py()!r} {reason}."
            )
