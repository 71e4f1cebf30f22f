"""The study on the real DVC: beside a finished pipeline, without teachers, killed and resumed."""

import copy
import hashlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import project
import psutil
import pytest
import yaml
from project import ROOT, run, stages_run
from study_project import STUDY

pytestmark = pytest.mark.slow

REPRO = ("dvc", "repro", "--allow-missing", "study/dvc.yaml")
TRAIN, COMPARE = (f"study/dvc.yaml:{stage}_students" for stage in ("train", "compare"))


def write_study(place: Path, **students: Any) -> None:
    content = copy.deepcopy(STUDY)
    content["students"] |= students
    content["tables"]["methods"]["systems"] += list(students)
    (place / "study").mkdir(exist_ok=True)
    shutil.copy(ROOT / "study/dvc.yaml", place / "study")
    (place / "study/params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def predictions(place: Path) -> dict[str, str]:
    return {
        path.stem: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in (place / "study/predictions").iterdir()
    }


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def has_ended(process: psutil.Process) -> bool:
    return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE


@pytest.fixture(scope="module")
def studied(finished: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project without teachers whose study has run."""
    place = tmp_path_factory.mktemp("study") / "studied"
    shutil.copytree(finished, place, symlinks=True)
    shutil.rmtree(place / "models/teachers")
    write_study(place)
    averages = [f"study/dvc.yaml:average_logits@{corpus}" for corpus in ("general", "task")]
    assert sorted(stages_run(run(place, *REPRO))) == sorted([*averages, TRAIN, COMPARE])
    return place


@pytest.fixture
def place(studied: Path, tmp_path: Path) -> Path:
    """A copy to change at will."""
    return Path(shutil.copytree(studied, tmp_path / "copy", symlinks=True))


def test_a_study_trains_no_teacher_and_a_new_entry_is_trained_alone(place: Path) -> None:
    assert "| tmkd |" in (place / "docs/study/README.md").read_text()
    accuracy = json.loads((place / "metrics/study/accuracy.json").read_text())["methods"]
    assert set(accuracy) == set(STUDY["tables"]["methods"]["systems"])
    before = predictions(place)
    assert "didn't change" in run(place, *REPRO)

    write_study(
        place, tmkd_mean={"stage1": {"teachers": ["mean"]}, "stage2": {"teachers": ["mean"]}}
    )
    output = run(place, *REPRO)
    assert stages_run(output) == [TRAIN, COMPARE]
    assert "resumes with 2 of 10 students to train" in output
    after = predictions(place)
    assert set(after) - set(before) == {"tmkd_mean-1", "tmkd_mean-2"}
    assert {name: after[name] for name in before} == before
    # The main pipeline does not depend on the study.
    assert "up to date" in run(
        place, "dvc", "status", "distill", "finetune_student", "evaluate", "export"
    )


def test_a_killed_study_resumes_and_its_workers_end_with_it(place: Path) -> None:
    uninterrupted = predictions(place)
    shutil.rmtree(place / "study/predictions")
    command = [sys.executable, "stages/train_students.py"]
    process = subprocess.Popen(command, cwd=place, env=project.environment())
    wait_for(lambda: len(list(place.glob("study/predictions/*.safetensors"))) > 1)
    workers = psutil.Process(process.pid).children()
    assert workers
    process.kill()
    process.wait()
    wait_for(lambda: all(has_ended(worker) for worker in workers))
    left = len(predictions(place))
    assert 1 < left < len(uninterrupted)
    assert "study: resumes with" in run(place, "python", "stages/train_students.py")
    assert predictions(place) == uninterrupted


def test_a_wrong_entry_is_refused_before_any_training(place: Path) -> None:
    before = predictions(place)
    write_study(place, broken={"stage2": {"lr": "fast"}})
    output = run(place, *REPRO, check=False)
    sentence = "'students.broken.stage2.lr' is 'fast', but must be a number"
    assert f"study/params.yaml: {sentence}" in output
    assert predictions(place) == before
