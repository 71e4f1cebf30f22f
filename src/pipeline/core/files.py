"""Files and directories that appear under their final name only when they are complete."""

import csv
import glob
import hashlib
import json
import os
import shutil
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import psutil
from pydantic import TypeAdapter
from safetensors import SafetensorError

from pipeline.core.errors import UserError, explained

Content = TypeVar("Content")
DRAFT = ".part"
"""The end of the name of what is not complete yet."""
QUEUED = (".dvc", "tmp", "exps")
"""The directory in which DVC runs experiments of ``--temp`` and ``--queue``."""


def file_hash(*paths: Path) -> str:
    """SHA-256, in hex, over the bytes of the files in the given order."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def source_path(source: str) -> Path:
    """The path that a setting names as its source.

    A path that does not exist here is looked for in the project that an experiment was queued in,
    because ``dvc exp run --temp`` and ``--queue`` run in a directory below its ``.dvc``.
    """
    here = Path.cwd()
    for directory in (here, *here.parents):
        if directory.parts[-3:] == QUEUED and not Path(source).exists():
            queued_in = directory.parents[2] / source
            return queued_in if queued_in.exists() else Path(source)
    return Path(source)


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A new directory to write to; it is renamed to ``path`` if the block ends without an error."""
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise UserError(f"{path} is a file or a link, but is to be a directory: move it away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    draft.mkdir()
    try:
        with _disk_errors(path):
            yield draft
        for own, _, files in os.walk(draft):
            for name in files:
                # safetensors gives its files to their owner only, whatever the umask.
                Path(own, name).chmod(draft.stat().st_mode & 0o666)
                _sync_file(Path(own, name))
            _sync_directory(Path(own))
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    shutil.rmtree(path, ignore_errors=True)
    draft.replace(path)
    _sync_directory(path.parent)


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to; it is renamed to ``path`` if the block ends without an error."""
    if path.is_dir():
        raise UserError(f"{path} is a directory, but is to be a file: move it away.")
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = _draft(path)
    try:
        with _disk_errors(path):
            yield draft
        _sync_file(draft)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    draft.replace(path)
    _sync_directory(path.parent)


def _draft(path: Path) -> Path:
    """A path beside ``path`` for what this process writes; drafts of killed processes are removed.

    Two runs at once, of the same project, so write to different drafts.
    """
    machine = socket.gethostname()
    for other in path.parent.glob(f".{glob.escape(path.name)}.*{DRAFT}"):
        owner, _, process = other.name.removesuffix(DRAFT).rpartition("-")
        is_own = owner == f".{path.name}.{machine}" and process.isdecimal()
        if is_own and (int(process) == os.getpid() or not psutil.pid_exists(int(process))):
            shutil.rmtree(other) if other.is_dir() else other.unlink()
    return path.with_name(f".{path.name}.{machine}-{os.getpid()}{DRAFT}")


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    """Raise OSError also where safetensors or tokenizers cannot write, as on a full disk."""
    try:
        yield
    except Exception as error:
        # tokenizers has no type of its own.
        if isinstance(error, SafetensorError) or type(error) is Exception:
            raise OSError(f"{path} could not be written ({error})") from error
        raise


def _sync_file(path: Path) -> None:
    """Wait until the content is on disk; after a power cut, a new name could have none."""
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _sync_directory(path: Path) -> None:
    if hasattr(os, "O_DIRECTORY"):  # Windows has none.
        descriptor = os.open(path, os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write JSON, with the same bytes on every platform, so that DVC hashes agree."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write text with LF line ends on every platform."""
    with whole_file(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def write_csv(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """Write one line per mapping in ``rows``, whose keys are ``columns``, below a header."""
    with whole_file(path) as draft, draft.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=columns, lineterminator="\n")
        # By default, a carriage return alone is not quoted, and reads as the end of a row.
        quoted = csv.DictWriter(
            file, fieldnames=columns, lineterminator="\n", quoting=csv.QUOTE_ALL
        )
        writer.writeheader()
        for row in rows:
            has_return = any("\r" in str(value) for value in row.values())
            (quoted if has_return else writer).writerow(row)


def mark_done(path: Path) -> None:
    """Write the small file beside ``path`` that lets DVC check its name; see ``.dvcignore``."""
    write_text(path.with_name(f"{path.name}.{path.parent.name}.done"), "done\n")


def read_json(path: Path, kind: type[Content], remedy: str) -> Content:
    """The JSON file ``path`` as a ``kind``; raises UserError with ``remedy`` if it is none."""
    with explained(f"{path} is damaged", remedy):
        return TypeAdapter(kind).validate_json(path.read_bytes())
