import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import rows_of
from torch import nn
from transformers import AutoModel, AutoTokenizer

from pipeline.core.errors import UserError
from pipeline.core.weights import weights_hash
from pipeline.model import pair_model
from pipeline.model.encoding import Batch, collate, encode
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel

CARD = Card(("irrelevant", "relevant"), 16, 2, ("golden", "t1"), {"t1": "abc"})


def batch(bert: Path) -> Batch:
    return collate(encode(AutoTokenizer.from_pretrained(bert), rows_of(4), 16), np.arange(4))


def model_of(bert: Path, head_layers: int = 2) -> PairModel:
    torch.manual_seed(0)
    encoder, _ = load_encoder(bert)
    return PairModel(
        encoder, ["golden", "t1"], head_layers=head_layers, classes=2, dropout=0.1
    ).eval()


def test_a_saved_model_comes_back_with_its_logits_card_and_hash(
    tiny_bert: Path, tmp_path: Path
) -> None:
    model = model_of(tiny_bert)
    pair_model.save(tmp_path / "m", model, AutoTokenizer.from_pretrained(tiny_bert), card=CARD)
    again, tokenizer, card = pair_model.load(tmp_path / "m")
    assert dataclasses.replace(card, checksum="") == CARD
    inputs = batch(tiny_bert)
    torch.testing.assert_close(again.eval()(inputs, CARD.heads), model(inputs, CARD.heads))
    assert tokenizer.get_vocab() == AutoTokenizer.from_pretrained(tiny_bert).get_vocab()
    before = weights_hash(tmp_path / "m")
    with torch.no_grad():
        next(again.heads.parameters())[0, 0] += 1
    pair_model.save(tmp_path / "m2", again, tokenizer, card=CARD)
    assert weights_hash(tmp_path / "m2") != before


def test_a_head_may_be_called_like_a_method_of_modules(tiny_bert: Path, tmp_path: Path) -> None:
    encoder, tokenizer = load_encoder(tiny_bert)
    heads = ("train", "keys", "forward", "pop", "T_destination", "type", "float")
    model = PairModel(encoder, heads, head_layers=1, classes=2, dropout=0.0).train()
    model(batch(tiny_bert), heads).sum().backward()
    card = Card(("irrelevant", "relevant"), 16, 1, heads)
    pair_model.save(tmp_path / "m", model, tokenizer, card=card)
    again, _, _ = pair_model.load(tmp_path / "m")
    inputs = batch(tiny_bert)
    torch.testing.assert_close(again.eval()(inputs, heads), model.eval()(inputs, heads))


def test_the_encoder_of_a_saved_model_loads_with_transformers_alone(
    tiny_bert: Path, tmp_path: Path
) -> None:
    model = model_of(tiny_bert)
    pair_model.save(tmp_path / "m", model, AutoTokenizer.from_pretrained(tiny_bert), card=CARD)
    plain = AutoModel.from_pretrained(tmp_path / "m").eval()
    inputs = batch(tiny_bert)
    torch.testing.assert_close(
        plain(**inputs).last_hidden_state[:, :1], model.encoder(**inputs).last_hidden_state
    )


def test_a_cut_encoder_has_the_lowest_layers(tiny_bert: Path) -> None:
    full, _ = load_encoder(tiny_bert)
    cut, _ = load_encoder(tiny_bert, layers=1)
    assert cut.config.num_hidden_layers == 1
    inputs = batch(tiny_bert)
    hidden = full.eval()(**inputs, output_hidden_states=True).hidden_states
    torch.testing.assert_close(cut.eval()(**inputs).last_hidden_state, hidden[1])


@pytest.mark.parametrize("head_layers", [1, 2, 3])
def test_a_head_has_its_fully_connected_layers_and_reads_the_first_token(
    tiny_bert: Path, head_layers: int
) -> None:
    model = model_of(tiny_bert, head_layers)
    assert sum(isinstance(m, nn.Linear) for m in model.heads["t1"].children()) == head_layers
    inputs = batch(tiny_bert)
    first = model.encoder(**inputs).last_hidden_state[:, 0]
    expected = torch.stack([model.heads["t1"](first), model.heads["golden"](first)], dim=1)
    torch.testing.assert_close(model(inputs, ["t1", "golden"]), expected)


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no model"):
        pair_model.load(tmp_path)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_heads_read_what_the_pooling_says(tiny_bert: Path, pooling: str) -> None:
    encoder, tokenizer = load_encoder(tiny_bert)
    encoder.config.head_pooling = pooling
    tokens = encode(tokenizer, rows_of(4), 16)
    inputs = collate(tokens, np.arange(4))
    hidden = AutoModel.from_pretrained(tiny_bert).eval()(**inputs).last_hidden_state
    rows = [states[:length] for states, length in zip(hidden, tokens.lengths, strict=True)]
    pooled = {
        "mean": [states.mean(dim=0) for states in rows],
        "cls": [states[0] for states in rows],
        "last": [states[-1] for states in rows],
    }[pooling]
    model = PairModel(encoder, ["t1"], head_layers=1, classes=2, dropout=0.0).eval()
    expected = model.heads["t1"](torch.stack(pooled))
    torch.testing.assert_close(model(inputs, ["t1"])[:, 0], expected)


def test_classes_of_a_head_are_put_in_another_order(tiny_bert: Path) -> None:
    model = model_of(tiny_bert)
    inputs = batch(tiny_bert)
    before = model(inputs, ["t1"])
    pair_model.reorder_classes(model.heads["t1"], [1, 0])
    torch.testing.assert_close(model(inputs, ["t1"]), before.flip(-1))
