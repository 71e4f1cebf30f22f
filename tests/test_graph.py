"""What dvc.yaml promises: code dependencies, cache boundaries, layers."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from closure import LIBRARY, NEVER_CHANGES_WHAT_IS_MADE, ROOT, SOURCE, closure, imported
from ruamel.yaml import YAML

from pipeline import dumping
from pipeline.corpus import docstrings
from pipeline.noisy_student import training
from pipeline.student import stages
from pipeline.training import run
from study import averaging, cells

GATE = "check_params"
"""The stage that refuses wrong settings; it makes nothing."""


def graph(path: Path) -> dict[str, Any]:
    stages = YAML(typ="safe").load(path)["stages"]
    return {name: stage.get("do", stage) for name, stage in stages.items()}


STAGES = graph(ROOT / "dvc.yaml")
STUDY = {**graph(ROOT / "study/dvc.yaml"), **graph(ROOT / "study/noisy/dvc.yaml")}
ALL = {**STAGES, **STUDY}
FLOORS = (
    ("core", "console"),
    ("corpus", "model", "logits"),
    ("training", "evaluation", "pretrained", "dumping", "serving"),
    ("teacher", "student", "classifier", "export", "pseudo_labels"),
    ("noisy_student",),
    ("preflight", "__main__"),
)
"""Folders and files of src/pipeline; each imports only itself and those of earlier floors."""
TRAININGS = {"finetune_teacher", "train_noisy_student", "distill", "finetune_student"}
COVERED_ELSEWHERE = {
    "core/errors": "core/test_settings.py",
    "corpus/arrow_types": "corpus/test_corpus.py",
    "corpus/cleaning": "corpus/test_corpus.py",
    "corpus/columns": "corpus/test_corpus.py",
    "corpus/reading": "corpus/test_corpus.py",
    "corpus/settings": "corpus/test_corpus.py",
    "model/settings": "test_classifier.py",
    "__main__": "serving/test_command.py",
    "noisy_student/settings": "noisy_student/test_training.py",
    "pseudo_labels/artifact": "pseudo_labels/test_labelling.py",
    "evaluation/figures": "evaluation/test_comparison.py",
    "evaluation/report": "evaluation/test_comparison.py",
    "evaluation/results": "evaluation/test_comparison.py",
    "evaluation/speed": "evaluation/test_comparison.py",
    "export/cross_encoder": "export/test_package.py",
    "export/settings": "export/test_gate.py",
    "export/timing": "export/test_card.py",
    "student/settings": "student/test_stages.py",
    "teacher": "../test_repro.py",
    "training/curves": "../test_repro.py",
    "training/settings": "training/test_optimizer.py",
}
"""Modules without a test file of their own, and the file that tests them."""
CONSOLE = LIBRARY / "console.py"


def script(stage: str) -> Path:
    return ROOT / str(ALL[stage]["cmd"]).split()[1]


def code_dependencies(stage: str) -> list[str]:
    return [dep for dep in ALL[stage]["deps"] if dep.startswith(("src/", "stages/"))]


def covers(dependency: str, file: str) -> bool:
    return file == dependency or file.startswith(f"{dependency}/")


def reruns(file: str) -> set[str]:
    """The stages of the pipeline that run again after an edit of ``file``."""
    return {stage for stage in STAGES if any(covers(dep, file) for dep in code_dependencies(stage))}


@pytest.mark.parametrize("stage", [stage for stage in ALL if stage != GATE])
def test_a_stage_depends_on_all_code_that_it_imports_and_on_no_unused_folder(stage: str) -> None:
    dependencies = code_dependencies(stage)
    files = closure(script(stage))
    for file in files:
        assert any(covers(dep, file) for dep in dependencies), f"{file} is not a dependency"
    for dep in dependencies:
        assert any(covers(dep, file) for file in files), f"{dep} is a dependency for nothing"
    assert len(dependencies) == len(set(dependencies))


def test_a_stage_of_the_pipeline_has_at_most_six_code_dependencies_none_of_them_all() -> None:
    for stage in STAGES:
        assert len(code_dependencies(stage)) <= 6
        assert not {"src", "src/pipeline", "stages"} & set(code_dependencies(stage))


def floor_of(file: Path) -> int:
    name = file.relative_to(LIBRARY).parts[0].removesuffix(".py")
    return next(i for i, floor in enumerate(FLOORS) if name in floor)


def modules(directory: Path) -> list[Path]:
    return [path for path in sorted(directory.rglob("*.py")) if path.name != "__init__.py"]


def test_modules_import_only_downwards() -> None:
    for file in modules(LIBRARY):
        own = file.relative_to(LIBRARY).parts[0]
        for other in imported(file):
            same_folder = other.relative_to(LIBRARY).parts[0] == own
            # The console prints the errors of core, and core prints through it.
            below = floor_of(other) < floor_of(file) or CONSOLE in (file, other)
            assert below or same_folder, f"{file} imports {other}"


def test_no_modules_import_each_other_in_a_circle() -> None:
    waiting = {file: imported(file) for file in modules(SOURCE)}
    while free := [file for file, needs in waiting.items() if not needs & waiting.keys()]:
        for file in free:
            del waiting[file]
    assert not waiting


def test_every_package_is_empty_but_for_its_modules() -> None:
    packages = {path for path in SOURCE.rglob("__init__.py") if path.read_text()}
    # What must happen before PyTorch is imported; it does not affect outputs.
    assert packages == {LIBRARY / "__init__.py"}


@pytest.mark.parametrize("module", ["pipeline.preflight", "pipeline.corpus.cleaning"])
def test_settings_and_corpora_need_no_model_library(module: str) -> None:
    """Importing one takes seconds, which check_params and download do not pay."""
    code = f"import {module}, sys; print({{'torch', 'transformers'}} & {{*sys.modules}})"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env={**os.environ, "PYTHONPATH": "src"}, cwd=ROOT, capture_output=True, text=True
    )
    assert done.stdout == "set()\n", done.stderr


def test_every_module_has_a_test_file() -> None:
    tests = ROOT / "tests/pipeline"
    for file in modules(LIBRARY):
        name = file.relative_to(LIBRARY).with_suffix("").as_posix()
        own = tests / Path(name).parent / f"test_{file.stem}.py"
        if name in COVERED_ELSEWHERE:
            assert not own.exists(), f"{name} has a test file of its own now"
            assert (tests / COVERED_ELSEWHERE[name]).exists()
        else:
            assert own.exists(), f"{name} has no test file"


def test_the_study_imports_the_pipeline_and_never_the_reverse() -> None:
    for file in modules(LIBRARY):
        assert all(other.is_relative_to(LIBRARY) for other in imported(file))
    for stage in STUDY.values():
        assert not any(dep.startswith("models/teachers") for dep in stage["deps"])


def test_the_library_never_imports_dvc() -> None:
    for path in modules(SOURCE):
        text = path.read_text()
        assert "import dvc" not in text
        assert "from dvc" not in text


@pytest.mark.parametrize(
    ("file", "stages"),
    [
        ("student/losses.py", {"distill", "finetune_student"}),
        ("student/settings.py", {"distill", "finetune_student"}),
        ("evaluation/scoring.py", {"evaluate", "export"}),
        ("evaluation/report.py", {"evaluate", "export"}),
        ("evaluation/ensemble.py", {"evaluate", "export"}),
        ("export/gate.py", {"export"}),
        ("export/card_template.md", {"export"}),
        ("serving/scorer.py", {"export"}),
        ("serving/page.py", set()),
        ("serving/command.py", set()),
        ("corpus/reading.py", {"download"}),
        ("corpus/columns.py", {"download"}),
        ("pretrained.py", {"fetch_pretrained", "fetch_classifier"}),
        ("classifier.py", {"fetch_classifier"}),
        ("teacher.py", {"finetune_teacher"}),
        ("pseudo_labels/selection.py", {"pseudo_label"}),
        ("pseudo_labels/artifact.py", {"pseudo_label", "train_noisy_student"}),
        ("noisy_student/noise.py", {"train_noisy_student"}),
        ("training/calibration.py", TRAININGS | {"pseudo_label"}),
        (
            "dumping.py",
            {"dump_general_logits", "dump_task_logits", "dump_test_logits", "dump_pool_logits"},
        ),
        ("training/loop.py", TRAININGS),
        ("core/rows.py", set(STAGES) - {GATE}),
        ("model/encoding.py", set(STAGES) - {GATE, "download", "fetch_pretrained"}),
        ("model/loading.py", set(STAGES) - {GATE, "download"}),
        ("model/settings.py", set(STAGES) - {GATE, "download"}),
        ("console.py", set()),
        ("preflight.py", set()),
    ],
)
def test_editing_a_module_reruns_only_what_it_decides(file: str, stages: set[str]) -> None:
    assert (LIBRARY / file).exists()
    assert reruns(f"src/pipeline/{file}") == stages


def test_no_stage_with_a_name_from_the_settings_runs_before_they_are_checked() -> None:
    assert STAGES[GATE]["deps"] == ["params.yaml", "stages/check_params.py"]
    for name, stage in STAGES.items():
        made = json.dumps([stage["cmd"], stage.get("outs", []), stage.get("plots", [])])
        assert "${" not in made or "data/checked" in stage["deps"], name
        for out in stage.get("outs", []):
            # DVC checks where the one called .done is: see .dvcignore.
            if "${" in out and not out.endswith(".done"):
                parts = Path(out).parts
                # The logits of a test set have two names in their path.
                named = ".".join(part for part in parts if "${" in part)
                above = Path(*(part for part in parts if "${" not in part))
                assert f"{above / named}.{above.name}.done" in stage["outs"]


def test_what_is_exempt_from_the_closure_cannot_decide_what_is_made() -> None:
    assert {file.name for file in NEVER_CHANGES_WHAT_IS_MADE} == {"console.py", "preflight.py"}
    for stage in ALL:
        names = {path.name for path in imported(script(stage))}
        assert "dump" in stage or "preflight.py" in names


IDENTITY = {f"src/pipeline/core/{name}.py" for name in ("checkpoints", "processor", "runtime")}
CORE = {
    f"src/pipeline/core/{name}.py" for name in ("errors", "files", "rows", "settings", "tensors")
}
ONLY_READ = CORE | {
    "src/pipeline/logits.py",
    "src/pipeline/model/settings.py",
    "src/pipeline/student/settings.py",
    "src/pipeline/training/settings.py",
}
ONLY_READ_BY_NOISY_STUDENTS = {
    "src/pipeline/noisy_student/settings.py",
    "src/pipeline/pseudo_labels/artifact.py",
}
ONLY_READ_BY_DUMPS = {"src/pipeline/core/checkpoints.py", "src/pipeline/model/settings.py"}
STUDY_READS = {f"src/study/{name}.py" for name in ("averaging", "cells", "settings")}


@pytest.mark.parametrize(
    ("script", "code", "not_counted"),
    [
        ("pipeline/teacher", (*run.CODE, "pipeline.teacher"), ONLY_READ),
        (
            "pipeline/noisy_student/training",
            (*run.CODE, training.CODE),
            ONLY_READ | ONLY_READ_BY_NOISY_STUDENTS,
        ),
        ("pipeline/student/stages", (*run.CODE, stages.CODE), ONLY_READ),
        ("study/training", (*cells.CODE, "study.training"), ONLY_READ | STUDY_READS),
        ("pipeline/dumping", dumping.CODE, CORE | ONLY_READ_BY_DUMPS),
        ("study/averaging", averaging.CODE, CORE | IDENTITY),
    ],
)
def test_an_identity_covers_all_code_but_what_only_reads_or_refuses(
    script: str, code: tuple[str, ...], not_counted: set[str]
) -> None:
    counted = {path.relative_to(ROOT).as_posix() for name in code for path in _sources(name)}
    assert closure(SOURCE / f"{script}.py") - counted <= not_counted


def _sources(name: str) -> list[Path]:
    path = SOURCE.joinpath(*name.split("."))
    if path.is_dir():
        return [file for file in path.glob("*.py") if file.stem != "settings"]
    return [path.with_suffix(".py")]


def test_alpha_and_student_settings_reach_no_teacher() -> None:
    users = {
        param: {name for name, stage in STAGES.items() if param in stage.get("params", [])}
        for param in ("alpha", "stage2", "student", "teachers.${key}", "corpora")
    }
    assert users == {
        "alpha": {"finetune_student"},
        "stage2": {"finetune_student", "export"},
        "student": {"distill", "finetune_student"},
        "teachers.${key}": {"finetune_teacher"},
        "corpora": {"download", "export"},
    }


def test_students_read_logits_and_never_teachers() -> None:
    places = {"distill": "general", "finetune_student": "task", "evaluate": "test"}
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
    """If not, run `make repro`, or `dvc commit --force` if the edit cannot change a result.

    The study is not checked: its hours are not spent after every edit, so `study/dvc.lock` may
    be older than the code.
    """
    command = [str(Path(sys.executable).with_name("dvc")), "status", "--json", "dvc.yaml"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    changed = json.dumps(json.loads(done.stdout or "{}"))
    # A fresh clone has neither data nor models, which DVC reports as deleted.
    for name in ("src/", "stages/", "constraints.txt", "params.yaml"):
        assert name not in changed, "the published run comes from other code or params"


@pytest.mark.parametrize(
    "lock", ["dvc.lock", "study/dvc.lock", "study/deck/dvc.lock", "study/noisy/dvc.lock"]
)
def test_the_published_metrics_are_those_of_the_published_run(lock: str) -> None:
    stages = _published(lock)
    if lock == "study/deck/dvc.lock":
        # The metrics of its other stages are in its projects and not in git.
        stages = {"compare_deck": stages["compare_deck"]}
    for name, stage in stages.items():
        for out in stage["outs"]:
            if out["path"].startswith("metrics/"):
                found = hashlib.md5((ROOT / out["path"]).read_bytes()).hexdigest()
                assert found == out["md5"], f"{out['path']} is not what {name} wrote"
