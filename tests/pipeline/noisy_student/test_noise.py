"""The noise: which layers are skipped, which tokens are removed, and when none are."""

from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from conftest import COLOURS, FILLERS, THINGS, rows_of
from transformers import (
    AlbertConfig,
    AlbertModel,
    AutoModel,
    BertConfig,
    BertModel,
    SqueezeBertConfig,
    SqueezeBertModel,
    XLMConfig,
    XLMModel,
)

from pipeline.core.errors import UserError
from pipeline.model.encoding import Encoded, collate, encode
from pipeline.model.first_token import only_first_token
from pipeline.model.loading import load_encoder
from pipeline.noisy_student.noise import cut_off, stochastic_depth


def deep_bert(layers: int = 4) -> BertModel:
    """Without dropout, in training mode."""
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=20,
        hidden_size=8,
        num_hidden_layers=layers,
        num_attention_heads=1,
        intermediate_size=8,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    model = BertModel(config, add_pooling_layer=False)
    model.train()
    return model


def test_layers_are_skipped_more_often_towards_the_top() -> None:
    encoder, rows = deep_bert(), 4000
    ids = torch.arange(2, 8).expand(rows, -1)
    skipped = []

    def count(_: Any, arguments: Any, output: Any) -> None:
        same = (arguments[0] == output).all(dim=2).all(dim=1)
        skipped.append(same.float().mean().item())

    with stochastic_depth(encoder, 0.8):
        # After the hooks that skip, so that it sees what they return.
        for layer in encoder.encoder.layer:
            layer.register_forward_hook(count)
        encoder(ids)
    # Four standard deviations of a share of 4,000 rows.
    assert skipped == pytest.approx([0.2, 0.4, 0.6, 0.8], abs=0.032)


def test_a_skipped_layer_leaves_the_states_of_the_layer_below() -> None:
    encoder = deep_bert(layers=2)
    ids = torch.arange(2, 8).expand(200, -1)
    below = encoder(ids, output_hidden_states=True).hidden_states
    layers = encoder.encoder.layer
    # What two, one and no layers make of the embeddings.
    possible = [below[0], below[1], below[2], layers[1](below[0])]
    with stochastic_depth(encoder, 0.7):
        found = encoder(ids).last_hidden_state
    kinds = set()
    for row in range(200):
        (kind,) = (
            i for i, one in enumerate(possible) if torch.allclose(found[row], one[row], atol=1e-6)
        )
        kinds.add(kind)
    assert kinds == {0, 1, 2, 3}


def test_nothing_is_skipped_in_evaluation_at_rate_zero_or_afterwards() -> None:
    encoder = deep_bert()
    ids = torch.arange(2, 8).expand(50, -1)
    expected = encoder(ids).last_hidden_state
    with stochastic_depth(encoder, 0.0):
        assert torch.equal(encoder(ids).last_hidden_state, expected)
    with stochastic_depth(encoder, 0.9):
        assert not torch.equal(encoder(ids).last_hidden_state, expected)
        assert torch.equal(encoder.eval()(ids).last_hidden_state, expected)
        encoder.train()
    assert torch.equal(encoder(ids).last_hidden_state, expected)


def test_all_layers_have_gradients_as_several_processes_need_them() -> None:
    encoder = deep_bert()
    with stochastic_depth(encoder, 0.99):
        encoder(torch.arange(2, 8).expand(2, -1)).last_hidden_state.sum().backward()
    assert all(parameter.grad is not None for parameter in encoder.encoder.parameters())


def test_a_highest_layer_at_the_first_token_only_is_skipped_too() -> None:
    encoder = deep_bert(layers=1)
    only_first_token(encoder)
    ids = torch.arange(2, 8).expand(100, -1)
    before = encoder.embeddings(ids)[:, :1]
    with stochastic_depth(encoder, 0.5):
        found = encoder(ids).last_hidden_state
    assert found.shape == (100, 1, 8)
    is_skipped = (found == before).all(dim=2)[:, 0]
    assert 20 < is_skipped.sum() < 80


@pytest.mark.parametrize("family", families.FAMILIES)
def test_layers_of_every_family_are_skipped(family: str, tmp_path: Path) -> None:
    words = [*COLOURS, *THINGS, *FILLERS]
    families.save(family, tmp_path, words, AutoModel)
    encoder, tokenizer = load_encoder(tmp_path)
    batch = collate(encode(tokenizer, rows_of(30), 60), np.arange(30))
    expected = encoder.train()(**batch).last_hidden_state
    assert torch.allclose(encoder(**batch).last_hidden_state, expected)
    with stochastic_depth(encoder, 0.9):
        found = encoder(**batch).last_hidden_state
    differs = (found - expected).abs().amax(dim=(1, 2)) > 1e-4
    assert 15 < differs.sum() <= 30


