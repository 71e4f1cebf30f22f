"""Pretrained weights, fetched once: what teachers and students start from."""

import importlib.util
from contextlib import AbstractContextManager
from pathlib import Path

from pipeline.core.errors import UserError, explained
from pipeline.core.files import source_path, whole_directory
from pipeline.model.loading import from_pretrained, load_config
from pipeline.model.settings import Pretrained, Source

PACKAGE = "package:"


def fetch(settings: Pretrained, directory: Path) -> None:
    """Write encoder and tokenizer to ``directory``, as transformers reads them.

    Only safetensors are read and no remote code is run. Raises UserError if they cannot be loaded.
    """
    found = find(settings)
    with load_errors(settings.source):
        config = load_config(found, settings.revision)
        encoder, tokenizer = from_pretrained(
            found, config, settings.revision, pooling=settings.pooling
        )
    with whole_directory(directory) as draft:
        encoder.save_pretrained(draft)
        tokenizer.save_pretrained(draft)


def load_errors(source: str) -> AbstractContextManager[None]:
    """Turn the errors of transformers about ``source`` into one sentence."""
    return explained(
        f"the weights '{source}' could not be loaded",
        "name a directory, a model on a hub that this machine can reach, or package:NAME",
    )


def find(settings: Source) -> str:
    """The directory or model id that ``settings`` name; raises UserError if it is neither."""
    found = _in_package(settings.source)
    if settings.revision is None and not Path(found).is_dir():
        raise UserError(
            f"the weights '{settings.source}' are not a directory here, and a model on the hub "
            "needs a revision, so that it stays the same: set the revision beside the source."
        )
    return found


def _in_package(source: str) -> str:
    """The directory in an installed package, if ``source`` names one, else ``source`` as it is."""
    if not source.startswith(PACKAGE):
        return str(source_path(source))
    package = source.removeprefix(PACKAGE)
    spec = importlib.util.find_spec(package) if package.isidentifier() else None
    for root in (spec.submodule_search_locations or ()) if spec else ():
        for file in sorted(Path(root).rglob("model.safetensors")):
            return str(file.parent)
    raise UserError(
        f"'{source}': no installed package '{package}' contains a model.safetensors; install it or "
        "name other weights."
    )
