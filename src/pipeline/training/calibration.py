"""Fit a trained model to validation rows: a temperature (Guo et al. 2017) and thresholds."""

import math

import numpy as np
from scipy.optimize import minimize_scalar
from sklearn.metrics import precision_recall_curve
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


def fit_thresholds(probabilities: Tensor, labels: Tensor) -> tuple[float, ...]:
    """For each of two classes the least probability at which answering it gives the best F1.

    ``probabilities`` has shape [rows, 2] and ``labels`` [rows] (int64): those of validation rows.
    Empty if there are more classes, or if a class does not occur.
    """
    values, gold = probabilities.numpy(), labels.numpy()
    if values.shape[1] != 2 or len(np.unique(gold)) < 2:
        return ()
    thresholds = []
    for own in (0, 1):
        precision, recall, levels = precision_recall_curve(gold == own, values[:, own])
        f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
        thresholds.append(float(levels[f1[:-1].argmax()]))
    return tuple(thresholds)
