"""Refuse wrong settings before any work starts, whichever stage comes first.

Like the console, this module decides nothing about what is made: it only refuses. So no stage lists
it as a dependency, although it knows every section.
"""

import re
from typing import Any

from pipeline import params
from pipeline.distillation import Stage, Stage2, Student
from pipeline.errors import UserError
from pipeline.finetuning import Teacher
from pipeline.models import GOLDEN
from pipeline.sources import Corpus

NAME = re.compile(r"[\w-]+", re.ASCII)
RESERVED = (GOLDEN, "student")
"""Names of a head and of a line in the table."""
SECTIONS = ("alpha", "max_length", "corpora", "teachers", "student", "stage1", "stage2")


def checked_params() -> dict[str, Any]:
    """The content of ``params.yaml``, every section of which is valid; else raises UserError."""
    content = params.read()
    if unknown := [name for name in content if name not in SECTIONS]:
        raise UserError(
            f"params.yaml: '{unknown[0]}' is not a setting; it takes {', '.join(SECTIONS)}."
        )
    params.share(content, "alpha")
    params.max_length(content)
    params.section(content, "student", Student)
    params.section(content, "stage1", Stage)
    params.section(content, "stage2", Stage2)
    for stage in ("stage1", "stage2"):
        params.teachers(content, stage)
    corpora = params.section(content, "corpora", dict[str, Corpus])
    for name, teacher in params.section(content, "teachers", dict[str, Teacher]).items():
        if not NAME.fullmatch(name) or name in RESERVED:
            raise UserError(
                f"params.yaml: a teacher cannot be called '{name}': use letters, digits, '-' and "
                f"'_', and neither of {', '.join(RESERVED)}."
            )
        if teacher.corpus not in corpora:
            raise UserError(
                f"params.yaml: 'teachers.{name}.corpus' is '{teacher.corpus}', which 'corpora' "
                "does not define."
            )
    for name in ("general", "task"):
        params.section(corpora, name, Any)
    return content
