"""Settings of the study of noisy students: what is shared, what changes, and what is refused."""

import copy
from typing import Any

import pytest
from closure import ROOT
from noisy_study import CONTENT
from study_project import PARAMS

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.preflight import read_params
from study.noisy.settings import FILE, NoisyStudyParams, recipes


def test_a_noisy_student_changes_what_all_share() -> None:
    found = recipes(settings.check(NoisyStudyParams, CONTENT), PARAMS)
    assert list(found) == ["teacher", "first", "second"]
    first, second = found["first"], found["second"]
    assert isinstance(first, NoisyStudent)
    assert isinstance(second, NoisyStudent)
    assert (first.teacher, second.teacher) == ("teacher", "first")
    assert (first.gold_share, second.gold_share) == (0.5, 0.4)
    assert first.lr == second.lr


def test_the_study_as_it_is_defined_is_valid() -> None:
    study = settings.check(NoisyStudyParams, settings.read(ROOT / FILE))
    params = read_params(ROOT / "params.yaml")
    assert set(study.generations) <= set(recipes(study, params))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"noisy_students": {"x": {"teacher": "y"}}}, "'noisy_students.x.teacher' names 'y'"),
        ({"noisy_students": {"x": {"cutoff": 2}}}, "'noisy_students.x.cutoff' is 2, but must be"),
        ({"noisy_students": {"x": {"speed": 2}}}, "'noisy_students.x.speed' is not a setting"),
        ({"compare": [["first", "third"]]}, "'compare' names 'third', but must name one of teach"),
        ({"generations": ["none"]}, "'generations' names 'none'"),
        ({"robustness": ["none"]}, "'robustness' names 'none'"),
        ({"noisy_students": {"../x": {}}}, "a noisy student cannot be called '../x': use up to 64"),
        ({"noisy_students": {"teacher": {}}}, "a noisy student cannot be called 'teacher'"),
        ({"teacher": {**CONTENT["teacher"], "corpus": "general"}}, "'teacher.corpus' is 'general'"),
        (
            {"teacher": {**CONTENT["teacher"], "weights": "teachers/t1"}},
            "'teacher.weights' is 'teachers/t1', but must be one of pretrained/tiny.",
        ),
        (
            {"noisy_students": {"x": {"weights": "pretrained/tini"}}},
            "'noisy_students.x.weights' is 'pretrained/tini', but must be one of pretrained/tiny.",
        ),
    ],
)
def test_a_wrong_setting_is_refused(change: dict[str, Any], sentence: str) -> None:
    content = {**copy.deepcopy(CONTENT), "generations": [], "robustness": [], "compare": []}
    with pytest.raises(UserError, match=f"study/noisy/params.yaml: {sentence}"):
        recipes(settings.check(NoisyStudyParams, {**content, **change}), PARAMS)
