"""Clean corpora: one Parquet file per split, and a card that counts what was taken out."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline import sources
from pipeline.artifacts import whole_directory, write_json
from pipeline.errors import UserError
from pipeline.rows import UNLABELLED, Rows, row_id, write
from pipeline.sources import ROLES, Corpus

REQUIRED = {"task": ("test", "validation", "train"), "general": ("pool",)}
EVALUATION = ("test", "validation")


def download(settings: dict[str, Corpus], directory: Path) -> dict[str, dict[str, Any]]:
    """Fetch, check and clean ``task`` and ``general`` into ``directory``; returns their cards.

    A row that repeats inside its split is dropped, and so is one that stands in an evaluation split
    before it in the order task, general and in each test, validation, train, pool. Raises UserError
    naming corpus and split.
    """
    evaluation: set[bytes] = set()
    cards: dict[str, dict[str, Any]] = {}
    for name, required in REQUIRED.items():
        corpus = settings[name]
        tables = sources.fetch(name, corpus)
        if corpus.validation_rows:
            chosen = _lowest(_ids(tables["train"]), corpus.validation_rows)
            tables["validation"] = tables["train"].filter(pa.array(chosen))
            tables["train"] = tables["train"].filter(pa.array(~chosen))
        for role in required:
            if role not in tables:
                raise UserError(
                    f"params.yaml: 'corpora.{name}.splits' has no {role}: name the split of the "
                    "source that serves as it."
                )
        cards[name] = {"source": corpus.source, "splits": {}}
        with whole_directory(directory / name) as draft:
            for role in (role for role in ROLES if role in tables):
                table, counts = _clean(tables[role], evaluation, corpus.rows.get(role))
                rows = Rows(f"{name}/{role}", table, corpus.label_names)
                _check(rows, labelled=role != "pool")
                write(draft / f"{role}.parquet", table, corpus.label_names)
                if role in EVALUATION:
                    evaluation.update(_ids(table))
                cards[name]["splits"][role] = {
                    "rows": len(rows),
                    **counts,
                    "labels": _label_counts(rows),
                    "fingerprint": rows.fingerprint,
                }
            write_json(draft / "card.json", cards[name])
    return cards


def _clean(
    table: pa.Table, evaluation: set[bytes], most: int | None
) -> tuple[pa.Table, dict[str, int]]:
    ids = _ids(table)
    first = _first_of_each(ids)
    elsewhere = np.array([one in evaluation for one in ids], dtype=bool)
    kept = first & ~elsewhere
    if most is not None and kept.sum() > most:
        places = np.flatnonzero(kept)
        kept[places[~_lowest([ids[place] for place in places], most)]] = False
    counts = {
        "repeated": int((~first).sum()),
        "also_in_evaluation": int((first & elsewhere).sum()),
    }
    return table.filter(pa.array(kept)), counts


def _ids(table: pa.Table) -> list[bytes]:
    return [
        row_id(a, b)
        for batch in table.to_batches(max_chunksize=10_000)
        for a, b in zip(batch["text_a"].to_pylist(), batch["text_b"].to_pylist(), strict=True)
    ]


def _first_of_each(ids: Iterable[bytes]) -> np.ndarray:
    seen: set[bytes] = set()
    first = []
    for one in ids:
        first.append(one not in seen)
        seen.add(one)
    return np.array(first, dtype=bool)


def _lowest(ids: list[bytes], count: int) -> np.ndarray:
    """A mask of the ``count`` lowest ids: a sample that depends on the rows alone."""
    chosen = np.zeros(len(ids), dtype=bool)
    chosen[sorted(range(len(ids)), key=ids.__getitem__)[:count]] = True
    return chosen


def _check(rows: Rows, labelled: bool) -> None:
    if not len(rows):
        raise UserError(f"{rows.name} has no rows left: look at corpora.{rows.name.split('/')[0]}.")
    if not labelled:
        return
    labels = rows.labels
    if (labels == UNLABELLED).any():
        row = int(np.argmax(labels == UNLABELLED))
        raise UserError(f"{rows.name}, row {row} has no label: only a pool may lack them.")
    if len(np.unique(labels)) < 2:
        raise UserError(
            f"{rows.name} has rows of one class only, '{rows.label_names[labels[0]]}': give it a "
            "split with two or more."
        )


def _label_counts(rows: Rows) -> dict[str, int]:
    labels = rows.labels
    counts = {name: int((labels == i).sum()) for i, name in enumerate(rows.label_names)}
    return {**counts, "unlabelled": int((labels == UNLABELLED).sum())}
