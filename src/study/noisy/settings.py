"""Settings of the study of noisy students: a teacher, its noisy students, and their differences."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.core.settings import Settings, Text, Whole
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.preflight import NAME, NAME_RULE, Params
from pipeline.training.settings import Teacher

FILE = Path("study/noisy/params.yaml")
TEACHER = "teacher"
"""The system that learns gold labels only, and labels the pool for the first generation."""


class NoisyStudyParams(Settings):
    """The content of ``study/noisy/params.yaml``."""

    seeds: Annotated[Whole, Field(ge=1, le=1000)]
    """Number of seeds; all systems are trained with the seeds 1 to this number."""
    teacher: dict[str, Any]
    """Settings of the system ``teacher``, as in ``teachers`` of ``params.yaml``."""
    noisy_student: dict[str, Any]
    """Settings that all noisy students share, as in ``noisy_students`` of ``params.yaml``."""
    noisy_students: dict[str, dict[str, Any]]
    """Noisy students by name, and what each changes of these settings. Its ``teacher`` is
    ``teacher``, or an earlier noisy student."""
    generations: tuple[Text, ...]
    """The systems whose accuracy is drawn, from the teacher to the last generation."""
    robustness: tuple[Text, ...]
    """The systems that are also tested on pairs with typing errors, missing words and changed
    case."""
    compare: tuple[tuple[Text, Text], ...]
    """Pairs of systems whose difference is tested, with correction for their number."""


Recipe = Teacher | NoisyStudent


def recipes(study: NoisyStudyParams, params: Params) -> dict[str, Recipe]:
    """The settings of each system, teachers before their students.

    Raises UserError for a setting that is wrong, or that names weights which ``params`` does not
    define or a system that is not defined before.
    """
    weights = [f"pretrained/{name}" for name in params.pretrained]
    teacher: Teacher = _check(Teacher, study.teacher, "teacher")
    if teacher.corpus != "task":
        raise UserError(f"{FILE}: 'teacher.corpus' is '{teacher.corpus}', but must be task.")
    found: dict[str, Recipe] = {TEACHER: teacher}
    for name, changes in study.noisy_students.items():
        if name == TEACHER or not NAME.fullmatch(name):
            raise UserError(
                f"{FILE}: a noisy student cannot be called '{name}': use {NAME_RULE}, and not "
                f"'{TEACHER}'."
            )
        content = {"teacher": TEACHER, **study.noisy_student, **changes}
        recipe = _check(NoisyStudent, content, f"noisy_students.{name}")
        _known(recipe.teacher, found, f"noisy_students.{name}.teacher")
        found[name] = recipe
    for name, recipe in found.items():
        section = "teacher" if name == TEACHER else f"noisy_students.{name}"
        if recipe.weights not in weights:
            raise UserError(
                f"{FILE}: '{section}.weights' is '{recipe.weights}', but must be one of "
                f"{', '.join(weights)}."
            )
    named = {
        "generations": study.generations,
        "robustness": study.robustness,
        "compare": [name for pair in study.compare for name in pair],
    }
    for where, names in named.items():
        for name in names:
            _known(name, found, where)
    return found


def read_study() -> NoisyStudyParams:
    """The content of ``study/noisy/params.yaml``; raises UserError if a setting is wrong."""
    return settings.check(NoisyStudyParams, settings.read(FILE), file=str(FILE))


def _check(kind: Any, content: Mapping[str, Any], where: str) -> Any:
    return settings.check(kind, content, file=str(FILE), where=where)


def _known(name: str, known: Mapping[str, Recipe], where: str) -> None:
    if name not in known:
        raise UserError(
            f"{FILE}: '{where}' names '{name}', but must name one of {', '.join(known)}."
        )
