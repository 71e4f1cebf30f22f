"""The loss of both stages, per row; each formula stands here and nowhere else.

`soft_loss` at temperature 1 is the paper's equation 4, `student_loss` its equation 5. The formulas
and the two conventions of the soft loss are explained in docs/method.md.
"""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

SoftLoss = Literal["mse", "kl"]


def soft_loss(student: Tensor, teacher: Tensor, kind: SoftLoss, temperature: float) -> Tensor:
    """How far the soft heads are from their teachers, averaged over the teachers.

    ``mse``: the mean over classes of the squared difference of logits; it has no temperature.
    ``kl``: T² · KL(softmax(teacher / T) ‖ softmax(student / T)), the sum over classes; the factor
    keeps the size of the gradient as T grows (Hinton et al. 2015).

    Both inputs are logits of shape [rows, teachers, classes], float; the result has shape [rows].
    """
    if kind == "mse":
        return (student - teacher).square().mean(dim=(1, 2))
    student_log = functional.log_softmax(student / temperature, dim=-1)
    teacher_log = functional.log_softmax(teacher / temperature, dim=-1)
    divergence = (teacher_log.exp() * (teacher_log - student_log)).sum(dim=-1)
    return temperature**2 * divergence.mean(dim=1)


def student_loss(
    golden: Tensor,
    labels: Tensor,
    soft: Tensor,
    teacher: Tensor,
    alpha: float,
    kind: SoftLoss,
    temperature: float,
) -> Tensor:
    """(1 - alpha) · cross-entropy of the golden head + alpha · soft loss, of shape [rows].

    ``golden`` has shape [rows, classes], ``labels`` [rows] (int64), ``soft`` and ``teacher``
    [rows, teachers, classes]. A side of weight 0 takes no part at all: its inputs are not read,
    so that a diverged or unlabelled one cannot turn the sum into NaN.
    """
    parts = []
    if alpha < 1:
        parts.append((1 - alpha) * functional.cross_entropy(golden, labels, reduction="none"))
    if alpha > 0:
        parts.append(alpha * soft_loss(soft, teacher, kind, temperature))
    return torch.stack(parts).sum(dim=0)
