"""Training curves as files and in words."""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from pipeline.core.files import write_csv
from pipeline.training.loop import Epoch

CURVES = Path("metrics/curves")


def write(name: str, curve: Sequence[Epoch]) -> None:
    """Write the curve of training ``name``, one line per epoch, for ``dvc plots show``."""
    columns = [field.name for field in fields(Epoch)]
    write_csv(CURVES / f"{name}.csv", columns, [vars(epoch) for epoch in curve])


def summary(curve: Sequence[Epoch], accuracy: str = "accuracy") -> str:
    """The last epoch in words; ``accuracy`` says what the accuracy of this training is."""
    last = curve[-1]
    return (
        f"validation loss {last.validation_loss:.3f}, {accuracy} {last.validation_accuracy:.1%} "
        f"after {last.epoch} epochs"
    )
