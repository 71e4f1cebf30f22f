"""Settings of the study: students, combinations of them, and the tables that compare them."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast

from pydantic import Field, model_validator

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.core.settings import FINITE, Number, Settings, Text, Whole, require
from pipeline.model.settings import Pooling
from pipeline.preflight import Params
from pipeline.student.settings import Stage1, Stage2, Student
from study.averaging import MEAN

FILE = Path("study/params.yaml")
NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
Part = TypeVar("Part", bound=Settings)


class Changes(Settings):
    """An entry of ``students``: what this student changes of the settings in ``params.yaml``."""

    title: Text | None = None
    """What the report calls it; default its name."""
    student: dict[str, Any] = Field(default={})
    """Settings of ``student`` to change, except ``weights``."""
    stage1: dict[str, Any] = Field(default={})
    """Settings of ``stage1`` to change."""
    stage2: dict[str, Any] | None = Field(default={})
    """Settings of ``stage2`` to change; null for a student that stage 1 alone has trained."""
    alpha: Annotated[float, Field(ge=0, le=1), FINITE] = Field(default=cast(float, None))
    """``alpha`` of this student."""
    pooling: Pooling | None = None
    """What its heads read, ``mean``, ``cls`` or ``last``; default that of its weights."""


class Combination(Settings):
    """An entry of ``combinations``: an ensemble of existing systems. Exactly one rule."""

    title: Text | None = None
    """What the report calls it; default its name."""
    vote: tuple[Text, ...] | None = None
    """Predict the class that most members choose; ties go to the most probable of the tied."""
    mean: tuple[Text, ...] | None = None
    """Predict by the mean of the members' probabilities."""
    best: tuple[Text, ...] | None = None
    """Use the member with the highest accuracy on the validation rows."""

    @model_validator(mode="after")
    def _has_one_rule(self) -> "Combination":
        rules = sorted(self.model_fields_set - {"title"})
        complete = len(rules) == 1 and bool(self.members)
        require(complete, "", rules, "one of vote, mean, best with its members")
        return self

    @property
    def rule(self) -> Literal["vote", "mean", "best"]:
        return "vote" if self.vote else "mean" if self.mean else "best"

    @property
    def members(self) -> tuple[str, ...]:
        return self.vote or self.mean or self.best or ()


class Table(Settings):
    """An entry of ``tables``: systems side by side, to answer one question."""

    title: Text
    """The question, as a heading of the report."""
    seeds: Annotated[Whole, Field(ge=1, le=1000)]
    """Number of seeds; students are trained with the seeds 1 to this number."""
    systems: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Names of students, combinations and teachers."""
    compare: tuple[tuple[Text, ...], ...] = ()
    """Pairs of these systems whose difference is tested, with correction for their number."""
    x: str = ""
    """What differs between the systems, if it is a number; the table is then drawn as a curve."""
    at: tuple[Number, ...] = ()
    """That number for each system."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Table":
        aligned = len(self.at) == (len(self.systems) if self.x else 0)
        require(aligned, "at", self.at, "a list with a number for each system, if x is given")
        for pair in self.compare:
            known = len(pair) == 2 and set(pair) <= set(self.systems)
            require(known, "compare", pair, "a list of pairs of systems of this table")
        return self


class StudyParams(Settings):
    """The content of ``study/params.yaml``."""

    students: dict[str, Changes]
    """Students by name. Each changes settings of ``params.yaml``; the teacher ``mean`` is the mean
    of the teachers' logits."""
    combinations: dict[str, Combination]
    """Combinations of students and teachers by name; none of them is trained."""
    tables: dict[str, Table]
    """The tables of the report, in this order."""


@dataclass(frozen=True)
class Recipe:
    """How one student is made. Both stages have the seed of the cell."""

    student: Student
    stage1: Stage1 | None
    """None if stage 2 starts from pretrained weights."""
    stage2: Stage2 | None
    """None for a student that stage 1 alone has trained."""
    alpha: float
    max_length: int
    pooling: Pooling | None
    """None for that of the weights it starts from."""

    def seeded(self, seed: int) -> "Recipe":
        # With restarts, two cells could end with the same seed.
        changes = {"seed": seed, "restarts": 0}
        return replace(
            self,
            stage1=self.stage1 and self.stage1.model_copy(update=changes),
            stage2=self.stage2 and self.stage2.model_copy(update=changes),
        )


