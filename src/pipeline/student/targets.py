"""What the soft heads learn: the teachers' logits, and the soft labels of the corpus as logits."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from pipeline import console, logits
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.logits import Artifact, TeacherIdentity
from pipeline.student.settings import SOFT_LABEL, Stage

LEAST_PROBABILITY = 1e-4
"""A soft label of 0 counts as this much, because a logit must be finite."""
HELD_OUT = 20
"""One in this many rows of the pool is held out to measure stage 1."""


def soft_heads(settings: Stage) -> tuple[str, ...]:
    """The names of the soft heads, in the order of their targets."""
    return (*settings.teachers, SOFT_LABEL) if settings.soft_label else settings.teachers


def read_teachers(artifacts: Sequence[Artifact], rows: Rows) -> list[TeacherIdentity]:
    """The identity of each teacher. Their tokenizers may differ, as logits belong to texts.

    A teacher whose training has failed is named in the log. Raises UserError if classes differ, or
    if a teacher has learned other labels of ``rows``, which the student will learn from.
    """
    teachers = []
    for artifact in artifacts:
        teacher = logits.read_identity(artifact)
        teachers.append(teacher)
        notes = logits.read_notes(artifact)
        if notes.failed:
            console.say(f"The student learns from '{teacher.teacher}', whose training has failed.")
        if notes.gold.get(rows.name, rows.gold_hash) != rows.gold_hash:
            raise UserError(
                f"teacher '{teacher.teacher}' has learned other rows or labels of {rows.name} than "
                f"there are now: train it again (`dvc repro {artifact.stage}`), or pull what was "
                "made of these."
            )
    for teacher in teachers[1:]:
        if set(teacher.label_names) != set(teachers[0].label_names):
            raise UserError(
                f"teachers '{teachers[0].teacher}' and '{teacher.teacher}' have different classes "
                f"({', '.join(teachers[0].label_names)}; {', '.join(teacher.label_names)}): all "
                "teachers of a stage need the same label_names."
            )
    return teachers


def read_targets(
    artifacts: Sequence[Artifact],
    teachers: Sequence[TeacherIdentity],
    rows: Rows,
    *,
    label_names: Sequence[str],
    soft_label: bool,
) -> Tensor:
    """The logits that each soft head learns, float32 of shape [rows, soft heads, classes].

    The classes are in the order of ``label_names``.
    """
    targets = [
        logits.read(artifact, teacher, rows, label_names)
        for artifact, teacher in zip(artifacts, teachers, strict=True)
    ]
    if soft_label:
        targets.append(_soft_label_logits(rows))
    return torch.stack(targets, 1) if targets else torch.empty(len(rows), 0, len(label_names))


def _soft_label_logits(rows: Rows) -> Tensor:
    """Logits, centred per row, whose softmax is the soft label of the corpus."""
    if (probabilities := rows.soft_labels) is None:
        raise UserError(
            f"{rows.name} has no soft labels: set soft_label for each of its corpora, or set "
            "soft_label to false in the stage in params.yaml."
        )
    log = torch.from_numpy(probabilities).clamp(min=LEAST_PROBABILITY).log()
    return log - log.mean(dim=1, keepdim=True)


def teacher_weights(teachers: Sequence[TeacherIdentity], heads: Sequence[str]) -> dict[str, str]:
    """For each soft head the hash of its teacher's weights, or that it learns the soft labels."""
    weights = {teacher.teacher: teacher.weights for teacher in teachers}
    return weights | ({SOFT_LABEL: "corpus"} if SOFT_LABEL in heads else {})


def is_held_out(pool: Rows) -> np.ndarray:
    """Which rows of the pool measure stage 1; bool of shape [rows].

    They are the last twentieth of each record batch. A batch has rows of one corpus only, so that
    all corpora of the pool are represented.
    """
    masks = []
    for batch in pool.table.to_batches():
        mask = np.zeros(len(batch), dtype=bool)
        mask[len(batch) - -(-len(batch) // HELD_OUT) :] = True
        masks.append(mask)
    return np.concatenate(masks)


def draw(count: int | None, candidates: np.ndarray, name: str) -> np.ndarray:
    """``count`` of the rows in the mask ``candidates``, the same ones in every run; also a mask.

    None draws all. Raises UserError if there are not enough; ``name`` is that of the rows.
    """
    if count is None:
        return candidates
    numbers = np.flatnonzero(candidates)
    if count > len(numbers):
        raise UserError(
            f"params.yaml asks a student to learn {count} rows of {name}, which has "
            f"{len(numbers)} to learn from: set fewer rows, or remove the setting to learn all."
        )
    chosen = np.zeros(len(candidates), dtype=bool)
    chosen[numbers[np.random.default_rng(0).permutation(len(numbers))[:count]]] = True
    return chosen
