"""Clean corpora: one Arrow file per split, and a card that counts the rows that were left out."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.files import whole_directory, write_json
from pipeline.core.rows import BATCH_ROWS, UNLABELLED, Rows
from pipeline.corpus import reading
from pipeline.corpus.selection import (
    TEXTS,
    ScannedSplit,
    Seen,
    Selection,
    candidates,
    clean,
    scan,
)
from pipeline.corpus.settings import TASK_ROLES, Corpus, Role, general_roles


def download(
    corpora: Mapping[str, Corpus],
    general: Sequence[str],
    task: str,
    tests: Sequence[str],
    *,
    directory: Path,
) -> dict[str, dict[str, Any]]:
    """Fetch, check and clean ``directory/task``, ``general`` and ``test``; returns their cards.

    ``task`` names one of ``corpora``, ``general`` one or more, which are joined in that order, and
    ``tests`` those whose test splits are scored, each by itself. Rows are left out, and counted, if
    a text is empty, if they lack a label in a labelled split, if they repeat, or if an evaluation
    split before them has them, in the order test of the task, validation, train, pool. The general
    train split and pool also leave out the evaluation rows of the task. The other test splits leave
    out what is learned from, so that they can be added later. If a corpus has groups, all of this
    is done to whole questions. Only some thousand rows are in memory at a time. Raises UserError
    naming corpus and split.
    """
    scans: dict[tuple[str, str, bool], ScannedSplit] = {}
    used = {task, *general, *tests}
    with_questions = any(corpora[name].group for name in used)

    def scanned(name: str, role: Role) -> ScannedSplit:
        key = (name, corpora[name].splits[role], role == "test")
        if key not in scans:
            split = reading.open_split(name, corpora[name], role, directory)
            scans[key] = scan(split, with_questions=with_questions)
        return scans[key]

    def select(place: str, split: str, names: Sequence[str], role: Role, seen: Seen) -> None:
        own = [candidates(scanned, name, corpora[name], role) for name in names]
        caps = [corpora[name].rows.get(role) for name in names]
        selected = clean(own, seen, caps, labelled=role != "pool")
        for name, selection in zip(names, selected, strict=True):
            if not selection.kept.any():
                reasons = [f"{why} {n:,}" for why, n in selection.left_out.items() if n]
                left_out = ", ".join(reasons).replace("_", " ") or "none"
                raise UserError(
                    f"corpus '{name}' has no rows left for {place}/{split} (left out: {left_out}): "
                    "give it other rows. If it limits them, no question may have more than that."
                )
        selections[place, split] = selected

    selections: dict[tuple[str, str], list[Selection]] = {}
    evaluation, training = Seen("evaluation"), Seen("training")
    if task in tests:
        select("test", task, [task], "test", evaluation)
        evaluation.add(selections["test", task])
    for role in TASK_ROLES:
        select("task", role, [task], role, evaluation)
        if role == "validation":
            evaluation.add(selections["task", role])
        training.add(selections["task", role], all_questions=True)
    for role in general_roles(corpora, general, task):
        # No student or teacher learns from the general validation rows, so they may also be
        # evaluation rows of the task.
        is_validation = role == "validation"
        select("general", role, general, role, Seen("evaluation") if is_validation else evaluation)
        if is_validation:
            evaluation.add(selections["general", role])
        else:
            training.add(selections["general", role], all_questions=True)
    for name in tests:
        if name != task:
            # A question with another passage only matters where questions are ranked.
            ranked = corpora[name].group is not None
            learned = training if ranked else Seen("training", training.ids)
            select("test", name, [name], "test", learned)
    places = {"task": [task], "general": list(general), "test": list(tests)}
    return {
        place: _write_place(
            directory / place,
            place,
            names,
            {split: own for (where, split), own in selections.items() if where == place},
        )
        for place, names in places.items()
    }


def _write_place(
    directory: Path, place: str, corpora: list[str], splits: Mapping[str, list[Selection]]
) -> dict[str, Any]:
    card: dict[str, Any] = {"corpora": corpora, "splits": {}}
    with whole_directory(directory) as draft:
        for split, selections in splits.items():
            kept = _write(draft, place, split, selections)
            if split != "pool" or place == "test":
                _refuse_useless(kept)
            card["splits"][split] = _describe(kept, selections)
        write_json(draft / "card.json", card)
    return card


def _write(directory: Path, place: str, split: str, selections: list[Selection]) -> Rows:
    """Write the kept rows, one corpus after another, and map them from disk."""
    corpora = [selection.scanned.split.corpus for selection in selections]
    label_names = corpora[0].label_names
    same_classes = len({corpus.label_names for corpus in corpora}) == 1
    columns = [*TEXTS, "label"]
    if same_classes and all(corpus.soft_label for corpus in corpora):
        columns.append("soft_label")
    ranked = place == "test" and corpora[0].group is not None
    if ranked:
        columns.append("group")

    def tables() -> Iterator[pa.Table]:
        for selection in selections:
            for batch in _in_full_batches(_kept_rows(selection)):
                if (place, split) == ("general", "pool"):
                    labels = pa.array(np.full(len(batch), UNLABELLED))
                    batch = batch.set_column(batch.column_names.index("label"), "label", labels)
                yield batch.select(columns)

    right = corpora[0].relevant_label if ranked else None
    merged = corpora[0].merged if place == "test" else {}
    path = directory / f"{split}.arrow"
    rows.write(path, tables(), label_names, relevant_label=right, merged=merged)
    table = rows.read("", split, directory).table
    return Rows(f"{place}/{split}", table, label_names, right, merged)


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


def _refuse_useless(kept: Rows) -> None:
    if kept.groups is not None and kept.relevant_label is not None:
        right = kept.labels == kept.label_names.index(kept.relevant_label)
        by_right = [set(compress(kept.groups, mask)) for mask in (right, ~right)]
        if not set.intersection(*by_right):
            raise UserError(
                f"no question of {kept.name} has both right and wrong rows, so that there is "
                "nothing to rank: correct group or relevant_label in params.yaml, or remove group."
            )
    if len(classes := np.unique(kept.labels)) < 2:
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
        "labels_read_as": {
            label: name
            for selection in selections
            for label, name in selection.scanned.split.labels_said.items()
        },
        "fingerprint": rows.fingerprint(
            selection.scanned.ids[selection.kept] for selection in selections
        ),
    }
