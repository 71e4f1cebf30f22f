"""A GPU against the CPU of its machine: the same logits, resume, two processes, speed beside peers.

In a clone of this checkout, in about ten minutes; without a GPU, it compares the CPU with itself.
"""

import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from os import environ
from pathlib import Path

import torch
from safetensors.torch import load_file
from side_by_side import ROOT, out, start, table
from torch import Tensor

Tensors = dict[str, Tensor]
TEACHER = "t3"
ON_CPU = {"CUDA_VISIBLE_DEVICES": "", "ACCELERATE_MIXED_PRECISION": "no"}
FLOAT32 = {"ACCELERATE_MIXED_PRECISION": "no"}
WAYS: dict[str, Mapping[str, str]] = {
    "float32": FLOAT32,
    "bfloat16": {"ACCELERATE_MIXED_PRECISION": "bf16"},
}
if torch.cuda.device_count() != 1:
    # Two processes of torch.distributed cannot share one GPU.
    torchrun = f"{shlex.quote(sys.executable)} -m torch.distributed.run"
    two = {**FLOAT32, "TMKD_LAUNCHER": f"{torchrun} --nproc-per-node=2"}
    WAYS["float32, two processes"] = two


def run(directory: Path, script: str, *arguments: str, **variables: str) -> float:
    """Seconds of a script of ``directory``, with more environment variables."""
    started = time.perf_counter()
    subprocess.run(
        ["python", script, *arguments],
        cwd=directory,
        env={**environ, **variables},
        check=True,
        stdout=subprocess.DEVNULL,
    )
    return time.perf_counter() - started


def tensors(directory: Path) -> Tensors:
    """All tensors of the safetensors files in ``directory``."""
    files = sorted(directory.glob("*.safetensors"))
    return {f"{file.name} {name}": one for file in files for name, one in load_file(file).items()}


def largest_difference(one: Tensors, other: Tensors) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def same_class(one: Tensors, other: Tensors) -> float:
    """The share of rows with the same class in both."""
    pairs = [(one[name].argmax(-1), other[name].argmax(-1)) for name in one]
    return torch.cat([a == b for a, b in pairs]).float().mean().item()


def logits(directory: Path, teacher: str) -> dict[str, tuple[float, Tensors]]:
    """Seconds and logits of the dump of a teacher: on the CPU, and in each of ``WAYS``."""
    artifact = directory / "data/logits/task" / teacher
    found = {}
    for name, variables in {"CPU": ON_CPU, **WAYS}.items():
        shutil.rmtree(artifact, ignore_errors=True)
        seconds = run(directory, "stages/dump_logits.py", "task", teacher, **variables)
        found[name] = seconds, tensors(artifact)
    return found


def resumed(directory: Path, teacher: str) -> tuple[Tensors, Tensors]:
    """The weights of a training that was killed at a checkpoint, and of one that was not."""
    arguments = ("stages/finetune_teacher.py", teacher)
    model = directory / "models/teachers" / teacher
    run(directory, *arguments, **FLOAT32)
    expected = tensors(model)
    shutil.rmtree(model)
    variables = {**environ, **FLOAT32, "TMKD_CHECKPOINT_SECONDS": "0"}
    killed = subprocess.Popen(
        [sys.executable, *arguments], cwd=directory, env=variables, stdout=subprocess.DEVNULL
    )
    while not list(directory.glob(".resume/*/*/[!.]*.safetensors")):
        if killed.poll() is not None:
            raise SystemExit("the training ended before it left a checkpoint")
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    run(directory, *arguments, **FLOAT32)
    return tensors(model), expected


def main() -> None:
    start()
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
        run(clone, "stages/download.py")
        run(clone, "stages/fetch_pretrained.py", "minilm")
        resumed_weights, expected = resumed(clone, TEACHER)
        made = table("Logits of a teacher, 2,800 rows", "", "seconds", "difference", "same class")
        found = logits(clone, TEACHER)
        _, on_cpu = found["CPU"]
        for name, (seconds, own) in found.items():
            difference = largest_difference(own, on_cpu)
            made.add_row(
                name, f"{seconds:.1f}", f"{difference:.1e}", f"{same_class(own, on_cpu):.2%}"
            )
        out.print(made)
        difference = largest_difference(resumed_weights, expected)
        out.print(f"Weights after a kill and a resume differ by {difference:.1e} at most.")
        for script in ("training", "dumping"):
            for precision in ("no", "bf16"):
                variables = {**environ, "ACCELERATE_MIXED_PRECISION": precision}
                command = [sys.executable, str(ROOT / f"benchmarks/{script}.py")]
                subprocess.run(command, cwd=clone, env=variables, check=True)


if __name__ == "__main__":
    main()
