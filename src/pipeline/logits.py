"""The logits artifact: a teacher's logits for every row, and what is needed to verify them.

``data/logits/<place>/<teacher>/`` has ``card.json``, which identifies the teacher, ``notes.json``,
and per split one safetensors file (several above ``SHARD_ROWS`` rows) with the raw logits in corpus
order. Every file repeats the card and adds a fingerprint of its rows and a checksum of its tensor.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import TypeAdapter
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline.core import runtime, tensors
from pipeline.core.errors import UserError, explained
from pipeline.core.files import read_json, whole_directory, write_json
from pipeline.core.rows import Rows, class_order

FORMAT = "2"
METADATA = "artifact"
"""One entry has all metadata, because safetensors writes several in no fixed order."""
LOGITS = Path("data/logits")
SPLITS = {"general": ("pool",), "task": ("train", "validation")}
"""The splits of each place that students learn from and that therefore have logits."""
PART_ROWS = 2048  # Scored, sorted by length, between two checkpoints of a dump.
TIMED_ROWS = 128
"""Rows whose lengths are noted, so that a teacher's speed can be measured without its tokenizer."""
SHARD_ROWS = 4_194_304
"""Maximum number of rows in one file."""


@dataclass(frozen=True)
class Artifact:
    """Where the logits of one teacher are."""

    directory: Path  # Its name is that of the teacher.
    stage: str
    """The DVC stage that makes it, for error messages."""

    @property
    def remedy(self) -> str:
        return f"run `dvc repro -f {self.stage}`"


@dataclass(frozen=True)
class TeacherIdentity:
    """The model behind the logits. Equal identities mean equal logits for every row."""

    teacher: str
    weights: str
    """Hash of the teacher's weights."""
    tokenizer: str
    """Hash of its tokenizer."""
    max_length: int
    precision: str
    """What it computed in: float32 or bfloat16. Its logits are float32 in any case."""
    label_names: tuple[str, ...]
    """Class names in the order of the tensor's columns."""


@dataclass(frozen=True)
class Notes:
    """What is reported of a teacher where its weights and tokenizer are missing."""

    parameters: int
    encoder: dict[str, Any]
    """The transformers configuration of its encoder."""
    lengths: tuple[int, ...]
    """The numbers of its tokens of the first ``TIMED_ROWS`` rows of the last split."""
    failed: bool
    still_falling: bool = False
    """Both are what the card of a model says of its training."""
    gold: dict[str, str] = field(default_factory=dict)
    """By place and split, the ``gold_hash`` of the rows whose labels the teacher has learned."""


def dumped(place: str, teacher: str) -> Artifact:
    """The logits of ``teacher`` at ``general``, ``task``, ``test/`` and a test set's name, or
    ``pool/`` and the name of a noisy student."""
    kind, *names = place.split("/")
    stage = f"dump_{kind}_logits@{'-'.join(names if kind == 'pool' else [*names, teacher])}"
    return Artifact(LOGITS / place / teacher, stage)


def write(
    directory: Path,
    identity: TeacherIdentity,
    splits: list[Rows],
    *,
    notes: Notes,
    score: Callable[[Rows, int, int], Tensor],
    parts: Path,
) -> None:
    """Write the artifact of one teacher; ``directory`` appears only when it is complete.

    ``score(rows, start, stop)`` returns float32 logits of shape [stop - start, classes]. Finished
    parts are kept in ``parts``, so that an interrupted dump resumes; ``parts`` must therefore be a
    directory for these rows and this teacher only. Memory holds one file at most. Several processes
    take turns at the parts, and the main one joins them. Raises UserError if a logit is not finite.
    """
    engine = runtime.accelerator()
    starts = [(rows, start) for rows in splits for start in range(0, len(rows), PART_ROWS)]

    def part(rows: Rows, start: int) -> Tensor:
        """The logits of a part, which are computed if no whole file has them."""
        path = _part_file(parts, rows, start)
        if saved := tensors.take(path):
            return saved[0]["logits"]
        logits = score(rows, start, min(start + PART_ROWS, len(rows)))
        if not logits.isfinite().all():
            raise UserError(
                f"teacher '{identity.teacher}' gives logits that are not finite for rows after "
                f"{start} of {rows.name}: use other weights, or train it with a lower lr."
            )
        tensors.write(path, {"logits": logits}, {})
        return logits

    for rows, start in starts[engine.process_index :: engine.num_processes]:
        part(rows, start)
    engine.wait_for_everyone()
    if engine.is_main_process:
        with whole_directory(directory) as draft:
            for rows in splits:
                for shard, name in enumerate(shard_files(rows)):
                    end = min((shard + 1) * SHARD_ROWS, len(rows))
                    shard_starts = range(shard * SHARD_ROWS, end, PART_ROWS)
                    tensor = torch.cat([part(rows, start) for start in shard_starts])
                    metadata = json.dumps(_metadata(identity, rows, shard, tensor))
                    save_file({"logits": tensor}, draft / name, {METADATA: metadata})
            write_json(draft / "card.json", asdict(identity))
            write_json(draft / "notes.json", asdict(notes))
        shutil.rmtree(parts)


