"""Refuse wrong settings before any work starts, whichever stage comes first.

Like the console, this module decides nothing about what is made: it only refuses. So no stage lists
it as a dependency, although it knows every section.
"""

import re
from typing import Any

from torch.nn import ModuleDict

from pipeline import params
from pipeline.corpora import general_roles
from pipeline.corpora import settings as corpus_settings
from pipeline.distillation import SOFT_LABEL, Stage, Stage2, Student
from pipeline.errors import UserError
from pipeline.finetuning import Teacher
from pipeline.models import GOLDEN
from pipeline.pretrained import Pretrained

NAME = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
RESERVED = (GOLDEN, SOFT_LABEL, "student", "stage1", "stage2", "stage_1", "teachers_mean")
"""Names of heads, of curves and of metrics."""
SECTIONS = (
    "alpha",
    "max_length",
    "general",
    "task",
    "corpora",
    "pretrained",
    "teachers",
    "student",
    "stage1",
    "stage2",
)


def checked_params() -> dict[str, Any]:
    """The content of ``params.yaml``, every section of which is valid; else raises UserError."""
    content = params.read()
    if unknown := [name for name in content if name not in SECTIONS]:
        raise UserError(
            f"params.yaml: '{unknown[0]}' is not a setting; it takes {', '.join(SECTIONS)}."
        )
    params.share(content, "alpha")
    params.max_length(content)
    student = params.section(content, "student", Student)
    corpora, general, task = corpus_settings(content)
    for name, kind, learned in (("stage1", Stage, general), ("stage2", Stage2, (task,))):
        stage = params.section(content, name, kind)
        params.teachers(content, name)
        if stage.soft_label and (
            without := [one for one in learned if not corpora[one].soft_label]
        ):
            raise UserError(
                f"params.yaml: '{name}.soft_label' is true, but 'corpora.{without[0]}' has none: "
                "name its column in soft_label, or set this to false."
            )
    general_can_teach = "train" in general_roles(corpora, general, task)
    teachers = params.section(content, "teachers", dict[str, Teacher])
    params.section(content, "pretrained", dict[str, Pretrained])
    _check_weights(content, "student", student.weights)
    for name, teacher in teachers.items():
        # A head bears the name of its teacher, among the attributes of a module.
        if not NAME.fullmatch(name) or name in RESERVED or hasattr(ModuleDict, name):
            raise UserError(
                f"params.yaml: a teacher cannot be called '{name}': start with a letter, go on "
                "with letters, digits, '-' and '_', and take a word without a meaning here."
            )
        _check_weights(content, f"teachers.{name}", teacher.weights)
        if teacher.corpus == "general" and not general_can_teach:
            raise UserError(
                f"params.yaml: teacher '{name}' learns from the general corpora "
                f"({', '.join(general)}), but not all of them have train and validation with the "
                "same label_names, or they are the task itself: mend their splits, or let it "
                "learn from the task."
            )
    return content


def _check_weights(content: dict[str, Any], user: str, weights: str) -> None:
    kind, _, name = weights.partition("/")
    known = {kind: list(content[kind]) for kind in ("pretrained", "teachers")}
    if name not in known.get(kind, ()) or user == f"teachers.{name}":
        choice = [f"{kind}/{one}" for kind, names in known.items() for one in names]
        raise UserError(
            f"params.yaml: '{user}.weights' is '{weights}', but must be one of "
            f"{', '.join(one for one in choice if one != user.replace('.', '/'))}."
        )
