"""How many pairs per second a model scores, measured side by side with others."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from transformers import AutoConfig, AutoModel, PreTrainedModel

from pipeline.model.encoding import Encoded
from pipeline.model.inference import Scorer, predict
from pipeline.model.loading import without_pooler
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN

ROUNDS = 3


@dataclass(frozen=True)
class Timed:
    """A model, the heads that it predicts with, and the rows that it is timed on."""

    model: Scorer
    heads: Sequence[str]
    encoded: Encoded


def untrained_twin(encoder: dict[str, Any], lengths: Sequence[int], classes: int) -> Timed:
    """A model with random weights whose ``encoder`` has this transformers configuration.

    Its rows have ``lengths`` tokens. Speed depends neither on weights nor on tokens, so a teacher
    can be timed where its weights and its tokenizer are missing. Raises anything if such a model
    cannot be built or read its rows.
    """
    if not lengths:
        raise ValueError("it notes the lengths of no rows")
    # An attention implementation could name code on a hub.
    left_out = ("model_type", "attn_implementation", "_attn_implementation")
    settings = {key: value for key, value in encoder.items() if key not in left_out}
    config = AutoConfig.for_model(encoder["model_type"], **settings)
    twin: PreTrainedModel = AutoModel.from_config(config, **without_pooler(config))
    offsets = np.cumsum([0, *lengths])
    pad_id = max(config.pad_token_id or 0, 0)
    encoded = Encoded(
        # Any token but that of padding.
        ids=np.full(offsets[-1], 0 if pad_id else 1, dtype=np.int32),
        types=np.zeros(offsets[-1], dtype=np.uint8),
        offsets=offsets,
        has_types=getattr(config, "type_vocab_size", 0) > 1,
        pad_id=pad_id,
    )
    model = PairModel(twin, [GOLDEN], head_layers=1, classes=classes, dropout=0.0)
    predict(model, encoded.first(1), [GOLDEN])
    return Timed(model, [GOLDEN], encoded)


def pairs_per_second(systems: Sequence[Timed]) -> list[float]:
    """The rate of each of ``systems`` on its rows, measured in turns."""
    seconds = seconds_in_turns(
        [partial(predict, one.model, one.encoded, one.heads) for one in systems]
    )
    return [len(one.encoded) / own for one, own in zip(systems, seconds, strict=True)]


def seconds_in_turns(contenders: Sequence[Callable[[], object]]) -> list[float]:
    """How long each of ``contenders`` takes: the median of several rounds after a first one.

    They take turns, so that other work on the machine affects all of them alike.
    """
    seconds: list[list[float]] = [[] for _ in contenders]
    for turn in range(ROUNDS + 1):
        for contender, own in zip(contenders, seconds, strict=True):
            started = time.perf_counter()
            contender()
            if turn:
                own.append(time.perf_counter() - started)
    return [median(own) for own in seconds]
