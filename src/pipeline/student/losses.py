"""The losses of both stages, per row.

``soft_loss`` of kind ``mse`` is equation 4 of the paper, ``student_loss`` its equation 5.
``docs/method.md`` explains the formulas and the conventions of the two soft losses.
"""

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.student.settings import SoftLoss


def soft_loss(student: Tensor, teacher: Tensor, kind: SoftLoss, *, temperature: float) -> Tensor:
    """Distance between the soft heads and their teachers, averaged over the teachers.

    ``mse``: the mean over classes of the squared difference of logits; it has no temperature.
    ``kl``: T² · KL(softmax(teacher / T) ‖ softmax(student / T)), summed over classes; the factor
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
    *,
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
    [rows, teachers, classes], float. A term of weight 0 is not computed, so that NaN in its inputs
    cannot reach the sum.
    """
    parts = []
    if alpha < 1:
        parts.append((1 - alpha) * functional.cross_entropy(golden, labels, reduction="none"))
    if alpha > 0:
        parts.append(alpha * soft_loss(soft, teacher, kind, temperature=temperature))
    return torch.stack(parts).sum(dim=0)
