"""The training loop of teachers and of both stages of the student."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pipeline import console
from pipeline.core import runtime
from pipeline.core.checkpoints import Checkpoint, run_identity
from pipeline.core.errors import UserError
from pipeline.model import pair_model
from pipeline.model.encoding import Encoded, collate, training_batches
from pipeline.model.inference import mean_probability, predict_together
from pipeline.model.pair_model import Card, PairModel
from pipeline.training.optimizer import learning_rate_factor, make_optimizer
from pipeline.training.settings import Training
from pipeline.training.vocabulary import only_tokens_of

CODE = ("pipeline.core.checkpoints", "pipeline.core.runtime", "pipeline.model", "pipeline.training")
"""The code that determines the result of every training."""
STEPS_BETWEEN_CHECKS = 20

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits [rows, heads, classes], labels [rows] and teacher logits to a loss [rows]."""


@dataclass(frozen=True)
class Examples:
    """Rows as a training reads them: their tokens, and what is learned of each."""

    tokens: Encoded
    labels: Tensor
    """Shape [rows], int64: gold labels. In a stage without gold labels, the class that the mean of
    the teachers chooses; the loss does not use it then. Accuracy is the share of rows for which
    the model chooses this class."""
    teacher_logits: Tensor
    """Shape [rows, soft heads, classes], float32; no soft heads for a teacher."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Epoch:
    """One line of a training curve: mean loss per row, and accuracy from 0 to 1.

    Training figures are means over the epoch, while the weights change; validation figures are
    those after the epoch.
    """

    epoch: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float


def train_and_save(
    model: PairModel,
    tokenizer: Any,
    card: Card,
    *,
    directory: Path,
    training: Examples,
    validation: Examples,
    loss: Loss,
    settings: Training,
    more_settings: Any,
    code: str,
    name: str,
) -> list[Epoch]:
    """Train ``model``, save it to ``directory`` and return its curve.

    An interrupted training resumes if the settings (``settings`` and ``more_settings``), weights,
    examples, precision and code (``CODE`` and ``code``) are the same. ``name`` is shown to people.
    Of several processes, the main one saves.
    """
    arrays = [
        array
        for examples in (training, validation)
        for array in (
            examples.tokens.ids,
            examples.labels.numpy(),
            examples.teacher_logits.numpy(),
        )
    ]
    identity = run_identity(
        (settings, more_settings), code=(*CODE, code), model=model, arrays=arrays
    )
    checkpoint = Checkpoint(f"{directory.parent.name}-{directory.name}", identity)
    curve = train(
        model,
        training,
        validation,
        heads=card.heads,
        loss=loss,
        settings=settings,
        name=name,
        checkpoint=checkpoint,
    )
    if runtime.is_main_process():
        pair_model.save(directory, model, tokenizer, card=card)
        checkpoint.clear()
    return curve


def train(
    model: PairModel,
    training: Examples,
    validation: Examples,
    *,
    heads: Sequence[str],
    loss: Loss,
    settings: Training,
    name: str,
    checkpoint: Checkpoint,
) -> list[Epoch]:
    """Train ``model`` in place and return its curve; resumes from ``checkpoint`` if it was saved.

    Several processes share every batch, and all end with the same weights. Raises UserError at the
    first step whose loss is not finite.
    """
    with ExitStack() as stack:
        tokens, validation_tokens = stack.enter_context(
            only_tokens_of(model, training.tokens, validation.tokens)
        )
        validation = replace(validation, tokens=validation_tokens)
        engine = runtime.accelerator()
        optimizer = make_optimizer(model, settings)
        steps_per_epoch = math.ceil(len(training) / settings.batch_size)
        total = steps_per_epoch * settings.epochs
        model.to(engine.device)
        progress = checkpoint.load(model, optimizer) or {"step": 0, "sums": [0, 0], "curve": []}
        step = int(progress["step"])
        loss_sum, hits = progress["sums"]
        curve = [Epoch(**line) for line in progress["curve"]]
        if step:
            console.say(f"{name}: resumes from step {step} of {total}.")
        prepared_model, prepared_optimizer = engine.prepare(model, optimizer)
        unread: list[Tensor] = []
        last_saved = time.monotonic()

        def read_sums() -> None:
            """Add up loss and hits of the last steps; reading them waits for the device."""
            nonlocal loss_sum, hits
            sums = torch.stack(unread).tolist() if unread else []
            for back, (step_loss, step_hits) in enumerate(sums):
                if not math.isfinite(step_loss):
                    failed = step - len(sums) + back + 1
                    raise UserError(
                        f"{name}: the loss is {step_loss} at step {failed} of {total}; "
                        "lower lr, raise warmup, or look for logits that are not finite."
                    )
                loss_sum += step_loss
                hits += step_hits
            unread.clear()

        rows = len(training) * settings.epochs
        advance = stack.enter_context(
            console.progress(name, rows, "rows", start=rows * step // total)
        )
        for epoch in range(len(curve), settings.epochs):
            model.train()
            batches = training_batches(
                tokens.lengths, settings.batch_size, seed=settings.seed, epoch=epoch
            )
            for indices in batches[step - epoch * steps_per_epoch :]:
                runtime.seed_step(settings.seed, step, engine.process_index)
                for group in optimizer.param_groups:
                    factor = learning_rate_factor(step, total, settings.warmup)
                    group["lr"] = settings.lr * factor
                # If a batch has fewer rows than there are processes, some get a row that does not
                # count.
                own = indices[engine.process_index :: engine.num_processes]
                counts = len(own) > 0
                own = own if counts else indices[:1]
                batch = {k: v.to(engine.device) for k, v in collate(tokens, own).items()}
                logits = prepared_model(batch, heads)
                labels = training.labels[own].to(logits.device)
                targets = training.teacher_logits[own].to(logits.device)
                batch_loss = counts * loss(logits, labels, targets).sum()
                # The engine averages gradients over processes, each of which has a part of the sum.
                engine.backward(batch_loss * (engine.num_processes / len(indices)))
                engine.clip_grad_norm_(model.parameters(), settings.clip)
                prepared_optimizer.step()
                prepared_optimizer.zero_grad()
                batch_hits = counts * _hits(logits.detach(), labels)
                sums = torch.stack([batch_loss.detach(), batch_hits.to(batch_loss.dtype)])
                unread.append(engine.reduce(sums, "sum"))
                step += 1
                advance(len(indices))
                if len(unread) == STEPS_BETWEEN_CHECKS:
                    read_sums()
                if time.monotonic() - last_saved > runtime.checkpoint_seconds():
                    read_sums()
                    lines = [vars(line) for line in curve]
                    progress = {"step": step, "sums": [loss_sum, hits], "curve": lines}
                    if engine.is_main_process:
                        checkpoint.save(model, optimizer, progress)
                    last_saved = time.monotonic()
            read_sums()
            validation_loss, validation_accuracy = _validate(model, validation, heads, loss)
            curve.append(
                Epoch(
                    epoch + 1,
                    loss_sum / len(training),
                    hits / len(training),
                    validation_loss,
                    validation_accuracy,
                )
            )
            loss_sum, hits = 0.0, 0.0
    return curve


def _validate(
    model: PairModel, validation: Examples, heads: Sequence[str], loss: Loss
) -> tuple[float, float]:
    """Mean loss and accuracy on ``validation``."""
    logits = predict_together(model, validation.tokens, heads)
    losses = loss(logits, validation.labels, validation.teacher_logits)
    hits = _hits(logits, validation.labels)
    return losses.mean().item(), hits.item() / len(validation)


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return (mean_probability(logits).argmax(dim=-1) == labels).sum()
