"""Checkpoints of training runs. One is loaded only by a run with the same settings, data and code.

The files are in ``.resume/<stage>/<identity>/``, which DVC neither tracks nor deletes, and are
removed when the stage has finished.
"""

import hashlib
import importlib.util
import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from pipeline.core import runtime, tensors

ROOT = Path(".resume")


def run_identity(
    settings: Any,
    *,
    code: Iterable[str],
    model: torch.nn.Module | None = None,
    arrays: Iterable[np.ndarray] = (),
) -> str:
    """A hash, in hex, over everything that determines the result of a run.

    That is the settings (by their repr), the precision, the weights that the run starts from, the
    arrays that it reads (tokens, labels, logits), and the source of ``code`` (see ``code_hash``).
    """
    digest = hashlib.blake2b(repr((settings, runtime.precision())).encode(), digest_size=8)
    weights = model.state_dict().values() if model else ()
    for array in (*(tensor.numpy() for tensor in weights), *arrays):
        digest.update(np.ascontiguousarray(array).data)
    digest.update(code_hash(code).encode())
    return digest.hexdigest()


def code_hash(names: Iterable[str]) -> str:
    """A hash, in hex, over the source of the modules and packages called ``names``.

    Modules called ``settings`` do not count: they only describe and check values, and the values
    themselves are part of a run's identity.
    """
    digest = hashlib.blake2b(digest_size=8)
    for name in names:
        spec = importlib.util.find_spec(name)
        assert spec, name
        own = Path(str(spec.origin))
        files = sorted(own.parent.glob("*.py")) if spec.submodule_search_locations else [own]
        for file in files:
            if file.stem != "settings":
                digest.update(file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """The place where one run saves its state."""

    stage: str
    identity: str

    @property
    def path(self) -> Path:
        return ROOT / self.stage / self.identity / "checkpoint.safetensors"

    def save(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]
    ) -> None:
        """Write weights, optimizer state and ``progress`` (JSON values), all or nothing."""
        state = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, moments in optimizer.state_dict()["state"].items():
            for name, value in moments.items():
                if isinstance(value, torch.Tensor):
                    state[f"optimizer.{index}.{name}"] = value
        tensors.write(self.path, state, {"identity": self.identity, "progress": progress})

    def load(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> dict[str, Any] | None:
        """Restore what ``save`` wrote and return its progress; None if nothing was saved.

        A damaged checkpoint counts as none (see ``tensors.take``), and so does that of another run.
        """
        saved = tensors.take(self.path)
        if saved is None or saved[1]["identity"] != self.identity:
            return None
        weights: dict[str, torch.Tensor] = {}
        states: dict[int, dict[str, torch.Tensor]] = {}
        for key, value in saved[0].items():
            kind, name = key.split(".", 1)
            if kind == "model":
                weights[name] = value
            else:
                index, field = name.split(".", 1)
                states.setdefault(int(index), {})[field] = value
        progress: dict[str, Any] = saved[1]["progress"]
        model.load_state_dict(weights)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states, "param_groups": groups})
        return progress

    def clear(self) -> None:
        """Remove all checkpoints of this stage, because it has finished."""
        shutil.rmtree(ROOT / self.stage, ignore_errors=True)
