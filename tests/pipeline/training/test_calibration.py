"""The fitted temperature is the one with which the labels were drawn."""

import numpy as np
import pytest
import torch

from pipeline.training.calibration import fit_temperature, fit_thresholds


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_that_the_labels_have_is_found(temperature: float) -> None:
    generator = np.random.default_rng(0)
    logits = torch.from_numpy(generator.normal(scale=3, size=(20_000, 4, 3)))
    chances = (logits.mean(dim=1) / temperature).softmax(dim=-1)
    labels = torch.multinomial(chances, 1, generator=torch.Generator().manual_seed(0))[:, 0]
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.05)


def test_logits_that_are_always_right_have_the_lowest_temperature() -> None:
    labels = torch.tensor([0, 1] * 10)
    logits = torch.nn.functional.one_hot(labels, 2)[:, None].float()
    assert fit_temperature(logits, labels) == pytest.approx(0.05, rel=0.2)


def test_a_threshold_has_the_best_f1_of_its_class() -> None:
    """By hand: answering class 1 from 0.3 on finds 3 of 3 rows with one mistake, F1 of 6/7."""
    second = torch.tensor([0.1, 0.2, 0.3, 0.35, 0.4, 0.45], dtype=torch.float64)
    labels = torch.tensor([0, 0, 1, 0, 1, 1])
    probabilities = torch.stack([1 - second, second], dim=1)
    # Of class 0, from 0.8 on, 2 of 3 without a mistake (0.8) are as good as 3 of 4 (6/7).
    assert fit_thresholds(probabilities, labels) == pytest.approx((0.65, 0.3))
    assert fit_thresholds(probabilities, torch.zeros(6, dtype=torch.int64)) == ()
    assert fit_thresholds(torch.ones(6, 3) / 3, labels) == ()
