"""SIGKILL in the middle of a stage; started again, it ends as an undisturbed run does."""

import hashlib
import shutil
import subprocess
import sys
import time
from pathlib import Path

import project
import pytest
from conftest import tiny_params
from project import run

pytestmark = pytest.mark.slow

STAGES = {
    "finetune_teacher": (["t1"], "models/teachers/t1"),
    "dump_logits": (["general", "t1"], "data/logits/general/t1"),
    "distill": ([], "models/student/stage1"),
    "finetune_student": ([], "models/student/stage2"),
}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert: Path) -> Path:
    """A project whose stages have run, with trainings long enough to be killed."""
    params = tiny_params(corpora, tiny_bert)
    for training in (params["teachers"]["t1"], params["stage1"], params["stage2"]):
        training |= {"epochs": 12}
    for stage in ("stage1", "stage2"):
        params[stage]["teachers"] = ["t1"]
    params["teachers"] = {"t1": params["teachers"]["t1"]}
    directory = project.create(tmp_path_factory.mktemp("kill") / "undisturbed", params)
    run(directory, sys.executable, "stages/download.py")
    run(directory, sys.executable, "stages/fetch_pretrained.py", "tiny")
    for stage, (arguments, _) in STAGES.items():
        run(directory, sys.executable, f"stages/{stage}.py", *arguments)
        if stage == "dump_logits":
            run(directory, sys.executable, "stages/dump_logits.py", "task", "t1")
    return directory


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_goes_on_and_ends_the_same(
    stage: str, undisturbed: Path, tmp_path: Path
) -> None:
    arguments, out = STAGES[stage]
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
