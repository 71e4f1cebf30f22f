"""The pipeline on the real DVC: what runs, what does not, and students without teachers."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import project
import pytest
from conftest import tiny_params
from project import run, stages_run

pytestmark = pytest.mark.slow

STUDENT = ["finetune_student", "evaluate"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert: Path) -> Path:
    """A project whose pipeline has run once and is committed."""
    directory = project.create(
        tmp_path_factory.mktemp("projects") / "finished", tiny_params(corpora, tiny_bert)
    )
    output = run(directory, "dvc", "repro")
    assert sorted(stages_run(output)) == sorted(
        ["download", "distill", *STUDENT]
        + [f"{stage}@t{i}" for stage in ("finetune_teacher", "dump_logits") for i in (1, 2, 3)]
    )
    assert "Test split of the task: 60 rows" in output
    project.commit(directory, "run")
    return directory


@pytest.fixture
def place(finished: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to change at will."""
    shutil.copytree(finished, tmp_path / "copy", symlinks=True)
    yield tmp_path / "copy"
    shutil.rmtree(tmp_path / "copy")


def test_a_second_repro_runs_nothing(finished: Path) -> None:
    assert "up to date" in run(finished, "dvc", "repro")
    assert "up to date" in run(finished, "dvc", "status")


def test_another_alpha_reruns_stage_2_and_evaluation_only(place: Path) -> None:
    assert stages_run(run(place, "dvc", "exp", "run", "-S", "alpha=0.5")) == STUDENT
    shown = run(place, "dvc", "params", "diff")
    assert "alpha" in shown
    difference = json.loads(run(place, "dvc", "metrics", "diff", "--json"))
    assert "student.log_loss" in difference["metrics/evaluation.json"]


def test_another_learning_rate_of_a_teacher_leaves_the_others_alone(place: Path) -> None:
    output = run(place, "dvc", "exp", "run", "-S", "teachers.t1.lr=5e-4")
    assert stages_run(output) == ["finetune_teacher@t1", "dump_logits@t1", "distill", *STUDENT]
    assert "3 soft heads carried over, 0 started afresh" in output


def test_one_teacher_is_a_matter_of_params(place: Path) -> None:
    changes = ["-S", "stage1.teachers=[t2]", "-S", "stage2.teachers=[t2]"]
    assert stages_run(run(place, "dvc", "exp", "run", *changes)) == ["distill", *STUDENT]
    metrics = json.loads((place / "metrics" / "evaluation.json").read_text())
    assert set(metrics["accuracy_of"]) == {"t2", "teachers_mean", "stage_1"}


@pytest.mark.parametrize(
    ("module", "expected"),
    [("losses.py", {"distill", "finetune_student"}), ("scoring.py", {"evaluate"})],
)
def test_an_edited_module_reruns_no_more_than_it_must(
    place: Path, module: str, expected: set[str]
) -> None:
    with (place / "src" / "pipeline" / module).open("a") as file:
        file.write("\n# edited\n")
    assert set(stages_run(run(place, "dvc", "repro", "--dry"))) == expected


def test_a_colleague_retrains_students_without_teachers(place: Path, tmp_path: Path) -> None:
    run(place, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(place, "dvc", "push")
    project.commit(place, "remote")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(place), str(clone))
    run(clone, "git", "config", "user.name", "colleague")
    run(clone, "git", "config", "user.email", "colleague@example.com")
    run(clone, "dvc", "pull", "dump_logits")
    output = run(clone, "dvc", "exp", "run", "--pull", "--allow-missing", "-S", "alpha=0.5")
    assert stages_run(output) == STUDENT
    assert not list(clone.glob("models/teachers/t*"))
    assert (clone / "metrics" / "evaluation.json").read_bytes() != (
        place / "metrics" / "evaluation.json"
    ).read_bytes()


def test_several_alphas_queue_up_and_share_the_teachers(place: Path) -> None:
    run(place, "dvc", "exp", "run", "--queue", "-S", "alpha=0.0,1.0")
    output = run(place, "dvc", "exp", "run", "--run-all")
    assert stages_run(output) == STUDENT * 2
    shown = json.loads(run(place, "dvc", "exp", "show", "--json"))
    alphas = {
        row["data"]["params"]["params.yaml"]["data"]["alpha"]
        for commit in shown
        for experiment in commit.get("experiments") or []
        for row in experiment["revs"]
        if row["data"]["metrics"]["metrics/evaluation.json"]["data"]["rows"] == 60
    }
    assert alphas == {0.0, 1.0}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("alpha=1.5", "'alpha' is 1.5, but must be from 0 to 1"),
        ("stage2.teachers=[t9]", "'stage2.teachers' names 't9', but 'teachers' defines only"),
        ("stage1.epochs=0", "'stage1.epochs' must be at least 1"),
        ("max_length=64", "reads at most 32 tokens"),
    ],
)
def test_a_wrong_setting_stops_before_any_work_with_one_sentence(
    place: Path, change: str, sentence: str
) -> None:
    output = run(place, "dvc", "exp", "run", "-S", change, check=False)
    assert sentence in output
    assert "Traceback" not in output
    assert len(stages_run(output)) == 1
