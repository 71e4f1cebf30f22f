"""The rows of one corpus split: two texts and a label, in a fixed order with a fingerprint."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import TypeAdapter

from pipeline.core.errors import UserError, explained
from pipeline.core.files import whole_file

UNLABELLED = -1
CORPORA = Path("data/corpora")
BATCH_ROWS = 10_000


@dataclass(frozen=True)
class Rows:
    """Rows in corpus order. Labels index ``label_names``; -1 is unlabelled."""

    name: str
    """Place and split, such as ``task/train``, or for a test set ``test/`` and its corpus."""
    table: pa.Table
    """Columns ``text_a`` and ``text_b`` (text) and ``label`` (int64); where the corpus has them,
    ``soft_label`` (a list of a probability per class) and ``group`` (text)."""
    label_names: tuple[str, ...]
    relevant_label: str | None = None
    """The class of the right answers, in a test set whose questions are ranked."""
    merged: Mapping[str, str] = field(default_factory=dict)
    """Classes that count as another one in the scores of a test set."""

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def texts(
        self, start: int = 0, stop: int | None = None, mask: np.ndarray | None = None
    ) -> tuple[list[str], list[str]]:
        """Both texts of rows ``start`` to ``stop``, or of those of them that ``mask`` selects."""
        part = self.table.slice(start, None if stop is None else stop - start)
        if mask is not None:
            part = part.filter(pa.array(mask))
        return part["text_a"].to_pylist(), part["text_b"].to_pylist()

    @property
    def labels(self) -> np.ndarray:
        """Shape [rows], int64."""
        return np.array(self.table["label"].to_numpy(), dtype=np.int64)

    @property
    def is_labelled(self) -> bool:
        """Whether rows have gold labels; those of a pool have none."""
        return bool((self.labels != UNLABELLED).any())

    @property
    def soft_labels(self) -> np.ndarray | None:
        """The probabilities that the corpus brings, float32 of shape [rows, classes], if any."""
        if "soft_label" not in self.table.column_names:
            return None
        flat = self.table["soft_label"].combine_chunks().flatten().to_numpy()
        return np.array(flat, dtype=np.float32).reshape(len(self), -1)

    @property
    def groups(self) -> list[str] | None:
        """The question that each row belongs to, in a test set whose questions are ranked."""
        if "group" not in self.table.column_names:
            return None
        groups: list[str] = self.table["group"].to_pylist()
        return groups

    def with_merged_classes(self) -> "Rows":
        """The same rows with fewer classes, as ``merged`` says."""
        names = tuple(name for name in self.label_names if name not in self.merged)
        to = np.array([names.index(self.merged.get(name, name)) for name in self.label_names])
        place = self.table.column_names.index("label")
        table = self.table.set_column(place, "label", pa.array(to[self.labels]))
        return replace(self, table=table, label_names=names, merged={})

    @property
    def ids(self) -> np.ndarray:
        """The ``row_ids``, shape [rows]."""
        return np.concatenate(list(self._pieces_of_ids()))

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the ordered row ids. It changes with any text and with the order."""
        return fingerprint(self._pieces_of_ids())

    @property
    def gold_hash(self) -> str:
        """A hash over the rows and their labels, in order."""
        digest = hashlib.blake2b(self.fingerprint.encode(), digest_size=16)
        digest.update(json.dumps(self.label_names).encode())
        digest.update(self.labels.tobytes())
        return digest.hexdigest()

    def _pieces_of_ids(self) -> Iterator[np.ndarray]:
        return map(row_ids, self.table.to_batches(max_chunksize=BATCH_ROWS))


