"""Logits of a trained model for many rows, without padding waste and without gradients."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from pipeline import runtime
from pipeline.encoding import Encoded, collate, scoring_batches
from pipeline.models import PairModel

BATCH_SIZE = 64


@torch.inference_mode()
def predict(
    model: PairModel,
    encoded: Encoded,
    heads: Sequence[str],
    advance: Callable[[int], None] = lambda count: None,
) -> Tensor:
    """Logits in row order, float32 of shape [rows, heads, classes], on the CPU.

    Dropout is off. ``advance`` hears how many rows each batch finished.
    """
    engine = runtime.accelerator()
    model.to(engine.device).eval()
    batches = scoring_batches(encoded.lengths, BATCH_SIZE)
    with engine.autocast():
        pieces = []
        for indices in batches:
            batch = {k: v.to(engine.device) for k, v in collate(encoded, indices).items()}
            pieces.append(model(batch, heads))
            advance(len(indices))
    scored = torch.cat(pieces).cpu()
    logits = torch.empty_like(scored)
    logits[torch.cat([torch.from_numpy(indices) for indices in batches])] = scored
    return logits
