"""Settings that all trainings share."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.settings import FINITE, Settings, Text, Whole


class Training(Settings):
    """How a model is trained. Teachers and both stages of the student share these settings."""

    lr: Annotated[float, Field(gt=0, le=1000), FINITE]
    """Peak learning rate, reached after the warm-up; it then falls linearly to zero."""
    epochs: Annotated[Whole, Field(ge=1)]
    """Passes over the training rows."""
    batch_size: Annotated[Whole, Field(ge=1)] = 16
    """Rows per optimizer step, over all processes."""
    optimizer: Literal["adamw", "adam", "sgd"] = "adamw"
    """AdamW, Adam with L2 regularisation, or SGD with momentum 0.9."""
    weight_decay: Annotated[float, Field(ge=0), FINITE] = 0.01
    """Weight decay of weight matrices. Biases, norms and token embeddings have none."""
    warmup: Annotated[float, Field(ge=0, lt=1), FINITE] = 0.1
    """Share of all steps in which the learning rate rises."""
    clip: Annotated[float, Field(gt=0), FINITE] = 1.0
    """Maximum norm of the gradient."""
    dropout: Annotated[float, Field(ge=0, lt=1), FINITE] = 0.1
    """Dropout rate in the encoder and before the heads."""
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 1
    """Seed of new heads, the order of rows and dropout."""
    restarts: Annotated[Whole, Field(ge=0)] = 0
    """How often a training starts again with the next seed if its loss stays that of a constant
    predictor. This is checked after a third of the steps and at the end."""


class TeacherTraining(Training):
    """How a model is trained that becomes a teacher: what teachers and noisy students share."""

    weights: Text
    """Initial weights: ``pretrained/NAME``, or ``teachers/NAME`` to continue another teacher."""
    layers: Annotated[Whole, Field(ge=1)] | None = None
    """Number of lowest encoder layers to keep; default all. A noisy student should have no fewer
    than its teacher."""
    max_length: Annotated[Whole, Field(ge=8)] | None = None
    """Maximum number of its own tokens of a pair; default that of the student."""


class Teacher(TeacherTraining):
    """An entry of ``teachers``: a model that is fine-tuned on gold labels."""

    corpus: Literal["task", "general"]
    """Whether it learns the gold labels of the task or of the general corpus."""
