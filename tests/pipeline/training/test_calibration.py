"""The fitted temperature is the one with which the labels were drawn."""

import numpy as np
import pytest
import torch

from pipeline.training.calibration import fit_temperature


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
