"""The generated documentation of the settings is current, and editors find the schemas."""

import re
from pathlib import Path
from typing import Any

import generate
import jsonschema
import pytest
from closure import ROOT
from pydantic import BaseModel
from ruamel.yaml import YAML

FILES = [
    *(ROOT / f"{place}params.yaml" for place in ("", "study/", "study/noisy/")),
    *(ROOT / "profiles").glob("*.yaml"),
]


@pytest.mark.parametrize("path", generate.contents(), ids=lambda path: path.name)
def test_generated_files_are_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == generate.contents()[path], "run `make docs`"


def schema_of(file: Path) -> dict[str, Any]:
    """The schema that the first line names, by a path relative to the file."""
    first_line = file.read_text().splitlines()[0]
    match = re.fullmatch(r"# yaml-language-server: \$schema=(\S+)", first_line)
    assert match
    schema: dict[str, Any] = YAML(typ="safe").load(file.parent / match[1])
    return schema


@pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.parent.name}/{file.name}")
def test_settings_files_fit_the_schema_that_they_name(file: Path) -> None:
    schema = schema_of(file)
    content = YAML(typ="safe").load(file)
    jsonschema.validate(content, schema)
    wrong_type = {**content, next(iter(content)): [1]}
    for wrong in ({**content, "speed": 1}, wrong_type):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


def test_a_profile_copied_over_params_yaml_still_finds_its_schema() -> None:
    profile = (ROOT / "profiles/nli.yaml").read_text().splitlines()[0]
    assert profile == (ROOT / "params.yaml").read_text().splitlines()[0]


def test_a_student_of_the_study_is_completed_and_checked_by_editors() -> None:
    schema = schema_of(ROOT / "study/params.yaml")
    content = YAML(typ="safe").load(ROOT / "study/params.yaml")
    content["students"]["wrong"] = {"stage2": {"learning_rate": 1}}
    with pytest.raises(jsonschema.ValidationError, match="learning_rate"):
        jsonschema.validate(content, schema)


def test_every_setting_has_a_description() -> None:
    for _, kind, _ in generate.PAGES:
        assert issubclass(kind, BaseModel)
        for name, field in kind.model_fields.items():
            assert field.description, f"{kind.__name__}.{name}"
