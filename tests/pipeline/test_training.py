"""The loop: an interrupted run ends where an undisturbed one does, and a bad loss stops it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rows_of
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline import models, runtime, training
from pipeline.encoding import Batch, encode
from pipeline.errors import UserError
from pipeline.models import GOLDEN, PairModel
from pipeline.resume import Checkpoint, fingerprint
from pipeline.training import Training, train

ROWS = rows_of(60)
LABELS = torch.from_numpy(ROWS.labels)


class Killed(BaseException):
    """What no error handler of the loop may catch, like a SIGKILL."""


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TMKD_CHECKPOINT_SECONDS", "0")


def golden_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
    return cross_entropy(model(batch, [GOLDEN])[:, 0], LABELS[indices], reduction="none")


def run(
    bert: Path, settings: Training, row_loss: Callable[..., Tensor] = golden_loss
) -> tuple[dict[str, Tensor], list[training.Epoch]]:
    """Train a fresh student on ROWS; returns its weights and its curve."""
    runtime.seed_step(settings.seed, -1)
    encoder, tokenizer = models.load_encoder(bert, dropout=settings.dropout)
    model = PairModel(encoder, [GOLDEN], 1, 2, settings.dropout)
    encoded = encode(tokenizer, ROWS, 16)
    checkpoint = Checkpoint("test", fingerprint(settings, model, (encoded.ids, ROWS.labels)))
    curve = train(model, encoded, encoded, row_loss, settings, "test", checkpoint, lambda _: 0.5)
    return {name: value.clone() for name, value in model.state_dict().items()}, curve


def settings(**changes: Any) -> Training:
    return Training(**{"lr": 1e-3, "epochs": 3, "batch_size": 8, "dropout": 0.1, **changes})


def dies_after(steps: int) -> Callable[..., Tensor]:
    calls = 0

    def row_loss(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        if calls > steps:
            raise Killed
        return golden_loss(*arguments)

    return row_loss


# Eight steps make an epoch here: the kills fall inside one, on its last step, and in the next.
@pytest.mark.parametrize("steps", [3, 8, 13])
@pytest.mark.parametrize("optimizer", ["adamw", "adam", "sgd"])
def test_a_killed_run_ends_with_the_weights_and_curve_of_an_undisturbed_one(
    tiny_bert: Path, steps: int, optimizer: str
) -> None:
    given = settings(optimizer=optimizer)
    undisturbed, curve = run(tiny_bert, given)
    Checkpoint("test", "").clear()
    with pytest.raises(Killed):
        run(tiny_bert, given, dies_after(steps))
    asked = 0

    def counted(*arguments: Any) -> Tensor:
        nonlocal asked
        asked += 1
        return golden_loss(*arguments)

    resumed, resumed_curve = run(tiny_bert, given, counted)
    assert asked == 24 - steps
    assert resumed_curve == curve
    for name, value in undisturbed.items():
        assert torch.equal(resumed[name], value), name


@pytest.mark.parametrize("change", [{"lr": 2e-3}, {"seed": 2}, {"epochs": 4}, {"dropout": 0.2}])
def test_a_changed_setting_never_resumes_an_old_checkpoint(
    tiny_bert: Path, change: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Killed):
        run(tiny_bert, settings(), dies_after(10))
    run(tiny_bert, settings(**change))
    assert "goes on" not in capsys.readouterr().out
    run(tiny_bert, settings())
    assert "test: goes on from step 10 of 24" in capsys.readouterr().out


def test_other_weights_arrays_precision_or_code_never_resume(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder, tokenizer = models.load_encoder(tiny_bert)
    model = PairModel(encoder, [GOLDEN], 1, 2, 0.0)
    ids = encode(tokenizer, ROWS, 16).ids
    labels = ROWS.labels
    prints = {fingerprint(settings(), model, (ids, labels))}
    prints.add(fingerprint(settings(), model, (ids + 1, labels)))
    prints.add(fingerprint(settings(), model, (ids, 1 - labels)))
    with torch.no_grad():
        next(model.parameters())[0, 0] += 1
    prints.add(fingerprint(settings(), model, (ids, labels)))
    with monkeypatch.context() as patch:
        patch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
        prints.add(fingerprint(settings(), model, (ids, labels)))
    monkeypatch.setattr("inspect.getsource", lambda module: "other code")
    prints.add(fingerprint(settings(), model, (ids, labels)))
    assert len(prints) == 6


def test_training_learns_what_the_rows_say(tiny_bert: Path) -> None:
    _, curve = run(tiny_bert, settings(epochs=30, lr=3e-3, dropout=0.0))
    assert curve[0].train_loss > 0.6
    assert curve[-1].train_loss < 0.2


def test_the_curve_holds_the_mean_loss_per_row_of_each_epoch(tiny_bert: Path) -> None:
    losses: list[float] = []

    def noted(*arguments: Any) -> Tensor:
        values = golden_loss(*arguments)
        losses.extend(values.detach().tolist())
        return values

    _, curve = run(tiny_bert, settings(epochs=2), noted)
    assert [epoch.train_loss for epoch in curve] == pytest.approx(
        [sum(losses[:60]) / 60, sum(losses[60:]) / 60]
    )
    assert [epoch.validation_loss for epoch in curve] == [0.5, 0.5]


def test_a_loss_that_is_not_finite_stops_with_its_step(tiny_bert: Path) -> None:
    calls = 0

    def breaks(*arguments: Any) -> Tensor:
        nonlocal calls
        calls += 1
        return golden_loss(*arguments) * (float("nan") if calls == 5 else 1.0)

    with pytest.raises(UserError, match="the loss is nan at step 5 of 24; lower lr"):
        run(tiny_bert, settings(), breaks)


def test_the_learning_rate_rises_to_its_peak_and_falls_to_zero() -> None:
    rates = [training.schedule(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == rates[10] == 1.0
    assert rates[:11] == sorted(rates[:11])
    assert rates[99] == pytest.approx(1 / 90)
    assert training.schedule(0, 100, 0.0) == 1.0


def test_weight_decay_spares_biases_norms_and_the_token_table(tiny_bert: Path) -> None:
    encoder, _ = models.load_encoder(tiny_bert)
    model = PairModel(encoder, [GOLDEN], 1, 2, 0.0)
    decayed, spared = training.make_optimizer(model, settings(weight_decay=0.3)).param_groups
    assert decayed["weight_decay"] == 0.3
    assert spared["weight_decay"] == 0.0
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    assert all(
        names[id(p)].endswith(("bias", "word_embeddings.weight")) or "LayerNorm" in names[id(p)]
        for p in spared["params"]
    )
    assert len(decayed["params"]) + len(spared["params"]) == len(names)
