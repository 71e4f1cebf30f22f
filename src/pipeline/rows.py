"""The rows of one corpus split: two texts and a label, in a fixed order with a fingerprint."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.artifacts import whole_file
from pipeline.errors import UserError

UNLABELLED = -1
CORPORA = Path("data/corpora")


@dataclass(frozen=True)
class Rows:
    """Rows in corpus order. Labels index ``label_names``; -1 is unlabelled."""

    name: str
    """Corpus and split, such as ``task/train``."""
    table: pa.Table
    """Columns ``text_a`` and ``text_b`` (text) and ``label`` (int64)."""
    label_names: tuple[str, ...]

    def __len__(self) -> int:
        return int(self.table.num_rows)

    def texts(self, start: int = 0, stop: int | None = None) -> tuple[list[str], list[str]]:
        part = self.table.slice(start, None if stop is None else stop - start)
        return part["text_a"].to_pylist(), part["text_b"].to_pylist()

    @property
    def labels(self) -> np.ndarray:
        """Shape [rows], int64."""
        return np.array(self.table["label"].to_numpy(), dtype=np.int64)

    @cached_property
    def fingerprint(self) -> str:
        """A hash over the ordered row ids: it changes with any text and with the order."""
        return fingerprint(
            row_id(a, b)
            for batch in self.table.to_batches(max_chunksize=10_000)
            for a, b in zip(
                *(batch[text].to_pylist() for text in ("text_a", "text_b")), strict=True
            )
        )


def row_id(text_a: str, text_b: str) -> bytes:
    """16 bytes that name a row by its two texts; the label is no part of it."""
    first = text_a.encode()
    return hashlib.blake2b(
        len(first).to_bytes(8, "little") + first + text_b.encode(), digest_size=16
    ).digest()


def fingerprint(ids: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for one in ids:
        digest.update(one)
    return digest.hexdigest()


def write(path: Path, table: pa.Table, label_names: Sequence[str]) -> None:
    """Write ``table`` (text_a, text_b, label) as Parquet with its label names inside."""
    metadata = {"label_names": json.dumps(list(label_names))}
    with whole_file(path) as draft:
        pq.write_table(table.replace_schema_metadata(metadata), draft)


def read(corpus: str, split: str, root: Path = CORPORA) -> Rows:
    """Read ``root/corpus/split.parquet``; raises UserError if it is missing or not ours."""
    path = root / corpus / f"{split}.parquet"
    try:
        table = pq.read_table(path)
        label_names = json.loads(table.schema.metadata[b"label_names"])
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run `dvc repro download` or `dvc pull`.") from None
    except (pa.ArrowInvalid, KeyError, TypeError):
        raise UserError(
            f"{path} was not written by this pipeline: run `dvc repro -f download`."
        ) from None
    return Rows(f"{corpus}/{split}", table, tuple(label_names))
