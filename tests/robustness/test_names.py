"""Names in settings become parts of paths and commands. Unsafe ones reach neither."""

import copy
from pathlib import Path
from typing import Any

import project
import pytest
from conftest import noisy_student, tiny_params
from project import run, stages_run, write_params
from study_project import PARAMS, STUDY

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.preflight import Params
from robustness.conftest import refusal, run_stage
from study.settings import read_study

UNSAFE = [
    *("", ".", "..", "../x", "../../x", "a/b", "/etc", "/", "~", "a\\b", "C:x"),
    *("x; touch PWNED", "$(touch PWNED)", "`touch PWNED`", "x && touch PWNED", "x | touch PWNED"),
    *("x\ntouch PWNED", "x > PWNED", "'x", '"x', "x y", " x", "x ", "x\n", "x\0", "-x", "--help"),
    *("1x", "x*", "x?", "[x]", "{x}", "${x}", "%x", "#x", "!x", "x=y", "x:y", "x@y", "x.y", "x,y"),
    *("é", "名", "x\u202e", "\u200b", "x" * 65, "x" * 10_000),
]
RESERVED = [
    *("golden", "soft_label", "student", "stage1", "stage2", "stage_1", "mean", "teachers_mean"),
    *("training", "_modules"),
]
"""Names that would hide a head, an attribute of a module, a curve or a metric."""


def with_entry(section: str, name: str) -> dict[str, Any]:
    """Valid settings with a further entry called ``name``, copied from an existing one."""
    content = copy.deepcopy(tiny_params(Path("corpora"), Path("bert")))
    entries = {
        "pretrained": {"source": "x"},
        "teachers": content["teachers"]["t1"],
        "classifiers": {"source": "x"},
        "noisy_students": noisy_student(),
    }
    entry = entries[section]
    return {**content, section: {**content[section], name: entry}}


@pytest.mark.parametrize(
    "name", [name for name in UNSAFE if name], ids=lambda name: repr(name)[:30]
)
def test_an_unsafe_name_of_a_test_set_is_refused(name: str) -> None:
    content = copy.deepcopy(tiny_params(Path("corpora"), Path("bert")))
    content["corpora"][name] = content["corpora"]["qa"]
    with pytest.raises(UserError, match="'corpora' has an entry named"):
        settings.check(Params, {**content, "tests": ["qa", name]})


@pytest.mark.parametrize("name", UNSAFE, ids=lambda name: repr(name)[:30])
@pytest.mark.parametrize("section", ["pretrained", "teachers", "classifiers", "noisy_students"])
def test_an_unsafe_name_is_refused(section: str, name: str) -> None:
    with pytest.raises(UserError, match=f"'{section}' has an entry named"):
        settings.check(Params, with_entry(section, name))


@pytest.mark.parametrize("name", RESERVED)
@pytest.mark.parametrize("section", ["teachers", "classifiers", "noisy_students"])
def test_a_name_that_would_hide_another_is_refused(section: str, name: str) -> None:
    with pytest.raises(UserError, match=f"'{section}' has an entry named '{name}'"):
        settings.check(Params, with_entry(section, name))


@pytest.mark.parametrize("name", ["a", "T1", "bert-base", "gpt_2", "x" * 64])
@pytest.mark.parametrize("section", ["pretrained", "teachers", "classifiers", "noisy_students"])
def test_a_safe_name_is_allowed(section: str, name: str) -> None:
    assert settings.check(Params, with_entry(section, name))


@pytest.mark.parametrize("name", ["", "/etc/x", "../x", "a/b", "x\n", "x\0", "é", "x" * 65])
@pytest.mark.parametrize("section", ["students", "tables"])
def test_an_unsafe_name_in_the_study_is_refused(section: str, name: str) -> None:
    content = copy.deepcopy(STUDY)
    content[section][name] = next(iter(content[section].values()))
    with pytest.raises(UserError, match="cannot be called"):
        read_study(PARAMS, content)


@pytest.mark.parametrize("name", ["", ".", "..", "../../notes", "/", "../teachers/t1", "x y"])
@pytest.mark.parametrize(
    "stage",
    [
        *("fetch_pretrained", "fetch_classifier", "finetune_teacher"),
        *("dump_pool_logits", "pseudo_label", "train_noisy_student"),
        *("dump_logits task", "dump_test_logits qa"),
    ],
)
def test_a_script_refuses_an_argument_that_is_no_name(stage: str, name: str, place: Path) -> None:
    before = {str(path) for path in place.rglob("*")}
    with pytest.raises(SystemExit, match="usage: python stages/"):
        run_stage(*stage.split(), name)
    assert {str(path) for path in place.rglob("*")} == before


