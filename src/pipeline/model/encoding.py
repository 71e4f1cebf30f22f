"""Tokenise text pairs once, and collate the tokens to batches of rows of similar length."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from pipeline.core.errors import UserError
from pipeline.core.rows import Rows

CHUNK_ROWS = 10_000
BATCHES_SORTED_TOGETHER = 32
Batch = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Encoded:
    """The tokens of all rows, one row after another, without padding: 3 or 5 bytes a token."""

    ids: np.ndarray
    """Shape [tokens], uint16 or, for a vocabulary of more than 65,536 tokens, int32."""
    types: np.ndarray
    """Shape [tokens], uint8: 0 for the first text, 1 for the second."""
    offsets: np.ndarray
    """Shape [rows + 1], int64: row i has the tokens offsets[i] to offsets[i + 1]."""
    has_types: bool
    """Whether the model takes token types."""
    pad_id: int

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def first(self, rows: int) -> "Encoded":
        """The first ``rows`` rows, or all if there are fewer."""
        return replace(self, offsets=self.offsets[: rows + 1])


def encode(
    tokenizer: Any,
    rows: Rows,
    max_length: int,
    *,
    start: int = 0,
    stop: int | None = None,
    mask: np.ndarray | None = None,
) -> Encoded:
    """Tokenise rows ``start`` to ``stop``, or those in ``mask`` (bool, shape [rows]).

    Pairs above ``max_length`` tokens lose the end of the longer text first.
    """
    stop = len(rows) if stop is None else min(stop, len(rows))
    # Without the positions in the texts that ``tokenizer`` itself would ask for.
    backend = tokenizer.backend_tokenizer
    backend.enable_truncation(max_length, strategy="longest_first", direction="right")
    backend.no_padding()
    highest = max(tokenizer.get_vocab().values())
    dtype = np.uint16 if highest < 2**16 else np.int32
    ids, types, lengths = [], [], [np.zeros(1, dtype=np.int64)]
    for first in range(start, stop, CHUNK_ROWS):
        last = min(first + CHUNK_ROWS, stop)
        text_a, text_b = rows.texts(first, last, None if mask is None else mask[first:last])
        if not text_a:
            continue
        pairs = backend.encode_batch_fast(list(zip(text_a, text_b, strict=True)))
        ids.append(np.concatenate([np.asarray(pair.ids, dtype) for pair in pairs]))
        types.append(np.concatenate([np.asarray(pair.type_ids, np.uint8) for pair in pairs]))
        lengths.append(np.array([len(pair) for pair in pairs]))
    return Encoded(
        np.concatenate(ids),
        np.concatenate(types),
        np.cumsum(np.concatenate(lengths)),
        "token_type_ids" in tokenizer.model_input_names,
        tokenizer.pad_token_id,
    )


def check_vocabulary(tokenizer: Any, encoded: Encoded, name: str) -> None:
    """Raises UserError if most words of ``encoded``, rows called ``name``, are unknown tokens."""
    if (share := unknown_share(tokenizer, encoded.ids)) > 0.5:
        raise UserError(
            f"{name}: {share:.0%} of the words are unknown to the tokenizer, so that a model could "
            "not tell them apart: use weights for the language and script of the corpus."
        )


def unknown_share(tokenizer: Any, ids: np.ndarray) -> float:
    """The share of ``ids``, without special tokens, that stand for what is not known."""
    unknown = tokenizer.unk_token_id
    others = set(tokenizer.all_special_ids) - {unknown}
    # GPT-2 has one special token, which separates texts.
    if unknown is None or unknown in (tokenizer.eos_token_id, tokenizer.pad_token_id):
        return 0.0
    words = ids[~np.isin(ids, list(others))]
    return float((words == unknown).mean()) if len(words) else 1.0


def collate(encoded: Encoded, indices: np.ndarray) -> Batch:
    """Pad the rows to the longest of them: int64 tensors of shape [rows, longest]."""
    lengths = encoded.lengths[indices]
    columns = np.arange(lengths.max())
    mask = columns < lengths[:, None]
    positions = np.where(mask, encoded.offsets[indices][:, None] + columns, 0)
    batch = {
        "input_ids": np.where(mask, encoded.ids[positions], encoded.pad_id),
        "attention_mask": mask,
    }
    if encoded.has_types:
        batch["token_type_ids"] = encoded.types[positions] * mask
    return {name: torch.from_numpy(values.astype(np.int64)) for name, values in batch.items()}


def training_batches(
    lengths: np.ndarray, batch_size: int, *, seed: int, epoch: int
) -> list[np.ndarray]:
    """Row numbers of the batches of an epoch; each row once, in an order set by seed and epoch.

    Rows are shuffled, then sorted by length within groups of some batches. So there is little
    padding, and the composition of batches changes from epoch to epoch.
    """
    generator = np.random.default_rng((seed, epoch))
    order = generator.permutation(len(lengths))
    batches: list[np.ndarray] = []
    for group in _pieces(order, batch_size * BATCHES_SORTED_TOGETHER):
        group = group[np.argsort(lengths[group], kind="stable")]
        batches.extend(_pieces(group, batch_size))
    return [batches[i] for i in generator.permutation(len(batches))]


def scoring_batches(lengths: np.ndarray, batch_size: int) -> list[np.ndarray]:
    """Row numbers of batches, longest rows first, so that a lack of memory shows at once."""
    order = np.argsort(-lengths, kind="stable")
    return list(_pieces(order, batch_size))


def _pieces(order: np.ndarray, size: int) -> Iterator[np.ndarray]:
    for start in range(0, len(order), size):
        yield order[start : start + size]
