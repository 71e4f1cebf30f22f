"""Settings of a corpus: where its rows come from and what its columns mean."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.settings import Settings, Text, Whole, require

Role = Literal["test", "validation", "train", "pool"]
"""What a split may serve as."""
TASK_ROLES: tuple[Role, ...] = ("validation", "train")


class Corpus(Settings):
    """An entry of ``corpora``: where its rows come from and what its columns mean.

    A column may lie inside a structure, as in ``passages.passage_text``. It may hold a list of
    passages per question; each passage then makes a row. A label column of lists gives each of
    these rows its own label, and the other columns are repeated.
    """

    source: Text
    """``docs`` (docstrings of the installed packages), a directory, or a dataset id on the hub.

    DVC does not track the files of a directory: after editing them, run ``dvc repro -f download``.
    """
    config: Text | None = None
    """Configuration of the dataset on the hub, such as ``rte`` of ``nyu-mll/glue``."""
    revision: Text | None = None
    """Commit of the dataset on the hub."""
    splits: dict[Role, Text]
    """For each role (test, validation, train, pool) the split of the source that serves as it.

    One split may be both train and pool. A corpus with test alone can be one of ``tests``.
    """
    text_a: Text = "text_a"
    """Column of the question or premise."""
    text_b: Text = "text_b"
    """Column of the passage or hypothesis."""
    wrong_passages: Text | None = None
    """Column of passages that do not answer the question; those of ``text_b`` then do, and no
    ``label`` is read. For files with a list of right and one of wrong passages per question."""
    label: Text | None = "label"
    """Column of the gold label; null if there is none. Empty cells, null, ``-`` and -1 mean that a
    row has none."""
    soft_label: Text | None = None
    """Column of another model's scores: a probability per class, or, with two classes, that of the
    second. Train and validation rows without a gold label take its most likely class instead."""
    group: Text | None = None
    """Column that names the question of a row, which may be ``text_a`` itself. Questions are then
    never split, and scores rank their rows by the probability of ``relevant_label``."""
    relevant_label: Text | None = None
    """The class name of passages that answer their question; needed to rank them. Of two classes,
    the exported student scores this one, or else the last one."""
    label_names: Annotated[tuple[Text, ...], Field(min_length=2)]
    """Class names, in the order of the student's logits. Teachers are matched by name."""
    merged: dict[Text, Text] = Field(default={})
    """Classes that count as another one when the test split is scored, as in
    ``{contradiction: neutral}`` for a test set that does not tell them apart."""
    rows: dict[Role, Annotated[Whole, Field(gt=0)]] = Field(default={})
    """For each role the maximum number of rows, in whole groups; default all. They are chosen by a
    hash of their texts, or of their groups."""
    validation_rows: Annotated[Whole, Field(ge=0)] = 0
    """Maximum number of rows to take from train for validation, in whole groups, if the source has
    no validation split."""
    test_rows: Annotated[Whole, Field(ge=0)] = 0
    """The same for the test split."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Corpus":
        names = self.label_names
        require(len(set(names)) == len(names), "label_names", names, "a list of different names")
        require(self.text_a != self.text_b, "text_b", self.text_b, "another column than text_a")
        if (wrong := self.wrong_passages) is not None:
            expected = "another column than text_a and text_b"
            require(wrong not in (self.text_a, self.text_b), "wrong_passages", wrong, expected)
            expected = "left out, because wrong_passages says what is right"
            require("label" not in self.model_fields_set, "label", self.label, expected)
            require(self.soft_label is None, "soft_label", self.soft_label, expected)
            require(len(names) == 2, "label_names", names, "two names, because of wrong_passages")
        for own, other in self.merged.items():
            expected = f"from and to one of {', '.join(names)}, each once and not merged itself"
            fits = {own, other} <= set(names) and other not in self.merged
            require(fits, "merged", dict(self.merged), expected)
            kept = self.relevant_label != own
            require(kept, "merged", dict(self.merged), "without the relevant_label itself")
        two = len(names) - len(self.merged) >= 2
        require(two, "merged", dict(self.merged), "so that two classes are left")
        expected = "a list of names that can be printed, without line breaks and control characters"
        require(all(name.isprintable() for name in names), "label_names", names, expected)
        relevant, expected = self.relevant_label, f"one of {', '.join(names)}"
        require(relevant is None or relevant in names, "relevant_label", relevant, expected)
        for role, split in self.splits.items():
            expected = "a name of a split; the directory of its files is the source"
            require("/" not in split and "\\" not in split, f"splits.{role}", split, expected)
        splits = dict(self.splits)
        for role, rows in self.taken_from_train.items():
            require("train" in splits, "splits", splits, f"given with train, for {role}_rows")
            require(role not in splits, f"{role}_rows", rows, f"0 if splits.{role} is given")
        expected = "0, because a soft_label is no gold label"
        require(not (self.test_rows and self.soft_label), "test_rows", self.test_rows, expected)
        return self

    @property
    def named_columns(self) -> dict[str, str]:
        """The columns that are read, by setting."""
        keys = ["text_a", "text_b", "wrong_passages", "label", "soft_label", "group"]
        if self.wrong_passages is not None:
            keys.remove("label")
        return {key: column for key in keys if (column := getattr(self, key)) is not None}

    @property
    def columns(self) -> list[str]:
        """The columns that are read, each once."""
        return list(dict.fromkeys(self.named_columns.values()))

    @property
    def taken_from_train(self) -> dict[Role, int]:
        """The roles whose rows are taken from train, in this order, and how many at most."""
        taken: dict[Role, int] = {"test": self.test_rows, "validation": self.validation_rows}
        return {role: rows for role, rows in taken.items() if rows}

    def serves_as(self, role: Role) -> bool:
        return role in self.splits or role in self.taken_from_train


def general_roles(
    corpora: Mapping[str, Corpus], general: Sequence[str], task: str
) -> tuple[Role, ...]:
    """The roles of the general corpus: the pool, and train and validation if it can have teachers.

    For that, all its corpora need both splits and the same classes. A general corpus that is the
    task itself has only a pool, because its labels are those of the task.
    """
    parts = [corpora[name] for name in general]
    labelled = all(part.serves_as("train") and part.serves_as("validation") for part in parts)
    same_classes = len({part.label_names for part in parts}) == 1
    if labelled and same_classes and list(general) != [task]:
        return ("validation", "train", "pool")
    return ("pool",)
