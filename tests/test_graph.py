"""What dvc.yaml promises: code dependencies, cache boundaries, layers."""

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest
from closure import LIBRARY, NEVER_CHANGES_WHAT_IS_MADE, ROOT, SOURCE, closure, imported
from ruamel.yaml import YAML

from pipeline import docstrings


def graph(path: Path) -> dict[str, Any]:
    stages = YAML(typ="safe").load(path)["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


STAGES = graph(ROOT / "dvc.yaml")
STUDY = graph(ROOT / "study/dvc.yaml")
ALL = {**STAGES, **STUDY}
LAYERS = (
    {"errors", "params", "runtime", "console", "artifacts"},
    {
        "columns",
        "docstrings",
        "pretrained",
        "rows",
        "encoding",
        "models",
        "logits",
        "losses",
        "ensemble",
        "first_token",
        "resume",
        "sources",
        "vocabulary",
    },
    {
        "corpora",
        "inference",
        "ranking",
        "training",
        "finetuning",
        "dumping",
        "distillation",
        "scoring",
        "speed",
        "evaluation",
        "report",
        "preflight",
    },
)


def script(stage: str) -> Path:
    return ROOT / str(ALL[stage]["cmd"]).split()[1]


@pytest.mark.parametrize("stage", ALL)
def test_a_stage_depends_on_exactly_the_code_it_imports(stage: str) -> None:
    code = {dep for dep in ALL[stage]["deps"] if dep.endswith(".py")}
    assert code == closure(script(stage))


def test_every_module_has_a_layer_and_imports_only_downwards() -> None:
    layer_of = {module: i for i, layer in enumerate(LAYERS) for module in layer}
    modules = {path.stem for path in LIBRARY.glob("*.py")} - {"__init__"}
    assert modules == set(layer_of)
    for module in modules:
        for path in imported(LIBRARY / f"{module}.py"):
            assert layer_of[path.stem] <= layer_of[module], f"{module} imports {path.stem}"


def test_the_study_stands_on_the_pipeline_and_the_pipeline_never_on_it() -> None:
    assert all(path.parent == LIBRARY for file in LIBRARY.glob("*.py") for path in imported(file))
    for stage in STUDY.values():
        assert not any(dep.startswith("models/teachers") for dep in stage["deps"])


def test_the_library_never_imports_dvc() -> None:
    for path in SOURCE.glob("*/*.py"):
        text = path.read_text()
        assert "import dvc" not in text
        assert "from dvc" not in text


@pytest.mark.parametrize(
    ("module", "rerun"),
    [
        ("losses", {"distill", "finetune_student"}),
        ("distillation", {"distill", "finetune_student"}),
        ("scoring", {"evaluate"}),
        ("report", {"evaluate"}),
        ("ensemble", {"evaluate"}),
        ("sources", {"download"}),
        ("columns", {"download"}),
        ("pretrained", {"fetch_pretrained"}),
    ],
)
def test_editing_a_module_reruns_only_what_it_decides(module: str, rerun: set[str]) -> None:
    file = f"src/pipeline/{module}.py"
    assert {name for name, stage in STAGES.items() if file in stage["deps"]} == rerun


def test_what_is_exempt_from_the_closure_cannot_decide_what_is_made() -> None:
    assert {"console.py", "preflight.py"} == NEVER_CHANGES_WHAT_IS_MADE
    for stage in ALL:
        names = {path.name for path in imported(script(stage))}
        assert "dump" in stage or "preflight.py" in names


def test_alpha_and_student_settings_reach_no_teacher() -> None:
    users = {
        param: {name for name, stage in STAGES.items() if param in stage.get("params", [])}
        for param in ("alpha", "stage2", "student", "teachers.${key}", "corpora")
    }
    assert users == {
        "alpha": {"finetune_student"},
        "stage2": {"finetune_student"},
        "student": {"distill", "finetune_student"},
        "teachers.${key}": {"finetune_teacher"},
        "corpora": {"download"},
    }


def test_students_read_logits_and_never_teachers() -> None:
    places = {"distill": "general", "finetune_student": "task", "evaluate": "task"}
    for stage, place in places.items():
        deps = STAGES[stage]["deps"]
        assert f"data/logits/{place}" in deps
        assert not any(dep.startswith("models/teachers") for dep in deps)


def test_every_package_of_the_docs_corpus_is_required_by_name() -> None:
    lines = (ROOT / "requirements.txt").read_text().split()
    required = {line.replace("-", "_").replace("scikit_learn", "sklearn") for line in lines}
    assert set(docstrings.PACKAGES) <= required


def test_every_requirement_is_pinned() -> None:
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().split()
    }
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        wanted = {line.replace("-", "_") for line in lines if line and line[0] not in "#-"}
        assert wanted <= {pin.replace("-", "_") for pin in pinned}


def test_git_holds_no_rows_logits_or_weights() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
    files = [Path(line) for line in listed.stdout.splitlines()]
    assert Path("params.yaml") in files
    assert not [file for file in files if file.suffix in (".arrow", ".safetensors", ".bin")]


def _published(lock: str) -> dict[str, Any]:
    return dict(YAML(typ="safe").load(ROOT / lock)["stages"])


def test_the_published_run_comes_from_this_code_and_these_params() -> None:
    """After an edit that cannot change a result, ``dvc commit`` says so; else ``make repro``."""
    # YAML 1.2, as DVC reads it: 2e-5 is a number there.
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    for name, stage in _published("dvc.lock").items():
        for dep in stage["deps"]:
            if dep["path"].startswith(("src/", "stages/")) or dep["path"] == "constraints.txt":
                found = hashlib.md5((ROOT / dep["path"]).read_bytes()).hexdigest()
                assert found == dep["md5"], f"{name} was published with another {dep['path']}"
        for key, value in stage.get("params", {}).get("params.yaml", {}).items():
            current: Any = params
            for step in key.split("."):
                current = current[step]
            assert current == value, f"{name} was published with another {key}"


@pytest.mark.parametrize("lock", ["dvc.lock", "study/dvc.lock"])
def test_the_published_metrics_are_those_of_the_published_run(lock: str) -> None:
    for name, stage in _published(lock).items():
        for out in stage["outs"]:
            if out["path"].startswith("metrics/"):
                found = hashlib.md5((ROOT / out["path"]).read_bytes()).hexdigest()
                assert found == out["md5"], f"{out['path']} is not what {name} wrote"
