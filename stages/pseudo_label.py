"""Choose and label the rows of the pool that one noisy student learns."""

import _path
from pipeline import console
from pipeline.core import rows
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.logits import dumped
from pipeline.preflight import read_params
from pipeline.pseudo_labels.artifact import PSEUDO_LABELS
from pipeline.pseudo_labels.labelling import pseudo_label


def main() -> str:
    (name,) = console.arguments("NAME")
    settings = entry(read_params().noisy_students, name, "noisy_students")
    card = pseudo_label(
        name,
        settings.pseudo_labels,
        dumped(f"pool/{name}", settings.teacher),
        pool=rows.read("general", "pool"),
        gold=rows.read("task", "train"),
        validation=rows.read("task", "validation"),
    )
    mark_done(PSEUDO_LABELS / name)
    counts = [f"{label} {count.rows:,}" for label, count in card.classes.items()]
    return (
        f"pseudo-labels for {name}: {', '.join(counts)} rows of {card.pool_rows:,}, "
        f"confidence of {settings.teacher} at least {card.least_confidence:.2f}"
    )


if __name__ == "__main__":
    console.run(main)
