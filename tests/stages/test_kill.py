"""SIGKILL in the middle of a stage; started again, it ends as an undisturbed run does."""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import project
import pytest
from conftest import LONG_STAGES
from project import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", LONG_STAGES)
def test_a_killed_stage_goes_on_and_ends_the_same(
    stage: str, undisturbed: Path, tmp_path: Path
) -> None:
    arguments, out = LONG_STAGES[stage]
    place = tmp_path / "killed"
    shutil.copytree(undisturbed, place)
    shutil.rmtree(place / out)
    command = [sys.executable, f"stages/{stage}.py", *arguments]
    environment = {**project.environment(), "TMKD_CHECKPOINT_SECONDS": "0"}
    process = subprocess.Popen(command, cwd=place, env=environment, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(place.glob(".resume/*/*/[!.]*.safetensors")):
        assert process.poll() is None, "it ended before it left a checkpoint"
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -9
    assert not (place / out).exists()
    said = run(place, *command)
    assert "goes on from" in said
    assert _hashes(place / out) == _hashes(undisturbed / out)
    assert not list(place.glob(".resume/**/*.safetensors"))


def _hashes(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }
