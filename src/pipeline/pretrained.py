"""Pretrained weights, fetched once: what teachers and students start from."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from transformers import AutoConfig

from pipeline import models
from pipeline.artifacts import whole_directory
from pipeline.errors import UserError

PACKAGE = "package:"


@dataclass(frozen=True, kw_only=True)
class Pretrained:
    """One entry of ``pretrained``."""

    source: str
    """Hub id, directory, or ``package:NAME`` for weights that an installed package carries.

    DVC does not look into a directory: after a change there, run ``dvc repro -f fetch_pretrained``.
    """
    revision: str | None = None
    """Commit of the hub id."""


def fetch(settings: Pretrained, directory: Path) -> None:
    """Write the encoder and its tokenizer to ``directory``, as transformers reads them.

    Only safetensors are read and no remote code is run. Raises UserError if they cannot be had.
    """
    source = _find(settings.source)
    if settings.revision is None and not Path(source).is_dir():
        raise UserError(
            f"the weights '{settings.source}' are no directory here, and a hub id needs a "
            "revision, so that they stay the same: set the revision beside the source."
        )
    try:
        config = AutoConfig.from_pretrained(source, revision=settings.revision)
        encoder, tokenizer = models.from_pretrained(source, config, settings.revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"the weights '{settings.source}' could not be loaded ({reason}): name a directory, a "
            "hub id that this machine can reach, or package:NAME."
        ) from None
    with whole_directory(directory) as draft:
        encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def _find(source: str) -> str:
    """The hub id as it is, or the directory that ``source`` names."""
    if not source.startswith(PACKAGE):
        return source
    package = source.removeprefix(PACKAGE)
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(root).rglob("model.safetensors")):
            return str(file.parent)
    raise UserError(
        f"'{source}': no installed package '{package}' carries a model.safetensors; "
        "install it or name other weights."
    )
