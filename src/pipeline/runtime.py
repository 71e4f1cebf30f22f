"""Device, precision, processes and randomness: facts of the machine, never of an experiment."""

import ctypes
import os
import shlex
import subprocess
import sys

import torch
from accelerate import Accelerator

from pipeline.errors import UserError

CHECKPOINT_SECONDS = 45.0
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def launch() -> None:
    """Run this script under ``TMKD_LAUNCHER`` instead, if that is set, and exit as it does.

    The variable holds a command that starts several processes of torch.distributed, such as
    ``torchrun --nproc-per-node=2``.
    """
    # Taken out of the environment, so that the processes it starts do not start more.
    if launcher := os.environ.pop("TMKD_LAUNCHER", None):
        try:
            done = subprocess.run([*shlex.split(launcher), *sys.argv])
        except OSError as error:
            sys.exit(f"error: TMKD_LAUNCHER is {launcher!r}, which could not be started ({error}).")
        sys.exit(done.returncode)


def accelerator() -> Accelerator:
    """The Accelerate engine of this process, one of those that were launched together."""
    _keep_freed_memory()
    return Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision=precision())


def leave_writing_to_one() -> None:
    """End every process but the first: what is left of the stage is to write what it made."""
    engine = accelerator()
    engine.wait_for_everyone()
    engine.end_training()
    if not engine.is_main_process:
        sys.exit(0)


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


def fused_attention_is_slow() -> bool:
    """Whether torch's fused attention is slower than the plain formula.

    On a CPU its backward pass in bfloat16 takes 14 times as long as in float32.
    """
    return precision() == "bf16" and not torch.cuda.is_available()


def _keep_freed_memory() -> None:
    """Let this process keep the memory it frees for its next step, where malloc is glibc's.

    Else most of it goes back after each step and the kernel clears new pages for the next one.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        for parameter in (M_TRIM_THRESHOLD, M_MMAP_THRESHOLD):
            mallopt(parameter, 2**31 - 1)


def seed_step(seed: int, step: int, process: int = 0) -> None:
    """Make the randomness of one step depend on nothing but its number and the process.

    So a resumed run draws the same dropout masks as an undisturbed one, without saved generators.
    """
    torch.manual_seed(seed * 1_000_003 + step + (process << 53))


def checkpoint_seconds() -> float:
    """Seconds of work between checkpoints; ``TMKD_CHECKPOINT_SECONDS`` overrides the default."""
    return float(os.environ.get("TMKD_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS))
