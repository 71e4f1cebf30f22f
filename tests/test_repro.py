"""The pipeline on the real DVC: what runs, what does not, and students without teachers."""

import json
from pathlib import Path

import project
import pytest
import yaml
from project import run, stages_run
from safetensors.torch import load_file

pytestmark = pytest.mark.slow

STUDENT = ["finetune_student", "evaluate"]
DUMPS = ["dump_general_logits", "dump_task_logits"]


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
    rerun = ["finetune_teacher@t1", *(f"{dump}@t1" for dump in DUMPS), "distill", *STUDENT]
    assert sorted(stages_run(output)) == sorted(rerun)
    assert "3 soft heads carried over, 0 started afresh" in output


def test_one_teacher_is_a_matter_of_params(place: Path) -> None:
    changes = ["-S", "stage1.teachers=[t2]", "-S", "stage2.teachers=[t2]"]
    assert stages_run(run(place, "dvc", "exp", "run", *changes)) == ["distill", *STUDENT]
    metrics = json.loads((place / "metrics" / "evaluation.json").read_text())
    assert set(metrics["accuracy_of"]) == {"t2", "teachers_mean", "stage_1"}


def test_a_larger_pool_reruns_no_teacher_and_no_dump_of_the_task(place: Path) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text())
    params["corpora"]["web"]["rows"] = {"pool": 200}
    project.write_params(place, params)
    dumps = [f"dump_general_logits@t{i}" for i in (1, 2, 3)]
    expected = ["download", *dumps, "distill", *STUDENT]
    assert sorted(stages_run(run(place, "dvc", "repro"))) == sorted(expected)


def test_the_general_corpus_has_its_own_teacher_from_which_the_others_go_on(
    place: Path, corpora: Path
) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text())
    splits = {"train": "train", "validation": "validation", "pool": "train"}
    params["corpora"]["web"] |= {"source": str(corpora / "task"), "splits": splits}
    first = params["teachers"]["t1"]
    params["teachers"] = {"first": {**first, "corpus": "general"}}
    for name in ("t1", "t2"):
        params["teachers"][name] = {**first, "weights": "teachers/first", "lr": 1e-9}
    params["stage1"]["teachers"] = ["first"]
    params["stage2"]["teachers"] = ["t1", "t2"]
    project.write_params(place, params)
    output = run(place, "dvc", "repro")
    order = stages_run(output)
    trained = [stage for stage in order if "finetune_teacher" in stage]
    assert trained[0] == "finetune_teacher@first"
    assert set(trained) == {f"finetune_teacher@{name}" for name in ("first", "t1", "t2")}
    assert [stage for stage in order if "dump_general" in stage] == ["dump_general_logits@first"]
    assert "0 soft heads carried over, 2 started afresh" in output
    ours, theirs = (
        load_file(place / "models/teachers" / name / "model.safetensors")
        for name in ("first", "t1")
    )
    assert all((ours[name] - theirs[name]).abs().max() < 1e-6 for name in ours)


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
    run(clone, "dvc", "pull", *DUMPS)
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


def test_a_teacher_that_nobody_defines_stops_the_run_by_name(place: Path) -> None:
    output = run(place, "dvc", "exp", "run", "-S", "stage2.teachers=[t9]", check=False)
    assert "models/teachers/t9" in output
    assert "Traceback" not in output
    assert not set(STUDENT) & set(stages_run(output))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("alpha=1.5", "'alpha' is 1.5, but must be from 0 to 1"),
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
