"""Logits of a model for many rows, and the prediction that follows from them."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softmax

from pipeline.core import runtime
from pipeline.model.encoding import Encoded, collate, scoring_batches
from pipeline.model.pair_model import PairModel

BATCH_SIZE = 64


def predict(
    model: PairModel,
    encoded: Encoded,
    heads: Sequence[str],
    *,
    advance: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """Logits in row order, float32 of shape [rows, heads, classes], on the CPU.

    Dropout is off. ``advance`` is called with the number of rows of each finished batch.
    """
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    return _score(model, encoded, heads, batches, advance).cpu()


def predict_together(model: PairModel, encoded: Encoded, heads: Sequence[str]) -> Tensor:
    """``predict`` shared by all processes: each scores some batches, and all get all logits."""
    engine = runtime.accelerator()
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    own_batches = batches[engine.process_index :: engine.num_processes]
    logits: Tensor = engine.reduce(_score(model, encoded, heads, own_batches), "sum")
    return logits.cpu()


def mean_probability(logits: Tensor) -> Tensor:
    """The mean of the softmax outputs of several heads or models (paper equation 6).

    ``logits`` has shape [rows, heads, classes]. The result has shape [rows, classes] and the dtype
    of ``logits``, and sums to 1 per row.
    """
    return softmax(logits, dim=-1).mean(dim=1)


def _score(
    model: PairModel,
    encoded: Encoded,
    heads: Sequence[str],
    batches: Sequence[np.ndarray],
    advance: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """Like ``predict``, on the model's device, with zeros for rows that are in no batch."""
    engine = runtime.accelerator()
    model.to(engine.device).eval()
    logits = torch.zeros(len(encoded), len(heads), model.classes, device=engine.device)
    with torch.inference_mode(), engine.autocast():
        for indices in batches:
            batch = {k: v.to(engine.device) for k, v in collate(encoded, indices).items()}
            logits[torch.from_numpy(indices)] = model(batch, heads)
            advance(len(indices))
    return logits
