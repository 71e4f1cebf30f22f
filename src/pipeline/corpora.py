"""Clean corpora: one Arrow file per split, and a card that counts what was left out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline import params, rows, sources
from pipeline.artifacts import whole_directory, write_json
from pipeline.columns import Corpus, Split
from pipeline.errors import UserError
from pipeline.rows import UNLABELLED, Rows, row_ids

TASK_ROLES = ("test", "validation", "train")
TEXTS = ("text_a", "text_b")
NO_IDS = np.empty(0, dtype="S16")


@dataclass(frozen=True)
class Scan:
    """What must be known of all rows of a split before the first is written: 18 bytes a row."""

    split: Split
    ids: np.ndarray
    """Shape [rows], 16 bytes each."""
    empty: np.ndarray
    """Shape [rows], bool: a text is missing or blank."""
    unlabelled: np.ndarray
    """Shape [rows], bool."""


@dataclass(frozen=True)
class Part:
    """What one corpus gives to a split: its kept rows, and how many were left out and why."""

    scan: Scan
    kept: np.ndarray
    """Shape [rows], bool."""
    left_out: dict[str, int]


def settings(content: Mapping[str, Any]) -> tuple[dict[str, Corpus], tuple[str, ...], str]:
    """``corpora``, ``general`` and ``task`` of the params; the last two name some of the first."""
    corpora = params.section(content, "corpora", dict[str, Corpus])
    general = params.section(content, "general", tuple[str, ...])
    task = params.section(content, "task", str)
    for setting, name in [("task", task), *(("general", name) for name in general)]:
        if name not in corpora:
            raise UserError(
                f"params.yaml: '{setting}' names the corpus '{name}', but 'corpora' defines only "
                f"{', '.join(corpora)}."
            )
    if not general or len(set(general)) < len(general):
        raise UserError("params.yaml: 'general' must name one or more different corpora.")
    needed = [(task, role) for role in TASK_ROLES] + [(name, "pool") for name in general]
    for name, role in needed:
        if not corpora[name].serves_as(role):
            raise UserError(
                f"params.yaml: 'corpora.{name}.splits' has no {role}: name the split of the source "
                "that serves as it."
            )
    return corpora, general, task


def general_roles(
    corpora: Mapping[str, Corpus], general: Sequence[str], task: str
) -> tuple[str, ...]:
    """The pool, and train and validation where all the corpora have them with the same classes.

    A general corpus that is the task itself has only a pool, for its labels are the task's.
    """
    given = [corpora[name] for name in general]
    labelled = all(one.serves_as("train") and one.serves_as("validation") for one in given)
    one_label_set = len({one.label_names for one in given}) == 1
    if labelled and one_label_set and list(general) != [task]:
        return ("validation", "train", "pool")
    return ("pool",)


def download(
    corpora: Mapping[str, Corpus], general: Sequence[str], task: str, directory: Path
) -> dict[str, dict[str, Any]]:
    """Fetch, check and clean ``directory/task`` and ``directory/general``; returns their cards.

    ``task`` names one of ``corpora``; ``general`` names one or more, taken one after another. Left
    out and counted are rows with an empty text, rows of a labelled split without a label, rows that
    repeat, and rows that an evaluation split has before them, in the order test, validation, train,
    pool; the general train and pool spare the task's evaluation splits too. A few thousand rows
    are in memory at a time. Raises UserError naming corpus and split.
    """
    scanned: dict[tuple[str, str, bool], Scan] = {}

    def scan(name: str, role: str) -> Scan:
        key = (name, corpora[name].splits[role], role == "test")
        if key not in scanned:
            scanned[key] = _scan(sources.open_split(name, corpora[name], role))
        return scanned[key]

    roles = {"task": TASK_ROLES, "general": general_roles(corpora, general, task)}
    cards: dict[str, dict[str, Any]] = {}
    evaluation = [NO_IDS]
    for place, names in (("task", [task]), ("general", list(general))):
        cards[place] = {"corpora": names, "splits": {}}
        with whole_directory(directory / place) as draft:
            for role in roles[place]:
                drawn = [_draw(scan, name, corpora[name], role) for name in names]
                # Nothing learns from the general validation rows, so they may be the task's too.
                spared = [NO_IDS] if (place, role) == ("general", "validation") else evaluation
                most = [corpora[name].rows.get(role) for name in names]
                parts = _clean(drawn, np.concatenate(spared), most, labelled=role != "pool")
                kept = _write(draft, place, role, parts)
                _check(kept, labelled=role != "pool")
                if role in ("test", "validation"):
                    evaluation.append(np.concatenate([part.scan.ids[part.kept] for part in parts]))
                cards[place]["splits"][role] = _describe(kept, parts)
            write_json(draft / "card.json", cards[place])
    return cards


def _scan(split: Split) -> Scan:
    ids, empty, unlabelled = [NO_IDS], [np.empty(0, bool)], [np.empty(0, bool)]
    for batch in split.batches():
        ids.append(row_ids(batch))
        blank = [pc.equal(pc.utf8_trim_whitespace(batch[text]), "") for text in TEXTS]
        empty.append(pc.or_(*blank).to_numpy())
        unlabelled.append(batch["label"].to_numpy() == UNLABELLED)
    return Scan(split, np.concatenate(ids), np.concatenate(empty), np.concatenate(unlabelled))


def _draw(scan: Callable[[str, str], Scan], name: str, corpus: Corpus, role: str) -> Part:
    """The rows of ``role`` before cleaning; a carved validation takes the lowest ids of train."""
    carved = corpus.validation_rows if role in ("train", "validation") else 0
    found = scan(name, "train" if carved else role)
    taken = np.ones(len(found.ids), dtype=bool)
    if carved:
        chosen = _lowest(found.ids, carved)
        taken = chosen if role == "validation" else ~chosen
    return Part(found, taken, {})


def _clean(
    drawn: list[Part], spared: np.ndarray, most: list[int | None], labelled: bool
) -> list[Part]:
    """Leave out what cannot serve, then cap each part; ``spared`` are ids of evaluation rows."""
    ids = np.concatenate([part.scan.ids for part in drawn])
    taken = np.concatenate([part.kept for part in drawn])
    empty = taken & np.concatenate([part.scan.empty for part in drawn])
    unlabelled = np.concatenate([part.scan.unlabelled for part in drawn])
    unlabelled &= taken & ~empty if labelled else False
    usable = taken & ~empty & ~unlabelled
    first = np.zeros(len(ids), dtype=bool)
    places = np.flatnonzero(usable)
    first[places[np.unique(ids[places], return_index=True)[1]]] = True
    elsewhere = first & np.isin(ids, spared)
    reasons = {
        "empty_text": empty,
        "unlabelled": unlabelled,
        "repeated": usable & ~first,
        "also_in_evaluation": elsewhere,
    }
    kept = first & ~elsewhere
    parts = []
    start = 0
    for part, cap in zip(drawn, most, strict=True):
        own = slice(start, start := start + len(part.kept))
        places = np.flatnonzero(kept[own])
        mask = np.zeros(len(part.kept), dtype=bool)
        mask[places[_lowest(ids[own][places], len(places) if cap is None else cap)]] = True
        counts = {reason: int(rows[own].sum()) for reason, rows in reasons.items()}
        parts.append(Part(part.scan, mask, counts))
    return parts


def _lowest(ids: np.ndarray, count: int) -> np.ndarray:
    """A mask of the ``count`` lowest ids: a sample that depends on the rows alone."""
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[np.argsort(ids, kind="stable")[:count]] = True
    return chosen


def _write(directory: Path, place: str, role: str, parts: list[Part]) -> Rows:
    """Write the kept rows, one part after another, and map them back."""
    given = [part.scan.split.corpus for part in parts]
    label_names = given[0].label_names
    one_label_set = len({corpus.label_names for corpus in given}) == 1
    columns = [*TEXTS, "label"]
    if one_label_set and all(corpus.soft_label for corpus in given):
        columns.append("soft_label")
    if place == "task" and given[0].group:
        columns.append("group")

    def tables() -> Iterator[pa.Table]:
        for part in parts:
            start = 0
            for batch in part.scan.split.batches():
                kept = batch.filter(pa.array(part.kept[start : start + len(batch)]))
                start += len(batch)
                if role == "pool":
                    labels = pa.array(np.full(len(kept), UNLABELLED))
                    kept = kept.set_column(kept.column_names.index("label"), "label", labels)
                yield kept.select(columns)

    rows.write(directory / f"{role}.arrow", tables(), label_names)
    table = rows.read("", role, directory).table
    return Rows(f"{place}/{role}", table, label_names)


def _check(kept: Rows, labelled: bool) -> None:
    if not len(kept):
        raise UserError(
            f"{kept.name} has no rows left: look at the corpora that params.yaml names for it."
        )
    if labelled and len(classes := np.unique(kept.labels)) < 2:
        raise UserError(
            f"{kept.name} has rows of one class only, '{kept.label_names[classes[0]]}': give it a "
            "split with two or more."
        )


def _describe(kept: Rows, parts: list[Part]) -> dict[str, Any]:
    labels = kept.labels
    counts = {name: int((labels == i).sum()) for i, name in enumerate(kept.label_names)}
    return {
        "rows": len(kept),
        "left_out": {
            reason: sum(part.left_out[reason] for part in parts) for reason in parts[0].left_out
        },
        "labels": {**counts, "unlabelled": int((labels == UNLABELLED).sum())},
        "fingerprint": rows.fingerprint(part.scan.ids[part.kept] for part in parts),
    }
