"""A full disk, an interrupt, a variable that cannot be read: one sentence, and nothing is lost."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import project
import pytest
from conftest import tiny_params
from transformers import AutoTokenizer

from pipeline.core.files import whole_directory
from robustness.conftest import contents, run_stage, sentence_of

OUTPUTS = {
    "download": "data/corpora",
    "fetch_pretrained tiny": "models/pretrained/tiny",
    "finetune_teacher t1": "models/teachers/t1",
    "dump_logits general t1": "data/logits/general/t1",
    "dump_logits task t2": "data/logits/task/t2",
    "distill": "models/student/stage1",
    "finetune_student": "models/student/stage2",
}


def in_child(action: Callable[[], object]) -> str | None:
    """``sentence_of`` in a process of its own, which may be limited."""
    reading, writing = os.pipe()
    if (child := os.fork()) == 0:
        try:
            sentence = sentence_of(action)
            os.write(writing, b"done" if sentence is None else b"refused " + sentence.encode())
        except BaseException as error:
            os.write(writing, f"raised {error!r}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    assert said
    assert not said.startswith("raised"), said
    return None if said == "done" else said.removeprefix("refused ")


@pytest.mark.parametrize("size", [0, 100, 1_000])
@pytest.mark.parametrize("stage", OUTPUTS)
def test_a_disk_that_is_full_ends_in_a_sentence_and_loses_nothing(
    stage: str, size: int, place: Path
) -> None:
    """No file can grow above ``size`` bytes, which fails like a full disk."""
    before = contents(OUTPUTS[stage])

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        os.environ["TMKD_CHECKPOINT_SECONDS"] = "0"
        run_stage(*stage.split())

    sentence = in_child(limited)
    assert sentence
    assert "File too large" in sentence
    assert contents(OUTPUTS[stage]) == before
    run_stage(*stage.split())
    assert contents(OUTPUTS[stage]) == before
    assert not list(Path(".resume").rglob("*.safetensors"))


def test_a_tokenizer_that_cannot_be_written_ends_in_a_sentence(
    tiny_bert: Path, tmp_path: Path
) -> None:
    """The library of tokenizers raises an error without a type."""
    backend = AutoTokenizer.from_pretrained(tiny_bert).backend_tokenizer

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))
        with whole_directory(tmp_path / "model") as draft:
            backend.save(str(draft / "tokenizer.json"))

    sentence = in_child(limited)
    assert sentence
    assert "model could not be written (File too large" in sentence
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["", "soon", "-1", "nan", "1e400x", "1,5", "٣٣٣x"])
def test_a_wrong_checkpoint_interval_is_refused(
    value: str, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMKD_CHECKPOINT_SECONDS", value)
    sentence = sentence_of(lambda: run_stage("distill"))
    assert sentence
    assert f"TMKD_CHECKPOINT_SECONDS is {value!r}, but must be a number" in sentence


LAUNCHERS = ["'", '"torchrun', "torchrun \\", "no-such-command", "/", "-x", " ", "\t"]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_launcher_that_cannot_start_is_refused(launcher: str) -> None:
    output = project.run(
        project.ROOT, "python", "stages/distill.py", check=False, TMKD_LAUNCHER=launcher
    )
    assert f"error: TMKD_LAUNCHER is {launcher!r}, which cannot be started" in output
    assert "Traceback" not in output


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.05, 0.3, 0.8, 1.5])
def test_an_interrupt_at_any_time_leaves_no_traceback(seconds: float, place: Path) -> None:
    """Most of the first seconds of a stage are imports."""
    process = subprocess.Popen(
        [sys.executable, "-X", "importtime", project.ROOT / "stages/distill.py"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        # A shell lets the jobs that it starts in the background ignore it, and so their children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert process.stdout
    # Until this module is imported, Python starts, which is longer on a busy machine.
    assert any(line.endswith("| _path\n") for line in process.stdout)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate()
    assert process.returncode != 0
    assert "Traceback" not in output
    assert "Error" not in output


@pytest.mark.slow
def test_a_terminal_that_cannot_show_a_name_is_no_reason_to_end(
    place: Path, tmp_path: Path, tiny_bert: Path
) -> None:
    source = shutil.copytree(tiny_bert, tmp_path / "名前")
    project.write_params(place, tiny_params(tmp_path, source))
    script = project.ROOT / "stages/fetch_pretrained.py"
    command = [sys.executable, str(script), "tiny"]
    output = project.run(place, *command, PYTHONIOENCODING="ascii")
    assert "pretrained weights tiny: from" in output


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has /dev/full")
def test_output_that_cannot_be_written_is_no_traceback(place: Path) -> None:
    script = project.ROOT / "stages/check_params.py"
    done = subprocess.run(
        f"{sys.executable} {script} > /dev/full", shell=True, capture_output=True, text=True
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
