"""A stage that is killed and started again ends like an uninterrupted run."""

import hashlib
import shutil
import sys
from pathlib import Path

import pytest
from conftest import LONG_STAGES
from project import kill_at_checkpoint, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("stage", LONG_STAGES)
def test_a_killed_stage_resumes_and_ends_the_same(
    stage: str, uninterrupted: Path, tmp_path: Path
) -> None:
    arguments, out = LONG_STAGES[stage]
    place = tmp_path / "killed"
    shutil.copytree(uninterrupted, place)
    shutil.rmtree(place / out)
    command = [f"stages/{stage}.py", *arguments]
    kill_at_checkpoint(place, sys.executable, *command)
    assert not (place / out).exists()
    output = run(place, "python", *command)
    assert "resumes from" in output
    assert _hashes(place / out) == _hashes(uninterrupted / out)
    assert not list(place.glob(".resume/**/*.safetensors"))


def _hashes(directory: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()
    }
