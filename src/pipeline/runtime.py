"""Device, precision, randomness and threads: facts of the machine, never of an experiment."""

import os

import torch
from accelerate import Accelerator

from pipeline.errors import UserError

CHECKPOINT_SECONDS = 45.0


def accelerator() -> Accelerator:
    """The Accelerate engine of this process; raises UserError if there are several processes."""
    engine = Accelerator(mixed_precision=precision())
    if engine.num_processes > 1:
        raise UserError(
            f"started as {engine.num_processes} processes, but a stage runs as one: start it with "
            "plain `python` or `dvc repro`."
        )
    return engine


def precision() -> str:
    """``bf16`` on a GPU that computes in it, else ``no`` for float32.

    The environment variable ``ACCELERATE_MIXED_PRECISION`` overrides it with either of the two.
    """
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    chosen = os.environ.get("ACCELERATE_MIXED_PRECISION", "bf16" if bf16 else "no")
    if chosen not in ("no", "bf16"):
        raise UserError(
            f"the environment variable ACCELERATE_MIXED_PRECISION is {chosen!r}, but must be 'no' "
            "or 'bf16'."
        )
    return chosen


def seed_step(seed: int, step: int) -> None:
    """Make the randomness of one step depend on nothing but its number.

    So a resumed run draws the same dropout masks as an undisturbed one, without saved generators.
    """
    torch.manual_seed(seed * 1_000_003 + step)


def checkpoint_seconds() -> float:
    """Seconds of work between checkpoints; ``TMKD_CHECKPOINT_SECONDS`` overrides the default."""
    return float(os.environ.get("TMKD_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
