"""The loop: interrupted runs end like uninterrupted ones; a loss that is not finite stops it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from safetensors.torch import load_file
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core import runtime
from pipeline.core.errors import UserError
from pipeline.model.encoding import encode
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel
from pipeline.model.settings import GOLDEN
from pipeline.training.loop import Epoch, Examples
from pipeline.training.run import train_and_save
from pipeline.training.settings import Training

ROWS = rows_of(60)
VALIDATION = rows_of(20, 1)
CARD = Card(LABEL_NAMES, 16, 1, (GOLDEN,))


class Killed(BaseException):
    """What no error handler of the loop may catch, like a SIGKILL."""


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMKD_CHECKPOINT_SECONDS", "0")


def golden_loss(logits: Tensor, labels: Tensor, _: Tensor) -> Tensor:
    return cross_entropy(logits[:, 0], labels, reduction="none")


def run(
    bert: Path,
    settings: Training,
    loss: Callable[..., Tensor] = golden_loss,
    code: str = "textwrap",
) -> tuple[dict[str, Tensor], list[Epoch]]:
    """Train a new model on ROWS; returns its saved weights and its curve."""
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = load_encoder(bert, dropout=settings.dropout)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=settings.dropout)
    training, validation = (
        Examples(
            encode(tokenizer, rows, 16),
            torch.from_numpy(rows.labels),
            torch.empty(len(rows), 0, 2),
        )
        for rows in (ROWS, VALIDATION)
    )
    directory = Path("models/test")
    trained = train_and_save(
        model,
        tokenizer,
        CARD,
        directory=directory,
        training=training,
        validation=validation,
        loss=loss,
        settings=settings,
        more_settings=None,
        code=code,
        name="test",
    )
    files = ("model.safetensors", "heads.safetensors")
    return {k: v for file in files for k, v in load_file(directory / file).items()}, trained.curve


def settings(**changes: Any) -> Training:
    return Training(**{"lr": 1e-3, "epochs": 3, "batch_size": 8, "dropout": 0.1, **changes})


def counted(loss: Callable[..., Tensor] = golden_loss) -> tuple[Callable[..., Tensor], list[int]]:
    """``loss``, and the number of rows of each of its calls for a training step."""
    rows: list[int] = []

    def counting(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        # The loss of a constant predictor is computed on all rows at once.
        if logits.requires_grad and len(labels) < len(ROWS):
            rows.append(len(labels))
        return loss(logits, labels, targets)

    return counting, rows


def dies_after(steps: int) -> Callable[..., Tensor]:
    loss, rows = counted()

    def dying(*arguments: Tensor) -> Tensor:
        values = loss(*arguments)
        if len(rows) > steps:
            raise Killed
        return values

    return dying


# Eight steps make an epoch here: the kills fall inside one, on its last step, and in the next.
@pytest.mark.parametrize("steps", [3, 8, 13])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_killed_run_ends_with_the_weights_and_curve_of_an_uninterrupted_one(
    tiny_bert: Path, steps: int, optimizer: str
) -> None:
    given = settings(optimizer=optimizer)
    uninterrupted, curve = run(tiny_bert, given)
    assert not Path(".resume/models-test").exists()
    with pytest.raises(Killed):
        run(tiny_bert, given, dies_after(steps))
    loss, calls = counted()
    resumed, resumed_curve = run(tiny_bert, given, loss)
    assert len(calls) == 24 - steps
    assert resumed_curve == curve
    for name, value in uninterrupted.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.parametrize("change", [{"lr": 2e-3}, {"seed": 2}, {"epochs": 4}, {"dropout": 0.2}])
def test_a_changed_setting_never_resumes_an_old_checkpoint(
    tiny_bert: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        run(tiny_bert, settings(), dies_after(10))
    run(tiny_bert, settings(**change))
    assert "resumes" not in capsys.readouterr().out


def test_other_code_never_resumes_an_old_checkpoint(
    tiny_bert: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for code in ("textwrap", "string"):
        with pytest.raises(Killed):
            run(tiny_bert, settings(), dies_after(10), code)
    assert "resumes" not in capsys.readouterr().out
    run(tiny_bert, settings(), code="textwrap")
    assert "test: resumes from step 10 of 24" in capsys.readouterr().out


def test_training_learns_what_the_rows_say(tiny_bert: Path) -> None:
    _, curve = run(tiny_bert, settings(epochs=30, lr=3e-3, dropout=0.0))
    assert curve[0].train_loss > 0.6
    assert curve[-1].train_loss < 0.2


def test_the_curve_has_mean_loss_and_accuracy_of_all_rows_of_each_epoch(tiny_bert: Path) -> None:
    losses: list[float] = []
    hits: list[bool] = []

    def noted(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
        values = golden_loss(logits, labels, targets)
        if len(labels) == len(ROWS):  # that of a constant predictor
            return values
        losses.extend(values.detach().tolist())
        hits.extend((logits[:, 0].argmax(dim=1) == labels).tolist())
        return values

    _, curve = run(tiny_bert, settings(epochs=2, lr=3e-3), noted)
    # Per epoch 60 training rows, then 20 validation rows.
    for epoch, start in zip(curve, (0, 80), strict=True):
        train, validation = slice(start, start + 60), slice(start + 60, start + 80)
        assert epoch.train_loss == pytest.approx(sum(losses[train]) / 60)
        assert epoch.train_accuracy == pytest.approx(sum(hits[train]) / 60)
        assert epoch.validation_loss == pytest.approx(sum(losses[validation]) / 20)
        assert epoch.validation_accuracy == pytest.approx(sum(hits[validation]) / 20)
    assert len({epoch.train_accuracy for epoch in curve}) == 2


def test_a_resumed_epoch_counts_the_rows_before_the_interruption(tiny_bert: Path) -> None:
    _, expected = run(tiny_bert, settings(epochs=1, lr=3e-3))
    with pytest.raises(Killed):
        run(tiny_bert, settings(epochs=1, lr=3e-3), dies_after(5))
    _, curve = run(tiny_bert, settings(epochs=1, lr=3e-3))
    assert curve == expected
    assert 0 < curve[0].train_accuracy < 1


def test_a_loss_that_is_not_finite_stops_with_its_step(tiny_bert: Path) -> None:
    loss, calls = counted()

    def breaks(*arguments: Tensor) -> Tensor:
        values = loss(*arguments)
        return values * (float("nan") if len(calls) == 5 else 1.0)

    with pytest.raises(UserError, match="the loss is nan at step 5 of 24; lower lr"):
        run(tiny_bert, settings(), breaks)
