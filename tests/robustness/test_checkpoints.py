"""Damaged checkpoints are thrown away in one sentence, and the result is that of an unhurt run."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.checkpoints import Checkpoint
from robustness.conftest import contents, run_stage
from robustness.test_artifacts import ANY

Damage = Callable[[bytes], bytes]
DAMAGE: dict[str, Damage] = {
    **ANY,
    "a bit of the header": lambda content: content[:40] + bytes([content[40] ^ 4]) + content[41:],
    "a bit in the middle": lambda content: (
        content[: len(content) // 2]
        + bytes([content[len(content) // 2] ^ 64])
        + content[len(content) // 2 + 1 :]
    ),
    "the last bit": lambda content: content[:-1] + bytes([content[-1] ^ 1]),
    "more bytes": lambda content: content + b"more",
    "twice": lambda content: content + content,
}
TRAININGS = {
    "finetune_teacher": ("models/teachers/t1", ("t1",)),
    "distill": ("models/student/stage1", ()),
    "finetune_student": ("models/student/stage2", ()),
}


class Killed(BaseException):
    """Stands for the end of the process at a point where it has left a checkpoint."""


@pytest.fixture
def killed(place: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[Path]]:
    """Run a stage until it has left a checkpoint; returns the files in ``.resume``."""

    def run(stage: str, *arguments: str) -> list[Path]:
        with monkeypatch.context() as patch:
            saved: list[Path] = []

            def save_twice_and_die(self: Checkpoint, *given: Any) -> None:
                save(self, *given)
                saved.append(self.path)
                if len(saved) == 2:
                    raise Killed

            save = Checkpoint.save
            patch.setattr(Checkpoint, "save", save_twice_and_die)
            patch.setenv("TMKD_CHECKPOINT_SECONDS", "0")
            with pytest.raises(Killed):
                run_stage(stage, *arguments)
        return [path for path in Path(".resume").rglob("*") if path.is_file()]

    return run


@pytest.mark.parametrize(
    ("stage", "name"),
    [
        *(("distill", name) for name in DAMAGE),
        *((stage, "a bit in the middle") for stage in TRAININGS if stage != "distill"),
    ],
)
def test_a_training_with_a_damaged_checkpoint_starts_over(
    stage: str,
    name: str,
    place: Path,
    killed: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory, arguments = TRAININGS[stage]
    expected = contents(directory)
    (file,) = killed(stage, *arguments)
    file.write_bytes(DAMAGE[name](file.read_bytes()))
    run_stage(stage, *arguments)
    said = capsys.readouterr().out
    assert said.count("is damaged: it is deleted") == 1
    assert "resumes from" not in said
    assert contents(directory) == expected
    assert not list(Path(".resume").rglob("*.safetensors"))


@pytest.mark.parametrize("stage", TRAININGS)
def test_an_undamaged_checkpoint_is_used(
    stage: str,
    place: Path,
    killed: Callable[..., list[Path]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    directory, arguments = TRAININGS[stage]
    expected = contents(directory)
    killed(stage, *arguments)
    run_stage(stage, *arguments)
    assert "resumes from step 2 of" in capsys.readouterr().out
    assert contents(directory) == expected


def test_the_checkpoint_of_another_run_is_not_used(
    place: Path, killed: Callable[..., list[Path]], capsys: pytest.CaptureFixture[str]
) -> None:
    """Not even if someone has copied it to where this run looks for its own."""
    (distilled,) = killed("distill")
    content = distilled.read_bytes()
    distilled.unlink()
    (own,) = killed("finetune_student")
    own.write_bytes(content)
    expected = contents("models/student/stage2")
    run_stage("finetune_student")
    assert "resumes" not in capsys.readouterr().out
    assert contents("models/student/stage2") == expected


@pytest.mark.parametrize("name", DAMAGE)
def test_a_dump_computes_a_damaged_part_again(
    name: str,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def die(path: Path) -> None:
        raise Killed

    expected = contents("data/logits/task/t1")
    with monkeypatch.context() as patch:
        patch.setattr("pipeline.logits.whole_directory", die)
        with pytest.raises(Killed):
            run_stage("dump_logits", "task", "t1")
    parts = sorted(Path(".resume").rglob("*.safetensors"))
    assert len(parts) == 2
    parts[1].write_bytes(DAMAGE[name](parts[1].read_bytes()))
    run_stage("dump_logits", "task", "t1")
    assert capsys.readouterr().out.count("is damaged: it is deleted") == 1
    assert contents("data/logits/task/t1") == expected
