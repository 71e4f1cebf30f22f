"""Tell whether a training learns anything, and whether it ends too early, by its loss."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

LEAST_GAIN = 0.02
"""The share by which a loss must be below that of a constant predictor to have left it."""
STEEP = 0.1
"""The share of the fall of a loss that its last part must have for it to be still falling."""
SAMPLE_ROWS = 10_000


class LossWatch:
    """The loss of a training by sixths of its steps, beside that of a constant predictor.

    Of fewer than six steps, some sixths are empty; an empty one never counts as constant.
    """

    def __init__(self, constant: float, steps: int, sums: list[list[float]] | None = None) -> None:
        """``sums`` are those of an interrupted training of ``steps`` steps."""
        self.constant = constant
        self.steps = steps
        self.sums = sums or [[0.0, 0.0] for _ in range(6)]
        """Loss and number of rows of each sixth."""

    def add(self, step: int, loss: float, rows: int) -> None:
        """Count ``loss``, summed over the ``rows`` of step number ``step``, from 0."""
        sixth = self.sums[6 * step // self.steps]
        sixth[0] += loss
        sixth[1] += rows

    def is_constant(self, sixth: int) -> bool:
        """Whether the loss of this sixth, from 0, is no lower than that of a constant predictor."""
        loss, rows = self.sums[sixth]
        return rows > 0 and loss >= (1 - LEAST_GAIN) * self.constant * rows

    def is_still_falling(self, validation: Sequence[float]) -> bool:
        """Whether more steps would probably help.

        ``validation`` has the validation loss after each epoch. Since the constant predictor, at
        least ``STEEP`` of its fall must be that of the last epoch. Of a single epoch, in which each
        row is new, it is the training loss of the last third of the steps.
        """
        if len(validation) > 1:
            before, last = validation[-2:]
        elif all(rows for _, rows in self.sums[2:]):
            before, last = self._third(1), self._third(2)
        else:
            return False
        return 0 < STEEP * (self.constant - last) < before - last

    def _third(self, third: int) -> float:
        """The mean loss of a third of the steps, from 0."""
        (first_loss, first_rows), (second_loss, second_rows) = self.sums[2 * third : 2 * third + 2]
        return (first_loss + second_loss) / (first_rows + second_rows)


def sample(rows: np.ndarray) -> Tensor:
    """At most ``SAMPLE_ROWS`` of the row numbers ``rows``, enough for ``constant_loss``; int64.

    They are the same ones each time, drawn at random, because corpora may have their classes in
    turns.
    """
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    return torch.from_numpy(rows)[order[:SAMPLE_ROWS]]


def constant_loss(
    labels: Tensor, targets: Tensor, heads: int, loss: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> float:
    """The least mean loss of a predictor that gives all rows the same logits [heads, classes].

    ``labels`` has shape [rows], ``targets`` [rows, soft heads, classes], and ``loss`` gives a loss
    per row. All losses of this project are convex in the logits, so that LBFGS finds the least.
    """
    logits = torch.zeros(1, heads, targets.shape[-1], requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=100, line_search_fn="strong_wolfe")

    def mean_loss() -> float:
        optimizer.zero_grad()
        mean = loss(logits.expand(len(labels), -1, -1), labels, targets).mean()
        mean.backward()
        return mean.item()

    optimizer.step(mean_loss)
    return mean_loss()
