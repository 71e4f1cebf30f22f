"""Tensors and notes in one file with a checksum, for runs that resume."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline import console
from pipeline.core.files import whole_file

METADATA = "notes"
"""One entry holds all metadata, because safetensors writes several in no fixed order."""
Saved = tuple[dict[str, Tensor], dict[str, Any]]
"""Tensors and notes."""


def write(path: Path, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
    """Write ``tensors`` and ``notes`` (JSON values) as a safetensors file, all or nothing."""
    contiguous = {name: tensor.contiguous().cpu() for name, tensor in tensors.items()}
    metadata = json.dumps({"notes": notes, "checksum": _checksum(contiguous, notes)})
    with whole_file(path) as draft:
        save_file(contiguous, draft, {METADATA: metadata})


def read(path: Path) -> Saved | None:
    """What ``write`` wrote to ``path``, or None if there is no file or if it is damaged."""
    if not path.exists():
        return None
    # A file that may not be opened is not damaged. safetensors does not tell one from the other.
    path.open("rb").close()
    try:
        with safe_open(path, framework="pt") as file:
            metadata = json.loads(file.metadata()[METADATA])
            names = file.keys()
            tensors = {name: file.get_tensor(name) for name in names}
        notes: dict[str, Any] = metadata["notes"]
        if metadata["checksum"] == _checksum(tensors, notes):
            return tensors, notes
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None


def take(path: Path) -> Saved | None:
    """Like ``read``, but a damaged file is deleted, because what it held can be computed again."""
    saved = read(path)
    if saved is None and path.exists():
        console.say(f"{path} is damaged: it is deleted, and what it held is computed again.")
        path.unlink(missing_ok=True)
    return saved


def _checksum(tensors: dict[str, Tensor], notes: dict[str, Any]) -> str:
    """A hash, in hex, over names, types, shapes and values of ``tensors`` and over ``notes``."""
    digest = hashlib.blake2b(json.dumps(notes, sort_keys=True).encode(), digest_size=16)
    for name, tensor in sorted(tensors.items()):
        digest.update(repr((name, tensor.dtype, tuple(tensor.shape))).encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
