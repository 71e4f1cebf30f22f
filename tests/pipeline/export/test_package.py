"""What is shipped scores like the student, in the tools of others."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import exports
import families
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from exports import Export
from safetensors.torch import load_file, save_file
from sentence_transformers import CrossEncoder, SentenceTransformer
from tokenizers import Tokenizer
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    pipeline,
)

from pipeline.core.errors import UserError
from pipeline.export import cross_encoder, package, settings
from pipeline.model import pair_model
from pipeline.serving.scorer import Scorer

PAIRS = exports.pairs_of(70, seed=3)


def test_a_cross_encoder_scores_and_ranks_like_the_student(exported: Export) -> None:
    model = CrossEncoder(str(exported.directory), device="cpu")
    expected = exported.expected(PAIRS)[:, 1].numpy()
    assert np.abs(model.predict(PAIRS) - expected).max() < 1e-5
    question, passages = PAIRS[0][0], [passage for _, passage in PAIRS]
    hits = model.rank(question, passages)
    own = exported.expected([(question, passage) for passage in passages])[:, 1].numpy()
    assert [hit["corpus_id"] for hit in hits] == np.argsort(-own, kind="stable").tolist()
    ours = Scorer(exported.directory).rank(question, passages)
    assert [position for position, _ in ours] == [hit["corpus_id"] for hit in hits]


def test_a_cross_encoder_of_three_classes_gives_a_logit_for_each(exported_nli: Export) -> None:
    model = CrossEncoder(str(exported_nli.directory), device="cpu")
    expected = exported_nli.expected(PAIRS).numpy()
    assert np.abs(model.predict(PAIRS, apply_softmax=True) - expected).max() < 1e-5
    logits = model.predict(PAIRS, convert_to_tensor=True)
    assert logits.shape == (len(PAIRS), 3)
    assert (logits.softmax(dim=1) - torch.from_numpy(expected)).abs().max() < 1e-5


def test_transformers_loads_the_encoder_with_the_weights_of_the_student(exported: Export) -> None:
    encoder = AutoModel.from_pretrained(
        exported.directory, subfolder=cross_encoder.ENCODER, add_pooling_layer=False
    )
    own, _, _ = pair_model.load(exported.student)
    theirs = encoder.state_dict()
    for name, values in own.encoder.state_dict().items():
        assert torch.equal(values, theirs[name])
    tokenizer = AutoTokenizer.from_pretrained(exported.directory)
    assert len(tokenizer(*PAIRS[0], truncation=True)["input_ids"]) <= 16


@pytest.mark.parametrize(
    "load",
    [
        AutoModelForSequenceClassification.from_pretrained,
        AutoModel.from_pretrained,
        lambda directory: pipeline("text-classification", model=str(directory)),
        SentenceTransformer,
    ],
)
@pytest.mark.parametrize("of", ["exported", "exported_nli"])
def test_no_tool_loads_a_random_head(
    of: str, load: Callable[[Any], Any], request: pytest.FixtureRequest
) -> None:
    """A student that is no plain classifier is refused by all that would take it for one."""
    directory = request.getfixturevalue(of).directory
    with pytest.raises((OSError, ValueError), match=r"model\.safetensors|Could not load model"):
        load(str(directory))


@pytest.mark.parametrize("family", ["bert", "roberta"])
@pytest.mark.parametrize("names", [("irrelevant", "relevant"), ("yes", "no", "maybe")])
def test_a_student_of_the_first_token_is_a_plain_classifier(
    family: str, names: tuple[str, ...], tiny_bert: Path, tmp_path: Path
) -> None:
    weights = tiny_bert
    if family != "bert":
        weights = tmp_path / "weights"
        families.save(family, weights, exports.WORDS, AutoModel)
    student = exports.save_student(tmp_path / "s", weights, pooling="cls", label_names=names)
    made = exports.export(student, tmp_path / "e")
    assert made.made.is_plain
    expected = made.expected(PAIRS)
    tokenizer = AutoTokenizer.from_pretrained(made.directory)
    model = AutoModelForSequenceClassification.from_pretrained(made.directory)
    with torch.no_grad():
        inputs = tokenizer(*zip(*PAIRS, strict=True), padding=True, truncation=True)
        logits = model(**inputs.convert_to_tensors("pt")).logits
    found = logits.sigmoid()[:, 0] if len(names) == 2 else logits.softmax(dim=1)
    wanted = expected[:, 1] if len(names) == 2 else expected
    assert (found - wanted).abs().max() < 1e-5
    scored = CrossEncoder(str(made.directory), device="cpu").predict(
        PAIRS, apply_softmax=len(names) > 2
    )
    assert np.abs(scored - wanted.numpy()).max() < 1e-5
    if len(names) == 2:
        classify = pipeline("text-classification", model=str(made.directory))
        given = dict(zip(("text", "text_pair"), PAIRS[0], strict=True))
        (first,) = classify([given], truncation=True)
        assert first["score"] == pytest.approx(float(wanted[0]), abs=1e-5)
    assert (
        "AutoModelForSequenceClassification.from_pretrained"
        in (made.directory / "README.md").read_text()
    )


def test_a_student_of_several_head_layers_is_no_plain_classifier(
    tiny_bert: Path, tmp_path: Path
) -> None:
    student = exports.save_student(tmp_path / "s", tiny_bert, pooling="cls", head_layers=2)
    made = exports.export(student, tmp_path / "e")
    assert not made.made.is_plain
    expected = made.expected(PAIRS)[:, 1].numpy()
    model = CrossEncoder(str(made.directory), device="cpu")
    assert np.abs(model.predict(PAIRS) - expected).max() < 1e-5


def test_the_same_student_is_exported_to_the_same_bytes(exported: Export, tmp_path: Path) -> None:
    again = exports.export(exported.student, tmp_path)

    def files(directory: Path) -> dict[str, bytes]:
        return {
            str(path.relative_to(directory)): path.read_bytes()
            for path in directory.rglob("*")
            if path.is_file() and path.name != "README.md"
        }

    assert files(again.directory) == files(exported.directory)


def test_other_tools_can_read_the_files(exported: Export) -> None:
    """Old onnxruntimes, FlashRank and fastembed, and other users of the machine."""
    for path in exported.directory.rglob("*"):
        if path.is_file():
            assert path.stat().st_mode & 0o777 == (exported.directory.stat().st_mode & 0o666), path
        if path.suffix == ".onnx":
            assert onnx.load(path).ir_version <= 9
    special = json.loads((exported.directory / "special_tokens_map.json").read_text())
    assert special["sep_token"] == "[SEP]"
    config = json.loads((exported.directory / "tokenizer_config.json").read_text())
    assert not {"is_local", "max_length"} & set(config)
    assert config["model_max_length"] == 16


def test_the_configuration_names_the_classes(exported: Export, exported_nli: Export) -> None:
    def config(of: Export) -> dict[str, Any]:
        return dict(json.loads((of.directory / "config.json").read_text()))

    assert config(exported)["label_names"] == ["irrelevant", "relevant"]
    assert config(exported)["id2label"] == {"0": "relevant"}
    assert config(exported)["text_columns"] == ["question", "passage"]
    names = ["entailment", "neutral", "contradiction"]
    assert config(exported_nli)["id2label"] == {str(i): name for i, name in enumerate(names)}


def test_the_tokenizer_cuts_pairs_by_itself(exported: Export) -> None:
    tokenizer = Tokenizer.from_file(str(exported.directory / "tokenizer.json"))
    assert len(tokenizer.encode("red " * 40, "cat " * 5).ids) == 16


def test_the_relevant_label_is_what_is_scored(tiny_bert: Path, tmp_path: Path) -> None:
    student = exports.save_student(tmp_path / "s", tiny_bert, label_names=("yes", "no"))
    made = exports.export(student, tmp_path / "e", relevant_label="yes")
    assert made.made.label_names == ("no", "yes")
    config = json.loads((made.directory / "config.json").read_text())
    assert config["id2label"] == {"0": "yes"}
    expected = made.expected(PAIRS)[:, 1].numpy()
    model = CrossEncoder(str(made.directory), device="cpu")
    assert np.abs(model.predict(PAIRS) - expected).max() < 1e-5
    # That of the last class would be the other way round.
    assert np.abs(model.predict(PAIRS) + expected - 1).max() > 0.1


def test_int8_that_fails_its_gate_is_not_shipped(
    tiny_bert: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    student = exports.save_student(tmp_path / "s", tiny_bert)
    strict = settings.Export(int8_agreement=1.0, int8_rows=5000, int8_loss=1.0)
    # Of so many pairs, some lie at the border between the classes.
    pool = exports.rows_of(exports.pairs_of(5000, 8), name="general/pool")
    made = exports.export(student, tmp_path / "e", settings=strict, pool=pool)
    assert made.made.gate.refusal
    assert not (made.directory / "onnx/model_quantized.onnx").exists()
    assert (made.directory / "onnx/model.onnx").exists()
    assert f"int8 is not shipped: {made.made.gate.refusal}" in capsys.readouterr().out
    text = (made.directory / "README.md").read_text()
    assert f"**int8** is not shipped: {made.made.gate.refusal}" in text
    assert "model_quantized" not in text
    assert package.summary(made.made)["int8"]["shipped"] is False
    with pytest.raises(UserError, match=r"model_quantized\.onnx is missing, because int8 was"):
        Scorer(made.directory, int8=True)


def test_a_second_attempt_at_int8_leaves_more_in_float32(tiny_bert: Path, tmp_path: Path) -> None:
    weights = shutil.copytree(tiny_bert, tmp_path / "weights")
    tensors = load_file(weights / "model.safetensors")
    for layer in (0, 1):
        # One large activation between both matrices leaves few of the steps of int8 to the others.
        tensors[f"encoder.layer.{layer}.intermediate.dense.weight"][0] *= 200
        tensors[f"encoder.layer.{layer}.output.dense.weight"][:, 0] /= 200
    save_file(tensors, weights / "model.safetensors", {"format": "pt"})
    student = exports.save_student(tmp_path / "s", weights)
    pool = exports.rows_of(exports.pairs_of(5000, 8), name="general/pool")
    lax, exact = (
        settings.Export(int8_agreement=least, int8_rows=5000, int8_loss=1.0) for least in (0, 1)
    )
    first = exports.export(student, tmp_path / "first", settings=lax, pool=pool)
    both = exports.export(student, tmp_path / "both", settings=exact, pool=pool)
    assert (first.made.cautious, both.made.cautious) == (False, True)
    assert first.made.gate.agreement < both.made.gate.agreement < 1
    between = (first.made.gate.agreement + both.made.gate.agreement) / 2
    chosen = settings.Export(int8_agreement=between, int8_rows=5000, int8_loss=1.0)
    made = exports.export(student, tmp_path / "e", settings=chosen, pool=pool)
    assert made.made.gate.refusal is None
    assert made.made.gate.agreement == both.made.gate.agreement
    assert package.summary(made.made)["int8"]["cautious"] is True
    graph = onnx.load(made.directory / "onnx/model_quantized.onnx").graph
    # The second matrix of the feed-forward of both layers.
    assert [node.op_type for node in graph.node].count("MatMulInteger") == 11
    assert "second matrix of each feed-forward" in (made.directory / "README.md").read_text()
    assert "second matrix" not in (first.directory / "README.md").read_text()


def test_what_scores_differently_once_exported_is_refused(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    student = exports.save_student(tmp_path / "s", tiny_bert)
    monkeypatch.setattr(cross_encoder, "POOLING_MODES", {"mean": "max"})
    with pytest.raises(UserError, match="sentence-transformers gives probabilities that differ by"):
        exports.export(student, tmp_path / "e")
    assert list((tmp_path / "e").iterdir()) == [tmp_path / "e/metrics", tmp_path / "e/corpora"]


def test_what_cannot_be_exported_is_refused(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("no operator for this")

    student = exports.save_student(tmp_path / "s", tiny_bert)
    monkeypatch.setattr(torch.onnx, "export", fails)
    with pytest.raises(UserError, match=r"a bert cannot be exported \(no operator for this\): use"):
        exports.export(student, tmp_path / "e")
    assert not (tmp_path / "e/export").exists()


ARCHITECTURES = [(family, "mean") for family in families.FAMILIES if family != "gpt2"]
ARCHITECTURES += [("gpt2", "last"), ("electra", "cls")]


@pytest.mark.slow
@pytest.mark.parametrize(("family", "pooling"), ARCHITECTURES)
def test_students_of_all_families_are_exported(family: str, pooling: str, tmp_path: Path) -> None:
    families.save(family, tmp_path / "weights", exports.WORDS, AutoModel)
    student = exports.save_student(tmp_path / "s", tmp_path / "weights", pooling=pooling)
    made = exports.export(student, tmp_path / "e")
    expected = made.expected(PAIRS).numpy()
    assert np.abs(Scorer(made.directory).probabilities(PAIRS) - expected).max() < 1e-5
    model = CrossEncoder(str(made.directory), device="cpu")
    assert np.abs(model.predict(PAIRS) - expected[:, 1]).max() < 1e-5


def test_a_session_of_onnxruntime_gives_the_same_for_one_row_and_for_many(exported: Export) -> None:
    session = onnxruntime.InferenceSession(str(exported.directory / "onnx/model.onnx"))
    tokenizer = Tokenizer.from_file(str(exported.directory / "tokenizer.json"))
    expected = exported.expected(PAIRS)[:, 1].numpy()
    for pair, probability in zip(PAIRS[:20], expected, strict=False):
        encoding = tokenizer.encode(*pair)
        inputs = {
            "input_ids": [encoding.ids],
            "attention_mask": [encoding.attention_mask],
            "token_type_ids": [encoding.type_ids],
        }
        (logits,) = session.run(
            ["logits"], {name: np.array(values, np.int64) for name, values in inputs.items()}
        )
        assert abs(nn.Sigmoid()(torch.tensor(logits[0, 0])).item() - probability) < 1e-5
