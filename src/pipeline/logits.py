"""The logits artifact: what a teacher said of every row, and proof of what it was asked.

``data/logits/<general or task>/<teacher>/`` holds ``card.json``, which says which model answered,
and per split one safetensors file (several above ``SHARD_ROWS``) with the raw logits in corpus
order. Every file repeats the card and adds a fingerprint of its rows and a checksum of its tensor.
"""

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline import runtime
from pipeline.artifacts import read_json, whole_directory, whole_file, write_json
from pipeline.errors import UserError
from pipeline.rows import Rows

FORMAT = "1"
METADATA = "artifact"
"""One entry holds all metadata: safetensors writes several in an order that changes by the run."""
LOGITS = Path("data/logits")
SPLITS = {"general": ("pool",), "task": ("train", "validation", "test")}
"""The splits of each corpus that have logits."""
PART_ROWS = 2048
"""Rows scored, sorted by length, between two checkpoints of a dump."""
SHARD_ROWS = 4_194_304
"""Most rows in one file."""


@dataclass(frozen=True)
class Source:
    """The model behind the logits; two dumps of equal sources agree on every row."""

    teacher: str
    weights: str
    """Hash of the teacher's weights."""
    tokenizer: str
    """Hash of its tokenizer."""
    max_length: int
    label_names: tuple[str, ...]
    """Class names in the order of the tensor's columns."""


def write(
    directory: Path,
    source: Source,
    splits: list[Rows],
    notes: dict[str, Any],
    score: Callable[[Rows, int, int], Tensor],
    parts: Path,
) -> None:
    """Write the artifact of one teacher; ``directory`` appears only when it is whole.

    ``score(rows, start, stop)`` gives float32 logits of shape [stop - start, classes]. Finished
    parts are kept in ``parts``, so that a killed dump goes on where it stopped; memory holds one
    shard at most. Several processes take turns at the parts, and the first of them joins these.
    ``notes`` go into the card beside the source.
    """
    engine = runtime.accelerator()
    starts = [(rows, start) for rows in splits for start in range(0, len(rows), PART_ROWS)]
    for rows, start in starts[engine.process_index :: engine.num_processes]:
        part = _part(parts, rows, start)
        if not part.exists():
            scored = score(rows, start, min(start + PART_ROWS, len(rows)))
            with whole_file(part) as draft:
                save_file({"logits": scored}, draft)
    runtime.leave_writing_to_one()
    with whole_directory(directory) as draft:
        for rows in splits:
            _merge(draft, source, rows, parts)
        write_json(draft / "card.json", {**asdict(source), "notes": notes})
    shutil.rmtree(parts)


def finished_rows(parts: Path, splits: list[Rows]) -> int:
    """How many rows of ``splits`` an earlier, killed dump has left scored in ``parts``."""
    return sum(
        min(PART_ROWS, len(rows) - start)
        for rows in splits
        for start in range(0, len(rows), PART_ROWS)
        if _part(parts, rows, start).exists()
    )


def _part(parts: Path, rows: Rows, start: int) -> Path:
    return parts / f"{_stem(rows)}-{start}.safetensors"


def _stem(rows: Rows) -> str:
    return rows.name.replace("/", "-")


