"""The loss of a constant predictor, worked out by hand, and when a loss has not left it."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.student.losses import soft_loss, student_loss
from pipeline.training.failure import SAMPLE_ROWS, LossWatch, constant_loss, sample

LABELS = torch.tensor([0] * 30 + [1] * 10)
TARGETS = torch.randn(40, 3, 2, generator=torch.Generator().manual_seed(0))
ENTROPY = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
VARIANCE = float(TARGETS.var(dim=0, unbiased=False).mean())


def golden(logits: Tensor, labels: Tensor, _: Tensor) -> Tensor:
    return cross_entropy(logits[:, 0], labels, reduction="none")


def soft(logits: Tensor, _: Tensor, targets: Tensor) -> Tensor:
    return soft_loss(logits, targets, "mse", temperature=1.0)


def both(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    return student_loss(
        golden=logits[:, 0],
        labels=labels,
        soft=logits[:, 1:],
        teacher=targets,
        alpha=0.9,
        kind="mse",
        temperature=1.0,
    )


def divergence(logits: Tensor, _: Tensor, targets: Tensor) -> Tensor:
    return soft_loss(logits, targets, "kl", temperature=1.0)


def test_the_best_constant_of_each_loss_is_found() -> None:
    assert constant_loss(LABELS, TARGETS[:, :0], 1, golden) == pytest.approx(ENTROPY, abs=1e-5)
    assert constant_loss(LABELS, TARGETS, 3, soft) == pytest.approx(VARIANCE, abs=1e-5)
    mixed = 0.1 * ENTROPY + 0.9 * VARIANCE
    assert constant_loss(LABELS, TARGETS, 4, both) == pytest.approx(mixed, abs=1e-5)
    # Of probabilities, the best constant is their mean.
    log = TARGETS.log_softmax(dim=-1)
    mean = log.exp().mean(dim=0)
    expected = float((log.exp() * (log - mean.log())).sum(dim=-1).mean())
    assert constant_loss(LABELS, TARGETS, 3, divergence) == pytest.approx(expected, abs=1e-5)


def test_of_many_rows_a_sample_is_enough_whatever_their_order() -> None:
    labels = torch.tensor([0] * 20_000 + [1] * 20_000)
    rows = np.arange(5, 40_000)
    sampled = sample(rows)
    assert len(set(sampled.tolist())) == SAMPLE_ROWS
    assert min(sampled) >= 5
    nothing = torch.empty(SAMPLE_ROWS, 0, 2)
    found = constant_loss(labels[sampled], nothing, 1, golden)
    assert found == pytest.approx(math.log(2), abs=1e-3)


def test_a_loss_within_two_percent_of_the_constant_one_has_not_left_it() -> None:
    watch = LossWatch(constant=0.5, steps=12)
    for step, loss in enumerate([0.9, 0.8, 0.50, 0.49, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.48, 0.49]):
        watch.add(step, 8 * loss, rows=8)
    assert watch.is_constant(1)
    assert not watch.is_constant(2)
    assert not watch.is_constant(5)


def test_the_sums_of_an_interrupted_training_go_on() -> None:
    losses = [0.5, 0.4, 0.5, 0.5, 0.3, 0.3]
    whole, first = LossWatch(0.5, 6), LossWatch(0.5, 6)
    for step, loss in enumerate(losses):
        whole.add(step, loss, rows=1)
    for step in range(3):
        first.add(step, losses[step], rows=1)
    second = LossWatch(0.5, 6, first.sums)
    for step in range(3, 6):
        second.add(step, losses[step], rows=1)
    assert second.sums == whole.sums


def watch_of(*sixths: float, constant: float = 1.0) -> LossWatch:
    return LossWatch(constant, 60, [[10 * loss, 10] for loss in sixths])


@pytest.mark.parametrize(
    ("validation", "expected"),
    [
        # Of a fall from 1.0 to 0.5, the last epoch has 0.04, 0.06 and nothing.
        ([0.7, 0.54, 0.5], False),
        ([0.7, 0.56, 0.5], True),
        ([0.7, 0.4, 0.5], False),
        # It has not left the constant, or is worse.
        ([1.0, 1.0], False),
        ([1.4, 1.1], False),
    ],
)
def test_a_loss_that_falls_steeply_in_the_last_epoch_is_still_falling(
    validation: list[float], expected: bool
) -> None:
    assert watch_of(*[0.5] * 6).is_still_falling(validation) is expected


@pytest.mark.parametrize(
    ("sixths", "expected"),
    [
        ((1.0, 0.9, 0.8, 0.7, 0.6, 0.5), True),
        ((1.0, 0.7, 0.52, 0.51, 0.51, 0.5), False),
        ((1.0, 1.0, 1.0, 1.0, 1.0, 1.0), False),
    ],
)
def test_of_a_single_epoch_the_last_third_counts(sixths: tuple[float, ...], expected: bool) -> None:
    assert watch_of(*sixths).is_still_falling([0.5]) is expected


def test_of_a_few_steps_nothing_is_said() -> None:
    assert not LossWatch(
        1.0, 2, [[10, 10], [0, 0], [0, 0], [8, 10], [0, 0], [0, 0]]
    ).is_still_falling([0.8])
