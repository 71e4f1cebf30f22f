"""Read rows of JSON: an object per line, or one array of objects."""

import json
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from types import NoneType
from typing import Any

import pyarrow as pa

from pipeline.core.errors import UserError, explained
from pipeline.core.rows import BATCH_ROWS
from pipeline.corpus.delimited import open_text

Row = dict[str, Any]
KINDS = {bool: "a truth value", int: "a number", float: "a number", str: "a text"}


def tables(where: str, files: Sequence[Path], columns: Sequence[str]) -> Iterator[pa.Table]:
    """All ``columns``, some thousand rows at a time.

    A value that a row lacks, and NaN, which pandas writes for it, are null. Raises UserError naming
    the line of a row that cannot be read, or whose value is of another type than those before it.
    """
    kinds: dict[str, str] = {}
    for file in files:
        rows = _rows(where, file)
        while batch := list(islice(rows, BATCH_ROWS)):
            arrays = {}
            for name in columns:
                path = name.split(".")
                values = [_value(row, [name] if name in row else path) for _, row in batch]
                for kind in _kinds(values):
                    if kinds.setdefault(name, kind) != kind:
                        number, value = _first(kind, batch, values)
                        raise UserError(
                            f"{where}, column '{name}': {number} of {file} has {kind}, "
                            f"{json.dumps(value)[:50]}, but others have {kinds[name]}: write all "
                            "values in one way."
                        )
                with explained(
                    f"{where}, column '{name}': a value of {file} in the {len(batch):,} rows from "
                    f"{batch[0][0]} on could not be read",
                    "correct it",
                ):
                    arrays[name] = _array(values, kinds.get(name))
            yield pa.table(arrays)


def names(where: str, file: Path) -> list[str]:
    """The names of the values in the first row; those inside of objects have names with dots."""

    def flat(row: Row, start: str) -> Iterator[str]:
        for key, value in row.items():
            yield f"{start}{key}"
            inner = value[0] if isinstance(value, list) and value else value
            if isinstance(inner, dict):
                yield from flat(inner, f"{start}{key}.")

    _, first = next(_rows(where, file), ("", {}))
    return list(flat(first, ""))


def _rows(where: str, file: Path) -> Iterator[tuple[str, Row]]:
    """Each row, with its place for messages."""
    with open_text(where, file) as lines:
        is_first = True
        for number, line in enumerate(lines, start=1):
            if not (text := line.strip()):
                continue
            if is_first and text.startswith("["):
                yield from _of_array(where, file, chain([line], lines))
                return
            is_first = False
            yield f"line {number}", _object(where, file, f"line {number}", text)


def _of_array(where: str, file: Path, lines: Iterator[str]) -> Iterator[tuple[str, Row]]:
    with explained(f"{where}: {file} could not be read", "write an object per line"):
        content = _parsed("".join(lines))
    for number, row in enumerate(content):
        place = f"row {number}"
        if not isinstance(row, dict):
            raise UserError(f"{where}: {place} of {file} is no JSON object: write one there.")
        yield place, row


def _object(where: str, file: Path, place: str, text: str) -> Row:
    with explained(f"{where}: {place} of {file} could not be read", "write one JSON object there"):
        row = _parsed(text)
    if not isinstance(row, dict):
        raise UserError(
            f"{where}: {place} of {file} is {text[:30]}, not a row: write one JSON object there."
        )
    return row


def _parsed(text: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"it has the key '{twice}' twice")
        return row

    def constant(name: str) -> float | None:
        return None if name == "NaN" else float(name)

    return json.loads(text, object_pairs_hook=unique, parse_constant=constant)


def _value(value: Any, path: Sequence[str]) -> Any:
    """What is at ``path`` in a row; in a list of objects, a list of what is there in each."""
    for position, step in enumerate(path):
        if isinstance(value, list):
            return [_value(one, path[position:]) for one in value]
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def _kinds(values: Sequence[Any]) -> list[str]:
    """What ``values`` are, in words and in their order; lists are what their items are."""
    kinds = set(map(type, values)) - {NoneType}
    if len(kinds) > 1 and len(values) > 1:
        return list(dict.fromkeys(kind for value in values for kind in _kinds([value])))
    if kinds != {list}:
        return [KINDS.get(kind, "an object") for kind in kinds]
    inner = set(map(type, chain.from_iterable(filter(None, values)))) - {NoneType}
    return sorted({f"a list with {KINDS.get(kind, 'an object')}" for kind in inner})


def _first(kind: str, batch: Sequence[tuple[str, Row]], values: Sequence[Any]) -> tuple[str, Any]:
    return next(
        (place, value)
        for (place, _), value in zip(batch, values, strict=True)
        if kind in _kinds([value])
    )


def _array(values: list[Any], kind: str | None) -> pa.Array:
    if kind != "a number":
        return pa.array(values, pa.string() if kind == "a text" else None)
    has_fractions = float in set(map(type, values))
    largest = 2**53 if has_fractions else 2**63 - 1
    for one in values:
        if isinstance(one, int) and abs(one) > largest:
            raise ValueError(f"{one} is too large a number: write it as a text")
    if not has_fractions:
        return pa.array(values, pa.int64())
    return pa.array([None if one is None else float(one) for one in values], pa.float64())
