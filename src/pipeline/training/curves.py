"""Training curves as files and in words."""

from dataclasses import fields
from pathlib import Path

from pipeline.core.files import write_csv
from pipeline.training.loop import Epoch, Trained

CURVES = Path("metrics/curves")


def write(name: str, trained: Trained) -> None:
    """Write the curve of training ``name``, one line per epoch, for ``dvc plots show``."""
    columns = [field.name for field in fields(Epoch)]
    write_csv(CURVES / f"{name}.csv", columns, [vars(epoch) for epoch in trained.curve])


def summary(trained: Trained, accuracy: str = "accuracy") -> str:
    """The last epoch in words; ``accuracy`` says what the accuracy of this training is."""
    last = trained.curve[-1]
    failure = ""
    if trained.failed:
        failure = "; this training has FAILED, its loss stayed that of a constant prediction"
    elif trained.still_falling:
        failure = "; its loss was still falling steeply: raise its epochs"
    return (
        f"validation loss {last.validation_loss:.3f}, {accuracy} {last.validation_accuracy:.1%} "
        f"after {last.epoch} epochs, seed {trained.seed}{failure}"
    )
