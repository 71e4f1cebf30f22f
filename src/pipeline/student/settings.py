"""Settings of the student and its two stages."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.settings import FINITE, Flag, Settings, Text, Whole, require
from pipeline.model.settings import Pooling
from pipeline.training.settings import Training

SOFT_LABEL = "soft_label"
"""The head that learns the soft labels of the corpus."""
SoftLoss = Literal["mse", "kl"]


class Student(Settings):
    """``student``: its architecture, the same in both stages."""

    weights: Text
    """Weights that initialize its layers: ``pretrained/NAME`` or ``teachers/NAME``."""
    layers: Annotated[Whole, Field(ge=1)] = 3
    """Number of encoder layers (paper: 3)."""
    head_layers: Annotated[Whole, Field(ge=1, le=3)] = 1
    """Number of fully connected layers in each head."""
    pooling: Pooling | None = None
    """What its heads read of a pair: ``mean`` over its tokens, ``cls`` (the first) or ``last``;
    default that of its weights. With ``cls`` and one head layer, a BERT or RoBERTa is exported as a
    plain classifier, which every tool loads."""


class Stage(Training):
    """The settings of both stages."""

    teachers: tuple[Text, ...]
    """The teachers whose logits are learned, each by a soft head of its own."""
    soft_label: Flag = False
    """Also learn the soft labels of the corpus, like the logits of one more teacher."""
    soft_loss: SoftLoss = "mse"
    """``mse`` on logits (paper) or ``kl`` on softened probabilities."""
    temperature: Annotated[float, Field(ge=0.01, le=1000), FINITE] = 1.0
    """Temperature of ``kl``; ``mse`` has none."""
    rows: Annotated[Whole, Field(ge=1)] | None = None
    """Number of rows to learn, drawn at random; default all."""

    @model_validator(mode="after")
    def _fits_together(self) -> "Stage":
        names = self.teachers
        require(len(set(names)) == len(names), "teachers", names, "a list of different names")
        no_temperature = self.soft_loss == "kl" or self.temperature == 1
        require(no_temperature, "temperature", self.temperature, "1 if soft_loss is mse")
        return self


class Stage1(Stage):
    """``stage1``: distillation on the pool."""

    @model_validator(mode="after")
    def _learns_something(self) -> "Stage1":
        learns = bool(self.teachers) or self.soft_label
        require(learns, "teachers", self.teachers, "a list of at least one, or soft_label true")
        return self


class Stage2(Stage):
    """``stage2``: fine-tuning on the task."""

    from_stage1: Flag = True
    """Start from the student of stage 1; false starts from ``student.weights`` (KD and MKD)."""

    @model_validator(mode="after")
    def _has_a_teacher(self) -> "Stage2":
        require(len(self.teachers) > 0, "teachers", self.teachers, "a list of at least one")
        return self
