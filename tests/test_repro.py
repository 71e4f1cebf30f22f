"""The pipeline on the real DVC: what runs, what does not, and students without teachers.

An export takes long, so tests of other stages only ask whether it would run.
"""

import csv
import json
import re
import sys
from pathlib import Path

import families
import numpy as np
import project
import pyarrow.parquet as pq
import pytest
import yaml
from browser import rendered
from conftest import COLOURS, FILLERS, THINGS, noisy_student, pairs
from project import ROOT, run, stages_run
from safetensors.torch import load_file
from sentence_transformers import CrossEncoder
from transformers import AutoModel, AutoModelForSequenceClassification

from pipeline.serving.scorer import Scorer

pytestmark = pytest.mark.slow

RESULTS = ["evaluate", "export"]
STUDENT = ["finetune_student", *RESULTS]
DUMPS = ["dump_general_logits", "dump_task_logits", "dump_test_logits"]


def dumps(teacher: str) -> list[str]:
    """All stages that dump the logits of a teacher."""
    return [*(f"{stage}@{teacher}" for stage in DUMPS[:2]), f"dump_test_logits@qa-{teacher}"]


def run_to_export(directory: Path, *command: str) -> str:
    """Run a command up to the export, and add to its output whether the export would run."""
    output = run(directory, *command, "evaluate")
    return output + run(directory, "dvc", "repro", "--dry", "export")


def test_a_second_repro_runs_nothing(finished: Path) -> None:
    assert "up to date" in run(finished, "dvc", "repro")
    assert "up to date" in run(finished, "dvc", "status")


def test_another_learning_rate_of_a_teacher_leaves_the_others_alone(place: Path) -> None:
    output = run(place, "dvc", "exp", "run", "-S", "teachers.t1.lr=5e-4")
    rerun = ["finetune_teacher@t1", *dumps("t1"), "distill", *STUDENT]
    assert sorted(stages_run(output)) == sorted(rerun)
    assert "soft heads: 2 carried over from stage 1, 0 new" in output


def test_one_teacher_is_a_matter_of_params(place: Path) -> None:
    changes = ["-S", "stage1.teachers=[t2]", "-S", "stage2.teachers=[t2]"]
    output = run_to_export(place, "dvc", "exp", "run", *changes)
    assert stages_run(output) == ["distill", *STUDENT]
    metrics = json.loads((place / "metrics" / "evaluation.json").read_text())["qa"]
    assert set(metrics["accuracy_of"]) == {"t2", "teachers_mean", "stage_1"}
    curve = list(csv.DictReader((place / "metrics/curves/stage1.csv").open()))
    assert [line["epoch"] for line in curve] == [str(epoch) for epoch in range(1, 7)]
    # Without gold labels it is the agreement with the teacher, which a student comes close to.
    assert float(curve[-1]["validation_accuracy"]) > 0.7


def test_a_larger_pool_reruns_no_teacher_and_no_dump_of_the_task(place: Path) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text())
    params["corpora"]["web"]["rows"] = {"pool": 200}
    project.write_params(place, params)
    general = [f"dump_general_logits@t{i}" for i in (1, 2)]
    expected = ["download", *general, "distill", *STUDENT]
    assert sorted(stages_run(run_to_export(place, "dvc", "repro"))) == sorted(expected)


def test_another_test_set_is_dumped_and_evaluated_and_trains_nothing(
    place: Path, tmp_path: Path
) -> None:
    before = json.loads((place / "metrics/evaluation.json").read_text())["qa"]
    pq.write_table(pairs(50, 9), tmp_path / "sample.parquet")
    params = yaml.safe_load((place / "params.yaml").read_text())
    newer = {"source": str(tmp_path), "splits": {"test": "sample"}}
    params["corpora"]["newer"] = {**newer, "label_names": params["corpora"]["qa"]["label_names"]}
    params["tests"] = ["qa", "newer"]
    project.write_params(place, params)
    dumped = [f"dump_test_logits@newer-t{i}" for i in (1, 2)]
    output = run_to_export(place, "dvc", "repro")
    assert sorted(stages_run(output)) == sorted(["download", *dumped, *RESULTS])
    metrics = json.loads((place / "metrics/evaluation.json").read_text())
    assert metrics["newer"]["rows"] == 50
    for own in (before, metrics["qa"]):
        del own["student"]["speedup"]
    assert metrics["qa"] == before
    results = (place / "metrics/results.md").read_text()
    for name, count in (("qa", 60), ("newer", 50)):
        assert f"Results on the test set '{name}': {count} rows" in results
    with (place / "metrics/confusion.csv").open() as file:
        tests = [line["test"] for line in csv.DictReader(file)]
    assert (tests.count("qa"), tests.count("newer")) == (60, 50)
    # Other rows in it are dumped and evaluated; the other test set is not.
    pq.write_table(pairs(30, 10), tmp_path / "sample.parquet")
    run(place, "dvc", "repro", "-f", "--single-item", "download")
    output = run_to_export(place, "dvc", "repro")
    assert sorted(stages_run(output)) == sorted([*dumped, *RESULTS])


