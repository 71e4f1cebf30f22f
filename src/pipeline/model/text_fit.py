"""How well a tokenizer and a maximum length fit the texts of rows."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from pipeline import console
from pipeline.core.rows import Rows
from pipeline.model.encoding import unknown_share

ROWS = 5_000
"""Rows that are measured, spread evenly over all."""
NEEDED = 0.95
"""Share of pairs for which the length is said that they need."""
CUT, TOKENS_PER_WORD, UNKNOWN = 0.01, 3.0, 0.05
"""Above these, it is said."""


@dataclass(frozen=True)
class TextFit:
    """What a tokenizer makes of pairs, measured on some of the rows."""

    max_length: int
    cut: float
    """Share of pairs that have more than ``max_length`` tokens."""
    needed: int
    """Number of tokens that is enough for 95% of the pairs."""
    tokens_per_word: float
    unknown: float
    """Share of tokens that stand for anything that the tokenizer does not know."""

    def sentences(self) -> list[str]:
        """What should be known of it, for people."""
        said = []
        if self.cut >= CUT:
            said.append(
                f"{self.cut:.0%} of the pairs have more than {self.max_length} tokens and lose the "
                f"end of the longer text; 95% have at most {self.needed}: see max_length"
            )
        if self.tokens_per_word > TOKENS_PER_WORD or self.unknown > UNKNOWN:
            said.append(
                f"{self.tokens_per_word:.1f} tokens per word and {self.unknown:.0%} unknown "
                "tokens; texts in a language of the tokenizer have about 1.3 and none: see the "
                "weights"
            )
        return said


def measure(tokenizer: Any, rows: Rows, max_length: int) -> TextFit:
    """Measure ``rows``, or ``ROWS`` of them."""
    chosen = np.zeros(len(rows), dtype=bool)
    chosen[np.linspace(0, len(rows) - 1, min(ROWS, len(rows))).astype(int)] = True
    text_a, text_b = rows.texts(mask=chosen)
    backend = tokenizer.backend_tokenizer
    backend.no_truncation()
    backend.no_padding()
    pairs = backend.encode_batch_fast(list(zip(text_a, text_b, strict=True)))
    lengths = np.array([len(pair) for pair in pairs])
    special = tokenizer.num_special_tokens_to_add(pair=True) * len(pairs)
    words = sum(len(text.split()) for text in (*text_a, *text_b))
    return TextFit(
        max_length,
        cut=float((lengths > max_length).mean()),
        needed=int(np.ceil(np.quantile(lengths, NEEDED))),
        tokens_per_word=float((lengths.sum() - special) / max(1, words)),
        unknown=unknown_share(tokenizer, np.concatenate([pair.ids for pair in pairs])),
    )


def say(tokenizer: Any, rows: Rows, max_length: int) -> None:
    """Say in the log what should be known of ``rows``, if anything."""
    for sentence in measure(tokenizer, rows, max_length).sentences():
        console.say(f"{rows.name}: {sentence}.")
