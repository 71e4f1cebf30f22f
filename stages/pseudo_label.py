"""Label the pool with a teacher, for one noisy student."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.preflight import read_params
from pipeline.pseudo_labels import labelling
from pipeline.pseudo_labels.artifact import PSEUDO_LABELS


def main() -> str:
    (name,) = console.arguments("NAME")
    settings = entry(read_params().noisy_students, name, "noisy_students")
    card = labelling.pseudo_label(
        name,
        Path("models/teachers") / settings.teacher,
        settings.pseudo_labels,
        pool=rows.read("general", "pool"),
        gold=rows.read("task", "train"),
        validation=rows.read("task", "validation"),
    )
    if card is None:
        return ""
    mark_done(PSEUDO_LABELS / name)
    counts = [f"{label} {count.rows:,}" for label, count in card.classes.items()]
    return (
        f"pseudo-labels for {name}: {', '.join(counts)} rows of {card.pool_rows:,}, "
        f"confidence of {settings.teacher} at least {card.least_confidence:.2f}"
    )


if __name__ == "__main__":
    runtime.run(main)
