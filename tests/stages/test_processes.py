"""A stage shared by two processes makes what one makes."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from conftest import LONG_STAGES
from project import ROOT, environment, kill_at_checkpoint, run

from pipeline.core import runtime

pytestmark = pytest.mark.slow

TWO = "torchrun --nproc-per-node=2"


def first_epochs(directory: Path, name: str) -> list[float]:
    """Two lines of a training curve; further on, rounding has grown, as Adam lets it."""
    lines = (directory / f"metrics/curves/{name}.csv").read_text().splitlines()[1:3]
    return [float(value) for line in lines for value in line.split(",")]


def copy(uninterrupted: Path, tmp_path: Path, *outs: str) -> Path:
    place = tmp_path / "shared"
    shutil.copytree(uninterrupted, place)
    for out in outs:
        shutil.rmtree(place / out)
    shutil.rmtree(place / "metrics")
    return place


def test_a_launched_script_is_two_processes_that_know_of_each_other(tmp_path: Path) -> None:
    source = Path(runtime.__file__).parents[2].as_posix()
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {source!r})\n"
        "from pipeline.core import runtime\n"
        "def main():\n"
        "    engine = runtime.accelerator()\n"
        "    print(f'process {engine.process_index} of {engine.num_processes}', flush=True)\n"
        "    engine.wait_for_everyone()\n"
        "    return 'output once'\n"
        "runtime.run(main)\n"
    )
    output = run(tmp_path, sys.executable, script.name, TMKD_LAUNCHER=TWO)
    assert sorted(re.findall(r"process \d of 2", output)) == ["process 0 of 2", "process 1 of 2"]
    assert output.count("output once") == 1


def test_logits_of_two_processes_are_those_of_one(uninterrupted: Path, tmp_path: Path) -> None:
    arguments, out = LONG_STAGES["dump_logits"]
    place = copy(uninterrupted, tmp_path, out)
    output = run(place, sys.executable, "stages/dump_logits.py", *arguments, TMKD_LAUNCHER=TWO)
    assert output.count("logits of t1 on general: 5,000 rows") == 1
    for path in (uninterrupted / out).iterdir():
        assert path.read_bytes() == (place / out / path.name).read_bytes(), path.name


TRAININGS = {"finetune_student": "stage2", "train_noisy_student": "n1", "distill": "stage1"}
"""Stages and their curves. Stage 1 is trained after stage 2, which starts from it."""
ALL_TRAININGS = """
import sys
sys.path.insert(0, "stages")
import _path
import distill, finetune_student, train_noisy_student
from pipeline.core import runtime

def main():
    finetune_student.main()
    distill.main()
    sys.argv[1:] = ["n1"]
    return train_noisy_student.main()

runtime.run(main)
"""


def test_trainings_of_two_processes_are_those_of_one(uninterrupted: Path, tmp_path: Path) -> None:
    """In one launch, because most of its time is that of imports."""
    outs = {stage: LONG_STAGES[stage][1] for stage in TRAININGS}
    place = copy(uninterrupted, tmp_path, *outs.values())
    shutil.copytree(uninterrupted / outs["distill"], place / outs["distill"])
    (place / "all.py").write_text(ALL_TRAININGS)
    run(place, sys.executable, "all.py", TMKD_LAUNCHER=TWO)
    for stage, name in TRAININGS.items():
        found, expected = (first_epochs(directory, name) for directory in (place, uninterrupted))
        assert found == pytest.approx(expected, abs=1e-4)
        assert {path.name for path in (place / outs[stage]).iterdir()} == {
            path.name for path in (uninterrupted / outs[stage]).iterdir()
        }


def test_one_process_resumes_where_two_were_killed(uninterrupted: Path, tmp_path: Path) -> None:
    arguments, out = LONG_STAGES["finetune_teacher"]
    place = copy(uninterrupted, tmp_path, out)
    command = ["stages/finetune_teacher.py", *arguments]
    kill_at_checkpoint(place, sys.executable, *command, TMKD_LAUNCHER=TWO)
    assert not (place / out).exists()
    assert "resumes from" in run(place, "python", *command)
    found, expected = (first_epochs(directory, "t1") for directory in (place, uninterrupted))
    assert found == pytest.approx(expected, abs=1e-4)


def test_an_error_in_two_processes_ends_in_a_sentence_and_a_status(
    uninterrupted: Path, tmp_path: Path
) -> None:
    place = copy(uninterrupted, tmp_path, "data/logits/general/t1")
    done = subprocess.run(
        [sys.executable, "stages/distill.py"],
        cwd=place,
        env={**environment(), "TMKD_LAUNCHER": TWO},
        capture_output=True,
        text=True,
    )
    assert "error: data/logits/general/t1/card.json is missing: run `dvc repro" in done.stderr
    assert done.returncode == 1


def test_a_launcher_that_is_no_command_is_refused_in_a_sentence(uninterrupted: Path) -> None:
    wrong = "no-such-command --nproc-per-node=2"
    output = run(uninterrupted, "python", "stages/distill.py", TMKD_LAUNCHER=wrong, check=False)
    assert output.startswith(f"error: TMKD_LAUNCHER is '{wrong}', which cannot be started")


LAUNCHER = """\
import subprocess, sys
sleep = "import time; print('launched', flush=True); time.sleep(60)"
subprocess.run([sys.executable, "-c", sleep])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupt_ends_a_launcher_and_its_processes_without_a_traceback(
    number: signal.Signals, uninterrupted: Path, tmp_path: Path
) -> None:
    (tmp_path / "launcher.py").write_text(LAUNCHER)
    process = subprocess.Popen(
        [sys.executable, "stages/distill.py"],
        cwd=uninterrupted,
        env={**environment(), "TMKD_LAUNCHER": f"{sys.executable} {tmp_path / 'launcher.py'}"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "launched\n"
    launched = psutil.Process(process.pid).children(recursive=True)
    # As a terminal does on Ctrl-C, or when it is closed.
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert errors == (
        "Stopped. Run the command again to resume from the last checkpoint, if there is one.\n"
    )
    assert len(launched) == 2
    for one in launched:
        assert not one.is_running() or one.status() == psutil.STATUS_ZOMBIE


INTERRUPTED = """
import os, signal, subprocess, sys
sys.path.insert(0, sys.argv[1])
from pipeline.core import runtime

class Launched(subprocess.Popen):
    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        os.kill(os.getpid(), signal.SIGINT)

subprocess.Popen = Launched
runtime.run(lambda: "")
"""


def test_an_interrupt_while_a_launcher_starts_ends_it_too(tmp_path: Path) -> None:
    """Between its start and the moment when this process can wait for it."""
    (tmp_path / "stage.py").write_text(INTERRUPTED)
    sleep = f"{sys.executable} -c 'import time; time.sleep(60)'"
    done = subprocess.run(
        [sys.executable, tmp_path / "stage.py", ROOT / "src"],
        env={**environment(), "TMKD_LAUNCHER": sleep},
        capture_output=True,
        text=True,
        # As long as the launcher lives, it holds the pipes open.
        timeout=50,
    )
    assert done.returncode == 130
    assert "Stopped." in done.stderr
