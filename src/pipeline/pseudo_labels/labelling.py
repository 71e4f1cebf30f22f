"""The pseudo-labels of one noisy student, from the logits of its teacher."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipeline import console, logits
from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.files import file_hash, write_json
from pipeline.core.rows import BATCH_ROWS, Rows
from pipeline.logits import Artifact
from pipeline.model.inference import probabilities
from pipeline.pseudo_labels.artifact import PSEUDO_LABELS, Card, Counts, PseudoLabels
from pipeline.pseudo_labels.selection import balanced, confident
from pipeline.training.calibration import fit_temperature

MANY_COPIES = 2
"""It is said if a row is learned more often than this on average, to balance the classes."""


def pseudo_label(
    name: str,
    settings: PseudoLabels,
    artifact: Artifact,
    *,
    pool: Rows,
    gold: Rows,
    validation: Rows,
    root: Path = PSEUDO_LABELS,
) -> Card:
    """Write the pseudo-labels of noisy student ``name``, from its teacher's logits ``artifact``.

    Rows of the pool with the texts of a gold row are left out. Raises UserError if the teacher has
    other classes than ``gold``, or if no row of the pool or of a class is left.
    """
    label_names = gold.label_names
    identity = logits.read_identity(artifact)
    logits.check_classes(identity.teacher, identity.label_names, gold)
    if logits.read_notes(artifact).failed:
        console.say(f"The training of '{identity.teacher}', which labels the pool, has failed.")
    validation_logits, pool_logits = (
        logits.read(artifact, identity, split, names)[:, None]
        for split, names in ((validation, validation.label_names), (pool, label_names))
    )
    gold_labels = torch.from_numpy(validation.labels)
    temperature = fit_temperature(validation_logits, gold_labels)
    soft_labels = probabilities(pool_logits, temperature).numpy()
    labels, confidence = soft_labels.argmax(axis=1), soft_labels.max(axis=1)
    is_gold = np.isin(pool.ids, gold.ids)
    if is_gold.all():
        raise UserError(
            f"all {len(pool):,} rows of the pool have gold labels in the task, so that noisy "
            f"student '{name}' has nothing to learn from them: give general another pool in "
            "params.yaml."
        )
    kept = confident(confidence, ~is_gold, settings)
    if not len(kept):
        raise UserError(
            f"no row of the pool is left for noisy student '{name}', because the confidence of "
            f"'{identity.teacher}' is at most {confidence[~is_gold].max():.3f}: lower the "
            "threshold or raise top_share in params.yaml."
        )
    chosen = balanced(labels, confidence, kept, label_names) if settings.balance else kept
    path = root / name / "rows.arrow"
    rows.write(path, _tables(pool, chosen, labels, soft_labels), label_names)

    def count(numbers: np.ndarray) -> list[int]:
        return [int((labels[numbers] == i).sum()) for i in range(len(label_names))]

    counts = zip(count(np.flatnonzero(~is_gold)), count(kept), count(chosen), strict=True)
    is_right = validation_logits[:, 0].argmax(dim=-1) == gold_labels
    card = Card(
        teacher=identity.teacher,
        weights=identity.weights,
        label_names=label_names,
        settings=settings,
        temperature=temperature,
        validation_accuracy=is_right.float().mean().item(),
        pool=pool.fingerprint,
        pool_rows=len(pool),
        gold=gold.fingerprint,
        gold_rows=int(is_gold.sum()),
        least_confidence=float(confidence[chosen].min()),
        classes={label: Counts(*three) for label, three in zip(label_names, counts, strict=True)},
        checksum=file_hash(path),
    )
    for label, classified in card.classes.items():
        if classified.rows > MANY_COPIES * classified.confident:
            console.say(
                f"The confident rows of class '{label}', {classified.confident:,} in number, are "
                f"repeated until there are {classified.rows:,}."
            )
    write_json(root / name / "card.json", {**asdict(card), "settings": settings.model_dump()})
    return card


def _tables(
    pool: Rows, chosen: np.ndarray, labels: np.ndarray, soft_labels: np.ndarray
) -> Iterator[pa.Table]:
    """The rows ``chosen``, in order, with their labels; some thousand at a time."""
    for start in range(0, len(pool), BATCH_ROWS):
        first, last = np.searchsorted(chosen, [start, start + BATCH_ROWS])
        own = chosen[first:last]
        if not len(own):
            continue
        texts = pool.table.select(["text_a", "text_b"]).slice(start, BATCH_ROWS)
        offsets = np.arange(len(own) + 1, dtype=np.int32) * soft_labels.shape[1]
        yield (
            texts.take(pa.array(own - start))
            .append_column("label", pa.array(labels[own]))
            .append_column(
                "soft_label", pa.ListArray.from_arrays(offsets, soft_labels[own].reshape(-1))
            )
            .append_column("confidence", pa.array(soft_labels[own].max(axis=1)))
        )
