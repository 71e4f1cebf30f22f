"""Write docs/settings.md and the JSON schemas of the settings files: `make docs`."""

import json
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

from pipeline.core.settings import Settings
from pipeline.corpus.settings import Corpus
from pipeline.export.settings import Export
from pipeline.model.settings import Classifier, Pretrained
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.preflight import Params
from pipeline.pseudo_labels.artifact import PseudoLabels
from pipeline.student.settings import Stage, Stage1, Stage2, Student
from pipeline.training.settings import Teacher, TeacherTraining, Training
from study.noisy.settings import NoisyStudyParams
from study.settings import Changes, Combination, StudyParams, Table

DOCS = Path(__file__).resolve().parent
INTRODUCTION = """\
# Settings

All settings of `params.yaml` and of both studies. This page is generated from the code by
`make docs`. Editors that use the YAML language server complete and check these files, because their
first line names a schema.
"""
PAGES: tuple[tuple[str, type[Settings], type[Settings] | None], ...] = (
    ("params.yaml", Params, None),
    ("corpora.NAME", Corpus, None),
    ("pretrained.NAME", Pretrained, None),
    ("classifiers.NAME", Classifier, None),
    ("All trainings: teachers.NAME, noisy_students.NAME, stage1, stage2", Training, None),
    ("teachers.NAME and noisy_students.NAME", TeacherTraining, Training),
    ("teachers.NAME", Teacher, TeacherTraining),
    ("noisy_students.NAME", NoisyStudent, TeacherTraining),
    ("noisy_students.NAME.pseudo_labels", PseudoLabels, None),
    ("student", Student, None),
    ("stage1 and stage2", Stage, Training),
    ("stage2", Stage2, Stage),
    ("export", Export, None),
    ("study/params.yaml", StudyParams, None),
    ("students.NAME (study)", Changes, None),
    ("combinations.NAME (study)", Combination, None),
    ("tables.NAME (study)", Table, None),
    ("study/noisy/params.yaml", NoisyStudyParams, None),
)
"""Headings, the classes they describe, and the class whose settings are described elsewhere."""


def contents() -> dict[Path, str]:
    """The generated files and what they contain."""
    study = StudyParams.model_json_schema()
    for name, section in (("student", Student), ("stage1", Stage1), ("stage2", Stage2)):
        # A student may change any setting of these sections, and needs none of them.
        partial = {k: v for k, v in section.model_json_schema().items() if k != "required"}
        study["$defs"]["Changes"]["properties"][name] |= {"default": {}, **_nullable(name, partial)}
    return {
        DOCS / "settings.md": markdown(),
        DOCS / "params.schema.json": _as_json(Params.model_json_schema()),
        DOCS / "study.schema.json": _as_json(study),
        DOCS / "noisy_study.schema.json": _as_json(NoisyStudyParams.model_json_schema()),
    }


def _nullable(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]} if name == "stage2" else schema


def _as_json(schema: dict[str, Any]) -> str:
    return json.dumps(schema, indent=1, ensure_ascii=False) + "\n"


def markdown() -> str:
    parts = [INTRODUCTION]
    for heading, kind, described in PAGES:
        parts.append(f"## {heading}\n\n{_plain(kind.model_json_schema()['description'])}\n")
        parts.append(
            "| setting | value | default | |\n|---|---|---|---|\n" + _rows(kind, described)
        )
    return "\n".join(parts)


def _rows(kind: type[Settings], described: type[Settings] | None) -> str:
    schema = kind.model_json_schema()
    lines = []
    for name, field in schema["properties"].items():
        if described and name in described.model_fields:
            continue
        default = "required" if name in schema.get("required", ()) else _value(field.get("default"))
        text = _plain(field.get("description", ""))
        lines.append(f"| `{name}` | {_type(field)} | {default} | {text} |\n")
    return "".join(lines)


def _type(field: dict[str, Any]) -> str:
    """What a JSON schema allows, in words."""
    if "anyOf" in field:
        return " or ".join(_type(option) for option in field["anyOf"])
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return "see below"
    if field["type"] == "array":
        return "list" if "items" not in field else f"list of {_plural(_type(field['items']))}"
    if field["type"] == "object":
        return "mapping"
    words = {"number": "number", "integer": "integer", "boolean": "true or false"}
    word = {**words, "string": "string", "null": "null"}[field["type"]]
    limits = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
    }
    ranges = [f"{text} {_limit(field[key])}" for key, text in limits.items() if key in field]
    return f"{word} {' and '.join(ranges)}".strip()


def _plural(kind: str) -> str:
    first, *rest = kind.split(" ", 1)
    return " ".join([f"{first}s", *rest])


def _limit(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _value(default: Any) -> str:
    return "" if default is None else f"`{json.dumps(default)}`"


def _plain(text: str) -> str:
    """A docstring as one line of Markdown."""
    return " ".join(text.replace("``", "`").split()).replace("|", "\\|")


def main() -> None:
    for path, text in contents().items():
        path.write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
