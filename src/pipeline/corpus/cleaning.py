"""Clean corpora: one Arrow file per split, and a card that counts the rows that were left out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.files import whole_directory, write_json
from pipeline.core.rows import BATCH_ROWS, UNLABELLED, Rows, row_ids
from pipeline.corpus import reading
from pipeline.corpus.columns import Corpus, Role, Split

TASK_ROLES: tuple[Role, ...] = ("test", "validation", "train")
TEXTS = ("text_a", "text_b")
NO_IDS = np.empty(0, dtype="S16")


@dataclass(frozen=True)
class ScannedSplit:
    """What must be known of all rows of a split before the first one is written."""

    split: Split
    ids: np.ndarray
    """Shape [rows], 16 bytes each."""
    empty: np.ndarray
    """Shape [rows], bool: a text is missing or blank."""
    unlabelled: np.ndarray
    """Shape [rows], bool."""


@dataclass(frozen=True)
class Selection:
    """The rows that one corpus contributes to a split, and how many were left out and why."""

    scanned: ScannedSplit
    kept: np.ndarray
    """Shape [rows], bool."""
    left_out: dict[str, int]


def general_roles(
    corpora: Mapping[str, Corpus], general: Sequence[str], task: str
) -> tuple[Role, ...]:
    """The roles of the general corpus: the pool, and train and validation if it can have teachers.

    For that, all its corpora need both splits and the same classes. A general corpus that is the
    task itself has only a pool, because its labels are those of the task.
    """
    parts = [corpora[name] for name in general]
    labelled = all(part.serves_as("train") and part.serves_as("validation") for part in parts)
    same_classes = len({part.label_names for part in parts}) == 1
    if labelled and same_classes and list(general) != [task]:
        return ("validation", "train", "pool")
    return ("pool",)


def download(
    corpora: Mapping[str, Corpus], general: Sequence[str], task: str, *, directory: Path
) -> dict[str, dict[str, Any]]:
    """Fetch, check and clean ``directory/task`` and ``directory/general``; returns their cards.

    ``task`` names one of ``corpora``, ``general`` one or more, which are joined in that order.
    Rows are left out, and counted, if a text is empty, if they lack a label in a labelled split, if
    they repeat, or if an evaluation split before them has them, in the order test, validation,
    train, pool. The general train split and pool also leave out the evaluation rows of the task.
    Only some thousand rows are in memory at a time. Raises UserError naming corpus and split.
    """
    scans: dict[tuple[str, str, bool], ScannedSplit] = {}

    def scan(name: str, role: Role) -> ScannedSplit:
        key = (name, corpora[name].splits[role], role == "test")
        if key not in scans:
            scans[key] = _scan(reading.open_split(name, corpora[name], role))
        return scans[key]

    roles = {"task": TASK_ROLES, "general": general_roles(corpora, general, task)}
    cards: dict[str, dict[str, Any]] = {}
    evaluation_ids = [NO_IDS]
    for place, names in (("task", [task]), ("general", list(general))):
        cards[place] = {"corpora": names, "splits": {}}
        with whole_directory(directory / place) as draft:
            for role in roles[place]:
                candidates = [_candidates(scan, name, corpora[name], role) for name in names]
                # No student or teacher learns from the general validation rows, so they may also
                # be evaluation rows of the task.
                is_general_validation = (place, role) == ("general", "validation")
                excluded = NO_IDS if is_general_validation else np.concatenate(evaluation_ids)
                caps = [corpora[name].rows.get(role) for name in names]
                selections = _clean(candidates, excluded, caps, labelled=role != "pool")
                if not any(selection.kept.any() for selection in selections):
                    raise UserError(
                        f"{place}/{role} has no rows left: check the corpora that params.yaml "
                        "names for it."
                    )
                kept = _write(draft, place, role, selections)
                _check(kept, labelled=role != "pool")
                if role in ("test", "validation"):
                    evaluation_ids += [chosen.scanned.ids[chosen.kept] for chosen in selections]
                cards[place]["splits"][role] = _describe(kept, selections)
            write_json(draft / "card.json", cards[place])
    return cards


def _scan(split: Split) -> ScannedSplit:
    ids, empty, unlabelled = [NO_IDS], [np.empty(0, bool)], [np.empty(0, bool)]
    for batch in split.batches():
        ids.append(row_ids(batch))
        blank = [pc.equal(pc.utf8_trim_whitespace(batch[text]), "") for text in TEXTS]
        empty.append(pc.or_(*blank).to_numpy())
        unlabelled.append(batch["label"].to_numpy() == UNLABELLED)
    return ScannedSplit(
        split, np.concatenate(ids), np.concatenate(empty), np.concatenate(unlabelled)
    )


def _candidates(
    scan: Callable[[str, Role], ScannedSplit], name: str, corpus: Corpus, role: Role
) -> Selection:
    """The rows of ``role`` before cleaning. ``validation_rows`` takes the lowest ids of train."""
    taken_from_train = corpus.validation_rows if role in ("train", "validation") else 0
    scanned = scan(name, "train" if taken_from_train else role)
    selected = np.ones(len(scanned.ids), dtype=bool)
    if taken_from_train:
        for_validation = _lowest(scanned.ids, taken_from_train)
        selected = for_validation if role == "validation" else ~for_validation
    return Selection(scanned, selected, {})


def _clean(
    candidates: list[Selection], excluded: np.ndarray, caps: list[int | None], *, labelled: bool
) -> list[Selection]:
    """Leave out unusable rows, then cap each selection. ``excluded`` are ids of evaluation rows."""
    ids = np.concatenate([selection.scanned.ids for selection in candidates])
    selected = np.concatenate([selection.kept for selection in candidates])
    empty = selected & np.concatenate([selection.scanned.empty for selection in candidates])
    unlabelled = np.concatenate([selection.scanned.unlabelled for selection in candidates])
    unlabelled &= selected & ~empty if labelled else False
    usable = selected & ~empty & ~unlabelled
    first = np.zeros(len(ids), dtype=bool)
    positions = np.flatnonzero(usable)
    first[positions[np.unique(ids[positions], return_index=True)[1]]] = True
    also_in_evaluation = first & np.isin(ids, excluded)
    reasons = {
        "empty_text": empty,
        "unlabelled": unlabelled,
        "repeated": usable & ~first,
        "also_in_evaluation": also_in_evaluation,
    }
    kept = first & ~also_in_evaluation
    selections = []
    start = 0
    for selection, cap in zip(candidates, caps, strict=True):
        own = slice(start, start := start + len(selection.kept))
        positions = np.flatnonzero(kept[own])
        count = len(positions) if cap is None else cap
        mask = np.zeros(len(selection.kept), dtype=bool)
        mask[positions[_lowest(ids[own][positions], count)]] = True
        left_out = {reason: int(affected[own].sum()) for reason, affected in reasons.items()}
        selections.append(Selection(selection.scanned, mask, left_out))
    return selections


def _lowest(ids: np.ndarray, count: int) -> np.ndarray:
    """A mask of the ``count`` lowest ids: a sample that depends only on the rows themselves."""
    mask = np.zeros(len(ids), dtype=bool)
    mask[np.argsort(ids, kind="stable")[:count]] = True
    return mask


def _write(directory: Path, place: str, role: Role, selections: list[Selection]) -> Rows:
    """Write the kept rows, one corpus after another, and map them from disk."""
    corpora = [selection.scanned.split.corpus for selection in selections]
    label_names = corpora[0].label_names
    same_classes = len({corpus.label_names for corpus in corpora}) == 1
    columns = [*TEXTS, "label"]
    if same_classes and all(corpus.soft_label for corpus in corpora):
        columns.append("soft_label")
    if place == "task" and corpora[0].group:
        columns.append("group")

    def tables() -> Iterator[pa.Table]:
        for selection in selections:
            for batch in _in_full_batches(_kept_rows(selection)):
                if role == "pool":
                    labels = pa.array(np.full(len(batch), UNLABELLED))
                    batch = batch.set_column(batch.column_names.index("label"), "label", labels)
                yield batch.select(columns)

    rows.write(directory / f"{role}.arrow", tables(), label_names)
    table = rows.read("", role, directory).table
    return Rows(f"{place}/{role}", table, label_names)


def _kept_rows(selection: Selection) -> Iterator[pa.Table]:
    start = 0
    for batch in selection.scanned.split.batches():
        yield batch.filter(pa.array(selection.kept[start : start + len(batch)]))
        start += len(batch)


def _in_full_batches(tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
    """The rows of ``tables``, one or more, in pieces of ``BATCH_ROWS`` and a smaller last one."""
    waiting = next(tables)
    for table in chain(tables, [None]):
        while len(waiting) > BATCH_ROWS:
            yield waiting.slice(0, BATCH_ROWS).combine_chunks()
            waiting = waiting.slice(BATCH_ROWS)
        if table is not None:
            waiting = pa.concat_tables([waiting, table])
    yield waiting.combine_chunks()


def _check(kept: Rows, *, labelled: bool) -> None:
    if labelled and len(classes := np.unique(kept.labels)) < 2:
        raise UserError(
            f"{kept.name} has rows of one class only, '{kept.label_names[classes[0]]}': give it a "
            "split with two or more classes."
        )


def _describe(kept: Rows, selections: list[Selection]) -> dict[str, Any]:
    labels = kept.labels
    counts = {name: int((labels == i).sum()) for i, name in enumerate(kept.label_names)}
    return {
        "rows": len(kept),
        "left_out": {
            reason: sum(selection.left_out[reason] for selection in selections)
            for reason in selections[0].left_out
        },
        "labels": {**counts, "unlabelled": int((labels == UNLABELLED).sum())},
        "fingerprint": rows.fingerprint(
            selection.scanned.ids[selection.kept] for selection in selections
        ),
    }
