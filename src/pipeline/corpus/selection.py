"""Choose the rows of a split: usable, each pair once, and questions as a whole."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from pipeline.core.rows import UNLABELLED, row_ids
from pipeline.corpus.columns import Split
from pipeline.corpus.settings import Corpus, Role

TEXTS = ("text_a", "text_b")
NO_HASHES = np.empty(0, dtype="S16")


@dataclass(frozen=True)
class ScannedSplit:
    """What must be known of all rows of a split before the first one is written.

    Hashes have 16 bytes, and all arrays shape [rows].
    """

    split: Split
    ids: np.ndarray
    """Hash of both texts."""
    empty: np.ndarray
    """Bool: a text is missing or blank."""
    labels: np.ndarray
    """Int16, -1 if unlabelled."""
    groups: np.ndarray | None
    """Hash of the group, if the corpus has groups."""
    questions: np.ndarray | None
    """Hash of the first text without differences in case and spaces, if any corpus has groups."""


@dataclass(frozen=True)
class Selection:
    """The rows that one corpus contributes to a split, and how many were left out and why."""

    scanned: ScannedSplit
    kept: np.ndarray
    """Shape [rows], bool."""
    left_out: dict[str, int]


@dataclass
class Seen:
    """Rows of some splits, which rows of other splits must not repeat."""

    splits: str
    """What these splits are for: ``evaluation`` or ``training``."""
    ids: list[np.ndarray] = field(default_factory=lambda: [NO_HASHES])
    questions: list[np.ndarray] = field(default_factory=lambda: [NO_HASHES])

    def add(self, selections: Sequence[Selection], *, all_questions: bool = False) -> None:
        """Add the kept rows, and their questions if they are grouped or ``all_questions``."""
        for selection in selections:
            scanned, kept = selection.scanned, selection.kept
            self.ids.append(scanned.ids[kept])
            ranked = scanned.groups is not None or all_questions
            if ranked and scanned.questions is not None:
                self.questions.append(scanned.questions[kept])


def scan(split: Split, *, with_questions: bool) -> ScannedSplit:
    """Read all rows once, some thousands at a time."""
    ids, groups, questions = [NO_HASHES], [NO_HASHES], [NO_HASHES]
    empty, labels = [np.empty(0, bool)], [np.empty(0, np.int16)]
    for batch in split.batches():
        ids.append(row_ids(batch))
        blank = [pc.equal(pc.utf8_trim_whitespace(batch[text]), "") for text in TEXTS]
        empty.append(pc.or_(*blank).to_numpy())
        labels.append(batch["label"].to_numpy().astype(np.int16))
        if split.corpus.group:
            groups.append(_hashes(batch["group"].to_pylist()))
        if with_questions:
            texts = batch["text_a"].to_pylist()
            questions.append(_hashes(" ".join(text.casefold().split()) for text in texts))
    return ScannedSplit(
        split,
        np.concatenate(ids),
        np.concatenate(empty),
        np.concatenate(labels),
        np.concatenate(groups) if split.corpus.group else None,
        np.concatenate(questions) if with_questions else None,
    )


def _hashes(texts: Iterable[str]) -> np.ndarray:
    digests = (hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)
    return np.frombuffer(b"".join(digests), dtype="S16")


def candidates(
    scan: Callable[[str, Role], ScannedSplit], name: str, corpus: Corpus, role: Role
) -> Selection:
    """The rows of ``role`` before cleaning, of which some may be taken from train."""
    scanned = scan(name, "train" if role in corpus.taken_from_train else role)
    rest = np.ones(len(scanned.ids), dtype=bool)
    if role == "train" or role in corpus.taken_from_train:
        for taking, count in corpus.taken_from_train.items():
            taken = _sample(scanned, np.flatnonzero(rest), count)
            if taking == role:
                return Selection(scanned, taken, {})
            rest &= ~taken
    return Selection(scanned, rest, {})


def clean(
    candidates: Sequence[Selection], seen: Seen, caps: Sequence[int | None], *, labelled: bool
) -> list[Selection]:
    """Leave out unusable rows and those that are in ``seen``, then cap each selection.

    If the corpora of ``seen`` have groups, a row is also left out if its question is in ``seen``
    with another passage, and with it all rows of its group. A question is recognised by its text,
    because the names of groups often start again in each file.
    """
    ids = np.concatenate([selection.scanned.ids for selection in candidates])
    selected = np.concatenate([selection.kept for selection in candidates])
    empty = selected & np.concatenate([selection.scanned.empty for selection in candidates])
    labels = np.concatenate([selection.scanned.labels for selection in candidates])
    unlabelled = selected & ~empty & (labels == UNLABELLED) if labelled else np.zeros_like(empty)
    usable = selected & ~empty & ~unlabelled
    first = np.zeros(len(ids), dtype=bool)
    positions = np.flatnonzero(usable)
    _, firsts, pair = np.unique(ids[positions], return_index=True, return_inverse=True)
    first[positions[firsts]] = True
    # Classes of different corpora are not the same, and a pool needs none.
    contradicts = np.zeros_like(first)
    if labelled and len(candidates) == 1:
        contradicts[positions] = labels[positions] != labels[positions[firsts]][pair]
    row_is_seen = first & np.isin(ids, np.concatenate(seen.ids))
    seen_questions = np.concatenate(seen.questions)
    question_is_seen = np.concatenate([_of(seen_questions, own.scanned) for own in candidates])
    question_is_seen &= first & ~row_is_seen
    reasons = {
        "empty_text": empty,
        "unlabelled": unlabelled,
        "repeated": usable & ~first & ~contradicts,
        "repeated_with_another_label": contradicts,
        f"also_in_{seen.splits}": row_is_seen,
        f"question_in_{seen.splits}": question_is_seen,
    }
    kept = first & ~row_is_seen & ~question_is_seen
    selections = []
    start = 0
    for selection, cap in zip(candidates, caps, strict=True):
        own = slice(start, start := start + len(selection.kept))
        mask = kept[own]
        if cap is not None:
            mask = _sample(selection.scanned, np.flatnonzero(mask), cap)
        left_out = {reason: int(affected[own].sum()) for reason, affected in reasons.items()}
        selections.append(Selection(selection.scanned, mask, left_out))
    return selections


def _of(questions: np.ndarray, scanned: ScannedSplit) -> np.ndarray:
    """Which rows belong to one of ``questions``, or to a group with such a row; bool [rows]."""
    if not len(questions) or scanned.questions is None:
        return np.zeros(len(scanned.ids), dtype=bool)
    matches = np.isin(scanned.questions, questions)
    if scanned.groups is not None:
        matches = np.isin(scanned.groups, scanned.groups[matches])
    return matches


def _sample(scanned: ScannedSplit, positions: np.ndarray, count: int) -> np.ndarray:
    """A mask [rows] of at most ``count`` of the rows at ``positions``, in whole groups.

    Rows, or groups, are taken in the order of their hashes, so that the sample depends on nothing
    else. A group that would be too much is passed over.
    """
    mask = np.zeros(len(scanned.ids), dtype=bool)
    if scanned.groups is None:
        mask[positions[np.argsort(scanned.ids[positions], kind="stable")[:count]]] = True
    else:
        # In the order of the hashes.
        _, group, sizes = np.unique(
            scanned.groups[positions], return_inverse=True, return_counts=True
        )
        fits = sizes.cumsum() <= count
        total = int(sizes[fits].sum())
        for number in np.flatnonzero(~fits):
            if total + sizes[number] <= count:
                fits[number] = True
                total += int(sizes[number])
        mask[positions] = fits[group]
    return mask
