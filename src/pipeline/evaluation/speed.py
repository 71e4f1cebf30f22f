"""How many pairs per second a model scores, measured side by side with others."""

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from transformers import AutoConfig, AutoModel, PreTrainedModel

from pipeline.model.encoding import Encoded
from pipeline.model.inference import predict
from pipeline.model.loading import without_pooler
from pipeline.model.pair_model import GOLDEN, PairModel

ROUNDS = 3
ROWS = 128
"""Number of rows that a model is timed on."""


def untrained_twin(encoder: dict[str, Any], classes: int) -> PairModel:
    """A model with random weights whose ``encoder`` has this transformers configuration.

    Speed does not depend on weights, so a teacher can be timed where its weights are missing.
    """
    settings = {key: value for key, value in encoder.items() if key != "model_type"}
    config = AutoConfig.for_model(encoder["model_type"], **settings)
    twin: PreTrainedModel = AutoModel.from_config(config, **without_pooler(config))
    return PairModel(twin, [GOLDEN], head_layers=1, classes=classes, dropout=0.0)


def pairs_per_second(
    models: Sequence[tuple[PairModel, Sequence[str]]], encoded: Encoded
) -> list[float]:
    """The rate of each of ``models`` (given with their heads) on the same rows.

    The models take turns, so that other work on the machine affects all of them alike. A rate is
    the median of several rounds after a first one to warm up.
    """
    rates: list[list[float]] = [[] for _ in models]
    for turn in range(ROUNDS + 1):
        for (model, heads), own in zip(models, rates, strict=True):
            started = time.perf_counter()
            predict(model, encoded, heads)
            if turn:
                own.append(len(encoded) / (time.perf_counter() - started))
    return [median(own) for own in rates]
