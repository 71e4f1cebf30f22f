"""The temperature that makes the probabilities of a trained model fit (Guo et al. 2017)."""

import math

from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn.functional import nll_loss

from pipeline.model.inference import probabilities

LOWEST, HIGHEST = 0.05, 20.0


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature of ``probabilities`` with the least log loss.

    ``logits`` has shape [rows, heads, classes] and ``labels`` [rows] (int64): those of validation
    rows, on which the model was not trained. The result is between 0.05 and 20.
    """
    logits = logits.double()

    def log_loss(log_temperature: float) -> float:
        predicted = probabilities(logits, math.exp(log_temperature))
        return nll_loss(predicted.clamp_min(1e-15).log(), labels).item()

    bounds = (math.log(LOWEST), math.log(HIGHEST))
    return math.exp(minimize_scalar(log_loss, bounds=bounds, method="bounded").x)
