"""The training loop of teachers and of both stages of the student."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from pipeline import console
from pipeline.core import runtime
from pipeline.core.checkpoints import Checkpoint
from pipeline.core.errors import UserError
from pipeline.model.encoding import Encoded, collate, training_batches
from pipeline.model.inference import predict_together, probabilities
from pipeline.model.pair_model import PairModel
from pipeline.training.failure import LossWatch, constant_loss, sample
from pipeline.training.optimizer import learning_rate_factor, make_optimizer
from pipeline.training.settings import Training
from pipeline.training.vocabulary import only_tokens_of

STEPS_BETWEEN_CHECKS = 20

Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From logits [rows, heads, classes], labels [rows] and targets to a loss [rows]."""
EpochOf = Callable[[Encoded, int], tuple[Encoded, list[np.ndarray]]]
"""From the tokens of all rows and the number of an epoch, from 0, to the tokens that it reads and
the row numbers of its batches. All epochs of a training have as many batches and rows."""


@dataclass(frozen=True)
class Examples:
    """Rows as a training reads them: their tokens, and what is learned of each."""

    tokens: Encoded
    labels: Tensor
    """Shape [rows], int64: gold labels. In a stage without gold labels, the class that the mean of
    the teachers chooses; the loss does not use it then. Accuracy is the share of rows for which
    the model chooses this class."""
    targets: Tensor
    """Shape [rows, soft heads, classes], float32: the logits that each soft head learns. A teacher
    has no soft heads; a noisy student has a probability for each class in their place."""

    def __len__(self) -> int:
        return len(self.tokens)


@dataclass(frozen=True)
class Trained:
    """A finished training."""

    curve: list["Epoch"]
    seed: int
    """The seed of this training, after restarts."""
    failed: bool
    """Whether its loss was that of a constant predictor to the end, or to its early end."""
    still_falling: bool
    """Whether its loss was still falling steeply at the end, so that it was too short."""


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
    epoch_of: EpochOf | None = None,
) -> Trained:
    """Train ``model`` in place; resumes from ``checkpoint`` if it was saved.

    An epoch reads each row once, or what ``epoch_of`` gives it. Several processes share every
    batch, and all end with the same weights. A training that is no better than a constant predictor
    after a third of its steps is reported, and ends there if it is to be restarted. Raises
    UserError at the first step whose loss is not finite.
    """
    with ExitStack() as stack:
        tokens, validation_tokens = stack.enter_context(
            only_tokens_of(model, training.tokens, validation.tokens)
        )
        validation = replace(validation, tokens=validation_tokens)
        engine = runtime.accelerator()
        optimizer = make_optimizer(model, settings)
        epoch_of = epoch_of or _each_row_once(settings)
        batches = epoch_of(tokens, 0)[1]
        steps_per_epoch = len(batches)
        # Sorted, because the sample depends on the order.
        read = np.sort(np.concatenate(batches))
        sampled = sample(read)
        constant = constant_loss(
            training.labels[sampled], training.targets[sampled], len(heads), loss
        )
        total = steps_per_epoch * settings.epochs
        third = math.ceil(total / 3)
        model.to(engine.device)
        progress = checkpoint.load(model, optimizer) or {"step": 0, "sums": [0, 0], "curve": []}
        step = int(progress["step"])
        loss_sum, hits = progress["sums"]
        watch = LossWatch(constant, total, progress.get("watched"))
        curve = [Epoch(**line) for line in progress["curve"]]
        if step:
            console.say(f"{name}: resumes from step {step} of {total}.")
        prepared_model, prepared_optimizer = engine.prepare(model, optimizer)
        unread: list[tuple[int, Tensor]] = []
        seconds_between_saves = runtime.checkpoint_seconds()
        last_saved = time.monotonic()

        def read_sums() -> None:
            """Add up loss and hits of the last steps; reading them waits for the device."""
            nonlocal loss_sum, hits
            sums = torch.stack([sums for _, sums in unread]).tolist() if unread else []
            first = step - len(sums)
            for number, (step_loss, step_hits) in enumerate(sums, start=first):
                if not math.isfinite(step_loss):
                    raise UserError(
                        f"{name}: the loss is {step_loss} at step {number + 1} of {total}; "
                        "lower lr, raise warmup, or look for logits that are not finite."
                    )
                loss_sum += step_loss
                hits += step_hits
                watch.add(number, step_loss, rows=unread[number - first][0])
            unread.clear()

        rows = len(read) * settings.epochs
        advance = stack.enter_context(
            console.progress(name, rows, "rows", start=rows * step // total)
        )
        for epoch in range(len(curve), settings.epochs):
            model.train()
            epoch_tokens, batches = epoch_of(tokens, epoch)
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
                batch = {k: v.to(engine.device) for k, v in collate(epoch_tokens, own).items()}
                logits = prepared_model(batch, heads)
                labels = training.labels[own].to(logits.device)
                targets = training.targets[own].to(logits.device)
                batch_loss = counts * loss(logits, labels, targets).sum()
                # The engine averages gradients over processes, each of which has a part of the sum.
                engine.backward(batch_loss * (engine.num_processes / len(indices)))
                engine.clip_grad_norm_(model.parameters(), settings.clip)
                prepared_optimizer.step()
                prepared_optimizer.zero_grad()
                batch_hits = counts * _hits(logits.detach(), labels)
                sums = torch.stack([batch_loss.detach(), batch_hits.to(batch_loss.dtype)])
                unread.append((len(indices), engine.reduce(sums, "sum")))
                step += 1
                advance(len(indices))
                if len(unread) == STEPS_BETWEEN_CHECKS or step == third:
                    read_sums()
                if step == third and watch.is_constant(sixth=1):
                    console.say(
                        f"{name}: after a third of its steps, this training is no better than a "
                        f"constant prediction (seed {settings.seed})."
                    )
                    if settings.restarts:
                        return Trained(curve, settings.seed, failed=True, still_falling=False)
                if time.monotonic() - last_saved > seconds_between_saves:
                    read_sums()
                    lines = [vars(line) for line in curve]
                    progress = {
                        "step": step,
                        "sums": [loss_sum, hits],
                        "watched": watch.sums,
                        "curve": lines,
                    }
                    if engine.is_main_process:
                        checkpoint.save(model, optimizer, progress)
                    last_saved = time.monotonic()
            read_sums()
            validation_loss, validation_accuracy = _validate(model, validation, heads, loss)
            curve.append(
                Epoch(
                    epoch + 1,
                    loss_sum / len(read),
                    hits / len(read),
                    validation_loss,
                    validation_accuracy,
                )
            )
            loss_sum, hits = 0.0, 0.0
    failed = watch.is_constant(sixth=5)
    falling = watch.is_still_falling([line.validation_loss for line in curve])
    return Trained(curve, settings.seed, failed, still_falling=falling and not failed)


def _each_row_once(settings: Training) -> EpochOf:
    def epoch_of(tokens: Encoded, epoch: int) -> tuple[Encoded, list[np.ndarray]]:
        batches = training_batches(
            tokens.lengths, settings.batch_size, seed=settings.seed, epoch=epoch
        )
        return tokens, batches

    return epoch_of


def _validate(
    model: PairModel, validation: Examples, heads: Sequence[str], loss: Loss
) -> tuple[float, float]:
    """Mean loss and accuracy on ``validation``."""
    logits = predict_together(model, validation.tokens, heads)
    losses = loss(logits, validation.labels, validation.targets)
    hits = _hits(logits, validation.labels)
    return losses.mean().item(), hits.item() / len(validation)


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    return (probabilities(logits).argmax(dim=-1) == labels).sum()