def test_results_on_other_test_rows_are_not_shown_as_if_they_were_on_these(place: Path) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text())
    params["corpora"]["qa"]["rows"] = {"pool": 10, "train": 100_000}
    project.write_params(place, params)
    before = (place / "metrics/results.md").read_bytes()
    run(place, "dvc", "repro", "download")
    assert (place / "metrics/results.md").read_bytes() == before
    params["corpora"]["qa"]["rows"] = {"test": 40}
    project.write_params(place, params)
    run(place, "dvc", "repro", "download")
    said = (place / "metrics/results.md").read_text()
    assert said == "There are no results for these corpora yet: run `dvc repro`.\n"
    for name in ("evaluation.json", "scores.csv", "confusion.csv", "calibration.csv"):
        assert not (place / "metrics" / name).exists()
    assert "evaluate" in stages_run(run(place, "dvc", "repro", "evaluate"))
    assert "'qa': 40 rows" in (place / "metrics/results.md").read_text()


def test_the_general_corpus_has_its_own_teacher_that_the_others_continue(
    place: Path, corpora: Path
) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text())
    splits = {"train": "train", "validation": "validation", "pool": "train"}
    params["corpora"]["web"] |= {"source": str(corpora / "task"), "splits": splits}
    first = params["teachers"]["t1"]
    params["teachers"] = {"first": {**first, "corpus": "general"}}
    params["teachers"]["t1"] = {**first, "weights": "teachers/first", "lr": 1e-9}
    params["stage1"]["teachers"] = ["first"]
    params["stage2"]["teachers"] = ["t1"]
    project.write_params(place, params)
    output = run(place, "dvc", "repro", "evaluate")
    order = stages_run(output)
    trained = [stage for stage in order if "finetune_teacher" in stage]
    assert trained == ["finetune_teacher@first", "finetune_teacher@t1"]
    assert [stage for stage in order if "dump_general" in stage] == ["dump_general_logits@first"]
    assert "soft heads: 0 carried over from stage 1, 1 new" in output
    # From a teacher this weak, the student may well learn nothing; then it says so.
    said = next(line for line in output.splitlines() if line.startswith("stage 2: validation"))
    assert json.loads((place / "metrics/stage2.json").read_text()) == {
        "soft_heads_carried_over": 0,
        "soft_heads_new": 1,
        "seed": 1,
        "failed": "FAILED" in said,
        "still_falling": "still falling" in said,
    }
    ours, theirs = (
        load_file(place / "models/teachers" / name / "model.safetensors")
        for name in ("first", "t1")
    )
    assert all((ours[name] - theirs[name]).abs().max() < 1e-6 for name in ours)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("student/losses.py", {"distill", "finetune_student"}),
        ("evaluation/scoring.py", {*RESULTS}),
        (
            "model/encoding.py",
            {"distill", *STUDENT, *dumps("t1"), *dumps("t2")}
            | {"finetune_teacher@t1", "finetune_teacher@t2"},
        ),
    ],
)
def test_an_edited_module_reruns_no_more_than_it_must(
    place: Path, module: str, expected: set[str]
) -> None:
    with (place / "src" / "pipeline" / module).open("a") as file:
        file.write("\n# edited\n")
    # Files that Python itself writes beside the modules are no edit.
    (place / "src/pipeline/student/__pycache__").mkdir(exist_ok=True)
    (place / "src/pipeline/student/__pycache__/new.pyc").touch()
    # Without running, DVC does not know whether what comes after them changes.
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
    assert not list(clone.glob("models/teachers/*/"))
    assert "alpha" in run(clone, "dvc", "params", "diff")
    difference = json.loads(run(clone, "dvc", "metrics", "diff", "--json"))
    assert "qa.student.log_loss" in difference["metrics/evaluation.json"]
    assert (clone / "metrics" / "evaluation.json").read_bytes() != (
        place / "metrics" / "evaluation.json"
    ).read_bytes()