def class_order(own: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """The position in ``own`` of each class name in ``wanted``, which has the same names."""
    return [tuple(own).index(name) for name in wanted]


def fingerprint(ids: Iterable[np.ndarray]) -> str:
    """A hash over row ids, given in order and in pieces of any size."""
    digest = hashlib.blake2b(digest_size=16)
    for piece in ids:
        digest.update(piece.tobytes())
    return digest.hexdigest()


def row_ids(batch: pa.Table | pa.RecordBatch) -> np.ndarray:
    """Per row a 16-byte hash of its two texts; the label does not count. Shape [rows]."""
    texts = (batch[name].to_pylist() for name in ("text_a", "text_b"))
    ids = b"".join(_row_id(a, b) for a, b in zip(*texts, strict=True))
    return np.frombuffer(ids, dtype="S16")


def _row_id(text_a: str, text_b: str) -> bytes:
    first = text_a.encode()
    return hashlib.blake2b(
        len(first).to_bytes(8, "little") + first + text_b.encode(), digest_size=16
    ).digest()


def write(
    path: Path,
    tables: Iterable[pa.Table],
    label_names: Sequence[str],
    *,
    relevant_label: str | None = None,
    merged: Mapping[str, str] | None = None,
) -> None:
    """Write ``tables`` (one or more, of one schema) and the label names as an Arrow file.

    Unlike Parquet, Arrow is read as a memory map, so that a million rows take no memory.
    """
    tables = iter(tables)
    first = next(tables)
    metadata = {"label_names": json.dumps(list(label_names))}
    if relevant_label is not None:
        metadata["relevant_label"] = relevant_label
    if merged:
        metadata["merged"] = json.dumps(dict(merged))
    schema = first.schema.with_metadata(metadata)
    with whole_file(path) as draft, pa.ipc.new_file(draft, schema) as file:
        for table in chain([first], tables):
            file.write_table(table.cast(schema))


def read(place: str, split: str, root: Path = CORPORA) -> Rows:
    """Map ``root/place/split.arrow``; raises UserError if it is missing, damaged or another's.

    ``place`` is ``general`` or ``task``, or ``test``, whose splits are the names of corpora.
    """
    path = root / place / f"{split}.arrow"
    if not path.exists():
        raise UserError(f"{path} is missing: run `dvc repro download` or `dvc pull`.")
    damage = f"{path} is damaged, or was not written by this pipeline"
    with explained(damage, "run `dvc repro -f download`"):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        # Reading damaged offsets or texts without this check could end the process.
        table.validate(full=True)
        metadata = table.schema.metadata
        label_names = TypeAdapter(tuple[str, ...]).validate_json(metadata[b"label_names"])
        _check(table, classes=len(label_names), labelled=place == "test" or split != "pool")
        relevant_label = None
        if "group" in table.column_names:
            relevant_label = metadata[b"relevant_label"].decode()
            if relevant_label not in label_names:
                raise ValueError(f"it has no class '{relevant_label}'")
        card = root / place / "card.json"
        if card.exists():
            labels = json.loads(card.read_text(encoding="utf-8"))["splits"][split]["labels"]
            if [*label_names, "unlabelled"] != list(labels):
                raise ValueError(f"its classes are not those of {card}")
        merged = TypeAdapter(dict[str, str]).validate_json(metadata.get(b"merged", b"{}"))
        if not set(merged) | set(merged.values()) <= set(label_names):
            raise ValueError("it merges classes that it does not have")
    return Rows(f"{place}/{split}", table, label_names, relevant_label, merged)


def _check(table: pa.Table, *, classes: int, labelled: bool) -> None:
    """Raises ValueError unless there are rows, as ``Rows`` describes them."""
    types = {
        "text_a": pa.string(),
        "text_b": pa.string(),
        "label": pa.int64(),
        "soft_label": pa.list_(pa.float32()),
        "group": pa.string(),
    }
    for optional in ("soft_label", "group"):
        if optional not in table.column_names:
            del types[optional]
    if not len(table):
        raise ValueError("it has no rows")
    found = {field.name: field.type for field in table.schema}
    if found != types or len(found) < table.num_columns:
        raise ValueError(f"its columns are {', '.join(table.column_names)}")
    if any(column.null_count for column in table.columns):
        raise ValueError("values are missing")
    limits = pc.min_max(table["label"]).as_py()
    if not (0 if labelled else UNLABELLED) <= limits["min"] <= limits["max"] < classes:
        raise ValueError("labels are not those of its classes")
    if "soft_label" in types:
        lengths = pc.list_value_length(table["soft_label"])
        if pc.any(pc.not_equal(lengths, classes)).as_py():
            raise ValueError("soft labels are not those of its classes")
