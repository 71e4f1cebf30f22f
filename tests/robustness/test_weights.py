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
from conftest import tiny_params
from project import write_params
from safetensors.torch import load_file, save_file
from transformers import ASTConfig, ASTModel, CLIPConfig, ViTConfig, ViTModel

from robustness.conftest import refusal

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
