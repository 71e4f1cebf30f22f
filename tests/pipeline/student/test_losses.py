"""The formulas against numbers worked out by hand, other libraries, and their end points."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax
from scipy.stats import entropy
from sklearn.metrics import log_loss, mean_squared_error

from pipeline.student.losses import soft_loss, student_loss
from pipeline.student.settings import SoftLoss

STUDENT = torch.tensor([[[1.0, -1.0], [0.5, 0.0]], [[2.0, 0.0], [0.0, 3.0]]])
TEACHER = torch.tensor([[[2.0, -3.0], [0.5, 1.0]], [[2.0, 1.0], [-1.0, 1.0]]])
GOLDEN = torch.tensor([[0.2, 1.2], [0.0, -1.0]])
LABELS = torch.tensor([1, 1])


def test_mse_is_the_mean_over_teachers_and_classes_worked_out_by_hand() -> None:
    # Row 1: teacher 1 (1² + 2²) / 2 = 2.5, teacher 2 (0² + 1²) / 2 = 0.5; their mean is 1.5.
    # Row 2: teacher 1 (0² + 1²) / 2 = 0.5, teacher 2 (1² + 2²) / 2 = 2.5; their mean is 1.5.
    assert soft_loss(STUDENT, TEACHER, "mse", temperature=1.0).tolist() == [1.5, 1.5]


def test_mse_over_all_rows_is_that_of_scikit_learn() -> None:
    student, teacher = torch.randn(7, 3, 4), torch.randn(7, 3, 4)
    expected = mean_squared_error(teacher.flatten().numpy(), student.flatten().numpy())
    assert soft_loss(student, teacher, "mse", temperature=1.0).mean().item() == pytest.approx(
        expected
    )


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_kl_is_that_of_scipy_times_the_temperature_squared(temperature: float) -> None:
    student, teacher = torch.randn(5, 2, 3), torch.randn(5, 2, 3)
    divergence = entropy(
        softmax(teacher.numpy() / temperature, axis=-1),
        softmax(student.numpy() / temperature, axis=-1),
        axis=-1,
    )
    expected = temperature**2 * divergence.mean(axis=1)
    result = soft_loss(student, teacher, "kl", temperature=temperature)
    np.testing.assert_allclose(result.numpy(), expected, rtol=1e-4, atol=1e-6)


def test_kl_gradient_keeps_its_size_as_the_temperature_grows() -> None:
    # At high T the gradient tends to (student - teacher) / classes for centred logits; without the
    # factor T² it would vanish as 1 / T².
    student = torch.tensor([[[1.0, 0.0, -1.0]]], requires_grad=True)
    teacher = torch.tensor([[[-2.0, 1.0, 1.0]]])
    soft_loss(student, teacher, "kl", temperature=1000.0).sum().backward()
    assert student.grad is not None
    expected = (student.detach() - teacher) / 3
    torch.testing.assert_close(student.grad, expected, rtol=0.01, atol=0.01)


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_identical_teachers_weigh_as_one(kind: SoftLoss) -> None:
    student, teacher = torch.randn(4, 1, 3), torch.randn(4, 1, 3)
    one = soft_loss(student, teacher, kind, temperature=1.0)
    three = soft_loss(student.repeat(1, 3, 1), teacher.repeat(1, 3, 1), kind, temperature=1.0)
    torch.testing.assert_close(one, three)


@pytest.mark.parametrize("kind", ["mse", "kl"])
def test_a_student_that_equals_its_teachers_has_no_loss(kind: SoftLoss) -> None:
    same = torch.randn(4, 2, 3)
    assert soft_loss(same, same, kind, temperature=1.0).abs().max() < 1e-6


def loss(**changes: Any) -> torch.Tensor:
    arguments = {
        "golden": GOLDEN,
        "labels": LABELS,
        "soft": STUDENT,
        "teacher": TEACHER,
        "kind": "mse",
        "temperature": 1.0,
    }
    return student_loss(**{**arguments, **changes})


def test_student_loss_blends_both_sides_worked_out_by_hand() -> None:
    # Cross-entropies: row 1 log(1 + e^-1), row 2 log(1 + e); the soft loss of both rows is 1.5.
    expected = [
        0.7 * math.log(1 + math.exp(-1)) + 0.3 * 1.5,
        0.7 * math.log(1 + math.e) + 0.3 * 1.5,
    ]
    result = loss(alpha=0.3)
    assert result.tolist() == pytest.approx(expected)


def test_alpha_0_is_the_cross_entropy_alone_even_where_teachers_are_not_finite() -> None:
    broken = torch.full_like(TEACHER, math.nan)
    result = loss(alpha=0.0, teacher=broken)
    probabilities = torch.softmax(GOLDEN.double(), dim=1).numpy()
    assert result.mean().item() == pytest.approx(log_loss(LABELS, probabilities, labels=[0, 1]))


def test_alpha_1_is_the_soft_loss_alone_even_where_rows_are_unlabelled() -> None:
    unlabelled = torch.tensor([-1, -1])
    result = loss(alpha=1.0, labels=unlabelled)
    assert result.tolist() == [1.5, 1.5]


def test_gradients_are_those_of_finite_differences() -> None:
    golden = GOLDEN.double().requires_grad_()
    soft = STUDENT.double().requires_grad_()

    def total(golden: torch.Tensor, soft: torch.Tensor) -> torch.Tensor:
        return loss(
            golden=golden,
            soft=soft,
            teacher=TEACHER.double(),
            alpha=0.4,
            kind="kl",
            temperature=2.0,
        ).sum()

    assert torch.autograd.gradcheck(total, (golden, soft))
