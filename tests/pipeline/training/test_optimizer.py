"""The schedule of the learning rate, and which weights decay."""

from pathlib import Path

import pytest

from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN
from pipeline.training.optimizer import learning_rate_factor, make_optimizer
from pipeline.training.settings import Training


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    factors = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert factors[0] == pytest.approx(1 / 11)
    assert max(factors) == factors[10] == 1.0
    assert factors[:11] == sorted(factors[:11])
    assert factors[99] == pytest.approx(1 / 90)
    assert learning_rate_factor(0, 100, 0.0) == 1.0


def test_biases_norms_and_token_embeddings_have_no_weight_decay(tiny_bert: Path) -> None:
    encoder, _ = load_encoder(tiny_bert)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0)
    optimizer = make_optimizer(model, Training(lr=1e-3, epochs=1, weight_decay=0.3))
    decayed, others = optimizer.param_groups
    assert decayed["weight_decay"] == 0.3
    assert others["weight_decay"] == 0.0
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(
        names[id(p)].endswith(("bias", "word_embeddings.weight")) or "LayerNorm" in names[id(p)]
        for p in others["params"]
    )
    assert len(decayed["params"]) + len(others["params"]) == len(names)
