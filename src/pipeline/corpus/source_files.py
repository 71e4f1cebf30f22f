"""Find the files of a directory that hold a split."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow.parquet import read_schema

from pipeline.core.errors import UserError, explained
from pipeline.corpus.delimited import COMPRESSED, DELIMITERS

JSON, PARQUET = (".jsonl", ".json", ".ndjson"), ".parquet"
KINDS = (PARQUET, *DELIMITERS, *JSON)
SHARD = r"-(\d{5})-of-(\d{5})"
"""How files of a hub are numbered, as in ``train-00000-of-00002.parquet``."""
SHOWN_FILES = 8


def find(where: str, setting: str, directory: Path, split: str, config: str | None) -> list[Path]:
    """The files of ``split``, in order and all of one kind.

    They are the file with its name, such as ``train.csv`` or ``train.csv.gz``; in a clone of a hub
    repository, the ``data_files`` that its README names, or the file or its numbered parts in
    ``data`` or the directory of ``config``. Raises UserError if there is none, listing the files
    that there are, or if it is not clear which ones are meant.
    """
    found = [] if config else _named(where, directory, split)
    found = found or _in_metadata(where, setting, directory, split, config)
    # A local copy of one configuration may lie in the directory itself.
    for folder in (directory / (config or "data"), directory):
        found = found or _named(where, folder, split) or _numbered(where, folder, split)
    if not found:
        is_data = [path for path in sorted(directory.rglob("*")) if _kind(path) or _is_shut(path)]
        names = [str(path.relative_to(directory)) for path in is_data]
        shown = ", ".join(names[:SHOWN_FILES]) + (" …" if len(names) > SHOWN_FILES else "")
        raise UserError(
            f"{where}: {directory} has no {split}{PARQUET}, {split}.csv, {split}.tsv or "
            f"{split}.jsonl but {shown or 'no such file'}: rename a file (unpack archives first) "
            f"or correct {setting}.splits."
        )
    if len({_kind(path) for path in found}) > 1:
        types = ", ".join(path.name for path in found)
        raise UserError(f"{where}: it has files of several types, {types}: keep one type.")
    for path in found:
        if not path.is_file():
            raise UserError(f"{where}: {path} is not a file: replace it by one.")
        if path.stat().st_size == 0:
            raise UserError(f"{where}: {path} is empty.")
    return found


def _kind(path: Path) -> str | None:
    """The extension that says how a file is to be read, without that of its compression."""
    end = Path(path.stem).suffix if path.suffix in COMPRESSED else path.suffix
    return end if end in KINDS else None


def kind_of(files: Sequence[Path]) -> str:
    """One of ``KINDS``, that of all ``files``."""
    kind = _kind(files[0])
    assert kind is not None
    return kind


def _is_shut(path: Path) -> bool:
    return path.suffix in (".zip", ".tar", ".zst", ".7z", *COMPRESSED)


def _named(where: str, directory: Path, split: str) -> list[Path]:
    """The file ``train.csv`` or ``train.csv.gz``, but not ``train.old.csv``: it may be older."""
    names = [f"{split}{kind}{end}" for kind in KINDS for end in ("", *COMPRESSED)]
    found = [name for name in names if (directory / name).exists()]
    if len(found) > 1:
        raise UserError(f"{where}: {directory} has {' and '.join(found)}: keep one of them.")
    return [directory / name for name in found]


def _numbered(where: str, directory: Path, split: str) -> list[Path]:
    pattern = re.compile(re.escape(split) + SHARD + r"(\.[a-z0-9.]+)")
    files = sorted(directory.iterdir()) if directory.is_dir() else []
    parts = [(path, part) for path in files if (part := pattern.fullmatch(path.name))]
    parts = [(path, part) for path, part in parts if _kind(path)]
    totals = {int(part[2]) for _, part in parts}
    if totals and [int(part[1]) for _, part in parts] != list(range(max(totals))):
        names = ", ".join(path.name for path, _ in parts)
        raise UserError(
            f"{where}: of the numbered files of '{split}', {directory} has {names}: fetch the "
            "others or remove those of another download."
        )
    return [path for path, _ in parts]


def _in_metadata(
    where: str, setting: str, directory: Path, split: str, config: str | None
) -> list[Path]:
    """The files that the README of a clone names for the split."""
    remedy = f"correct its first lines, or remove it and set {setting}.splits"
    with explained(f"{where}: {directory / 'README.md'} could not be read", remedy):
        configs = _configs(directory)
        if not configs:
            return []
        default = [one for one in configs if one.get("default") or one["config_name"] == "default"]
        chosen = [one for one in configs if one["config_name"] == config] if config else default
        if not chosen and not config and len(configs) == 1:
            chosen = configs
        if not chosen:
            names = ", ".join(str(one["config_name"]) for one in configs)
            raise UserError(f"{where}: its README names {names}: set {setting}.config to one.")
        named: Any = chosen[0].get("data_files") or []
        if isinstance(named, str) or not all(isinstance(one, dict) for one in named):
            named = [{"split": "train", "path": named}]
        patterns: list[str] = []
        for one in named:
            if str(one["split"]) == split:
                patterns += [one["path"]] if isinstance(one["path"], str) else one["path"]
    return [path for pattern in patterns for path in _matches(where, directory, str(pattern))]


def class_names(
    directory: Path, files: Sequence[Path], label: str | None, config: str | None
) -> list[str] | None:
    """The names of the classes, in the order of their numbers, where the source declares them."""
    is_parquet = kind_of(files) == PARQUET
    declared = is_parquet and b"huggingface" in (read_schema(files[0]).metadata or {})
    if label is None or not (declared or _metadata(directory).get("dataset_info")):
        return None
    # Imported here, because most files declare none.
    from datasets import ClassLabel, Features
    from datasets.info import DatasetInfosDict

    if declared:
        features = Features.from_arrow_schema(read_schema(files[0]))
    else:
        infos = DatasetInfosDict.from_directory(str(directory))
        info = infos.get(config or "default") or (next(iter(infos.values())) if infos else None)
        features = (info.features if info else None) or Features()
    feature = features.flatten().get(label)
    feature = getattr(feature, "feature", feature)
    if not isinstance(feature, ClassLabel):
        return None
    if not all(isinstance(name, str) for name in feature.names):
        raise ValueError(f"it declares the classes {feature.names}: quote their names")
    return list(feature.names)


def _metadata(directory: Path) -> dict[str, Any]:
    """What the first lines of the README of a clone declare."""
    if not (readme := directory / "README.md").is_file():
        return {}
    # Imported here, because most directories have no README.
    from huggingface_hub import metadata_load

    return metadata_load(readme) or {}


def _configs(directory: Path) -> list[dict[str, Any]]:
    configs: list[dict[str, Any]] = [
        {"config_name": "default", **one} for one in _metadata(directory).get("configs") or []
    ]
    return [one for one in configs if one.get("data_files")]


def _matches(where: str, directory: Path, pattern: str) -> list[Path]:
    if Path(pattern).is_absolute() or ".." in Path(pattern).parts:
        raise UserError(
            f"{where}: README.md in {directory} names the file {pattern}, which is outside of this "
            "directory: copy it there, and correct the name."
        )
    found = [path for path in sorted(directory.glob(pattern)) if not path.is_dir()]
    if not all(map(_kind, found)):
        names = ", ".join(path.name for path in found)
        raise UserError(f"{where}: {names}: only {', '.join(KINDS)} files are read: convert them.")
    return found
