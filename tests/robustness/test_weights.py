"""Weights of other people: no code of theirs runs, and nothing of them stays random."""

import json
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import COLOURS, FILLERS, THINGS, save_tiny_bert, tiny_params
from project import write_params
from safetensors.torch import load_file, save_file
from transformers import (
    ASTConfig,
    ASTModel,
    BertConfig,
    BertForSequenceClassification,
    CLIPConfig,
    ViTConfig,
    ViTModel,
)

from robustness.conftest import refusal, run_stage

Change = Callable[[Path], object]


def edit_config(**values: Any) -> Change:
    def edit(source: Path) -> None:
        path = source / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return edit


def with_code(**values: Any) -> Change:
    """Weights that name Python code of their own, which leaves a file when it runs."""

    def edit(source: Path) -> None:
        code = f"open({str(source / 'PWNED')!r}, 'w')\n"
        for name in ("configuration_own", "modeling_own", "tokenization_own"):
            (source / f"{name}.py").write_text(code)
        own = {"AutoConfig": "configuration_own.C", "AutoModel": "modeling_own.M"}
        edit_config(auto_map=own, **values)(source)
        path = source / "tokenizer_config.json"
        tokenizer = {"AutoTokenizer": ["tokenization_own.T", None]}
        content = {**json.loads(path.read_text()), "auto_map": tokenizer}
        path.write_text(json.dumps({**content, "tokenizer_class": "T"}))

    return edit


def pickled(source: Path) -> None:
    """Weights only in the old format, which can run code."""

    class Attack:
        def __reduce__(self) -> tuple[Any, ...]:
            return os.system, (f"touch {source / 'PWNED'}",)

    (source / "model.safetensors").unlink()
    (source / "pytorch_model.bin").write_bytes(pickle.dumps(Attack()))


def rewrite(change: Callable[[str, torch.Tensor], tuple[str, torch.Tensor] | None]) -> Change:
    def edit(source: Path) -> None:
        path = source / "model.safetensors"
        changed = [change(name, value) for name, value in load_file(path).items()]
        save_file(dict(one for one in changed if one), path, {"format": "pt"})

    return edit


def without(*names: str) -> Change:
    def remove(source: Path) -> None:
        for name in names:
            (source / name).unlink()

    return remove


def indexed(file: str) -> Change:
    """Weights in shards, one of which is ``file``."""

    def edit(source: Path) -> None:
        names = load_file(source / "model.safetensors")
        torch.save(names, source / "evil.bin")
        (source / "model.safetensors").rename(source.parent / "model.safetensors")
        index = {"metadata": {}, "weight_map": dict.fromkeys(names, file)}
        (source / "model.safetensors.index.json").write_text(json.dumps(index))

    return edit


def edit_tokenizer(*steps: Any) -> Change:
    """Replace the value at the place ``steps`` of tokenizer.json by the last step of it."""

    def edit(source: Path) -> None:
        path = source / "tokenizer.json"
        content = json.loads(path.read_text())
        section = content
        for step in steps[:-2]:
            section = section[step]
        section[steps[-2]] = steps[-1](section[steps[-2]])
        path.write_text(json.dumps(content))

    return edit


def with_type_7(pair: list[dict[str, dict[str, Any]]]) -> list[dict[str, dict[str, Any]]]:
    return [{kind: {**piece, "type_id": 7} for kind, piece in one.items()} for one in pair]


ADDED = {
    **dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False),
    "id": 900,
    "content": "which red",
}


def vision(source: Path) -> None:
    config = ViTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2, image_size=32)
    ViTModel(config).save_pretrained(source)


def audio(source: Path) -> None:
    config = ASTConfig(hidden_size=32, num_hidden_layers=1, num_attention_heads=2)
    ASTModel(config).save_pretrained(source)


def vision_and_text(source: Path) -> None:
    CLIPConfig().save_pretrained(source)


