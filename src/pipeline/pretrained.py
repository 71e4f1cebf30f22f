"""Pretrained weights, fetched once: what teachers and students start from."""

import importlib.util
from pathlib import Path

from transformers import AutoConfig

from pipeline.core.errors import UserError
from pipeline.core.files import whole_directory
from pipeline.core.settings import Settings, Text
from pipeline.model import loading

PACKAGE = "package:"


class Pretrained(Settings):
    """An entry of ``pretrained``: weights and tokenizer that trainings start from."""

    source: Text
    """A model id on the hub, a directory, or ``package:NAME`` for weights in an installed package.

    DVC does not track the files of a directory: after a change, run
    ``dvc repro -f fetch_pretrained``.
    """
    revision: Text | None = None
    """Commit of the model on the hub."""


def fetch(settings: Pretrained, directory: Path) -> None:
    """Write encoder and tokenizer to ``directory``, as transformers reads them.

    Only safetensors are read and no remote code is run. Raises UserError if they cannot be loaded.
    """
    name = _find(settings.source)
    if settings.revision is None and not Path(name).is_dir():
        raise UserError(
            f"the weights '{settings.source}' are not a directory here, and a model on the hub "
            "needs a revision, so that it stays the same: set the revision beside the source."
        )
    try:
        config = AutoConfig.from_pretrained(name, revision=settings.revision)
        encoder, tokenizer = loading.from_pretrained(name, config, settings.revision)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise UserError(
            f"the weights '{settings.source}' could not be loaded ({reason}): name a directory, a "
            "model on a hub that this machine can reach, or package:NAME."
        ) from None
    with whole_directory(directory) as draft:
        encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def _find(source: str) -> str:
    """The directory that ``source`` names, or the model id as it is."""
    if not source.startswith(PACKAGE):
        return source
    package = source.removeprefix(PACKAGE)
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(root).rglob("model.safetensors")):
            return str(file.parent)
    raise UserError(
        f"'{source}': no installed package '{package}' contains a model.safetensors; install it or "
        "name other weights."
    )
