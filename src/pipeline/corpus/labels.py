"""What the values of a label column mean: classes by name, by number, or none."""

import math
from collections.abc import Callable, Mapping, Sequence

from pipeline.core.rows import UNLABELLED

Value = str | float | bool
NO_LABEL = ("", "-")
"""Texts of rows without a label; ``-`` is that of SNLI and MultiNLI."""
TRUTH = {"false": 0, "true": 1}


def meanings(
    counts: Mapping[Value, int], names: Sequence[str], declared: Sequence[str] | None
) -> dict[Value, int | str]:
    """For each value its index in ``names``, -1 for no label, or the reason why it is neither.

    ``counts`` are the values that occur, all of one type, and how often. ``declared`` are the names
    of the classes by number, if the source itself says them. Else numbers and truth values are
    positions in ``names``, unless the names are such words themselves. Texts may be names, numbers
    or truth values: they are taken for what most of them are.
    """

    def by_name(value: Value) -> int | str:
        return _by_name(value, names)

    def by_number(value: Value) -> int | str:
        return _by_number(value, names, declared)

    def by_truth(value: Value) -> int | str:
        return _by_truth(value, names)

    kinds = set(map(type, counts))
    readers = [by_name, by_number, by_truth]
    if str not in kinds:
        readers = [by_truth] if bool in kinds else [by_number]

    def fitting(reader: Callable[[Value], int | str]) -> int:
        return sum(n for value, n in counts.items() if isinstance(reader(value), int))

    reader = max(readers, key=fitting)
    return {value: reader(value) for value in counts}


def said(found: Mapping[Value, int | str], names: Sequence[str]) -> dict[str, str]:
    """The class that each value stands for, of those that are not its name."""
    classes = {
        value: names[index]
        for value, index in found.items()
        if isinstance(index, int) and index >= 0
    }
    return {_shown(value): name for value, name in classes.items() if _shown(value) != name}


def _shown(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value}".strip()


def _by_name(value: Value, names: Sequence[str]) -> int | str:
    text = value.strip() if isinstance(value, str) else None
    if text in names:
        return names.index(text)
    return UNLABELLED if text in NO_LABEL else f"is not one of {', '.join(names)}"


def _by_number(value: Value, names: Sequence[str], declared: Sequence[str] | None) -> int | str:
    if isinstance(value, str) and value.strip() in NO_LABEL:
        return UNLABELLED
    try:
        number = float(value)
    except ValueError:
        return f"is not one of {', '.join(names)}"
    if math.isnan(number):
        return UNLABELLED if not isinstance(value, str) else f"is not one of {', '.join(names)}"
    if math.isfinite(number) and number != math.floor(number):
        return "is not a whole number"
    own = _numbers(names) if declared is None else None
    if own and number in own:
        return own.index(number)
    if number == UNLABELLED:
        return UNLABELLED
    if own:
        return f"is not one of {', '.join(names)}"
    if not 0 <= number < len(names):
        return f"is not in 0 to {len(names) - 1} or -1"
    return names.index(declared[int(number)]) if declared else int(number)


def _by_truth(value: Value, names: Sequence[str]) -> int | str:
    word = str(value).strip().casefold()
    words = [name.casefold() for name in names]
    if word in NO_LABEL:
        return UNLABELLED
    if word not in TRUTH:
        return f"is not one of {', '.join(names)}"
    if set(words) == set(TRUTH):
        return words.index(word)
    own = _numbers(names)
    return own.index(TRUTH[word]) if own and TRUTH[word] in own else TRUTH[word]


def _numbers(names: Sequence[str]) -> list[float] | None:
    """The numbers that all ``names`` are, where ``true`` is 1 and ``false`` is 0."""
    try:
        numbers = [float(TRUTH.get(name.casefold(), name)) for name in names]
    except ValueError:
        return None
    return numbers if all(map(math.isfinite, numbers)) else None