def shard_files(rows: Rows) -> list[str]:
    """The names of the files that hold the logits of ``rows``."""
    count = max(1, -(-len(rows) // SHARD_ROWS))
    if count == 1:
        return [f"{_stem(rows)}.safetensors"]
    return [f"{_stem(rows)}-{i:05d}-of-{count:05d}.safetensors" for i in range(count)]


def _merge(directory: Path, source: Source, rows: Rows, parts: Path) -> None:
    for shard, name in enumerate(shard_files(rows)):
        first = shard * SHARD_ROWS
        starts = range(first, min(first + SHARD_ROWS, len(rows)), PART_ROWS)
        tensor = torch.cat([load_file(_part(parts, rows, start))["logits"] for start in starts])
        metadata = _metadata(source, rows, shard, tensor)
        save_file({"logits": tensor}, directory / name, {METADATA: json.dumps(metadata)})


def _metadata(source: Source, rows: Rows, shard: int, tensor: Tensor) -> dict[str, str]:
    """What a file says of itself; a reader works it out again and compares."""
    return {
        "format": FORMAT,
        "teacher": source.teacher,
        "weights": source.weights,
        "tokenizer": source.tokenizer,
        "max_length": str(source.max_length),
        "label_names": json.dumps(source.label_names),
        "rows": str(len(rows)),
        "fingerprint": rows.fingerprint,
        "shard": f"{shard + 1} of {len(shard_files(rows))}",
        "dtype": "torch.float32",
        "checksum": checksum(tensor),
    }


def checksum(tensor: Tensor) -> str:
    """SHA-256 over the bytes of the tensor."""
    return hashlib.sha256(np.ascontiguousarray(tensor.numpy()).data).hexdigest()


def read_source(directory: Path) -> tuple[Source, dict[str, Any]]:
    """What the card of an artifact says: the source and the notes."""
    path = directory / "card.json"
    try:
        content = read_json(path)
        notes: dict[str, Any] = content.pop("notes")
        content["label_names"] = tuple(content["label_names"])
        return Source(**content), notes
    except FileNotFoundError:
        raise UserError(f"{path} is missing: {_remedy(directory)}, or `dvc pull`.") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path} is damaged: {_remedy(directory)}.") from None


def check_source(
    directory: Path, teacher: str, tokenizer: str, max_length: int
) -> tuple[Source, dict[str, Any]]:
    """``read_source``, after checking that ``teacher`` read what a student will read."""
    source, notes = read_source(directory)
    path = directory / "card.json"
    _agree(path, "teacher", source.teacher, teacher)
    _agree(path, "tokenizer", source.tokenizer, tokenizer)
    _agree(path, "max_length", str(source.max_length), str(max_length))
    return source, notes


def check_labels(source: Source, rows: Rows) -> None:
    """Raises UserError unless the teacher's classes are those of ``rows``, in the same order."""
    if source.label_names != rows.label_names:
        raise UserError(
            f"teacher '{source.teacher}' scores the classes {', '.join(source.label_names)}, but "
            f"{rows.name} has {', '.join(rows.label_names)}, in this order: mend label_names in "
            "params.yaml and run `dvc repro`."
        )


def read(directory: Path, source: Source, rows: Rows) -> Tensor:
    """The logits of ``rows``, float32 of shape [rows, classes], in the order of ``rows``.

    Raises UserError, naming the field, both values and the stage to run again, unless every file
    is whole, comes from ``source`` and was made for exactly these rows in this order.
    """
    tensors = []
    for shard, name in enumerate(shard_files(rows)):
        path = directory / name
        try:
            with safe_open(path, framework="pt") as file:
                metadata = json.loads((file.metadata() or {}).get(METADATA, "{}"))
                tensor = file.get_tensor("logits")
        except FileNotFoundError:
            raise UserError(f"{path} is missing: {_remedy(directory)}, or `dvc pull`.") from None
        except (SafetensorError, ValueError) as error:
            raise UserError(f"{path} is damaged ({error}): {_remedy(directory)}.") from None
        _agree(path, "tensor type", str(tensor.dtype), "torch.float32")
        for field, value in _metadata(source, rows, shard, tensor).items():
            _agree(path, field, metadata.get(field, "missing"), value)
        tensors.append(tensor)
    logits = torch.cat(tensors)
    shape = (len(rows), len(source.label_names))
    _agree(directory / shard_files(rows)[0], "shape", str(tuple(logits.shape)), str(shape))
    return logits


def _agree(path: Path, field: str, found: str, expected: str) -> None:
    if found != expected:
        raise UserError(
            f"{path} does not fit: its {field} is {found}, but this run needs {expected}; "
            f"{_remedy(path.parent)}."
        )


def _remedy(directory: Path) -> str:
    return f"run `dvc repro -f dump_{directory.parent.name}_logits@{directory.name}`"
