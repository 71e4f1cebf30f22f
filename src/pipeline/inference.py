"""Logits of a model for many rows, without padding waste and without gradients."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline import runtime
from pipeline.encoding import Encoded, collate, scoring_batches
from pipeline.models import PairModel

BATCH_SIZE = 64


def predict(
    model: PairModel,
    encoded: Encoded,
    heads: Sequence[str],
    advance: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """Logits in row order, float32 of shape [rows, heads, classes], on the CPU.

    Dropout is off. ``advance`` hears how many rows each batch finished.
    """
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    return _score(model, encoded, heads, batches, advance).cpu()


def predict_together(model: PairModel, encoded: Encoded, heads: Sequence[str]) -> Tensor:
    """``predict`` by all processes: each scores some batches, and all get every logit."""
    engine = runtime.accelerator()
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    mine = batches[engine.process_index :: engine.num_processes]
    logits: Tensor = engine.reduce(_score(model, encoded, heads, mine), "sum")
    return logits.cpu()


def _score(
    model: PairModel,
    encoded: Encoded,
    heads: Sequence[str],
    batches: Sequence[np.ndarray],
    advance: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """As ``predict``, on the model's device, with zeros for the rows that are in no batch."""
    engine = runtime.accelerator()
    model.to(engine.device).eval()
    logits = torch.zeros(len(encoded), len(heads), model.classes, device=engine.device)
    with torch.inference_mode(), engine.autocast():
        for indices in batches:
            batch = {k: v.to(engine.device) for k, v in collate(encoded, indices).items()}
            logits[torch.from_numpy(indices)] = model(batch, heads)
            advance(len(indices))
    return logits
