"""Wrong settings are refused as a whole, whichever stage runs first; the shipped ones are valid."""

import copy
from pathlib import Path
from typing import Any

import pytest
from closure import ROOT
from conftest import noisy_student, tiny_params

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.preflight import Params, read_params


@pytest.fixture
def content() -> dict[str, Any]:
    return copy.deepcopy(tiny_params(Path("corpora"), Path("bert")))


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(UserError) as error:
        settings.check(Params, content)
    return str(error.value)


def test_the_default_params_are_valid() -> None:
    assert set(read_params(ROOT / "params.yaml").teachers) == {"t1", "t2", "t3"}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("temperature", 2, "'temperature' is not a setting; the file takes alpha"),
        ("alpha", 2, "'alpha' is 2, but must be at most 1"),
        ("alpha", -0.1, "'alpha' is -0.1, but must be at least 0"),
        ("max_length", 4, "'max_length' is 4, but must be at least 8"),
        ("teachers.t1.learning_rate", 1, "'teachers.t1.learning_rate' is not a setting"),
        ("teachers.t2.corpus", "web", "'teachers.t2.corpus' is 'web', but must be one of task"),
        ("teachers.golden", {}, "'teachers.golden.lr' is missing"),
        ("stage1.teachers", ["t9"], "'stage1.teachers' is 't9', but must be one of t1, t2"),
        ("stage1.soft_label", True, "must be false, because corpora.web has no soft_label"),
        ("stage2.soft_label", True, "must be false, because corpora.qa has no soft_label"),
        ("stage2.teachers", [], "'stage2.teachers' is [], but must be a list of at least one."),
        ("stage2.lr", "fast", "'stage2.lr' is 'fast', but must be a number"),
        ("student.head_layers", 4, "'student.head_layers' is 4, but must be at most 3"),
        ("corpora.qa.source", None, "'corpora.qa.source' is null, but must be a string"),
        ("task", "rte", "'task' is 'rte', but must be one of web, qa"),
        ("general", ["rte"], "'general' is 'rte', but must be one of web, qa"),
        ("general", [], "'general' is [], but must be a list of at least 1"),
        ("tests", [], "'tests' is [], but must be a list of at least 1"),
        ("tests", ["rte"], "'tests' is 'rte', but must be one of web, qa"),
        ("tests", ["qa", "qa"], "but must be a list of different corpora"),
        ("tests", ["web"], "but must be given with a split for test"),
        ("corpora.qa.group", "id", "must be one of irrelevant, relevant, because group is given"),
        ("corpora.qa.relevant_label", "yes", "is 'yes', but must be one of irrelevant, relevant"),
        ("general", ["web", "web"], "but must be a list of different corpora"),
        ("student.weights", "tiny", "'student.weights' is 'tiny', but must be one of pretrained/"),
        ("teachers.t1.weights", "teachers/t1", "must be one of pretrained/tiny, teachers/t2"),
        ("pretrained.tiny.pooling", "max", "is 'max', but must be one of mean, cls or last"),
        ("teachers.t1.max_length", 4, "'teachers.t1.max_length' is 4, but must be at least 8"),
        ("teachers.t1.restarts", -1, "'teachers.t1.restarts' is -1, but must be at least 0"),
        ("classifiers.ready", {}, "'classifiers.ready.source' is missing"),
        (
            "classifiers.t1",
            {"source": "x"},
            "'classifiers' has an entry named 't1', but a name there must be other than those of",
        ),
        (
            "classifiers.golden",
            {"source": "x"},
            "'classifiers' has an entry named 'golden', but a name there must be up to 64 letters",
        ),
        (
            "classifiers.baseline",
            {"source": "x"},
            "'classifiers' has an entry named 'baseline', but a name there must be up to 64 letter",
        ),
        ("noisy_students.n1", {}, "'noisy_students.n1.lr' is missing"),
        ("noisy_students.n1", noisy_student(teacher="n1"), "is 'n1', but must be one of t1, t2."),
        ("noisy_students.n1", noisy_student(weights="tiny"), "must be one of pretrained/tiny, tea"),
        ("noisy_students.n1", noisy_student(gold_share=1.1), "is 1.1, but must be at most 1"),
        ("noisy_students.n1", noisy_student(cutoff=1), "n1.cutoff' is 1, but must be below 1"),
        ("noisy_students.n1", noisy_student(targets="logits"), "must be one of soft or hard"),
        (
            "noisy_students.n1",
            noisy_student(pseudo_labels={"threshold": 2}),
            "'noisy_students.n1.pseudo_labels.threshold' is 2, but must be at most 1",
        ),
        (
            "noisy_students.t1",
            noisy_student(teacher="t2"),
            "'noisy_students' has an entry named 't1', but a name there must be other than those",
        ),
        ("pretrained.tiny.path", "x", "'pretrained.tiny.path' is not a setting; pretrained.tiny"),
    ],
)
def test_a_wrong_setting_is_refused(
    path: str, value: Any, sentence: str, content: dict[str, Any]
) -> None:
    section = content
    *steps, last = path.split(".")
    for step in steps:
        section = section[step]
    section[last] = value
    assert sentence in refusal(content)


