"""Settings of noisy students."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pipeline.core.settings import FINITE, Text, require
from pipeline.pseudo_labels.artifact import PseudoLabels
from pipeline.training.settings import TeacherTraining


class NoisyStudent(TeacherTraining):
    """An entry of ``noisy_students``: a student of gold labels and of a teacher's pseudo-labels.

    It learns under noise and becomes a teacher itself. Its ``dropout`` is part of the noise.
    """

    teacher: Text
    """The teacher, classifier or other noisy student that labels the pool."""
    pseudo_labels: PseudoLabels
    """Which rows of the pool it learns; ``{}`` for all of them, balanced."""
    targets: Literal["soft", "hard"] = "soft"
    """What it learns of a pseudo-labelled row: the teacher's probabilities, or its class."""
    gold_share: Annotated[float, Field(ge=0, le=1), FINITE] = 0.4
    """Share of rows with gold labels in each batch. An epoch reads each pseudo-labelled row once
    and repeats gold rows to fill the batches; at 1, it reads each gold row once and no others."""
    stochastic_depth: Annotated[float, Field(ge=0, lt=1), FINITE] = 0.2
    """Probability that the highest layer is skipped; it falls linearly towards the lowest. With
    a few thousand rows of SNLI, 0 was better (`docs/results.md`)."""
    cutoff: Annotated[float, Field(ge=0, lt=1), FINITE] = 0.1
    """Share of the words of a pair that are removed in one span, another one in each epoch.
    With a few thousand rows of SNLI, 0 was better (`docs/results.md`)."""

    @model_validator(mode="after")
    def _batches_have_room(self) -> "NoisyStudent":
        mixed = 0 < self.gold_share < 1
        expected = "at least 2, for gold and pseudo-labelled rows"
        require(self.batch_size > 1 or not mixed, "batch_size", self.batch_size, expected)
        return self
