"""A small token table in training leaves behind what a whole one would have."""

from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from conftest import rows_of
from torch import nn
from torch.nn.functional import cross_entropy
from transformers import XGLMConfig, XGLMModel

from pipeline.core import runtime
from pipeline.model.encoding import Encoded, collate, encode
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN
from pipeline.training.optimizer import make_optimizer
from pipeline.training.settings import Training
from pipeline.training.vocabulary import only_tokens_of

ROWS = rows_of(12)
LABELS = torch.from_numpy(ROWS.labels)


def start(bert: Path) -> tuple[PairModel, Encoded]:
    runtime.seed_step(1, -1)
    encoder, tokenizer = load_encoder(bert)
    return PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0), encode(
        tokenizer, ROWS, 16
    )


def table(model: PairModel) -> nn.Embedding:
    return cast(nn.Embedding, model.encoder.get_input_embeddings())


def learn(model: PairModel, encoded: Encoded, optimizer: Any) -> None:
    settings = Training(lr=1e-2, epochs=1, optimizer=optimizer, weight_decay=0.5)
    steps = make_optimizer(model, settings)
    for _ in range(4):
        batch = collate(encoded, np.arange(len(ROWS)))
        cross_entropy(model(batch, [GOLDEN])[:, 0], LABELS).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        steps.step()
        steps.zero_grad()


@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_the_weights_are_those_of_training_with_the_whole_table(
    tiny_bert: Path, optimizer: str
) -> None:
    whole, encoded = start(tiny_bert)
    learn(whole, encoded, optimizer)
    small, _ = start(tiny_bert)
    with only_tokens_of(small, encoded) as (renumbered,):
        learn(small, renumbered, optimizer)
    for name, value in whole.state_dict().items():
        torch.testing.assert_close(small.state_dict()[name], value, msg=name)
    changed = (table(small).weight != table(start(tiny_bert)[0]).weight).any(dim=1)
    assert set(changed.nonzero().flatten().tolist()) == set(encoded.ids.tolist())


def test_the_table_holds_the_tokens_of_all_rows_and_the_answers_stay(tiny_bert: Path) -> None:
    model, encoded = start(tiny_bert)
    held_out = encode(load_encoder(tiny_bert)[1], rows_of(6, 9), 16)
    whole = table(model).num_embeddings
    expected = model(collate(held_out, np.arange(6)), [GOLDEN])
    with only_tokens_of(model, encoded.first(2), held_out) as (_, renumbered):
        assert table(model).num_embeddings < whole
        answers = model(collate(renumbered, np.arange(6)), [GOLDEN])
    assert torch.equal(answers, expected)
    assert table(model).num_embeddings == whole


def test_a_table_that_scales_its_embeddings_does_so_in_training(tiny_bert: Path) -> None:
    _, encoded = start(tiny_bert)
    config = XGLMConfig(
        vocab_size=int(encoded.ids.max()) + 50, d_model=16, num_layers=1, attention_heads=2
    )
    config.head_pooling = "last"
    assert config.scale_embedding
    model = PairModel(XGLMModel(config), [GOLDEN], head_layers=1, classes=2, dropout=0.0).eval()
    expected = model(collate(encoded, np.arange(6)), [GOLDEN])
    with only_tokens_of(model, encoded) as (renumbered,):
        answers = model(collate(renumbered, np.arange(6)), [GOLDEN])
    torch.testing.assert_close(answers, expected)


def test_a_training_that_fails_gives_the_table_back(tiny_bert: Path) -> None:
    model, encoded = start(tiny_bert)
    whole = table(model)
    with pytest.raises(KeyboardInterrupt), only_tokens_of(model, encoded):
        raise KeyboardInterrupt
    assert table(model) is whole
