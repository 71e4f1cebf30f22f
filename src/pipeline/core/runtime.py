"""Device, precision, processes and randomness: properties of the machine, not of an experiment."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress

import psutil
import torch
from accelerate import Accelerator

from pipeline import console
from pipeline.core import processor
from pipeline.core.errors import UserError

CHECKPOINT_SECONDS = 45.0
INTERRUPTS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(stage: Callable[[], str]) -> None:
    """Run the main function of a stage that resumes, in one process or several.

    If the environment variable ``TMKD_LAUNCHER`` is set, this script runs under it instead: a
    command that starts processes of torch.distributed, such as ``torchrun --nproc-per-node=2``.
    """
    # Removed from the environment, so that the launched processes do not launch more.
    if launcher := os.environ.pop("TMKD_LAUNCHER", None):
        console.run(lambda: _launch(launcher), resumes=True)
    console.run(stage, resumes=True)
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _launch(launcher: str) -> str:
    """Run this script under ``launcher`` and exit with its status."""
    interrupts: list[int] = []
    for number in INTERRUPTS:
        # One that comes before there is a process to kill waits until there is.
        signal.signal(number, lambda received, _: interrupts.append(received))
    # In a session of its own, signals from the terminal reach only this process.
    try:
        launched = subprocess.Popen([*shlex.split(launcher), *sys.argv], start_new_session=True)
    except (OSError, ValueError) as error:
        raise UserError(
            f"TMKD_LAUNCHER is {launcher!r}, which cannot be started ({error}): correct or unset "
            "it."
        ) from None
    try:
        for number in INTERRUPTS:
            signal.signal(number, signal.default_int_handler)
        if interrupts:
            raise KeyboardInterrupt
        status = launched.wait()
    except KeyboardInterrupt:
        _kill_with_descendants(launched)
        raise
    sys.exit(status)


def _kill_with_descendants(launched: "subprocess.Popen[bytes]") -> None:
    """Kill a launcher, which would answer an interrupt with a traceback; checkpoints are safe."""
    with suppress(psutil.NoSuchProcess):
        root = psutil.Process(launched.pid)
        # Suspended, it cannot start more processes.
        root.suspend()
        for process in [*root.children(recursive=True), root]:
            with suppress(psutil.NoSuchProcess):
                process.kill()
    launched.wait()


def accelerator() -> Accelerator:
    """The Accelerate engine of this process, one of those that were launched together."""
    processor.prepare()
    return Accelerator(cpu=not torch.accelerator.is_available(), mixed_precision=precision())


def is_main_process() -> bool:
    """Whether this process writes files; of several processes, one does."""
    return bool(accelerator().is_main_process)


def precision() -> str:
    """``bf16`` on a GPU that computes in bfloat16, else ``no`` for float32.

    The environment variable ``ACCELERATE_MIXED_PRECISION`` overrides it with either value. Raises
    UserError if the variable has another value.
    """
    # Older GPUs only emulate bfloat16, which is slower than float32.
    bf16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    chosen = os.environ.get("ACCELERATE_MIXED_PRECISION", "bf16" if bf16 else "no")
    if chosen not in ("no", "bf16"):
        raise UserError(
            f"the environment variable ACCELERATE_MIXED_PRECISION is {chosen!r}, but must be 'no' "
            "or 'bf16'."
        )
    return chosen


def tensor_type() -> str:
    """The type that models compute in: float32 or bfloat16."""
    return "bfloat16" if precision() == "bf16" else "float32"


def seed_step(seed: int, step: int, process: int = 0) -> None:
    """Make the randomness of a step depend only on the seed, its number and the process.

    A resumed run then draws the same dropout masks as an uninterrupted one, without saved
    generator states.
    """
    # The generator of the CPU reads the lowest 32 bits only, so that processes must differ in them.
    torch.manual_seed(seed * 1_000_003 + step + process * 2_654_435_761)


def checkpoint_seconds() -> float:
    """Seconds of work between checkpoints.

    The environment variable ``TMKD_CHECKPOINT_SECONDS`` overrides the default. Raises UserError if
    it is not a number of at least 0.
    """
    chosen = os.environ.get("TMKD_CHECKPOINT_SECONDS", CHECKPOINT_SECONDS)
    with suppress(ValueError):
        if (seconds := float(chosen)) >= 0:
            return seconds
    raise UserError(
        f"the environment variable TMKD_CHECKPOINT_SECONDS is {chosen!r}, but must be a number of "
        "at least 0."
    )
