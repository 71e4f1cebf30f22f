"""A noisy student: its loss, its two ends, and what it learns."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy, softmax

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.noisy_student.training import loss, targets_of, train_noisy_student
from pipeline.teacher import finetune_teacher
from pipeline.training.loop import Trained
from pipeline.training.settings import Teacher

GOLD, VALIDATION = rows_of(40), rows_of(40, 1, "task/validation")
NO_NOISE: dict[str, Any] = {"dropout": 0.0, "stochastic_depth": 0.0, "cutoff": 0.0}
SHARED: dict[str, Any] = {"weights": "pretrained/tiny", "lr": 3e-3, "epochs": 3, "batch_size": 8}


def pseudo_labelled(confidence: float = 0.9, count: int = 150) -> Rows:
    """Rows with the right labels, given with this confidence."""
    rows = rows_of(count, 2, "pseudo_labels/n1")
    soft_labels = np.full((count, 2), 1 - confidence, dtype=np.float32)
    soft_labels[np.arange(count), rows.labels] = confidence
    column = pa.array(list(soft_labels), pa.list_(pa.float32()))
    return Rows(rows.name, rows.table.append_column("soft_label", column), rows.label_names)


def noisy_student(**changes: Any) -> NoisyStudent:
    content = {**SHARED, "teacher": "t1", "pseudo_labels": {}, **changes}
    return settings.check(NoisyStudent, content)


def train(
    models: Path, rows: Rows, validation: Rows = VALIDATION, **changes: Any
) -> tuple[dict[str, Tensor], Trained]:
    trained = train_noisy_student(
        "n1",
        noisy_student(**changes),
        max_length=16,
        gold=GOLD,
        pseudo_labelled=rows,
        validation=validation,
        models=models,
    )
    return weights(models / "teachers/n1"), trained


def weights(directory: Path) -> dict[str, Tensor]:
    files = ("model.safetensors", "heads.safetensors")
    return {name: value for file in files for name, value in load_file(directory / file).items()}


def test_the_loss_is_the_divergence_from_the_targets() -> None:
    """Worked out by hand: logits 0 and ln 3 are the probabilities 1/4 and 3/4."""
    logits = torch.tensor([[[0.0, np.log(3)]]] * 4)
    targets = torch.tensor([[[1.0, 0.0]], [[0.0, 1.0]], [[0.5, 0.5]], [[0.25, 0.75]]])
    half = 0.5 * np.log(0.5 / 0.25) + 0.5 * np.log(0.5 / 0.75)
    found = loss(logits, torch.zeros(4), targets).tolist()
    assert found == pytest.approx([np.log(4), np.log(4 / 3), half, 0.0], abs=1e-6)


def test_of_gold_labels_the_loss_is_that_of_a_teacher() -> None:
    logits = torch.randn(len(GOLD), 1, 2)
    expected = cross_entropy(logits[:, 0], torch.from_numpy(GOLD.labels), reduction="none")
    found = loss(logits, torch.zeros(len(GOLD)), targets_of(GOLD, soft=False))
    assert torch.allclose(found, expected)


def test_targets_are_soft_or_hard_labels() -> None:
    rows = pseudo_labelled(0.75)
    labels = torch.from_numpy(rows.labels)
    soft, hard = (targets_of(rows, soft=soft) for soft in (True, False))
    assert soft.shape == hard.shape == (150, 1, 2)
    picked = (torch.arange(150), 0, labels)
    assert (soft[picked] == 0.75).all()
    assert (hard[picked] == 1).all()
    assert torch.allclose(soft.sum(dim=2), torch.ones(150, 1))


def test_without_noise_and_pseudo_labels_it_is_a_teacher_on_gold_labels(models: Path) -> None:
    found, trained = train(models, pseudo_labelled(), gold_share=1.0, **NO_NOISE)
    content = {**SHARED, "corpus": "task", "dropout": 0.0}
    plain = finetune_teacher(
        "t1",
        settings.check(Teacher, content),
        max_length=16,
        training=GOLD,
        validation=VALIDATION,
        models=models,
    )
    expected = weights(models / "teachers/t1")
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(found[name], value, atol=1e-5), name
    curves = [[line.validation_loss for line in one.curve] for one in (trained, plain)]
    assert curves[0] == pytest.approx(curves[1], abs=1e-4)


def test_it_learns_its_pseudo_labelled_rows_which_gold_labels_alone_do_not_teach(
    models: Path,
) -> None:
    rows = pseudo_labelled(0.95)
    _, both = train(models, rows, rows, epochs=20, **NO_NOISE)
    _, alone = train(models, rows, rows, epochs=20, gold_share=1.0, **NO_NOISE)
    assert both.curve[-1].validation_accuracy > 0.85
    assert alone.curve[-1].validation_accuracy < 0.8


def test_each_kind_of_noise_changes_the_training_and_none_the_validation(models: Path) -> None:
    rows = pseudo_labelled()
    quiet, _ = train(models, rows, **NO_NOISE)
    again, _ = train(models, rows, **NO_NOISE)
    assert all(torch.equal(quiet[name], again[name]) for name in quiet)
    for kind in NO_NOISE:
        noise: dict[str, Any] = {**NO_NOISE, kind: 0.5}
        noisy, _ = train(models, rows, **noise)
        assert any(not torch.equal(quiet[name], noisy[name]) for name in quiet), kind
    # A learning rate of nothing leaves the weights, so that all epochs have the same loss.
    noise = dict.fromkeys(NO_NOISE, 0.5)
    _, trained = train(models, rows, VALIDATION, lr=1e-12, **noise)
    first, *others = trained.curve
    for line in others:
        assert line.validation_loss == pytest.approx(first.validation_loss, abs=1e-6)
        assert line.train_loss != pytest.approx(first.train_loss, abs=1e-6)


def test_hard_targets_are_learned_with_more_confidence_than_soft_ones(models: Path) -> None:
    rows = pseudo_labelled(0.6)
    confidences = {}
    for kind in ("soft", "hard"):
        train(models, rows, targets=kind, gold_share=0.0, epochs=12, **NO_NOISE)
        model, tokenizer, card = pair_model.load(models / "teachers/n1")
        logits = predict(model, encode(tokenizer, rows, 16), card.heads)
        confidences[kind] = softmax(logits[:, 0], dim=-1).amax(dim=-1).mean().item()
    assert confidences["soft"] < 0.65 < confidences["hard"]


def test_a_student_of_unsure_labels_has_not_failed_unless_it_learns_nothing(models: Path) -> None:
    """Against the entropy of the labels, what there is to learn would be less than 2%."""
    rows = pseudo_labelled(0.58)
    settings = {"gold_share": 0.0, "epochs": 12, **NO_NOISE}
    assert not train(models, rows, **settings)[1].failed
    assert train(models, rows, **settings, lr=1e-9)[1].failed


def test_whether_it_has_failed_does_not_depend_on_rows_that_it_does_not_read(models: Path) -> None:
    """A constant would be right about rows of one class, so that with them any loss is too high."""
    rows = pseudo_labelled(0.99)
    of_one_class = Rows(rows.name, rows.table.filter(pc.equal(rows.table["label"], 0)), LABEL_NAMES)
    for pseudo in (rows, of_one_class):
        _, trained = train(models, pseudo, gold_share=1.0, epochs=10, **NO_NOISE)
        assert not trained.failed


class Killed(BaseException):
    """What no error handler of the loop may catch, like a SIGKILL."""


def train_and_kill(models: Path, rows: Rows, steps: int) -> None:
    """A training that leaves a checkpoint after each step, killed after ``steps``."""
    done = 0

    def dying(*arguments: Tensor) -> Tensor:
        nonlocal done
        # The loss of a constant predictor is computed on more rows than a batch has.
        done += len(arguments[0]) <= SHARED["batch_size"]
        if done > steps:
            raise Killed
        return loss(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMKD_CHECKPOINT_SECONDS", "0")
        patch.setattr("pipeline.noisy_student.training.loss", dying)
        with pytest.raises(Killed):
            train(models, rows)


def test_a_killed_training_resumes_to_the_same_weights(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = pseudo_labelled()
    expected, _ = train(models, rows)
    train_and_kill(models, rows, steps=40)
    capsys.readouterr()
    found, _ = train(models, rows)
    assert "resumes from step 40 of" in capsys.readouterr().out
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize("change", [{"gold_share": 0.5}, {"cutoff": 0.2}, {"targets": "hard"}])
def test_another_setting_never_resumes_an_old_checkpoint(
    change: dict[str, Any], models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_and_kill(models, pseudo_labelled(), steps=10)
    train(models, pseudo_labelled(), **change)
    assert "resumes" not in capsys.readouterr().out


def test_a_batch_of_one_row_cannot_be_mixed() -> None:
    with pytest.raises(UserError, match="'batch_size' is 1, but must be at least 2, for gold and"):
        noisy_student(batch_size=1)
    assert noisy_student(batch_size=1, gold_share=1.0).batch_size == 1
