"""A copy of this repository with tiny corpora and models, driven as its users drive it."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import preloaded
import psutil
import yaml

ROOT = Path(__file__).parent.parent
CODE = ("src", "stages", "dvc.yaml", "constraints.txt", ".gitignore", ".dvcignore")


def environment() -> dict[str, str]:
    """This environment, with the ``dvc`` of the tests and a ``python`` that is quick to start."""
    own = Path(sys.executable).parent
    path = os.pathsep.join([str(preloaded.directory()), str(own), os.environ["PATH"]])
    return {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def run(directory: Path, *command: str, check: bool = True, **variables: str) -> str:
    """Run a command, with more environment variables, and return what both streams printed."""
    done = subprocess.run(
        command,
        cwd=directory,
        env={**environment(), **variables},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert not check or done.returncode == 0, f"{' '.join(command)}\n{done.stdout}"
    return done.stdout


def kill_at_checkpoint(directory: Path, *command: str, **variables: str) -> None:
    """Run a command and kill it, with all processes it started, once it has left a checkpoint."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        env={**environment(), **variables, "TMKD_CHECKPOINT_SECONDS": "0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(directory.glob(".resume/*/*/[!.]*.safetensors")):
        assert process.poll() is None, "it ended before it left a checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    # Launchers start each process in a session of its own.
    for one in [*psutil.Process(process.pid).children(recursive=True), process]:
        one.kill()
    assert process.wait() == -signal.SIGKILL


def stages_run(output: str) -> list[str]:
    """The stages that DVC says it ran, but for the check after each edit of ``params.yaml``."""
    stages = re.findall(r"Running stage '([^']+)'", output)
    return [stage for stage in stages if stage != "check_params"]


def create(directory: Path, params: dict[str, Any]) -> Path:
    """A fresh project with ``params``, under git and DVC."""
    directory.mkdir(parents=True)
    for name in CODE:
        original = ROOT / name
        if original.is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(original, directory / name, ignore=ignored)
        else:
            shutil.copy(original, directory / name)
    write_params(directory, params)
    run(directory, "git", "init", "-q", "-b", "main")
    run(directory, "git", "config", "user.name", "tester")
    run(directory, "git", "config", "user.email", "tester@example.com")
    run(directory, "dvc", "init", "-q")
    shutil.copytree(ROOT / ".dvc/plots", directory / ".dvc/plots")
    shutil.copy(ROOT / ".dvc/config", directory / ".dvc/config")
    commit(directory, "start")
    return directory


def write_params(directory: Path, params: dict[str, Any]) -> None:
    (directory / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


def commit(directory: Path, message: str) -> None:
    run(directory, "git", "add", "-A")
    run(directory, "git", "commit", "-qm", message)
