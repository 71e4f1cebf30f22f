"""A dump has the logits of its teacher, and never resumes from the parts of another."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from conftest import LABEL_NAMES, rows_of

from pipeline import logits
from pipeline.core.weights import weights_hash
from pipeline.dumping import dump
from pipeline.logits import Artifact
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel
from pipeline.model.settings import GOLDEN

SPLITS = [rows_of(50, 0, "general/pool"), rows_of(20, 1, "test/qa")]


@pytest.fixture
def teacher(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(logits, "PART_ROWS", 16)
    encoder, tokenizer = load_encoder(tiny_bert)
    torch.manual_seed(3)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0)
    pair_model.save(tmp_path / "t1", model, tokenizer, card=Card(LABEL_NAMES, 12, 1, (GOLDEN,)))
    return tmp_path / "t1"


def test_every_row_has_the_logits_of_the_teacher(teacher: Path) -> None:
    assert dump("t1", teacher, SPLITS, directory=Path("task/t1")) == 70
    artifact = Artifact(Path("task/t1"), "stage")
    identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
    assert identity.weights == weights_hash(teacher)
    assert (identity.teacher, identity.max_length, identity.label_names) == ("t1", 12, LABEL_NAMES)
    model, tokenizer, _ = pair_model.load(teacher)
    assert notes.parameters == sum(p.numel() for p in model.parameters())
    for rows in SPLITS:
        expected = predict(model, encode(tokenizer, rows, 12), [GOLDEN])[:, 0]
        found = logits.read(Artifact(Path("task/t1"), "stage"), identity, rows, LABEL_NAMES)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert not Path(".resume/dump_logits-task-t1").exists()


def test_test_rows_are_scored_in_float32_whatever_the_precision_of_the_run(
    teacher: Path, in_bfloat16: None
) -> None:
    model, tokenizer, _ = pair_model.load(teacher)
    precise = predict(model, encode(tokenizer, SPLITS[1], 12), [GOLDEN], in_float32=True)[:, 0]
    for place, in_float32 in (("test/qa", True), ("task", False)):
        directory = Path(place) / "t1"
        dump("t1", teacher, SPLITS[1:], directory=directory, in_float32=in_float32)
        artifact = Artifact(directory, "stage")
        identity = logits.read_identity(artifact)
        found = logits.read(artifact, identity, SPLITS[1], LABEL_NAMES)
        assert identity.precision == ("float32" if in_float32 else "bfloat16")
        assert torch.allclose(found, precise, rtol=1e-5, atol=1e-6) is in_float32


def test_the_same_teacher_writes_the_same_bytes(teacher: Path) -> None:
    for place in ("first", "second"):
        dump("t1", teacher, SPLITS, directory=Path(place) / "t1")
    for file in Path("first/t1").iterdir():
        assert file.read_bytes() == (Path("second/t1") / file.name).read_bytes(), file.name


@pytest.mark.parametrize("change", ["max_length", "weights", "rows"])
def test_parts_of_another_dump_are_never_used(
    teacher: Path, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits = SPLITS
    with monkeypatch.context() as patch:
        patch.setattr(logits, "whole_directory", _die)
        with pytest.raises(KeyboardInterrupt):
            dump("t1", teacher, splits, directory=Path("task/t1"))
    assert list(Path(".resume/dump_logits-task-t1").rglob("*.safetensors"))
    if change == "max_length":
        card = json.loads((teacher / "card.json").read_text())
        (teacher / "card.json").write_text(json.dumps({**card, "max_length": 6}))
    elif change == "weights":
        model, tokenizer, saved = pair_model.load(teacher)
        with torch.no_grad():
            next(model.heads.parameters()).add_(1.0)
        pair_model.save(teacher, model, tokenizer, card=saved)
    else:
        splits = [dataclasses.replace(rows_of(50, 9), name="general/pool"), SPLITS[1]]
    dump("t1", teacher, splits, directory=Path("task/t1"))
    dump("t1", teacher, splits, directory=Path("again/t1"))
    for file in Path("again/t1").iterdir():
        assert file.read_bytes() == (Path("task/t1") / file.name).read_bytes(), file.name


def _die(*arguments: object) -> None:
    raise KeyboardInterrupt
