"""A stage that is killed and started again ends like an uninterrupted run."""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import LONG_STAGES
from project import environment, kill_at_checkpoint, run

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


WRITTEN = ["config.json", "README.md"]


@pytest.mark.parametrize("file", WRITTEN)
def test_a_killed_export_leaves_no_half_directory(file: str, finished: Path, place: Path) -> None:
    """Killed when it has written ``file``, the first or the last."""
    models = place / "models"
    shutil.rmtree(models / "export")
    process = subprocess.Popen(
        [sys.executable, "stages/export.py"],
        cwd=place,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not list(models.glob(f".export.*.part/{file}")):
        assert process.poll() is None, "it ended before it was killed"
        time.sleep(0.0005)
    process.kill()
    process.wait()
    assert not (models / "export").exists()
    run(place, "python", "stages/export.py")
    assert not list(models.glob(".export.*"))
    for name in ("model.safetensors", "onnx/model.onnx", "onnx/model_quantized.onnx"):
        again = (models / "export" / name).read_bytes()
        assert again == (finished / "models/export" / name).read_bytes()


def _hashes(directory: Path) -> dict[str, str]:
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in directory.rglob("*")
        if path.is_file()
    }
