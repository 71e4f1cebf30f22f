"""The optimizers and the schedule of the learning rate."""

from typing import cast

import torch
from torch import nn

from pipeline.model.pair_model import PairModel
from pipeline.training.settings import Training


def make_optimizer(model: PairModel, settings: Training) -> torch.optim.Optimizer:
    """The optimizer of ``settings``, without weight decay for vectors and token embeddings."""
    tokens = cast(nn.Embedding, model.encoder.get_input_embeddings()).weight
    matrices = [p for p in model.parameters() if p.ndim > 1 and p is not tokens]
    others = [tokens, *(p for p in model.parameters() if p.ndim <= 1)]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings.lr, fused=True)


def learning_rate_factor(step: int, total: int, warmup: float) -> float:
    """Factor of the learning rate at ``step`` of ``total``.

    It rises linearly to 1 over the first ``warmup`` of the steps, then falls linearly to 0.
    """
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    return (total - step) / (total - rising)
