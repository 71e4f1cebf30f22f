"""Load weights from safetensors alone, and notice damaged ones."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import PretrainedConfig, PreTrainedModel
from transformers.utils.hub import cached_file

from pipeline.core.files import file_hash

WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
FLOATS = {"F64", "F32", "F16", "BF16"}
"""Types of weights that are numbers by themselves, as safetensors calls them."""


def load_weights(
    kind: Any, name: str | Path, config: PretrainedConfig, revision: str | None, **options: Any
) -> tuple[PreTrainedModel, list[str]]:
    """A model of the Auto class ``kind``, from safetensors only, and what its weights lack."""
    index = cached_file(name, INDEX, revision=revision, _raise_exceptions_for_missing_entries=False)
    files = set(json.loads(Path(index).read_text())["weight_map"].values()) if index else set()
    if any(not file.endswith(".safetensors") or Path(file).name != file for file in files):
        raise ValueError(f"its {INDEX} names other files than safetensors beside it")
    for file in files or {WEIGHTS}:
        path = cached_file(name, file, revision=revision)
        with safe_open(path, framework="pt") as tensors:
            weights = [key for key in tensors.keys() if key.endswith("weight")]  # noqa: SIM118
            stored = {tensors.get_slice(key).get_dtype() for key in weights} - FLOATS
        if stored and not getattr(config, "quantization_config", None):
            raise ValueError(f"its weights are stored as {min(stored)}, which has lost their scale")
    model, info = kind.from_pretrained(
        name,
        config=config,
        revision=revision,
        use_safetensors=True,
        trust_remote_code=False,
        dtype=torch.float32,
        output_loading_info=True,
        **options,
    )
    return model, sorted(info["missing_keys"])


def refuse_damage(directory: Path) -> None:
    """Raises ValueError if the weights in ``directory`` are not those that its card describes."""
    card = directory / "card.json"
    if card.exists():
        checksum = json.loads(card.read_text(encoding="utf-8")).get("checksum")
        if checksum and checksum != weights_hash(directory):
            raise ValueError("its weights have changed since they were written")


def weights_hash(directory: Path) -> str:
    """A hash over the weights of a saved model."""
    return file_hash(*sorted(directory.glob("*.safetensors")))
