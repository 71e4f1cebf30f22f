"""The one training loop, for teachers and for both stages of the student.

It knows rows, steps and devices; what is learned is the caller's ``row_loss``.
"""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Tensor, nn

from pipeline import console, runtime
from pipeline.encoding import Batch, Encoded, collate, training_batches
from pipeline.errors import UserError
from pipeline.models import PairModel
from pipeline.params import require
from pipeline.resume import Checkpoint
from pipeline.vocabulary import only_tokens_of

RowLoss = Callable[[PairModel, Batch, Tensor], Tensor]
"""From the model, a batch and the indices of its rows (int64) to a loss per row."""
LOSSES_BETWEEN_CHECKS = 20


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a model is trained; teachers and both stages share these settings."""

    lr: float
    """Peak learning rate, reached after the warm-up; it then falls linearly to zero."""
    epochs: int
    """Passes over the rows."""
    batch_size: int = 16
    """Rows per optimizer step."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """AdamW, Adam with L2 regularisation, or SGD with momentum 0.9."""
    weight_decay: float = 0.01
    """Applied to weight matrices, not to biases, norms and the token table."""
    warmup: float = 0.1
    """Share of all steps over which the learning rate rises."""
    clip: float = 1.0
    """Largest norm of the gradient."""
    dropout: float = 0.1
    """In the encoder and before the heads."""
    seed: int = 1
    """Sets new heads, the order of rows and dropout."""

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", "above 0")
        require(self.epochs >= 1, "epochs", "at least 1")
        require(self.batch_size >= 1, "batch_size", "at least 1")
        require(self.weight_decay >= 0, "weight_decay", "at least 0")
        require(0 <= self.warmup < 1, "warmup", "at least 0 and below 1")
        require(self.clip > 0, "clip", "above 0")
        require(0 <= self.seed < 2**32, "seed", "from 0 to 2^32 - 1")
        require(0 <= self.dropout < 1, "dropout", "at least 0 and below 1")


@dataclass(frozen=True)
class Epoch:
    """One line of a training curve."""

    epoch: int
    train_loss: float
    validation_loss: float


def train(
    model: PairModel,
    encoded: Encoded,
    held_out: Encoded,
    row_loss: RowLoss,
    settings: Training,
    task: str,
    checkpoint: Checkpoint,
    validate: Callable[[Encoded], float],
) -> list[Epoch]:
    """Train ``model`` in place and return its curve; goes on from ``checkpoint`` if there is one.

    ``validate`` is called after each epoch with ``held_out`` and returns a mean loss. Of several
    processes each takes a share of every batch, and all of them end with the same weights. Raises
    UserError at the first step whose loss is not finite.
    """
    with ExitStack() as stack:
        encoded, held_out = stack.enter_context(only_tokens_of(model, encoded, held_out))
        engine = runtime.accelerator()
        optimizer = make_optimizer(model, settings)
        per_epoch = math.ceil(len(encoded) / settings.batch_size)
        total = per_epoch * settings.epochs
        model.to(engine.device)
        done = checkpoint.load(model, optimizer) or {"step": 0, "sum": 0.0, "curve": []}
        step, loss_sum = int(done["step"]), float(done["sum"])
        curve = [Epoch(**line) for line in done["curve"]]
        if step:
            console.say(f"{task}: goes on from step {step} of {total}.")
        prepared, stepper = engine.prepare(model, optimizer)
        recent: list[Tensor] = []
        saved = time.monotonic()

        def settle() -> None:
            nonlocal loss_sum
            values = torch.stack(recent).tolist() if recent else []
            for back, value in enumerate(values):
                if not math.isfinite(value):
                    when = step - len(values) + back + 1
                    raise UserError(
                        f"{task}: the loss is {value} at step {when} of {total}; "
                        "lower lr, raise warmup, or look for logits that are not finite."
                    )
                loss_sum += value
            recent.clear()

        rows = len(encoded) * settings.epochs
        seen = rows * step // total
        advance = stack.enter_context(console.progress(task, rows, "rows", seen))
        for epoch in range(len(curve), settings.epochs):
            model.train()
            batches = training_batches(encoded.lengths, settings.batch_size, settings.seed, epoch)
            for indices in batches[step - epoch * per_epoch :]:
                runtime.seed_step(settings.seed, step, engine.process_index)
                for group in optimizer.param_groups:
                    group["lr"] = settings.lr * schedule(step, total, settings.warmup)
                # A batch of fewer rows than processes leaves some a row that counts nothing.
                mine = indices[engine.process_index :: engine.num_processes]
                counted = len(mine) > 0
                mine = mine if counted else indices[:1]
                batch = {k: v.to(engine.device) for k, v in collate(encoded, mine).items()}
                loss = counted * row_loss(prepared, batch, torch.from_numpy(mine)).sum()
                # The engine averages gradients over processes, of which each has a part of the sum.
                engine.backward(loss * (engine.num_processes / len(indices)))
                engine.clip_grad_norm_(model.parameters(), settings.clip)
                stepper.step()
                stepper.zero_grad()
                recent.append(engine.reduce(loss.detach(), "sum"))
                step += 1
                advance(len(indices))
                if len(recent) == LOSSES_BETWEEN_CHECKS:
                    settle()
                if time.monotonic() - saved > runtime.checkpoint_seconds():
                    settle()
                    lines = [vars(line) for line in curve]
                    progress = {"step": step, "sum": loss_sum, "curve": lines}
                    if engine.is_main_process:
                        checkpoint.save(model, optimizer, progress)
                    saved = time.monotonic()
            settle()
            curve.append(Epoch(epoch + 1, loss_sum / len(encoded), validate(held_out)))
            loss_sum = 0.0
    return curve


def schedule(step: int, total: int, warmup: float) -> float:
    """The factor on the learning rate: up to 1 over the warm-up, then down to 0, both linear."""
    rising = warmup * total
    if step < rising:
        return (step + 1) / (rising + 1)
    return (total - step) / (total - rising)


def make_optimizer(model: PairModel, settings: Training) -> torch.optim.Optimizer:
    tokens = cast(nn.Embedding, model.encoder.get_input_embeddings()).weight
    matrices = [p for p in model.parameters() if p.ndim > 1 and p is not tokens]
    others = [tokens, *(p for p in model.parameters() if p.ndim <= 1)]
    groups = [
        {"params": matrices, "weight_decay": settings.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    if settings.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=settings.lr, momentum=0.9)
    kind = torch.optim.AdamW if settings.optimizer == "adamw" else torch.optim.Adam
    return kind(groups, lr=settings.lr, fused=True)
