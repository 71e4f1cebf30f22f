"""Checkpoints of a training, found again only by the very same training.

They lie in ``.resume/<stage>/<fingerprint>/``, which is outside what DVC tracks or deletes, and go
when the stage is done.
"""

import hashlib
import inspect
import json
import shutil
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline import runtime
from pipeline.artifacts import whole_file

ROOT = Path(".resume")
NOT_IN_IDENTITY = "pipeline.console"


def fingerprint(
    settings: Any, model: torch.nn.Module | None = None, arrays: Iterable[np.ndarray] = ()
) -> str:
    """A hash over what makes a run what it is.

    That is its settings (told apart by their repr), the weights it starts from, the arrays it reads
    (tokens, labels, logits), the precision, and the code of this library as far as it is loaded.
    """
    digest = hashlib.blake2b(repr((settings, runtime.precision())).encode(), digest_size=8)
    weights = model.state_dict().values() if model else ()
    for array in (*(tensor.numpy() for tensor in weights), *arrays):
        digest.update(np.ascontiguousarray(array).data)
    for name, module in sorted(sys.modules.items()):
        if name.startswith("pipeline.") and name != NOT_IN_IDENTITY:
            digest.update(inspect.getsource(module).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """The place where one run leaves its state."""

    stage: str
    fingerprint: str

    @property
    def directory(self) -> Path:
        return ROOT / self.stage / self.fingerprint

    def save(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer, progress: dict[str, Any]
    ) -> None:
        """Write weights, optimizer state and ``progress`` (JSON values), all or nothing."""
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for index, state in optimizer.state_dict()["state"].items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"optimizer.{index}.{name}"] = value
        contiguous = {name: value.contiguous() for name, value in tensors.items()}
        with whole_file(self.directory / "checkpoint.safetensors") as draft:
            save_file(contiguous, draft, {"progress": json.dumps(progress)})

    def load(
        self, model: torch.nn.Module, optimizer: torch.optim.Optimizer
    ) -> dict[str, Any] | None:
        """Restore what ``save`` wrote and return its progress; None where nothing was saved."""
        path = self.directory / "checkpoint.safetensors"
        if not path.exists():
            return None
        weights: dict[str, torch.Tensor] = {}
        state: dict[int, dict[str, torch.Tensor]] = {}
        with safe_open(path, framework="pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
            names = file.keys()
            for key in names:
                kind, name = key.split(".", 1)
                if kind == "model":
                    weights[name] = file.get_tensor(key)
                else:
                    index, field = name.split(".", 1)
                    state.setdefault(int(index), {})[field] = file.get_tensor(key)
        model.load_state_dict(weights)
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})
        return progress

    def clear(self) -> None:
        """Forget every checkpoint of this stage: it is done."""
        shutil.rmtree(ROOT / self.stage, ignore_errors=True)
