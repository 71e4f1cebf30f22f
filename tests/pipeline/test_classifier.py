"""A ready-made classifier becomes a teacher as it is, its classes matched by name."""

import json
from pathlib import Path
from typing import Any

import exports
import families
import pytest
import torch
from conftest import COLOURS, FILLERS, LABEL_NAMES, THINGS, rows_of
from transformers import AutoModelForSequenceClassification

from pipeline import logits
from pipeline.classifier import fetch
from pipeline.core.errors import UserError
from pipeline.core.weights import weights_hash
from pipeline.dumping import dump
from pipeline.evaluation import speed
from pipeline.logits import Artifact
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import read_card
from pipeline.model.settings import Classifier

TEST = rows_of(20, 1, "test/qa")


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def save(names: list[str], family: str = "electra", directory: str = "source") -> None:
    families.save(
        family,
        Path(directory),
        [*COLOURS, *THINGS, *FILLERS],
        AutoModelForSequenceClassification,
        num_labels=len(names),
        id2label=dict(enumerate(names)),
    )


def fetched(max_length: int = 16, **settings: Any) -> Path:
    given = Classifier(source="source", **settings)
    fetch("ready", given, max_length=max_length, models=Path("models"))
    return Path("models/teachers/ready")


def dumped(teacher: Path) -> torch.Tensor:
    dump("ready", teacher, [TEST], directory=Path("task/ready"))
    artifact = Artifact(Path("task/ready"), "stage")
    identity, notes = logits.read_identity(artifact), logits.read_notes(artifact)
    assert identity.weights == weights_hash(teacher)
    assert not notes.failed
    return logits.read(artifact, identity, TEST, LABEL_NAMES)


@pytest.mark.parametrize("family", ["electra", "gpt2", "roberta"])
def test_classes_are_matched_by_name_whatever_their_order(family: str) -> None:
    save(["irrelevant", "relevant"], family)
    expected = dumped(fetched())
    save(["relevant", "irrelevant"], family)
    torch.testing.assert_close(dumped(fetched()), expected.flip(1))


def test_names_that_differ_are_mapped(tmp_path: Path) -> None:
    save(["irrelevant", "relevant"])
    expected = dumped(fetched())
    save(["LABEL_0", "LABEL_1"])
    with pytest.raises(UserError, match="'ready' scores the classes LABEL_0, LABEL_1, but test/qa"):
        dumped(fetched())
    names = {"LABEL_0": "irrelevant", "LABEL_1": "relevant"}
    torch.testing.assert_close(dumped(fetched(label_names=names)), expected)
    # A name that agrees needs no mapping.
    save(["irrelevant", "LABEL_1"])
    torch.testing.assert_close(dumped(fetched(label_names={"LABEL_1": "relevant"})), expected)


def test_a_reranker_with_one_output_says_yes_by_its_sigmoid() -> None:
    save(["LABEL_0"])
    teacher = fetched(label_names={"negative": "irrelevant", "positive": "relevant"})
    assert read_card(teacher).label_names == LABEL_NAMES
    found = dumped(teacher)
    assert torch.equal(found[:, 0], torch.zeros(20))
    assert found[:, 1].std() > 0


def test_it_reads_its_own_number_of_tokens() -> None:
    save(["irrelevant", "relevant"], "gpt2")
    assert read_card(fetched()).max_length == 16
    assert read_card(fetched(40)).max_length == 40
    with pytest.raises(UserError, match="'source' reads at most 128 tokens: set class"):
        fetched(200)
    longest = Classifier(source="source", max_length=128)
    fetch("ready", longest, max_length=200, models=Path("models"))
    assert read_card(Path("models/teachers/ready")).max_length == 128


def test_a_class_that_it_does_not_have_cannot_be_mapped() -> None:
    save(["LABEL_0", "LABEL_1"])
    with pytest.raises(UserError, match="label_names' maps 'yes', but the classes of 'source' are"):
        fetched(label_names={"yes": "relevant"})
    with pytest.raises(UserError, match="gives two classes the same name: its classes would be re"):
        fetched(label_names={"LABEL_0": "relevant", "LABEL_1": "relevant"})


def test_a_teacher_may_be_trained_from_its_encoder() -> None:
    save(["irrelevant", "relevant"], "gpt2")
    encoder, tokenizer = load_encoder(fetched())
    assert encoder.config.head_pooling == "last"
    assert type(encoder).__name__ == "GPT2Model"
    # It sees where the first text ends, as one from pretrained weights does.
    assert tokenizer("ab", "c").input_ids != tokenizer("a", "bc").input_ids


def test_no_teacher_is_trained_from_an_encoder_decoder() -> None:
    save(["irrelevant", "relevant"], "bart")
    with pytest.raises(UserError, match="is an encoder-decoder, for which this pipeline has no"):
        load_encoder(fetched())


def test_classes_that_its_configuration_does_not_name_are_refused() -> None:
    save(["irrelevant", "relevant"])
    path = Path("source/config.json")
    names = {"0": "irrelevant", "2": "relevant"}
    path.write_text(json.dumps({**json.loads(path.read_text()), "id2label": names}))
    with pytest.raises(UserError, match="id2label in its"):
        fetched()


@pytest.mark.parametrize("family", ["bart", "gpt2"])
def test_it_is_timed_without_its_weights_and_tokenizer(family: str) -> None:
    save(["irrelevant", "relevant"], family)
    dumped(fetched())
    notes = logits.read_notes(Artifact(Path("task/ready"), "stage"))
    twin = speed.untrained_twin(notes.encoder, notes.lengths, 2)
    assert len(twin.encoded) == 20
    (rate,) = speed.pairs_per_second([twin])
    assert rate > 0


def test_what_cannot_be_had_is_refused() -> None:
    with pytest.raises(UserError, match="a model on the hub needs a revision"):
        fetched()
    Path("source").mkdir()
    with pytest.raises(UserError, match="could not be loaded"):
        fetched()
    assert not Path("models").exists()


def test_a_student_of_this_pipeline_teaches_with_all_its_heads(tiny_bert: Path) -> None:
    student = exports.save_student(Path("source"), tiny_bert)
    fetched()
    teacher = Path("models/teachers/ready")
    assert read_card(teacher).heads == exports.HEADS
    rows = rows_of(20)
    model, tokenizer, card = pair_model.load(student)
    said = predict(model, encode(tokenizer, rows, card.max_length), card.heads).mean(dim=1)
    dump("ready", teacher, [rows], directory=Path("out/ready"))
    artifact = Artifact(Path("out/ready"), "stage")
    found = logits.read(artifact, logits.read_identity(artifact), rows, card.label_names)
    torch.testing.assert_close(found, said)


def test_classes_that_are_not_those_of_the_task_are_mapped_in_one_line() -> None:
    save(["only"], "gpt2")
    with pytest.raises(
        UserError, match=r"as in classifiers.ready.label_names: {negative: no, positive: yes}"
    ):
        fetch(
            "ready",
            Classifier(source="source", max_length=16),
            max_length=16,
            models=Path("models"),
            expected=("no", "yes"),
        )