GROUPS: dict[str, Any] = {
    f"{part}_groups": 1 for part in ("q", "k", "v", "post_attention", "intermediate", "output")
}
SMALL: dict[str, Any] = {
    "hidden_size": 8,
    "num_hidden_layers": 2,
    "num_attention_heads": 1,
    "intermediate_size": 8,
}


@pytest.mark.parametrize(
    "encoder",
    [
        # Its layers share their weights, and are not a list.
        AlbertModel(AlbertConfig(embedding_size=8, **SMALL)),
        # It calls its layers in a way that no hook sees.
        SqueezeBertModel(SqueezeBertConfig(embedding_size=8, vocab_size=20, **GROUPS, **SMALL)),
        # It has lists of parts of layers.
        XLMModel(XLMConfig(vocab_size=20, emb_dim=8, n_layers=2, n_heads=1)),
    ],
    ids=lambda encoder: encoder.config.model_type,
)
def test_a_model_whose_layers_cannot_be_skipped_is_refused(encoder: Any) -> None:
    sentence = f"does not find the layers of a {encoder.config.model_type}: set it to 0 in params"
    with pytest.raises(UserError, match=sentence), stochastic_depth(encoder, 0.1):
        pass


def encoded(lengths: list[int]) -> tuple[Encoded, np.ndarray]:
    """Rows of different tokens, each with a special token 0 at both ends."""
    ids, total = [], 1
    for length in lengths:
        ids.append([0, *range(total, total + length), 0])
        total += length
    flat = np.concatenate(ids).astype(np.int32)
    offsets = np.cumsum([0, *map(len, ids)])
    tokens = Encoded(flat, (flat % 2).astype(np.uint8), offsets, True, 0)
    return tokens, flat != 0


def rows_in(tokens: Encoded) -> list[list[int]]:
    pieces = zip(tokens.offsets, tokens.offsets[1:], strict=False)
    return [tokens.ids[start:stop].tolist() for start, stop in pieces]


def test_the_spans_do_not_depend_on_the_pieces_in_which_rows_are_cut(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tokens, removable = encoded([20, 10, 5, 0, 7])
    expected = cut_off(tokens, removable, 0.3, seed=1, epoch=0)
    monkeypatch.setattr("pipeline.noisy_student.noise.ROWS_CUT_TOGETHER", 2)
    found = cut_off(tokens, removable, 0.3, seed=1, epoch=0)
    assert rows_in(found) == rows_in(expected)


def test_one_span_of_each_row_is_removed_and_special_tokens_stay() -> None:
    tokens, removable = encoded([20, 10, 5, 0])
    starts = set()
    for epoch in range(200):
        noisy = cut_off(tokens, removable, 0.2, seed=1, epoch=epoch)
        for row, (before, after) in enumerate(zip(rows_in(tokens), rows_in(noisy), strict=True)):
            removed = [token for token in before if token not in after]
            assert len(removed) == [4, 2, 1, 0][row]
            assert removed == list(range(removed[0], removed[-1] + 1)) if removed else True
            assert [after[0], after[-1]] == [0, 0]
            if row == 0:
                starts.add(removed[0])
        assert (noisy.types == noisy.ids % 2).all()
    assert starts == set(range(1, 18))


def test_the_share_that_is_removed_holds_on_average_for_short_rows_too() -> None:
    tokens, removable = encoded([3] * 20_000)
    noisy = cut_off(tokens, removable, 0.1, seed=1, epoch=0)
    left = noisy.lengths - 2
    assert set(left) == {2, 3}
    assert left.mean() == pytest.approx(2.7, abs=0.013)


def test_special_tokens_inside_a_span_stay() -> None:
    tokens, _ = encoded([12])
    removable = np.ones(14, dtype=bool)
    removable[[0, 6, 13]] = False
    for epoch in range(50):
        noisy = cut_off(tokens, removable, 0.5, seed=1, epoch=epoch)
        assert {tokens.ids[6], 0} <= set(noisy.ids)
        assert len(noisy.ids) in (8, 9)


def test_seed_and_epoch_decide_the_spans_and_a_share_of_zero_removes_nothing() -> None:
    tokens, removable = encoded([30] * 5)

    def ids(seed: int, epoch: int) -> list[int]:
        found: list[int] = cut_off(tokens, removable, 0.3, seed=seed, epoch=epoch).ids.tolist()
        return found

    assert ids(1, 0) == ids(1, 0)
    assert len({tuple(ids(*key)) for key in ((1, 0), (1, 1), (2, 0))}) == 3
    assert cut_off(tokens, removable, 0.0, seed=1, epoch=0) is tokens
