"""How many pairs a second a model scores, measured side by side."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from transformers import AutoConfig, AutoModel, PreTrainedModel

from pipeline.encoding import Encoded
from pipeline.inference import predict
from pipeline.models import GOLDEN, PairModel, without_pooler

ROUNDS = 3
ROWS = 128
"""How many are enough to time a model by."""


def untrained_twin(encoder: dict[str, Any], classes: int) -> PairModel:
    """A model of the shape that ``encoder``, a transformers configuration, describes.

    Its weights are random: speed does not depend on them, and a teacher's need not be at hand.
    """
    settings = {key: value for key, value in encoder.items() if key != "model_type"}
    config = AutoConfig.for_model(encoder["model_type"], **settings)
    twin: PreTrainedModel = AutoModel.from_config(config, **without_pooler(config))
    return PairModel(twin, [GOLDEN], 1, classes, 0.0)


def pairs_per_second(
    models: Sequence[tuple[PairModel, Sequence[str]]], encoded: Encoded
) -> list[float]:
    """The rate of each model, given with its heads, on the same rows.

    The models take turns, so that other work on the machine falls on all of them alike; each rate
    is the median of several rounds after one to warm up.
    """
    rates: list[list[float]] = [[] for _ in models]
    for turn in range(ROUNDS + 1):
        for (model, heads), own in zip(models, rates, strict=True):
            started = time.perf_counter()
            predict(model, encoded, heads)
            if turn:
                own.append(len(encoded) / (time.perf_counter() - started))
    return [median(own) for own in rates]
