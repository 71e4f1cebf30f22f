"""The prediction rule. ``predict`` is tested wherever models are trained, dumped and compared."""

import math

import pytest
import torch

from pipeline.model.inference import mean_probability, probabilities


def test_a_model_predicts_by_the_mean_of_its_heads_logits_and_its_temperature() -> None:
    logits = torch.tensor([[[0.0, 0.0], [3.0, 1.0]]])
    expected = 1 / (1 + math.exp(-1.0))
    assert probabilities(logits).tolist()[0] == pytest.approx([expected, 1 - expected])
    expected = 1 / (1 + math.exp(-0.5))
    assert probabilities(logits, 2.0).tolist()[0] == pytest.approx([expected, 1 - expected])


def test_several_models_predict_by_the_mean_of_their_softmax_outputs() -> None:
    # They say 0.5 and 1 / (1 + e^-100) ≈ 1 for class 0; averaged logits would give ≈ 1.
    together = mean_probability(torch.tensor([[[0.0, 0.0], [100.0, 0.0]]]))
    assert together.tolist()[0] == pytest.approx([0.75, 0.25])
