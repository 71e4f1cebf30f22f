"""The rows that a noisy student learns of the pool, and what says how they were chosen.

``data/pseudo_labels/<noisy student>/`` has ``rows.arrow``, with the columns ``text_a``, ``text_b``,
``label``, ``soft_label`` and ``confidence``, and ``card.json``.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pyarrow as pa
from pydantic import Field

from pipeline.core.errors import UserError, explained
from pipeline.core.files import file_hash, read_json
from pipeline.core.rows import Rows
from pipeline.core.settings import FINITE, Flag, Settings

PSEUDO_LABELS = Path("data/pseudo_labels")


class PseudoLabels(Settings):
    """Which rows of the pool a noisy student learns, by the confidence of its teacher.

    The confidence is the largest probability that the teacher gives to a class, with the
    temperature that fits its probabilities to the validation rows.
    """

    threshold: Annotated[float, Field(ge=0, le=1), FINITE] = 0.0
    """Least confidence; rows below it are left out."""
    top_share: Annotated[float, Field(gt=0, le=1), FINITE] = 1.0
    """Share of the pool that is kept, from the most confident rows down."""
    balance: Flag = True
    """Whether there are as many rows of each class: plentiful classes lose their least confident
    rows, and rows of scarce classes are repeated."""


@dataclass(frozen=True)
class Counts:
    """Rows of one class, by the teacher's answer."""

    labelled: int
    """Rows of the pool that do not occur among the gold rows."""
    confident: int
    """Rows that the filter keeps."""
    rows: int
    """Rows after balancing, repeated ones included."""


@dataclass(frozen=True)
class Card:
    """What the pseudo-labels of a noisy student say about themselves."""

    teacher: str
    weights: str
    """Hash of the teacher's weights."""
    label_names: tuple[str, ...]
    settings: PseudoLabels
    temperature: float
    """What the teacher's logits are divided by before the softmax."""
    validation_accuracy: float
    """The teacher's accuracy on the validation rows, from 0 to 1."""
    pool: str
    """Fingerprint of the pool."""
    pool_rows: int
    gold: str
    """Fingerprint of the rows with gold labels."""
    gold_rows: int
    """Rows of the pool that were left out because they have gold labels."""
    least_confidence: float
    """The confidence of the least confident row that is learned."""
    classes: dict[str, Counts]
    checksum: str
    """SHA-256 of ``rows.arrow``."""


def read(
    name: str, teacher: str, settings: PseudoLabels, gold: Rows, root: Path = PSEUDO_LABELS
) -> Rows:
    """The rows that noisy student ``name`` learns beside ``gold``, with labels and soft labels.

    Raises UserError if they are missing, damaged, or were made with another teacher, with other
    settings, or beside other gold rows.
    """
    path = root / name / "rows.arrow"
    remedy = f"run `dvc repro -f pseudo_label@{name}`"
    for file in (path, path.with_name("card.json")):
        if not file.exists():
            raise UserError(f"{file} is missing: {remedy}, or `dvc pull`.")
    card = read_json(path.with_name("card.json"), Card, remedy)
    for field, found, needed in (
        ("teacher", card.teacher, teacher),
        ("settings", card.settings, settings),
        ("label_names", card.label_names, gold.label_names),
        ("fingerprint of gold rows", card.gold, gold.fingerprint),
        ("checksum", file_hash(path), card.checksum),
    ):
        if found != needed:
            raise UserError(
                f"{path} does not fit: its {field} is {found}, but this run needs {needed}; "
                f"{remedy}."
            )
    with explained(f"{path} is damaged", remedy):
        table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
    return Rows(f"pseudo_labels/{name}", table, card.label_names)
