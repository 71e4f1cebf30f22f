"""A stage shared by two processes makes what one makes."""

import shutil
import sys
from pathlib import Path

import pytest
from conftest import LONG_STAGES
from project import kill_at_checkpoint, run

from pipeline import runtime

pytestmark = pytest.mark.slow

TWO = "torchrun --nproc-per-node=2"


def first_epochs(directory: Path, name: str) -> list[float]:
    """Two lines of a training curve; further on, rounding has grown, as Adam lets it."""
    lines = (directory / f"metrics/curves/{name}.csv").read_text().splitlines()[1:3]
    return [float(value) for line in lines for value in line.split(",")]


def copy(undisturbed: Path, tmp_path: Path, out: str) -> Path:
    place = tmp_path / "shared"
    shutil.copytree(undisturbed, place)
    shutil.rmtree(place / out)
    shutil.rmtree(place / "metrics")
    return place


def test_a_launched_script_is_two_processes_that_know_of_each_other(tmp_path: Path) -> None:
    source = (Path(runtime.__file__).parent.parent).as_posix()
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {source!r})\n"
        "from pipeline import runtime\n"
        "runtime.launch()\n"
        "engine = runtime.accelerator()\n"
        "print(f'process {engine.process_index} of {engine.num_processes}')\n"
        "runtime.leave_writing_to_one()\n"
        "print('alone at the end')\n"
    )
    said = run(tmp_path, sys.executable, script.name, TMKD_LAUNCHER=TWO)
    assert sorted(line for line in said.splitlines() if line.startswith("process")) == [
        "process 0 of 2",
        "process 1 of 2",
    ]
    assert said.count("alone at the end") == 1


def test_logits_of_two_processes_are_those_of_one(undisturbed: Path, tmp_path: Path) -> None:
    arguments, out = LONG_STAGES["dump_logits"]
    place = copy(undisturbed, tmp_path, out)
    said = run(place, sys.executable, "stages/dump_logits.py", *arguments, TMKD_LAUNCHER=TWO)
    assert said.count("logits of t1 on general: 5,000 rows") == 1
    for path in (undisturbed / out).iterdir():
        assert path.read_bytes() == (place / out / path.name).read_bytes(), path.name


@pytest.mark.parametrize(
    ("stage", "name"),
    [("finetune_teacher", "t1"), ("distill", "stage1"), ("finetune_student", "stage2")],
)
def test_a_training_of_two_processes_is_that_of_one(
    stage: str, name: str, undisturbed: Path, tmp_path: Path
) -> None:
    arguments, out = LONG_STAGES[stage]
    place = copy(undisturbed, tmp_path, out)
    run(place, sys.executable, f"stages/{stage}.py", *arguments, TMKD_LAUNCHER=TWO)
    found, expected = (first_epochs(directory, name) for directory in (place, undisturbed))
    assert found == pytest.approx(expected, abs=1e-4)
    assert {path.name for path in (place / out).iterdir()} == {
        path.name for path in (undisturbed / out).iterdir()
    }


def test_one_process_goes_on_where_two_were_killed(undisturbed: Path, tmp_path: Path) -> None:
    arguments, out = LONG_STAGES["finetune_teacher"]
    place = copy(undisturbed, tmp_path, out)
    command = [sys.executable, "stages/finetune_teacher.py", *arguments]
    kill_at_checkpoint(place, *command, TMKD_LAUNCHER=TWO)
    assert not (place / out).exists()
    assert "goes on from" in run(place, *command)
    found, expected = (first_epochs(directory, "t1") for directory in (place, undisturbed))
    assert found == pytest.approx(expected, abs=1e-4)


def test_what_goes_wrong_in_two_processes_is_said_in_a_sentence(
    undisturbed: Path, tmp_path: Path
) -> None:
    place = copy(undisturbed, tmp_path, "data/logits/general/t1")
    said = run(place, sys.executable, "stages/distill.py", TMKD_LAUNCHER=TWO, check=False)
    assert "error: data/logits/general/t1/card.json is missing: run `dvc repro" in said


def test_a_launcher_that_is_no_command_is_refused_in_a_sentence(undisturbed: Path) -> None:
    wrong = "no-such-command --nproc-per-node=2"
    said = run(undisturbed, sys.executable, "stages/distill.py", TMKD_LAUNCHER=wrong, check=False)
    assert said.startswith(f"error: TMKD_LAUNCHER is '{wrong}'")
