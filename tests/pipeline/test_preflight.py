from pathlib import Path
from typing import Any

import pytest
import yaml
from closure import ROOT
from conftest import tiny_params

from pipeline.errors import UserError
from pipeline.preflight import checked_params


def check(place: Path, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]) -> dict[str, Any]:
    (place / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(place)
    return checked_params()


def test_the_default_params_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert set(checked_params()["teachers"]) == {"t1", "t2", "t3"}


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("temperature", 2, "'temperature' is not a setting; it takes alpha"),
        ("alpha", 2, "'alpha' is 2.0, but must be from 0 to 1"),
        ("max_length", 4, "'max_length' is 4, but must be at least 8"),
        ("teachers.t1.learning_rate", 1, "'teachers.t1.learning_rate' is not a setting"),
        ("teachers.t2.corpus", "web", "'teachers.t2.corpus' is 'web', but must be one of task"),
        ("teachers.golden", {}, "'teachers.golden.lr' is missing"),
        ("stage1.teachers", ["t9"], "'stage1.teachers' names 't9'"),
        ("stage1.soft_label", True, "'stage1.soft_label' is true, but 'corpora.web' has none"),
        ("stage2.soft_label", True, "'stage2.soft_label' is true, but 'corpora.qa' has none"),
        ("stage2.lr", "fast", "'stage2.lr' is 'fast', but must be a number"),
        ("student.head_layers", 4, "'student.head_layers' is 4, but must be one of 1, 2, 3"),
        ("corpora.qa.source", None, "'corpora.qa.source' is None, but must be a text"),
        ("task", "rte", "'task' names the corpus 'rte', but 'corpora' defines only qa, web"),
        ("general", [], "'general' must name one or more different corpora"),
        ("general", ["web", "web"], "'general' must name one or more different corpora"),
        ("student.weights", "tiny", "'student.weights' is 'tiny', but must be one of pretrained/"),
        ("teachers.t1.weights", "teachers/t1", "must be one of pretrained/tiny, teachers/t2"),
        ("pretrained.tiny.path", "x", "'pretrained.tiny.path' is not a setting; pretrained.tiny"),
    ],
)
def test_any_wrong_setting_is_refused_whichever_stage_runs(
    path: str,
    value: Any,
    sentence: str,
    corpora: Path,
    tiny_bert: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    params = tiny_params(corpora, tiny_bert)
    place = params
    *steps, last = path.split(".")
    for step in steps:
        place = place[step]
    place[last] = value
    with pytest.raises(UserError) as error:
        check(tmp_path, monkeypatch, params)
    assert sentence in str(error.value)


@pytest.mark.parametrize("name", ["golden", "student", "stage1", "train", "1", "a/b", "a.b", ""])
def test_a_teacher_cannot_bear_any_name(
    name: str, corpora: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tiny_params(corpora, tiny_bert)
    params["teachers"][name] = params["teachers"]["t1"]
    with pytest.raises(UserError, match=f"a teacher cannot be called '{name}'"):
        check(tmp_path, monkeypatch, params)


def test_a_corpus_without_the_split_that_its_place_needs_is_refused(
    corpora: Path, tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    params = tiny_params(corpora, tiny_bert)
    with pytest.raises(UserError, match=r"'corpora\.qa\.splits' has no pool"):
        check(tmp_path, monkeypatch, {**params, "general": ["web", "qa"]})
    with pytest.raises(UserError, match=r"'corpora\.web\.splits' has no test"):
        check(tmp_path, monkeypatch, {**params, "task": "web"})
    params["teachers"]["t2"]["corpus"] = "general"
    with pytest.raises(UserError, match="teacher 't2' learns from the general corpora"):
        check(tmp_path, monkeypatch, params)


def test_the_docs_profile_is_the_default() -> None:
    assert (ROOT / "profiles" / "docs.yaml").read_text() == (ROOT / "params.yaml").read_text()


@pytest.mark.parametrize("profile", sorted((ROOT / "profiles").glob("*.yaml")), ids=str)
def test_every_profile_is_a_valid_params_file(
    profile: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "params.yaml").write_text(profile.read_text())
    monkeypatch.chdir(tmp_path)
    assert checked_params()["teachers"]