WEIGHTS: dict[str, tuple[Change, str]] = {
    "code, unknown type": (with_code(model_type="own"), "could not be loaded"),
    "code, no type": (with_code(model_type=None), "could not be loaded"),
    "pickle": (pickled, "could not be loaded"),
    "all tensors renamed": (rewrite(lambda n, v: (f"net.{n}", v)), "would stay random"),
    "no tensor": (rewrite(lambda n, v: None), "would stay random"),
    "a layer missing": (
        rewrite(lambda n, v: None if "layer.1" in n else (n, v)),
        "its weights lack encoder.layer.1",
    ),
    "no embeddings": (
        rewrite(lambda n, v: None if "word_emb" in n else (n, v)),
        "its weights lack embeddings.word_embeddings.weight",
    ),
    "too narrow": (rewrite(lambda n, v: (n, v[..., 1:].contiguous())), "could not be loaded"),
    "more layers than weights": (edit_config(num_hidden_layers=5), "would stay random"),
    "wider than weights": (edit_config(hidden_size=64), "could not be loaded"),
    "no layers": (edit_config(num_hidden_layers=0), "its config.json gives it 0 layers"),
    "more embeddings": (edit_config(vocab_size=10_000), "could not be loaded"),
    "no tokenizer": (without("tokenizer.json", "tokenizer_config.json"), "tokenizer"),
    "no configuration": (without("config.json"), "could not be loaded"),
    "no weights": (without("model.safetensors"), "could not be loaded"),
    "code for attention": (edit_config(_attn_implementation="org/kernel"), "names code on a hub"),
    "no deviation": (edit_config(initializer_range=-1.0), "has the initializer_range -1.0"),
    "pickle in an index": (indexed("evil.bin"), "names other files than safetensors"),
    "a file elsewhere": (indexed("../model.safetensors"), "names other files than safetensors"),
    "a passage is left out": (
        edit_tokenizer("post_processor", "pair", lambda pair: pair[:3]),
        "does not give both texts of a pair",
    ),
    "three kinds of text": (
        edit_tokenizer("post_processor", "pair", with_type_7),
        "does not give both texts of a pair",
    ),
    "an added token without embedding": (
        edit_tokenizer("added_tokens", lambda tokens: [*tokens, ADDED]),
        "put the files of its own tokenizer",
    ),
    "no unknown token": (
        edit_tokenizer("model", "unk_token", lambda token: "[NONE]"),
        "could not be loaded",
    ),
    "vision": (vision, "is a vit, which does not read text alone"),
    "audio": (audio, "does not read text alone"),
    "vision and text": (vision_and_text, "is a clip, which does not read text alone"),
    "a nameless type": (edit_config(model_type="nothing"), "could not be loaded"),
}


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights_that_cannot_be_used_are_refused(
    name: str, place: Path, tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change, sentence = WEIGHTS[name]
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    change(source)
    write_params(place, tiny_params(tmp_path, source))
    # Whoever is asked whether foreign code may run says yes.
    monkeypatch.setattr("builtins.input", lambda *_: "y")
    before = (place / "models/pretrained/tiny/model.safetensors").read_bytes()
    assert sentence in refusal("fetch_pretrained", "tiny")
    assert (place / "models/pretrained/tiny/model.safetensors").read_bytes() == before
    assert not (source / "PWNED").exists()


@pytest.mark.parametrize(
    ("stage", "directory"),
    [
        ("finetune_teacher t1", "models/pretrained/tiny"),
        ("dump_logits task t1", "models/teachers/t1"),
        ("dump_logits general t1", "models/teachers/t1"),
        ("distill", "models/pretrained/tiny"),
        ("finetune_student", "models/student/stage1"),
    ],
)
def test_a_tokenizer_of_other_words_is_refused(
    stage: str, directory: str, place: Path, tmp_path: Path
) -> None:
    words = [f"word{i}" for i in range(len([*COLOURS, *THINGS, *FILLERS]))]
    save_tiny_bert(tmp_path / "foreign", words)
    shutil.copy(tmp_path / "foreign/tokenizer.json", place / directory)
    assert "100% of the words are unknown to the tokenizer" in refusal(*stage.split())


CLASSIFIERS: dict[str, dict[str, Any]] = {
    "numbers": {"id2label": {"0": 0, "1": 1}},
    "lists": {"id2label": {"0": ["a"], "1": ["b"]}},
    "a lone surrogate": {"id2label": {"0": "a", "1": "\ud800"}},
    "a line end": {"id2label": {"0": "a", "1": "b\nc"}},
    "a gap": {"id2label": {"0": "a", "2": "b"}},
    "several at once": {"problem_type": "multi_label_classification"},
    "regression": {"problem_type": "regression"},
}


@pytest.mark.parametrize("values", CLASSIFIERS.values(), ids=CLASSIFIERS)
def test_a_classifier_without_proper_classes_is_refused(
    values: dict[str, Any], place: Path, tmp_path: Path, tiny_bert: Path
) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "source")
    config = BertConfig.from_pretrained(source, num_labels=2)
    BertForSequenceClassification(config).save_pretrained(source)
    params = tiny_params(tmp_path, tiny_bert)
    params["classifiers"] = {"ready": {"source": str(source)}}
    write_params(place, params)
    assert run_stage("fetch_classifier", "ready")
    shutil.rmtree(place / "models/teachers/ready")
    edit_config(**values)(source)
    assert refusal("fetch_classifier", "ready")
    assert not (place / "models/teachers/ready").exists()


SOURCES = [
    *("", " ", ".", "/", "/etc", "/etc/passwd", "~", "nowhere", "../nowhere", "org/model", "-x"),
    *("package:", "package:os", "package:../x", "package:x; touch PWNED", "package:no.such"),
    *("package:json", "$(touch PWNED)", "http://127.0.0.1:9/x", "file:///etc", "x\0y", "x" * 5_000),
]


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: repr(source)[:30])
@pytest.mark.parametrize("section", ["pretrained", "classifiers"])
def test_a_source_that_is_none_is_refused(
    section: str, source: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tiny_params(place, place)
    stage = "fetch_pretrained" if section == "pretrained" else "fetch_classifier"
    params[section] = {**params[section], "other": {"source": source}}
    write_params(place, params)
    assert refusal(stage, "other")
    assert not list(place.rglob("PWNED"))
