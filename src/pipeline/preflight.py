"""Read ``params.yaml`` and refuse wrong settings before the first stage does any work.

Like the console, this module does not affect outputs: it only reads and refuses. So no stage of the
pipeline depends on it, although it knows every section.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from pipeline.core import settings
from pipeline.core.settings import FINITE, Settings, Text, Whole, require, require_name
from pipeline.corpus.settings import TASK_ROLES, Corpus, Role, general_roles
from pipeline.export.settings import Export
from pipeline.model.settings import GOLDEN, Classifier, Pretrained, Source
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.student.settings import SOFT_LABEL, Stage1, Stage2, Student
from pipeline.training.settings import Teacher

NAME = re.compile(r"[A-Za-z][\w-]{0,63}", re.ASCII)
NAME_RULE = "up to 64 letters, digits, - and _ after a first letter"
"""Names become parts of paths, and of the commands that DVC gives to a shell."""
RESERVED = (
    *(GOLDEN, SOFT_LABEL, "student", "stage1", "stage2", "stage_1"),
    *("mean", "teachers_mean", "baseline", "training"),
)
"""Names of heads, of curves, of metrics and of the study; modules of PyTorch set ``training``."""
OUTPUTS = (
    *("data/corpora", "data/logits", "data/pseudo_labels"),
    *("models/export", "models/pretrained", "models/student", "models/teachers"),
)
"""Directories whose content DVC replaces."""


class Params(Settings):
    """All settings of the pipeline: the content of ``params.yaml``."""

    alpha: Annotated[float, Field(ge=0, le=1), FINITE]
    """Weight of the soft loss in stage 2; 1 - alpha is the weight of the gold labels."""
    max_length: Annotated[Whole, Field(ge=8)]
    """Maximum number of tokens of a pair for the student, and for teachers that set no other."""
    general: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Corpora whose pools are joined for stage 1; their labels are not read there."""
    task: Text
    """The corpus with the gold labels on which the student is fine-tuned."""
    tests: Annotated[tuple[Text, ...], Field(min_length=1)]
    """Corpora on whose test splits teachers and student are scored, each by itself. Adding one at
    the end trains nothing again. The study uses the first one, and trains its students for it."""
    corpora: dict[str, Corpus]
    """Corpora by name; ``general``, ``task`` and ``tests`` choose from them."""
    pretrained: dict[str, Pretrained]
    """Pretrained weights by name; the ``weights`` of teachers and student name them."""
    teachers: dict[str, Teacher]
    """Teachers by name; the ``teachers`` of both stages choose from them."""
    classifiers: dict[str, Classifier]
    """Ready-made classifiers by name; both stages may name them like ``teachers``."""
    noisy_students: dict[str, NoisyStudent]
    """Noisy students by name. They become teachers, which the stages may name like ``teachers``,
    and which may label the pool for other noisy students."""
    student: Student
    """The architecture of the student."""
    stage1: Stage1
    """Stage 1: the student learns the teachers' logits on the pool, without gold labels."""
    stage2: Stage2
    """Stage 2: the student learns gold labels and the teachers' logits on the task."""
    export: Export
    """The directory that is shipped: standard formats, int8 and a model card."""

    @model_validator(mode="after")
    def _sections_fit_together(self) -> "Params":
        self._check_corpora()
        for where, stage, learned in (
            ("stage1", self.stage1, self.general),
            ("stage2", self.stage2, (self.task,)),
        ):
            for name in stage.teachers:
                _one_of(self._all_teachers(), f"{where}.teachers", name)
            without = [name for name in learned if not self.corpora[name].soft_label]
            expected = f"false, because corpora.{(without or [''])[0]} has no soft_label"
            require(not (stage.soft_label and without), f"{where}.soft_label", True, expected)
        self._check_weights("student", self.student.weights)
        can_teach = "train" in general_roles(self.corpora, self.general, self.task)
        for name in self.pretrained:
            require_name(bool(NAME.fullmatch(name)), "pretrained", name, NAME_RULE)
        self._check_sources()
        defined: set[str] = set()
        sections: dict[str, Mapping[str, Settings]] = {
            "teachers": self.teachers,
            "classifiers": self.classifiers,
            "noisy_students": self.noisy_students,
        }
        for section, entries in sections.items():
            for name in entries:
                expected = f"{NAME_RULE}, and not a reserved word"
                allowed = NAME.fullmatch(name) and name not in RESERVED
                require_name(bool(allowed), section, name, expected)
                other = "other than those of teachers, classifiers and noisy students"
                require_name(name not in defined, section, name, other)
                defined.add(name)
        for name, teacher in self.teachers.items():
            self._check_weights(f"teachers.{name}", teacher.weights)
            expected = (
                "task, because the general corpora do not all have train and validation with the "
                "same label_names, or are the task itself"
            )
            usable = teacher.corpus == "task" or can_teach
            require(usable, f"teachers.{name}.corpus", teacher.corpus, expected)
        for name, noisy in self.noisy_students.items():
            self._check_weights(f"noisy_students.{name}", noisy.weights)
            others = [other for other in self._all_teachers() if other != name]
            _one_of(others, f"noisy_students.{name}.teacher", noisy.teacher)
        return self

    def _all_teachers(self) -> list[str]:
        return [*self.teachers, *self.classifiers, *self.noisy_students]

    def _check_sources(self) -> None:
        sections: dict[str, Mapping[str, Corpus | Source]] = {
            "corpora": self.corpora,
            "pretrained": self.pretrained,
            "classifiers": self.classifiers,
        }
        expected = f"elsewhere, because DVC replaces what is in {', '.join(OUTPUTS)}"
        for section, entries in sections.items():
            for name, entry in entries.items():
                is_output = any(_lies_in(entry.source, directory) for directory in OUTPUTS)
                require(not is_output, f"{section}.{name}.source", entry.source, expected)

    def _check_corpora(self) -> None:
        _one_of(self.corpora, "task", self.task)
        for name in self.general:
            _one_of(self.corpora, "general", name)
        distinct = len(set(self.general)) == len(self.general)
        require(distinct, "general", self.general, "a list of different corpora")
        for role in TASK_ROLES:
            self._check_role(self.task, role)
        for name in self.general:
            self._check_role(name, "pool")
        self._check_tests()

    def _check_tests(self) -> None:
        require(
            len(set(self.tests)) == len(self.tests),
            "tests",
            self.tests,
            "a list of different corpora",
        )
        classes = self.corpora[self.task].label_names
        for name in self.tests:
            _one_of(self.corpora, "tests", name)
            # It becomes part of paths and commands.
            require_name(bool(NAME.fullmatch(name)), "corpora", name, NAME_RULE)
            self._check_role(name, "test")
            corpus = self.corpora[name]
            expected = f"the classes of the task, {', '.join(classes)}, in any order"
            same = set(corpus.label_names) == set(classes)
            require(same, f"corpora.{name}.label_names", corpus.label_names, expected)
            ranked_by = corpus.relevant_label
            expected = f"one of {', '.join(classes)}, because group is given"
            known = corpus.group is None or ranked_by is not None
            require(known, f"corpora.{name}.relevant_label", ranked_by, expected)
        stages = [f"{test}-{teacher}" for test in self.tests for teacher in self.stage2.teachers]
        expected = "names that, joined with - to those of teachers, are all different"
        require(len(set(stages)) == len(stages), "tests", self.tests, expected)

    def _check_role(self, corpus: str, role: Role) -> None:
        splits = self.corpora[corpus].splits
        missing = not self.corpora[corpus].serves_as(role)
        require(not missing, f"corpora.{corpus}.splits", splits, f"given with a split for {role}")

    def _check_weights(self, user: str, weights: str) -> None:
        choices = [f"pretrained/{name}" for name in self.pretrained]
        own = user.split(".")[-1]
        choices += [f"teachers/{name}" for name in self._all_teachers() if name != own]
        _one_of(choices, f"{user}.weights", weights)


def _lies_in(source: str, directory: str) -> bool:
    with suppress(OSError, ValueError):  # It is no path.
        return Path(source).resolve().is_relative_to(Path(directory).resolve())
    return False


def _one_of(choices: Iterable[str], setting: str, value: str) -> None:
    names = list(choices)
    require(
        value in names,
        setting,
        value,
        f"one of {', '.join(names) or 'none, because none is defined'}",
    )


def read_params(path: Path = Path("params.yaml")) -> Params:
    """The settings in ``params.yaml``; raises UserError for the first one that is wrong."""
    return settings.check(Params, settings.read(path))
