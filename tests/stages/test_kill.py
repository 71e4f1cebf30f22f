"""SIGKILL in the middle of a stage; started again, it ends as an undisturbed run does."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
from conftest import LONG_STAGES
from project import kill_at_checkpoint, run

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
    kill_at_checkpoint(place, *command)
    assert not (place / out).exists()
    said = run(place, *command)
    assert "goes on from" in said
    assert _hashes(place / out) == _hashes(undisturbed / out)
    assert not list(place.glob(".resume/**/*.safetensors"))


def _hashes(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }
