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
from study.deck import COMMON, DECK, TASKS, read_earlier, read_task

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


def test_the_earlier_figures_are_of_systems_that_are_made_again() -> None:
    assert {task for task, _ in read_earlier()} == set(TASKS)
    for task in TASKS:
        content = settings.read(ROOT / DECK / task / "study/params.yaml")
        systems = {name for table in content["tables"].values() for name in table["systems"]}
        assert set(COMMON) <= systems
        assert {name for other, name in read_earlier() if other == task} <= systems


@pytest.mark.slow
def test_two_stages_with_three_teachers_each(
    tiny_bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = project.create(tmp_path / "project", tiny_params(tmp_path, tiny_bert))
    shutil.copytree(ROOT / DECK, place / DECK)
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
    target = f"{DECK}/dvc.yaml:train_students@qnli"
    ran = stages_run(run(place, "dvc", "repro", target))
    assert len(ran) == 2 + 2 * 3 + 2 * 3 + 1
    assert "didn't change" in run(place, "dvc", "repro", target)
    # What the stages write is ignored, so that nothing of it is committed by mistake.
    assert not run(place, "git", "status", "--short", "--", f"{DECK}/qnli/data").strip()

    monkeypatch.chdir(place)
    result = read_task("qnli")
    assert set(result.systems) == {*COMMON, "one_stage", "two_stages"}
    assert result.curves["s1"].shape == (2, 2, 2)
    assert result.curves["t1"].shape == (1, 2, 2)
    assert result.trained("vote") is None
    assert result.trained("two_stages") == result.curves["two_stages"][:, -1, 0].mean()
