"""The earlier reproduction on the real DVC: the task with two stages, on tiny corpora."""

import re
import shutil
from pathlib import Path
from typing import Any

import project
import pytest
import yaml
from conftest import tiny_params
from project import ROOT, run, stages_run
from ruamel.yaml import YAML
from test_commands import write_corpus
from test_graph import ALL, code_dependencies

from pipeline.core import settings
from pipeline.preflight import read_params
from study.deck import DECK, TASKS, read_earlier, read_task
from study.settings import FILE, read_study

COMMON = ("t1", "t2", "t3", "s1", "s2", "s3", "vote")
"""The systems that every task has."""
GRAPH = YAML(typ="safe").load(ROOT / DECK / "dvc.yaml")
UP = {variable: path for one in GRAPH["vars"] for variable, path in one.items()}


def filled(text: str) -> str:
    """A path or command of the graph, as from the root of the project."""
    for name in ("code", "study", "stages"):
        text = text.replace(f"${{{name}}}", UP[name].replace("../", ""))
    return text


def scripts(stage: dict[str, Any]) -> set[str]:
    commands = stage["cmd"] if isinstance(stage["cmd"], list) else [stage["cmd"]]
    return {filled(command).split()[1] for command in commands}


def test_a_stage_depends_on_the_code_that_the_same_stage_of_the_pipeline_depends_on() -> None:
    of_script: dict[str, set[str]] = {}
    for name, stage in ALL.items():
        (script,) = scripts(stage)
        of_script.setdefault(script, set()).update(code_dependencies(name))
    for stage in GRAPH["stages"].values():
        stage = stage.get("do", stage)
        if stage["cmd"] != "python stages/compare_deck.py":
            found = {filled(one) for one in stage["deps"] if "${" in one and "item" not in one}
            assert found == set().union(*(of_script[script] for script in scripts(stage)))


@pytest.mark.parametrize("task", TASKS)
def test_a_task_has_the_systems_of_the_earlier_reproduction(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    earlier = {name for other, name in read_earlier() if other == task}
    monkeypatch.chdir(ROOT / DECK / task)
    params = read_params()
    study = read_study(params, settings.read(FILE))
    (table,) = study.tables.values()
    assert {*COMMON, *earlier} <= set(table.systems)
    assert params.corpora[task].rows["train"] == 1000
    for number, lr in ((1, 2e-5), (2, 3e-5), (3, 5e-5)):
        assert params.teachers[f"t{number}"].lr == lr
        stage2 = study.recipes[f"s{number}"].stage2
        assert stage2
        assert stage2.teachers == (f"t{number}",)
    assert set(study.seeds().values()) == {5}
    assert study.combinations["vote"].members == ("s1", "s2", "s3")


@pytest.mark.slow
def test_two_stages_with_three_teachers_each(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = project.create(tmp_path / "project", tiny_params(tmp_path, tiny_bert))
    made = shutil.ignore_patterns("data", "metrics", "models", "predictions", "dvc.lock")
    shutil.copytree(ROOT / DECK, place / DECK, ignore=made)
    own = place / DECK / "qnli"
    text = (own / "params.yaml").read_text()
    for old, new in (
        (r"package:\w+", str(tiny_bert)),
        (r"max_length: \d+", "max_length: 16"),
        (r"epochs: \d+", "epochs: 2"),
        (r"validation_rows: \d+", "validation_rows: 20"),
        (r" rows: .*", ""),
    ):
        text = re.sub(old, new, text)
    (own / "params.yaml").write_text(text)
    for number, corpus in enumerate(yaml.safe_load(text)["corpora"].values()):
        write_corpus(own / corpus["source"], corpus, seed=number)
    students = (own / "study/params.yaml").read_text()
    (own / "study/params.yaml").write_text(students.replace("seeds: 5", "seeds: 2"))
    project.commit(place, "deck")
    target = f"{DECK}/dvc.yaml:train_students@qnli"
    ran = stages_run(run(place, "dvc", "repro", target))
    assert len(ran) == 2 + 2 * 3 + 2 * 3 + 1
    assert "didn't change" in run(place, "dvc", "repro", target)
    # What the stages write is ignored, so that nothing of it is committed by mistake.
    new = run(place, "git", "status", "--short", "--untracked-files=all", "--", str(DECK))
    assert new.split() == ["??", f"{DECK}/dvc.lock"]

    monkeypatch.chdir(place)
    result = read_task("qnli")
    systems = {row.name: row for row in result.rows}
    assert set(systems) == {*COMMON, "one_stage", "two_stages"}
    assert result.curve(systems["vote"]) is None
    assert result.curves["s1"].shape == (2, 2, 2)
    assert result.curves["t1"].shape == (1, 2, 2)
    # The last validation accuracy of a curve is that of the predictions.
    for name in ("t3", "s2", "two_stages"):
        last = result.curves[name][:, -1, 1].mean()
        assert last == pytest.approx(systems[name].validation, abs=1e-6)