@pytest.mark.parametrize(
    "arguments",
    [
        *(("fetch_pretrained", "x"), ("finetune_teacher", "x"), ("dump_pool_logits", "x")),
        *(("pseudo_label", "x"), ("train_noisy_student", "x"), ("dump_logits", "task", "x")),
    ],
)
def test_a_script_refuses_a_name_that_is_not_defined(
    arguments: tuple[str, ...], place: Path
) -> None:
    before = {str(path) for path in place.rglob("*")}
    assert refusal(*arguments)
    assert {str(path) for path in place.rglob("*")} == before


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert: Path) -> Path:
    """A project in which no stage has run."""
    directory = tmp_path_factory.mktemp("names") / "project"
    return project.create(directory, tiny_params(corpora, tiny_bert))


def with_names(names: dict[str, str], corpora: Path, bert: Path) -> dict[str, Any]:
    """Settings with a further entry in each section of ``names``."""
    params = tiny_params(corpora, bert)
    for section, name in names.items():
        defaults = {"classifiers": {"source": str(bert)}, "noisy_students": noisy_student()}
        entry = defaults.get(section) or next(iter(params[section].values()))
        params[section] = {name: entry, **params[section]}
    return params


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x; touch PWNED", "$(touch PWNED)", "x\ntouch PWNED", "../../x"])
def test_dvc_runs_nothing_that_a_name_says(
    name: str, fresh: Path, corpora: Path, tiny_bert: Path
) -> None:
    names = dict.fromkeys(("pretrained", "teachers"), name)
    params = with_names(names, corpora, tiny_bert)
    for stage in ("stage1", "stage2"):
        params[stage]["teachers"] = [name]
    write_params(fresh, params)
    for command in (["repro"], ["repro", f"fetch_pretrained@{name}"], ["exp", "run"]):
        output = run(fresh, "dvc", *command, check=False)
        # DVC refuses a path that leads elsewhere, and the first stage all other names.
        assert "has an entry named" in output or "is ignored by .dvcignore" in output
        assert stages_run(output) == []
        assert not list(fresh.rglob("PWNED"))


@pytest.mark.slow
@pytest.mark.parametrize("section", ["pretrained", "teachers", "classifiers", "noisy_students"])
def test_dvc_deletes_nothing_that_a_name_leads_to(
    section: str, fresh: Path, corpora: Path, tiny_bert: Path
) -> None:
    """Neither files beside the project's own nor, for example, edits that are in no commit."""
    for place in ("notes", "src", "data", "models/pretrained", "models/teachers", "metrics"):
        (fresh / place).mkdir(parents=True, exist_ok=True)
        (fresh / place / "mine.txt").write_text("mine")
    files = {path for path in fresh.rglob("*") if not {".git", ".dvc"} & set(path.parts)}
    other = "teachers" if section == "pretrained" else "pretrained"
    for place in ("notes", "src", "data", "..", f"models/{other}/mine.txt"):
        write_params(fresh, with_names({section: f"../../{place}"}, corpora, tiny_bert))
        output = run(fresh, "dvc", "exp", "run", check=False)
        assert "is ignored by .dvcignore" in output
        assert all(path.exists() for path in files)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["notes", "src", "data", "..", "data/logits/general", "models"])
def test_dvc_deletes_nothing_that_the_name_of_a_test_set_leads_to(
    place: str, fresh: Path, corpora: Path, tiny_bert: Path
) -> None:
    (fresh / place / "t1").mkdir(parents=True, exist_ok=True)
    (fresh / place / "t1/mine.txt").write_text("mine")
    name = f"../../../{place}"
    params = tiny_params(corpora, tiny_bert)
    params["corpora"][name] = params["corpora"]["qa"]
    write_params(fresh, {**params, "tests": [name]})
    output = run(fresh, "dvc", "exp", "run", check=False)
    assert "is ignored by .dvcignore" in output
    assert (fresh / place / "t1/mine.txt").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"alpah": 0.5}, "'alpah' is not a setting; the file takes alpha"),
        ({"teachers": {}}, "'stage1.teachers' is 't1', but must be one of none"),
    ],
)
def test_a_wrong_setting_is_seen_on_a_finished_project_and_reruns_nothing(
    change: dict[str, Any], sentence: str, finished: Path
) -> None:
    before = (finished / "params.yaml").read_text()
    write_params(finished, {**settings.read(finished / "params.yaml"), **change})
    output = run(finished, "dvc", "repro", check=False)
    assert f"error: params.yaml: {sentence}" in output
    assert stages_run(output) == []
    (finished / "params.yaml").write_text(f"{before}# {sentence}\n")
    output = run(finished, "dvc", "repro")
    assert "Running stage 'check_params'" in output
    assert stages_run(output) == []
    (finished / "params.yaml").write_text(before)
    run(finished, "dvc", "repro")
    run(finished, "git", "checkout", "-q", ".")
