"""Ensembles of several models."""

from torch import Tensor
from torch.nn.functional import one_hot

from pipeline.model.inference import mean_probability


def majority_vote(logits: Tensor) -> Tensor:
    """The class that most models choose, int64 of shape [rows] (m-o-m).

    ``logits`` has shape [rows, models, classes]. Of tied classes, the one with the highest mean
    probability wins.
    """
    votes = one_hot(logits.argmax(dim=-1), logits.shape[-1]).sum(dim=1)
    return (votes + mean_probability(logits) / 2).argmax(dim=-1)
