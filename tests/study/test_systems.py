"""What study/params.yaml may say, and what it means."""

import copy
from pathlib import Path
from typing import Any

import pytest
from study_project import MAIN, STUDY

from pipeline import params
from pipeline.errors import UserError
from pipeline.preflight import checked_params
from study import systems


def test_a_student_is_the_main_one_but_for_what_it_changes() -> None:
    recipes = systems.read(MAIN, STUDY).recipes
    assert recipes["tmkd"].alpha == 0.5
    assert recipes["tmkd"].stage1
    assert recipes["gold"].stage1 is None
    assert recipes["gold"].stage2
    assert recipes["gold"].stage2.lr == 3e-3
    assert recipes["kd"].stage2
    assert recipes["kd"].stage2.teachers == ("t1",)
    assert recipes["stage1"].stage2 is None


def test_a_seed_sets_both_stages() -> None:
    seeded = systems.read(MAIN, STUDY).recipes["tmkd"].seeded(7)
    assert seeded.stage1
    assert seeded.stage2
    assert (seeded.stage1.seed, seeded.stage2.seed) == (7, 7)


def test_each_student_has_the_seeds_of_the_table_that_asks_for_most() -> None:
    assert systems.read(MAIN, STUDY).seeds() == dict.fromkeys(STUDY["students"], 2)
    content = copy.deepcopy(STUDY)
    content["students"]["other"] = {"alpha": 0.1}
    content["combinations"]["both"] = {"mean": ["best", "other"]}
    content["tables"]["alpha"] = {"title": "?", "seeds": 3, "systems": ["both"]}
    seeds = systems.read(MAIN, content).seeds()
    assert seeds == {"gold": 3, "kd": 3, "stage1": 2, "tmkd": 3, "other": 3}


def test_the_study_of_this_repository_is_valid() -> None:
    study = systems.read(checked_params(), params.read(Path("study/params.yaml")))
    assert {"gold", "kd_t1", "kd_mean", "mkd", "tkd", "tmkd"} <= set(study.seeds())
    assert study.tables["methods"].seeds >= 5


def wrong(section: str, name: str, value: Any) -> str:
    content = copy.deepcopy(STUDY)
    content[section][name] = value
    with pytest.raises(UserError) as error:
        systems.read(MAIN, content)
    return str(error.value)


@pytest.mark.parametrize(
    ("section", "name", "value", "sentence"),
    [
        ("students", "kd", {"lr": 1}, "study/params.yaml: 'students.kd.lr' is not a setting"),
        (
            "students",
            "kd",
            {"stage2": {"lr": -1}},
            "study/params.yaml: 'students.kd.stage2.lr' must be above 0",
        ),
        ("students", "kd", {"stage2": 5}, "'students.kd.stage2' is 5, but must be a mapping"),
        ("students", "kd", {"student": None}, "'students.kd.student' is None, but must be a map"),
        ("students", "kd", {"alpha": 2}, "'students.kd.alpha' is 2.0, but must be from 0 to 1"),
        ("students", "kd", {"stage1": {"teachers": ["t9"]}}, "names 't9', which is none of t1, t2"),
        ("students", "kd", {"student": {"weights": "x"}}, "all students start alike"),
        ("students", "t1", {}, "a student cannot be called 't1'"),
        ("students", "a/b", {}, "a student cannot be called 'a/b'"),
        ("combinations", "mom", {"sum": ["kd"]}, "must be one of vote, mean, best"),
        ("combinations", "mom", {"vote": ["kx"]}, "'combinations.mom.vote' names 'kx'"),
        ("tables", "a", {"title": "?", "seeds": 1, "systems": ["kx"]}, "names 'kx'"),
        (
            "tables",
            "a",
            {"title": "?", "seeds": 1, "systems": ["kd"], "compare": [["kd", "tmkd"]]},
            "'tables.a.compare' must be a list of pairs of its systems",
        ),
        (
            "tables",
            "a",
            {"title": "?", "seeds": 1, "systems": ["kd"], "x": "alpha"},
            "'tables.a.at' must be a number for each system where x is given",
        ),
    ],
)
def test_a_wrong_entry_is_refused_by_its_name(
    section: str, name: str, value: Any, sentence: str
) -> None:
    assert sentence in wrong(section, name, value)
