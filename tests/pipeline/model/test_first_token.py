"""The highest layer at the first token: the same state and gradients as those of the whole BERT."""

from pathlib import Path

import pytest
import torch
from conftest import rows_of
from transformers import AutoModel, AutoTokenizer, PreTrainedModel

from pipeline.model.encoding import Batch, collate, encode
from pipeline.model.first_token import only_first_token


def padded_batch(bert: Path) -> Batch:
    encoded = encode(AutoTokenizer.from_pretrained(bert), rows_of(30), 16)
    batch = collate(encoded, encoded.lengths.argsort()[[0, 10, 20, -1]])
    assert not batch["attention_mask"].all()
    return batch


def trained_on(encoder: PreTrainedModel, batch: Batch) -> torch.Tensor:
    state: torch.Tensor = encoder(**batch).last_hidden_state[:, 0]
    state.square().sum().backward()
    return state


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("layers", [1, 2])
def test_state_and_gradients_are_those_of_the_whole_encoder(
    layers: int, attention: str, tiny_bert: Path
) -> None:
    whole, short = (
        AutoModel.from_pretrained(
            tiny_bert,
            num_hidden_layers=layers,
            attn_implementation=attention,
            add_pooling_layer=False,
        )
        for _ in range(2)
    )
    only_first_token(short)
    batch = padded_batch(tiny_bert)
    assert short(**batch).last_hidden_state.shape == (4, 1, 32)
    torch.testing.assert_close(trained_on(short, batch), trained_on(whole, batch))
    gradients = {name: weight.grad for name, weight in whole.named_parameters()}
    for name, weight in short.named_parameters():
        torch.testing.assert_close(weight.grad, gradients[name], msg=name)


def test_its_attention_has_the_dropout_of_the_encoder(tiny_bert: Path) -> None:
    encoder = AutoModel.from_pretrained(
        tiny_bert,
        num_hidden_layers=1,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.5,
        add_pooling_layer=False,
    )
    only_first_token(encoder)
    batch = padded_batch(tiny_bert)
    for training in (True, False):
        encoder.train(training)
        first, second = (encoder(**batch).last_hidden_state for _ in range(2))
        assert torch.equal(first, second) is not training


def test_an_encoder_of_another_family_stays_whole() -> None:
    from transformers import DistilBertConfig, DistilBertModel

    encoder = DistilBertModel(DistilBertConfig(dim=32, hidden_dim=64, n_layers=1, n_heads=2))
    only_first_token(encoder)
    assert encoder(torch.ones(2, 5, dtype=torch.long)).last_hidden_state.shape == (2, 5, 32)
