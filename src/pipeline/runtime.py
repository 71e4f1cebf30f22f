"""Device, precision, randomness and threads: facts of the machine, never of an experiment."""

import os

import torch
from accelerate import Accelerator

CHECKPOINT_SECONDS = 45.0


def accelerator() -> Accelerator:
    """The Accelerate engine for this process.

    Precision is bf16 on a GPU that computes in it and float32 elsewhere, unless the environment
    variable ``ACCELERATE_MIXED_PRECISION`` says otherwise.
    """
    if "ACCELERATE_MIXED_PRECISION" in os.environ:
        return Accelerator()
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return Accelerator(mixed_precision="bf16" if bf16 else "no")


def seed_step(seed: int, step: int, process: int = 0) -> None:
    """Make the randomness of one step depend on nothing but its number.

    So a resumed run draws the same dropout masks as an undisturbed one, without saved generators.
    """
    torch.manual_seed((seed * 1_000_003 + step) * 1_009 + process)


def checkpoint_seconds() -> float:
    """Seconds of work between checkpoints; ``TMKD_CHECKPOINT_SECONDS`` overrides the default."""
    return float(os.environ.get("TMKD_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
