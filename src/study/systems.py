"""What the study compares: students, combinations of them, and the tables they stand in."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipeline import params
from pipeline.distillation import Stage, Stage2, Student
from pipeline.errors import UserError
from study.averaging import MEAN

NAME = re.compile(r"[\w.-]+", re.ASCII)


@dataclass(frozen=True)
class Recipe:
    """How one student is made; the seed of both stages is that of the run."""

    student: Student
    stage1: Stage | None
    """None where stage 2 starts from pretrained weights."""
    stage2: Stage2 | None
    """None for a student that has seen stage 1 alone."""
    alpha: float
    max_length: int

    def seeded(self, seed: int) -> "Recipe":
        return replace(
            self,
            stage1=self.stage1 and replace(self.stage1, seed=seed),
            stage2=self.stage2 and replace(self.stage2, seed=seed),
        )


@dataclass(frozen=True)
class Combination:
    """A system that trains nothing: members that answer together, or the best of them."""

    rule: Literal["vote", "mean", "best"]
    """The majority's class; the mean probability; the one most accurate on the validation rows."""
    members: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Table:
    """Systems that answer one question, side by side."""

    title: str
    seeds: int
    """Students with seeds 1 to this."""
    systems: tuple[str, ...]
    """Students, combinations and teachers."""
    compare: tuple[tuple[str, ...], ...] = ()
    """Pairs of systems whose difference is tested, all of them corrected for their number."""
    x: str = ""
    """What differs between the systems, if it is a number."""
    at: tuple[float, ...] = ()
    """That number for each of them; the table is then drawn as a curve."""

    def __post_init__(self) -> None:
        params.require(self.seeds >= 1, "seeds", "at least 1")
        params.require(len(self.systems) > 0, "systems", "at least one system")
        aligned = len(self.at) == (len(self.systems) if self.x else 0)
        params.require(aligned, "at", "a number for each system where x is given")
        for pair in self.compare:
            fits = len(pair) == 2 and set(pair) <= set(self.systems)
            params.require(fits, "compare", "a list of pairs of its systems")


@dataclass(frozen=True)
class Study:
    """All that ``study/params.yaml`` says, on the ground of ``params.yaml``."""

    recipes: dict[str, Recipe]
    combinations: dict[str, Combination]
    tables: dict[str, Table]
    teachers: tuple[str, ...]

    def seeds(self) -> dict[str, int]:
        """How many seeds of each student the tables need, in the order of the tables."""
        needed: dict[str, int] = {}
        for table in self.tables.values():
            for name in self.students(table.systems):
                needed[name] = max(table.seeds, needed.get(name, 0))
        return needed

    def students(self, systems: Iterable[str]) -> list[str]:
        """The students among ``systems`` and among the members of combinations."""
        found: list[str] = []
        for name in systems:
            if name in self.combinations:
                found += self.students(self.combinations[name].members)
            elif name in self.recipes:
                found.append(name)
        return found


def read(main: Mapping[str, Any], content: Mapping[str, Any]) -> Study:
    """The study that ``content`` describes; each student starts from the settings in ``main``.

    Raises UserError for a setting that is unknown, ill-typed or names something that is not there.
    """
    try:
        return _read(main, content)
    except UserError as error:
        raise UserError(str(error).replace("params.yaml", "study/params.yaml", 1)) from None


def _read(main: Mapping[str, Any], content: Mapping[str, Any]) -> Study:
    if unknown := set(content) - {"students", "combinations", "tables"}:
        raise UserError(
            f"params.yaml: '{unknown.pop()}' is not a setting; it takes students, combinations "
            "and tables."
        )
    teachers = params.teachers(main, "stage2")
    changes = params.section(content, "students", dict[str, dict[str, Any]])
    recipes = {name: _recipe(main, name, given) for name, given in changes.items()}
    for name in recipes:
        if name in teachers or not NAME.fullmatch(name):
            raise UserError(
                f"params.yaml: a student cannot be called '{name}': take letters, digits, '_', '.' "
                "and '-', and no teacher's name."
            )
    systems = {*recipes, *teachers}
    combinations: dict[str, Combination] = {}
    for name, given in params.section(content, "combinations", dict[str, dict[str, Any]]).items():
        where = f"combinations.{name}"
        if len(given) != 1:
            raise UserError(f"params.yaml: '{where}' must be one rule with its members.")
        rule = params.convert(next(iter(given)), Literal["vote", "mean", "best"], where)
        members = params.convert(given[rule], tuple[str, ...], f"{where}.{rule}")
        _known(members, systems, f"{where}.{rule}")
        combinations[name] = Combination(rule, members)
        systems.add(name)
    tables: dict[str, Table] = params.section(content, "tables", dict[str, Table])
    for name, table in tables.items():
        _known(table.systems, systems, f"tables.{name}.systems")
    return Study(recipes, combinations, tables, teachers)


def _recipe(main: Mapping[str, Any], name: str, given: Mapping[str, Any]) -> Recipe:
    where = f"students.{name}"
    if unknown := set(given) - {"student", "stage1", "stage2", "alpha"}:
        raise UserError(
            f"params.yaml: '{where}.{unknown.pop()}' is not a setting; a student changes student, "
            "stage1, stage2 or alpha."
        )
    merged = {**main, "alpha": given.get("alpha", main["alpha"])}
    for part in ("student", "stage1", "stage2"):
        change = given.get(part, {})
        if change is not None:
            change = {**main[part], **params.convert(change, dict[str, Any], f"{where}.{part}")}
        merged[part] = change
    try:
        student = params.section(merged, "student", Student)
        stage1 = params.section(merged, "stage1", Stage)
        stage2 = params.section(merged, "stage2", Stage2 | None)
        alpha = params.share(merged, "alpha")
    except UserError as error:
        raise UserError(
            str(error).replace("params.yaml: '", f"params.yaml: '{where}.", 1)
        ) from None
    if student.weights != main["student"]["weights"]:
        raise UserError(
            f"params.yaml: '{where}.student.weights' must stay what params.yaml has: all students "
            "start alike."
        )
    if stage2 and not stage2.from_stage1:
        stage1 = None
    for part, stage in (("stage1", stage1), ("stage2", stage2)):
        if stage and stage.teachers != (MEAN,):
            _known(stage.teachers, main[part]["teachers"], f"{where}.{part}.teachers")
    return Recipe(student, stage1, stage2, alpha, params.max_length(main))


def _known(names: Iterable[str], known: Iterable[str], where: str) -> None:
    choice = sorted(known)
    for name in names:
        if name not in choice:
            raise UserError(
                f"params.yaml: '{where}' names '{name}', which is none of {', '.join(choice)}."
            )
