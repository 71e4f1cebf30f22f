"""Attention by the plain formula or the fused operator, by the size of a batch."""

from pathlib import Path

import pytest
import torch
from families import save
from transformers import AutoModel

from pipeline.model import attention
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN


def test_large_batches_are_fused_and_small_ones_are_not(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "LARGEST_PLAIN", 2 * 6**2)
    encoder, _ = load_encoder(tiny_bert)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0).eval()
    ids = torch.arange(21).reshape(3, 7) + 5
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    whole = model({"input_ids": ids, "attention_mask": mask}, [GOLDEN])
    assert encoder.config._attn_implementation == "sdpa"
    for row in range(3):
        length = int(mask[row].sum())
        alone = {"input_ids": ids[row : row + 1, :length], "attention_mask": mask[:1, :length]}
        alone["attention_mask"] = torch.ones_like(alone["input_ids"])
        torch.testing.assert_close(model(alone, [GOLDEN])[0], whole[row])
        assert encoder.config._attn_implementation == "eager"


def test_a_model_without_the_fused_operator_stays_as_it_is(tmp_path: Path) -> None:
    save("deberta", tmp_path / "deberta", ["word"], AutoModel)
    encoder, _ = load_encoder(tmp_path / "deberta")
    for rows in (1, attention.LARGEST_PLAIN):
        attention.fit_attention(encoder, torch.empty(rows, 2))
        assert encoder.config._attn_implementation == "eager"