@dataclass(frozen=True)
class Study:
    """``study/params.yaml``, with each student's settings completed from ``params.yaml``."""

    recipes: dict[str, Recipe]
    combinations: dict[str, Combination]
    tables: dict[str, Table]
    teachers: tuple[str, ...]
    test: str
    """The test set that systems are compared on."""
    start: str
    """The weights that all students start from."""
    titles: dict[str, str]
    """What the report calls the students and combinations that have a title."""

    def seeds(self) -> dict[str, int]:
        """The number of seeds that the tables need of each student, in the order of the tables."""
        needed: dict[str, int] = {}
        for table in self.tables.values():
            for name in self.students(table.systems):
                needed[name] = max(table.seeds, needed.get(name, 0))
        return needed

    def students(self, systems: Iterable[str]) -> list[str]:
        """The students among ``systems`` and among the members of combinations."""
        students: list[str] = []
        for name in systems:
            if name in self.combinations:
                students += self.students(self.combinations[name].members)
            elif name in self.recipes:
                students.append(name)
        return students


def read_study(params: Params, content: Mapping[str, Any]) -> Study:
    """The study that ``content`` describes; each student starts from the settings in ``params``.

    Raises UserError for a setting that is wrong or names something that does not exist.
    """
    study = settings.check(StudyParams, content, file=str(FILE))
    teachers = params.stage2.teachers
    recipes = {}
    for name in study.combinations:
        if name in study.students or name in teachers:
            raise UserError(f"{FILE}: '{name}' names a combination and also a student or teacher.")
    # Files have the names of students and tables.
    for kind, names in (("student", study.students), ("table", study.tables)):
        for name in names:
            if (kind == "student" and name in teachers) or not NAME.fullmatch(name):
                raise UserError(
                    f"{FILE}: a {kind} cannot be called '{name}': use up to 64 letters, digits, "
                    "'_', '.' and '-', and not the name of a teacher."
                )
    for name, changes in study.students.items():
        recipes[name] = _recipe(params, name, changes)
    systems = {*recipes, *teachers}
    for name, combination in study.combinations.items():
        _known(combination.members, systems, f"combinations.{name}.{combination.rule}")
        systems.add(name)
    for name, table in study.tables.items():
        _known(table.systems, systems, f"tables.{name}.systems")
    return Study(
        recipes,
        study.combinations,
        study.tables,
        teachers,
        params.tests[0],
        params.student.weights,
        {
            name: entry.title
            for section in (study.students, study.combinations)
            for name, entry in section.items()
            if entry.title
        },
    )


def _recipe(params: Params, name: str, changes: Changes) -> Recipe:
    where = f"students.{name}"
    student = _changed(params.student, changes.student, f"{where}.student")
    if student.weights != params.student.weights:
        raise UserError(
            f"{FILE}: '{where}.student.weights' must be what params.yaml has, because all students "
            "start from the same weights."
        )
    stage2 = None
    if changes.stage2 is not None:
        stage2 = _changed(params.stage2, changes.stage2, f"{where}.stage2")
    stage1: Stage1 | None = _changed(params.stage1, changes.stage1, f"{where}.stage1")
    if stage2 and not stage2.from_stage1:
        stage1 = None
    for part, stage in (("stage1", stage1), ("stage2", stage2)):
        if stage and stage.teachers != (MEAN,):
            known = getattr(params, part).teachers
            _known(stage.teachers, known, f"{where}.{part}.teachers")
    alpha = changes.alpha if "alpha" in changes.model_fields_set else params.alpha
    return Recipe(student, stage1, stage2, alpha, params.max_length, changes.pooling)


def _changed(part: Part, changes: Mapping[str, Any], where: str) -> Part:
    """``part`` with other values for the settings in ``changes``."""
    content = {**part.model_dump(), **changes}
    return settings.check(type(part), content, file=str(FILE), where=where)


def _known(names: Iterable[str], known: Iterable[str], where: str) -> None:
    choices = sorted(known)
    for name in names:
        if name not in choices:
            raise UserError(
                f"{FILE}: '{where}' names '{name}', but must name some of {', '.join(choices)}."
            )