@pytest.mark.parametrize("name", ["golden", "student", "stage1", "mean", "1", "a/b", ""])
def test_a_teacher_cannot_have_any_name(name: str, content: dict[str, Any]) -> None:
    content["teachers"][name] = content["teachers"]["t1"]
    assert f"'teachers' has an entry named '{name}', but a name there" in refusal(content)


def test_stages_may_name_classifiers_like_teachers(content: dict[str, Any]) -> None:
    content["classifiers"]["ready"] = {"source": "org/model", "revision": "abc"}
    content["stage1"]["teachers"] = ["t1", "ready"]
    content["teachers"]["t2"]["weights"] = "teachers/ready"
    assert settings.check(Params, content).stage1.teachers == ("t1", "ready")


def test_noisy_students_are_teachers(content: dict[str, Any]) -> None:
    content["noisy_students"] = {
        "n1": noisy_student(),
        "n2": noisy_student(teacher="n1", weights="teachers/n1"),
    }
    content["stage1"]["teachers"] = ["t1", "n2"]
    content["teachers"]["t2"]["weights"] = "teachers/n2"
    assert settings.check(Params, content).noisy_students["n2"].teacher == "n1"


def test_a_corpus_without_the_split_that_it_needs_is_refused(content: dict[str, Any]) -> None:
    assert "'corpora.qa.splits' is" in refusal({**content, "general": ["web", "qa"]})
    assert "must be given with a split for pool" in refusal({**content, "general": ["web", "qa"]})
    assert "must be given with a split for validation" in refusal({**content, "task": "web"})
    content["teachers"]["t2"]["corpus"] = "general"
    assert "'teachers.t2.corpus' is 'general', but must be task" in refusal(content)


def test_the_docs_profile_is_the_default() -> None:
    assert (ROOT / "profiles" / "docs.yaml").read_text() == (ROOT / "params.yaml").read_text()


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=str)
def test_every_profile_is_a_valid_params_file(profile: Path) -> None:
    assert read_params(profile).teachers


def test_a_test_set_has_the_classes_of_the_task(content: dict[str, Any]) -> None:
    other = {**content["corpora"]["qa"], "splits": {"test": "newer"}}
    content["tests"] = ["qa", "newer"]
    content["corpora"]["newer"] = {**other, "label_names": ["relevant", "irrelevant"]}
    assert settings.check(Params, content).tests == ("qa", "newer")
    content["corpora"]["newer"] = {**other, "label_names": ["no", "yes"]}
    expected = "must be the classes of the task, irrelevant, relevant, in any order"
    assert expected in refusal(content)


def test_two_test_sets_and_teachers_cannot_name_the_same_stage(content: dict[str, Any]) -> None:
    content["corpora"] |= {"a": content["corpora"]["qa"], "a-t1": content["corpora"]["qa"]}
    content["teachers"]["t1-t2"] = content["teachers"]["t1"]
    content["tests"] = ["a", "a-t1"]
    content["stage2"]["teachers"] = ["t1-t2", "t2"]
    assert "names that, joined with - to those of teachers, are all different" in refusal(content)