def test_teachers_of_three_families_and_a_ready_made_one_teach_one_student(
    place: Path, tiny_bert: Path, tmp_path: Path
) -> None:
    """And a colleague retrains the student without any of them."""
    words = [*COLOURS, *THINGS, *FILLERS]
    params = yaml.safe_load((place / "params.yaml").read_text())
    for family in ("roberta", "gpt2"):
        families.save(family, tmp_path / family, words, AutoModel)
        params["pretrained"][family] = {"source": str(tmp_path / family)}
    params["teachers"]["t2"] |= {"weights": "pretrained/roberta", "max_length": 80, "epochs": 1}
    params["teachers"]["t3"] = {**params["teachers"]["t2"], "weights": "pretrained/gpt2"}
    families.save(
        "electra",
        tmp_path / "ready",
        words,
        AutoModelForSequenceClassification,
        id2label={0: "LABEL_0", 1: "LABEL_1"},
    )
    params["classifiers"]["ready"] = {
        "source": str(tmp_path / "ready"),
        "label_names": {"LABEL_0": "relevant", "LABEL_1": "irrelevant"},
    }
    names = ["t1", "t2", "t3", "ready"]
    for stage in ("stage1", "stage2"):
        params[stage] |= {"teachers": names}
    project.write_params(place, params)
    output = run_to_export(place, "dvc", "repro")
    ran = stages_run(output)
    assert "finetune_teacher@t1" not in ran
    assert "fetch_classifier@ready" in ran
    assert "finetune_teacher@ready" not in ran
    assert {*dumps("ready"), *STUDENT} <= set(ran)
    metrics = json.loads((place / "metrics/evaluation.json").read_text())["qa"]
    assert set(metrics["accuracy_of"]) == {*names, "teachers_mean", "stage_1"}
    cards = {
        name: json.loads((place / f"data/logits/task/{name}/card.json").read_text())
        for name in names
    }
    notes = [place / f"data/logits/task/{name}/notes.json" for name in names]
    families_used = [json.loads(path.read_text())["encoder"]["model_type"] for path in notes]
    assert families_used == ["bert", "roberta", "gpt2", "electra"]
    assert [cards[name]["max_length"] for name in names] == [16, 80, 80, 16]
    assert len({cards[name]["tokenizer"] for name in names}) >= 3
    assert cards["ready"]["label_names"] == ["relevant", "irrelevant"]

    run(place, "dvc", "remote", "add", "--default", "store", str(tmp_path / "store"))
    run(place, "dvc", "push")
    project.commit(place, "mixed teachers")
    clone = tmp_path / "clone"
    run(tmp_path, "git", "clone", "-q", str(place), str(clone))
    run(clone, "dvc", "pull", *DUMPS)
    output = run(clone, "dvc", "exp", "run", "--pull", "--allow-missing", "-S", "alpha=0.5")
    assert stages_run(output) == STUDENT
    assert not list(clone.glob("models/teachers/*/"))


def test_noisy_students_are_generations_of_teachers(place: Path) -> None:
    params = yaml.safe_load((place / "params.yaml").read_text())
    params["noisy_students"] = {
        "n1": noisy_student(teacher="t1"),
        "n2": noisy_student(teacher="n1"),
        "n3": noisy_student(teacher="n2", targets="hard"),
    }
    # A short training on gold labels without noise is a teacher that continues it.
    params["teachers"]["t2"] |= {"weights": "teachers/n3", "lr": 1e-9}
    for stage in ("stage1", "stage2"):
        params[stage]["teachers"] = ["n3", "t2"]
    project.write_params(place, params)
    order = stages_run(run_to_export(place, "dvc", "repro"))
    steps = ("dump_pool_logits", "pseudo_label", "train_noisy_student")
    made = [stage for stage in order if stage.split("@")[0] in steps]
    generations = [[f"{step}@n{i}" for step in steps] for i in (1, 2, 3)]
    assert made == [stage for generation in generations for stage in generation]
    assert {"finetune_teacher@t2", *dumps("n3"), *dumps("t2"), *STUDENT} <= set(order)
    card = json.loads((place / "data/pseudo_labels/n2/card.json").read_text())
    assert (card["teacher"], card["pool_rows"]) == ("n1", 300)
    metrics = json.loads((place / "metrics/evaluation.json").read_text())["qa"]
    assert {"n3", "t2"} <= set(metrics["accuracy_of"])
    # With so small a learning rate, it is the noisy student whose head it keeps.
    assert metrics["accuracy_of"]["n3"] == metrics["accuracy_of"]["t2"]
    assert (place / "metrics/curves/n1.csv").exists()

    # A generation changed reruns nothing of those before it, and only what depends on the change.
    rerun = set(stages_run(run(place, "dvc", "repro", "--dry")))
    assert rerun == {"export"}
    params["noisy_students"]["n3"]["cutoff"] = 0.2
    project.write_params(place, params)
    rerun = set(stages_run(run(place, "dvc", "repro", "train_noisy_student@n3")))
    assert rerun == {"train_noisy_student@n3"}
    params["noisy_students"]["n2"]["pseudo_labels"]["top_share"] = 0.5
    project.write_params(place, params)
    rerun = set(stages_run(run(place, "dvc", "repro", "train_noisy_student@n3")))
    assert rerun == {*generations[1][1:], *generations[2]}

    # The code of noisy students reruns no other training.
    for module in ("noisy_student/noise.py", "pseudo_labels/selection.py"):
        with (place / "src/pipeline" / module).open("a") as file:
            file.write("\n# edited\n")
    rerun = set(stages_run(run(place, "dvc", "repro", "--dry", "train_noisy_student@n3")))
    assert rerun == {stage for generation in generations for stage in generation[1:]}


