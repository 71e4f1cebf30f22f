"""Test pairs with faults: typing errors, missing words, changed case."""

import string
from collections.abc import Callable

import numpy as np
import pyarrow as pa

from pipeline.core.rows import Rows

STRENGTHS = (0.1, 0.2, 0.3)
"""Shares of the words of a text that are changed."""


def _misspell(word: str, generator: np.random.Generator) -> str:
    """Swap two neighbouring letters, leave one out, double one, or replace one."""
    misspelt = word
    while misspelt in (word, ""):
        place = int(generator.integers(len(word)))
        letter = string.ascii_lowercase[generator.integers(26)]
        before, at, after = word[:place], word[place], word[place + 1 :]
        changed = (before + after[:1] + at + after[1:], before + after, before + at + at + after)
        misspelt = [*changed, before + letter + after][generator.integers(4)]
    return misspelt


def _drop(word: str, generator: np.random.Generator) -> str:
    return ""


def _change_case(word: str, generator: np.random.Generator) -> str:
    return word.swapcase()


CORRUPTIONS: dict[str, Callable[[str, np.random.Generator], str]] = {
    "typos": _misspell,
    "dropped_words": _drop,
    "changed_case": _change_case,
}


def faults(kind: str) -> list[str]:
    """The names of the test rows with faults of this kind, by strength."""
    return [f"{kind} {strength}" for strength in STRENGTHS]


def corrupt(rows: Rows, kind: str, strength: float) -> Rows:
    """``rows`` with a ``strength`` share of the words of both texts changed, always the same ones.

    A text keeps at least one word.
    """
    generator = np.random.default_rng(0)

    def changed(text: str) -> str:
        words = [
            CORRUPTIONS[kind](word, generator) if generator.random() < strength else word
            for word in text.split()
        ]
        return " ".join(word for word in words if word) or text

    texts = [pa.array([changed(text) for text in side]) for side in rows.texts()]
    table = pa.table({"text_a": texts[0], "text_b": texts[1], "label": rows.table["label"]})
    return Rows(f"{rows.name}, {kind} {strength}", table, rows.label_names)
