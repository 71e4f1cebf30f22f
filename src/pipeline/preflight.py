"""Refuse wrong settings before any work starts, whichever stage comes first.

Like the console, this module decides nothing about what is made: it only refuses. So no stage lists
it as a dependency, although it knows every section.
"""

import re
from typing import Any

from torch.nn import ModuleDict

from pipeline import params
from pipeline.distillation import Stage, Stage2, Student
from pipeline.errors import UserError
from pipeline.finetuning import Teacher
from pipeline.models import GOLDEN
from pipeline.sources import Corpus

NAME = re.compile(r"[A-Za-z][\w-]*", re.ASCII)
RESERVED = (GOLDEN, "student", "stage1", "stage2", "stage_1", "teachers_mean")
"""Names of a head, of curves and of metrics."""
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
    for name in ("general", "task"):
        if name not in corpora:
            raise UserError(f"params.yaml: 'corpora.{name}' is missing.")
    for name, teacher in params.section(content, "teachers", dict[str, Teacher]).items():
        # A head bears the name of its teacher, among the attributes of a module.
        if not NAME.fullmatch(name) or name in RESERVED or hasattr(ModuleDict, name):
            raise UserError(
                f"params.yaml: a teacher cannot be called '{name}': start with a letter, go on "
                "with letters, digits, '-' and '_', and take a word without a meaning here."
            )
        corpus = corpora[teacher.corpus]
        if "train" not in corpus.splits or not (
            corpus.validation_rows or "validation" in corpus.splits
        ):
            raise UserError(
                f"params.yaml: teacher '{name}' learns from 'corpora.{teacher.corpus}', which has "
                "no train and validation: name them in its splits."
            )
    return content
