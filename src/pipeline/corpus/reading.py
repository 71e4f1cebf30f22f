"""Open the splits of a corpus: the embedded docs corpus, a directory, or a dataset on the hub."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from pipeline.core.errors import UserError, explained
from pipeline.core.files import source_path
from pipeline.corpus import docstrings, source_files, tables
from pipeline.corpus.arrow_types import flat
from pipeline.corpus.columns import Split
from pipeline.corpus.delimited import other_delimiter
from pipeline.corpus.settings import Corpus, Role

DOCS = "docs"
REMEDY = (
    "name a dataset on a hub that this machine can reach, or a local directory with one Parquet, "
    "CSV or JSON lines file per split, in UTF-8"
)


def open_split(name: str, corpus: Corpus, role: Role, directory: Path) -> Split:
    """The split of corpus ``name`` that serves as ``role``; its rows are not checked yet.

    Its files are read into one without a name in ``directory``. Raises UserError if the split
    cannot be read or lacks a column.
    """
    if role == "test":
        # Test rows are scored on gold labels only.
        corpus = corpus.model_copy(update={"soft_label": None})
    split = corpus.splits[role]
    where = f"corpus '{name}', split '{split}'"
    setting = f"corpora.{name}"
    is_only_pool = role == "pool" and list(corpus.splits.values()).count(split) == 1
    if is_only_pool:
        # Labels of a pool are not needed; they need not even be classes.
        corpus = corpus.model_copy(update={"label": None})
    if corpus.source == DOCS:
        own = docstrings.tables()
        if split not in own:
            raise UserError(f"{where}: the docs corpus has only the splits {', '.join(own)}.")
        label = None if corpus.label is None else "label"
        named = {"text_a": "text_a", "text_b": "text_b", "label": label, "wrong_passages": None}
        corpus = corpus.model_copy(update=named)
        table, names = own[split], own[split].column_names
        class_names: list[str] | None = list(docstrings.LABEL_NAMES)
    elif (source := source_path(corpus.source)).is_dir():
        files = source_files.find(where, setting, source, split, corpus.config)
        remedy = "write the file again, in UTF-8"
        with explained(f"{where}: {files[0]} could not be read", remedy):
            table, names = tables.read(where, files, corpus.columns, directory)
        readme = "correct what its first lines, or those of README.md, declare"
        with explained(f"{where}: the class names of {files[0]} could not be read", readme):
            class_names = source_files.class_names(source, files, corpus.label, corpus.config)
    else:
        table, class_names = _from_hub(where, setting, corpus, split)
        names = table.column_names
    for key, column in corpus.named_columns.items():
        if column in table.column_names:
            continue
        if role == "pool" and key in ("label", "group"):
            # Its rows may belong to no question.
            corpus = corpus.model_copy(update={key: None})
            continue
        raise UserError(
            f"{where} has no column '{column}' but {_shown(names)}: correct {setting}.{key}."
        )
    return Split(corpus, where, setting, table.select(corpus.columns), class_names)


def _shown(names: Sequence[str]) -> str:
    """The names of columns, with quotes around those that start or end with a space."""
    if len(names) and (separator := other_delimiter(names)):
        return f"one, '{names[0]}', as its file is separated by {separator}, not as its name says"
    shown = [name if name == name.strip() != "" else f"'{name}'" for name in names]
    return ", ".join(shown)


def _from_hub(
    where: str, setting: str, corpus: Corpus, split: str
) -> tuple[pa.Table, list[str] | None]:
    """A split of a dataset on the hub, mapped from disk, and the class names that it declares."""
    if _is_path(corpus.source):
        raise UserError(
            f"{where}: there is no directory '{corpus.source}': set {setting}.source to its path "
            f"as seen from {Path.cwd()}."
        )
    if corpus.revision is None:
        raise UserError(
            f"{where}: '{corpus.source}' is not a directory here, and a dataset on the hub needs a "
            f"revision, so that its rows stay the same: set {setting}.revision."
        )
    # Imported here, because other corpora do not need it.
    from datasets import ClassLabel, disable_progress_bars, load_dataset
    from datasets.utils import logging

    disable_progress_bars()
    # It would log each error that is raised as well.
    logging.set_verbosity(logging.CRITICAL)
    with explained(f"{where}: '{corpus.source}' could not be read", REMEDY):
        dataset = load_dataset(
            corpus.source, name=corpus.config, revision=corpus.revision, split=split
        ).flatten()
    label = dataset.features.get(corpus.label) if corpus.label else None
    label = getattr(label, "feature", label)
    return flat(dataset.data.table), label.names if isinstance(label, ClassLabel) else None


def _is_path(source: str) -> bool:
    """Whether a source can only be a path: names of datasets on a hub have one slash at most."""
    return source.startswith((".", "/", "~")) or "\\" in source or source.count("/") > 1
