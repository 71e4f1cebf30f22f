"""Logits of a model for many rows, and the prediction that follows from them."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softmax

from pipeline.core import runtime
from pipeline.model.encoding import Encoded, collate, scoring_batches
from pipeline.model.pair_model import PairModel
from pipeline.model.sequence_classifier import SequenceClassifier

BATCH_SIZE = 64
Scorer = PairModel | SequenceClassifier
"""A model that gives logits for text pairs."""


def predict(
    model: Scorer,
    encoded: Encoded,
    heads: Sequence[str],
    *,
    advance: Callable[[int], None] = lambda count: None,
    in_float32: bool = False,
) -> Tensor:
    """Logits in row order, float32 of shape [rows, heads, classes], on the CPU.

    Dropout is off. ``advance`` is called with the number of rows of each finished batch. The model
    computes in float32 if ``in_float32``, else in the precision of this run.
    """
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    return _score(model, encoded, heads, batches, advance, in_float32=in_float32).cpu()


def predict_together(model: PairModel, encoded: Encoded, heads: Sequence[str]) -> Tensor:
    """``predict`` shared by all processes: each scores some batches, and all get all logits."""
    engine = runtime.accelerator()
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    own_batches = batches[engine.process_index :: engine.num_processes]
    logits: Tensor = engine.reduce(_score(model, encoded, heads, own_batches), "sum")
    return logits.cpu()


def probabilities(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """The prediction of a model: the softmax of the mean of its heads' logits.

    ``logits`` has shape [rows, heads, classes]. The result has shape [rows, classes] and the dtype
    of ``logits``, and sums to 1 per row. Equation 6 of the paper averages softmax outputs instead,
    which ``docs/results.md`` compares.
    """
    return softmax(logits.mean(dim=1) / temperature, dim=-1)


def mean_probability(logits: Tensor) -> Tensor:
    """The prediction of several models together: the mean of their softmax outputs.

    ``logits`` has shape [rows, models, classes]. The result is like that of ``probabilities``.
    """
    return softmax(logits, dim=-1).mean(dim=1)


def _score(
    model: Scorer,
    encoded: Encoded,
    heads: Sequence[str],
    batches: Sequence[np.ndarray],
    advance: Callable[[int], None] = lambda count: None,
    *,
    in_float32: bool = False,
) -> Tensor:
    """Like ``predict``, on the model's device, with zeros for rows that are in no batch."""
    engine = runtime.accelerator()
    model.to(engine.device).eval()
    logits = torch.zeros(len(encoded), len(heads), model.classes, device=engine.device)
    autocast = nullcontext() if in_float32 else engine.autocast()
    with torch.inference_mode(), autocast:
        for indices in batches:
            batch = {k: v.to(engine.device) for k, v in collate(encoded, indices).items()}
            logits[torch.from_numpy(indices)] = model(batch, heads)
            advance(len(indices))
    return logits
