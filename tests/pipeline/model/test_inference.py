"""The prediction rule. ``predict`` is tested wherever models are trained, dumped and compared."""

import pytest
import torch

from pipeline.model.inference import mean_probability


def test_mean_probability_averages_softmax_outputs_not_logits() -> None:
    # Heads say 0.5 and 1 / (1 + e^-100) ≈ 1 for class 0; averaged logits would give ≈ 1.
    probabilities = mean_probability(torch.tensor([[[0.0, 0.0], [100.0, 0.0]]]))
    assert probabilities.tolist()[0] == pytest.approx([0.75, 0.25])
