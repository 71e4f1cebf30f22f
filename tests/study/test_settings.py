"""What study/params.yaml may say, and what it means."""

import copy
from typing import Any

import pytest
from closure import ROOT
from study_project import PARAMS, SETTINGS, STUDY

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.preflight import Params, read_params
from study.settings import read_study


def test_a_student_is_the_main_one_but_for_what_it_changes() -> None:
    recipes = read_study(PARAMS, STUDY).recipes
    assert recipes["tmkd"].alpha == 0.5
    assert recipes["tmkd"].stage1
    assert recipes["gold"].stage1 is None
    assert recipes["gold"].stage2
    assert recipes["gold"].stage2.lr == 3e-3
    assert recipes["kd"].stage2
    assert recipes["kd"].stage2.teachers == ("t1",)
    assert recipes["stage1"].stage2 is None


def test_a_seed_sets_both_stages() -> None:
    seeded = read_study(PARAMS, STUDY).recipes["tmkd"].seeded(7)
    assert seeded.stage1
    assert seeded.stage2
    assert (seeded.stage1.seed, seeded.stage2.seed) == (7, 7)


def test_each_student_has_the_seeds_of_the_table_that_asks_for_most() -> None:
    assert read_study(PARAMS, STUDY).seeds() == dict.fromkeys(STUDY["students"], 2)
    content = copy.deepcopy(STUDY)
    content["students"]["other"] = {"alpha": 0.1}
    content["combinations"]["both"] = {"mean": ["best", "other"]}
    content["tables"]["alpha"] = {"title": "?", "seeds": 3, "systems": ["both"]}
    seeds = read_study(PARAMS, content).seeds()
    assert seeds == {"gold": 3, "kd": 3, "stage1": 2, "tmkd": 3, "other": 3}


def test_the_study_of_this_repository_is_valid() -> None:
    params = read_params(ROOT / "params.yaml")
    study = read_study(params, settings.read(ROOT / "study/params.yaml"))
    assert {"gold", "kd_t1", "kd_mean", "mkd", "tkd", "tmkd"} <= set(study.seeds())
    assert study.tables["methods"].seeds >= 5


def wrong(section: str, name: str, value: Any) -> str:
    content = copy.deepcopy(STUDY)
    content[section][name] = value
    with pytest.raises(UserError) as error:
        read_study(PARAMS, content)
    return str(error.value)


@pytest.mark.parametrize(
    ("section", "name", "value", "sentence"),
    [
        ("students", "kd", {"lr": 1}, "study/params.yaml: 'students.kd.lr' is not a setting"),
        (
            "students",
            "kd",
            {"stage2": {"lr": -1}},
            "study/params.yaml: 'students.kd.stage2.lr' is -1, but must be above 0",
        ),
        (
            "students",
            "kd",
            {"stage1": {"lr": "x"}, "stage2": {"from_stage1": False}},
            "'students.kd.stage1.lr' is 'x', but must be a number",
        ),
        ("students", "kd", {"stage2": 5}, "'students.kd.stage2' is 5, but must be a mapping"),
        ("students", "kd", {"student": None}, "'students.kd.student' is null, but must be a map"),
        ("students", "kd", {"alpha": 2}, "'students.kd.alpha' is 2, but must be at most 1"),
        (
            "students",
            "kd",
            {"stage1": {"teachers": ["t9"]}},
            "names 't9', but must name some of t1, t2",
        ),
        ("students", "kd", {"student": {"weights": "x"}}, "all students start from the same"),
        ("students", "t1", {}, "a student cannot be called 't1'"),
        ("students", "a/b", {}, "a student cannot be called 'a/b'"),
        ("combinations", "mom", {"sum": ["kd"]}, "'combinations.mom.sum' is not a setting"),
        (
            "combinations",
            "mom",
            {"vote": ["kd"], "mean": ["kd"]},
            "'combinations.mom' is ['mean', 'vote'], but must be one of vote, mean, best with its",
        ),
        (
            "combinations",
            "mom",
            {"vote": ["kd"], "mean": []},
            "must be one of vote, mean, best with",
        ),
        ("combinations", "mom", {"vote": []}, "must be one of vote, mean, best with its members"),
        ("students", "kd", {"alpha": None}, "'students.kd.alpha' is null, but must be a number"),
        ("combinations", "mom", {"vote": ["kx"]}, "'combinations.mom.vote' names 'kx'"),
        ("tables", "a", {"title": "?", "seeds": 1, "systems": ["kx"]}, "names 'kx'"),
        (
            "tables",
            "a",
            {"title": "?", "seeds": 1, "systems": ["kd"], "compare": [["kd", "tmkd"]]},
            "'tables.a.compare' is ['kd', 'tmkd'], but must be a list of pairs of systems of this",
        ),
        (
            "tables",
            "a",
            {"title": "?", "seeds": 1, "systems": ["kd", "tmkd"], "compare": [["kd"]]},
            "'tables.a.compare' is ['kd'], but must be a list of pairs of systems of this",
        ),
        (
            "tables",
            "a",
            {"title": "?", "seeds": 1, "systems": ["kd"], "x": "alpha"},
            "'tables.a.at' is [], but must be a list with a number for each system, if x is given",
        ),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name(
    section: str, name: str, value: Any, sentence: str
) -> None:
    assert sentence in wrong(section, name, value)


def test_the_seed_of_a_cell_is_its_own_even_if_trainings_may_restart() -> None:
    """Otherwise a failed seed 1 would become a copy of seed 2."""
    content = copy.deepcopy(SETTINGS)
    content["stage1"]["restarts"] = content["stage2"]["restarts"] = 3
    params = settings.check(Params, content)
    recipe = read_study(params, STUDY).recipes["tmkd"].seeded(1)
    for stage in (recipe.stage1, recipe.stage2):
        assert stage
        assert (stage.seed, stage.restarts) == (1, 0)