def finished_rows(parts: Path, splits: list[Rows]) -> int:
    """How many rows of ``splits`` an interrupted dump has left undamaged in ``parts``."""
    return sum(
        min(PART_ROWS, len(rows) - start)
        for rows in splits
        for start in range(0, len(rows), PART_ROWS)
        if tensors.read(_part_file(parts, rows, start))
    )


def _part_file(parts: Path, rows: Rows, start: int) -> Path:
    return parts / f"{rows.name.replace('/', '-')}-{start}.safetensors"


def shard_files(rows: Rows) -> list[str]:
    """The names of the files that hold the logits of ``rows``."""
    stem, count = rows.name.replace("/", "-"), max(1, -(-len(rows) // SHARD_ROWS))
    if count == 1:
        return [f"{stem}.safetensors"]
    return [f"{stem}-{i:05d}-of-{count:05d}.safetensors" for i in range(count)]


def _metadata(identity: TeacherIdentity, rows: Rows, shard: int, tensor: Tensor) -> dict[str, str]:
    """The metadata of a file. A reader computes it again and compares."""
    return {
        "format": FORMAT,
        "teacher": identity.teacher,
        "weights": identity.weights,
        "tokenizer": identity.tokenizer,
        "max_length": str(identity.max_length),
        "precision": identity.precision,
        "label_names": json.dumps(identity.label_names),
        "rows": str(len(rows)),
        "fingerprint": rows.fingerprint,
        "shard": f"{shard + 1} of {len(shard_files(rows))}",
        "dtype": "torch.float32",
        "checksum": checksum(tensor),
    }


def checksum(tensor: Tensor) -> str:
    """SHA-256 over the bytes of the tensor."""
    return hashlib.sha256(np.ascontiguousarray(tensor.numpy()).data).hexdigest()


def read_identity(artifact: Artifact) -> TeacherIdentity:
    """The card of an artifact; raises UserError if it is missing, damaged or of another teacher."""
    path = _existing(artifact, "card.json")
    identity = read_json(path, TeacherIdentity, artifact.remedy)
    _agree(artifact, path, "teacher", identity.teacher, artifact.directory.name)
    return identity


def read_notes(artifact: Artifact) -> Notes:
    """The notes of an artifact; raises UserError if they are missing or damaged."""
    return read_json(_existing(artifact, "notes.json"), Notes, artifact.remedy)


def _existing(artifact: Artifact, name: str) -> Path:
    path = artifact.directory / name
    if not path.exists():
        raise UserError(f"{path} is missing: {artifact.remedy}, or `dvc pull`.")
    return path


def check_classes(teacher: str, classes: Sequence[str], rows: Rows) -> None:
    """Raises UserError unless ``classes``, those of a teacher, are the classes of ``rows``."""
    if set(classes) != set(rows.label_names):
        raise UserError(
            f"teacher '{teacher}' scores the classes {', '.join(classes)}, but {rows.name} has "
            f"{', '.join(rows.label_names)}: correct label_names in params.yaml and run "
            "`dvc repro`."
        )


def read(
    artifact: Artifact, identity: TeacherIdentity, rows: Rows, label_names: Sequence[str]
) -> Tensor:
    """The logits of ``rows``, float32 of shape [rows, classes], in the order of ``rows``.

    The columns have the order of ``label_names``, which are the classes of ``identity`` in any
    order. Raises UserError, naming the field, both values and the stage to run again, unless every
    file is complete, finite, from ``identity`` and for exactly these rows in this order.
    """
    shards = []
    for shard, name in enumerate(shard_files(rows)):
        path = _existing(artifact, name)
        with explained(f"{path} is damaged", artifact.remedy):
            with safe_open(path, framework="pt") as file:
                text = (file.metadata() or {}).get(METADATA, "{}")
                tensor = file.get_tensor("logits")
            metadata = TypeAdapter(dict[str, str]).validate_json(text)
        _agree(artifact, path, "tensor type", str(tensor.dtype), "torch.float32")
        for key, value in _metadata(identity, rows, shard, tensor).items():
            _agree(artifact, path, key, metadata.get(key, "missing"), value)
        shape = (min(SHARD_ROWS, len(rows) - shard * SHARD_ROWS), len(identity.label_names))
        _agree(artifact, path, "shape", str(tuple(tensor.shape)), str(shape))
        if not tensor.isfinite().all():
            raise UserError(f"{path} has logits that are not finite: {artifact.remedy}.")
        shards.append(tensor)
    return torch.cat(shards)[:, class_order(identity.label_names, label_names)]


def _agree(artifact: Artifact, path: Path, field: str, actual: str, expected: str) -> None:
    if actual != expected:
        raise UserError(
            f"{path} does not fit: its {field} is {actual}, but this run needs {expected}; "
            f"{artifact.remedy}."
        )
