"""Weights that a model cannot be made of, or not one that scores a pair by itself."""

import json
import shutil
from pathlib import Path
from typing import Any

import exports
import families
import pytest
import torch
from conftest import COLOURS, FILLERS, THINGS
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoTokenizer, FNetConfig, FNetModel, XLNetConfig, XLNetModel

from pipeline.core.errors import UserError
from pipeline.model import pair_model
from pipeline.model.loading import from_pretrained, load_config, load_encoder, longest_input

WORDS = [*COLOURS, *THINGS, *FILLERS]


def load(directory: Path) -> Any:
    return from_pretrained(directory, load_config(directory))


def with_bert_tokenizer(model: Any, tiny_bert: Path, directory: Path) -> Path:
    model.save_pretrained(directory)
    AutoTokenizer.from_pretrained(tiny_bert).save_pretrained(directory)
    return directory


def test_a_family_whose_output_depends_on_padding_is_refused(
    tiny_bert: Path, tmp_path: Path
) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_bert))
    config = FNetConfig(
        vocab_size=vocabulary, hidden_size=32, num_hidden_layers=2, intermediate_size=64
    )
    torch.manual_seed(0)
    directory = with_bert_tokenizer(FNetModel(config), tiny_bert, tmp_path / "fnet")
    with pytest.raises(UserError, match="gives a pair another output if it is padded"):
        load(directory)


def test_xlnet_states_no_limit(tiny_bert: Path, tmp_path: Path) -> None:
    vocabulary = len(AutoTokenizer.from_pretrained(tiny_bert))
    config = XLNetConfig(vocab_size=vocabulary, d_model=32, n_layer=1, n_head=2, d_inner=64)
    assert longest_input(XLNetModel(config), 300) == 300


def test_longformer_is_cut_to_fewer_layers(tmp_path: Path) -> None:
    families.save("roberta", tmp_path / "tokens", WORDS, AutoModel)
    from transformers import LongformerConfig, LongformerModel

    config = LongformerConfig(
        vocab_size=len(AutoTokenizer.from_pretrained(tmp_path / "tokens")),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        attention_window=[4, 4],
        max_position_embeddings=64,
        type_vocab_size=1,
        pad_token_id=1,
    )
    directory = with_bert_tokenizer(LongformerModel(config), tmp_path / "tokens", tmp_path / "long")
    encoder, _ = load_encoder(directory, layers=1)
    assert encoder.config.num_hidden_layers == 1


@pytest.mark.parametrize(
    "change",
    [{"output_attentions": True}, {"output_hidden_states": True}, {"chunk_size_feed_forward": 3}],
)
def test_a_configuration_for_other_outputs_is_read(
    change: dict[str, Any], tiny_bert: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(tiny_bert, tmp_path / "bert")
    path = directory / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    load(directory)


@pytest.mark.parametrize("dtype", [torch.int8, torch.float8_e4m3fn])
def test_weights_of_another_type_are_no_numbers_by_themselves(
    dtype: torch.dtype, tiny_bert: Path, tmp_path: Path
) -> None:
    directory = shutil.copytree(tiny_bert, tmp_path / "bert")
    tensors = load_file(directory / "model.safetensors")
    name = "encoder.layer.0.output.dense.weight"
    tensors[name] = (tensors[name] * 100).to(dtype)
    save_file(tensors, directory / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match="its weights are stored as"):
        load(directory)


@pytest.mark.parametrize("file", ["model.safetensors", "heads.safetensors"])
def test_a_flipped_bit_is_noticed(file: str, tiny_bert: Path, tmp_path: Path) -> None:
    student = exports.save_student(tmp_path / "student", tiny_bert)
    pair_model.load(student)
    path = student / file
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match="its weights have changed since they were written"):
        pair_model.load(student)