def test_another_export_reruns_nothing_before_it(place: Path) -> None:
    assert stages_run(run(place, "dvc", "exp", "run", "-S", "export.int8_agreement=0.4")) == [
        "export"
    ]


def test_what_is_exported_answers_as_was_evaluated(finished: Path, tmp_path: Path) -> None:
    """Fetched as someone fetches it who has no clone."""
    run(tmp_path, "dvc", "get", str(finished), "models/export", "-o", "shipped")
    with (finished / "data/predictions.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    pairs_tested = [(line["text_a"], line["text_b"]) for line in lines]
    evaluated = [float(line["student_relevant"]) for line in lines]
    shipped = tmp_path / "shipped"
    theirs = CrossEncoder(str(shipped), device="cpu").predict(pairs_tested)
    ours = Scorer(shipped).probabilities(pairs_tested)[:, 1]
    assert len(lines) == 60
    for found in (theirs, ours):
        assert abs(found - np.array(evaluated)).max() < 1e-5


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
        if row["data"]["metrics"]["metrics/evaluation.json"]["data"]["qa"]["rows"] == 60
    }
    assert alphas == {0.0, 1.0}


def test_a_teacher_that_nobody_defines_stops_the_run_by_name(place: Path) -> None:
    output = run(place, "dvc", "exp", "run", "-S", "stage2.teachers=[t9]", check=False)
    assert "'stage2.teachers' is 't9', but must be one of t1, t2" in output
    assert "Traceback" not in output
    assert not set(STUDENT) & set(stages_run(output))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("alpha=1.5", "'alpha' is 1.5, but must be at most 1"),
        ("max_length=64", "reads at most 32 tokens"),
    ],
)
def test_a_wrong_setting_stops_before_any_work_with_one_sentence(
    place: Path, change: str, sentence: str
) -> None:
    output = run(place, "dvc", "exp", "run", "-S", change, check=False)
    assert sentence in output
    assert "Traceback" not in output
    assert len(stages_run(output)) <= 1


def test_the_page_of_plots_is_drawn_in_a_browser_without_a_network(place: Path) -> None:
    (place / ".venv").mkdir()
    makefile = (ROOT / "Makefile").read_text()
    (code,) = re.findall(r'python -c "(.*)" > \$\(VENV\)/vega.js', makefile)
    (place / ".venv/vega.js").write_text(run(place, sys.executable, "-c", code))
    run(place, "dvc", "plots", "show")
    page = place / "dvc_plots/index.html"
    for column in ("train_loss", "validation_loss", "train_accuracy", "validation_accuracy"):
        found = page.read_text()
        assert found.count(f'"{column}": "0') + found.count(f'"{column}": "1') >= 4 * 6
    shown = rendered(page.as_uri())
    drawn = re.findall(r'<svg[^>]* class="marks".*?</svg>', shown, re.DOTALL)
    assert len(drawn) == 6
    text = " ".join(re.findall(r">([^<>]+)<", " ".join(drawn)))
    for title in ("t1", "t2", "Student, stage 1", "Student, stage 2", "What the student answers"):
        assert title in text
    assert "Accuracy of the student by its confidence" in text
    assert "vega-error" not in shown
    # Without the file, it would ask the network for the renderer.
    (place / ".venv/vega.js").unlink()
    assert 'class="marks"' not in rendered(page.as_uri())


def test_the_results_are_shown_even_if_nothing_ran(finished: Path) -> None:
    """`make repro` ends with the table also where DVC has skipped the evaluation."""
    makefile = (ROOT / "Makefile").read_text()
    (finished / "Makefile").write_text(makefile.replace("repro: install", "repro:"))
    output = run(finished, "make", "--no-print-directory", "repro")
    (finished / "Makefile").unlink()
    assert stages_run(output) == []
    assert output.endswith((finished / "metrics/results.md").read_text())
    assert "| student " in output
