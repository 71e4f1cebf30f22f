"""Label the pool with a teacher for one noisy student."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch

from pipeline import console, logits
from pipeline.core import rows, runtime
from pipeline.core.errors import UserError
from pipeline.core.files import file_hash, write_json
from pipeline.core.rows import BATCH_ROWS, Rows
from pipeline.dumping import dump
from pipeline.logits import Artifact
from pipeline.model.inference import probabilities
from pipeline.pseudo_labels.artifact import PSEUDO_LABELS, Card, Counts, PseudoLabels
from pipeline.pseudo_labels.selection import balanced, confident
from pipeline.training.calibration import fit_temperature


def pseudo_label(
    name: str,
    teacher: Path,
    settings: PseudoLabels,
    *,
    pool: Rows,
    gold: Rows,
    validation: Rows,
    root: Path = PSEUDO_LABELS,
) -> Card | None:
    """Label ``pool`` for noisy student ``name`` with the model saved in ``teacher``.

    The teacher computes without dropout or other noise. Its classes must be those of ``gold``; rows
    of the pool with the texts of a gold row are left out. Of several processes, the main one
    returns the card. Raises UserError for other classes, or if a class has no row left.
    """
    artifact = artifact_of(name, teacher.name, root)
    dump(teacher.name, teacher, [validation, pool], directory=artifact.directory)
    if not runtime.is_main_process():
        return None
    if logits.read_notes(artifact).failed:
        console.say(f"'{teacher.name}', which labels the pool, has failed in its training.")
    label_names = gold.label_names
    identity = logits.read_identity(artifact)
    validation_logits, pool_logits = (
        logits.read(artifact, identity, split, names)[:, None]
        for split, names in ((validation, validation.label_names), (pool, label_names))
    )
    gold_labels = torch.from_numpy(validation.labels)
    temperature = fit_temperature(validation_logits, gold_labels)
    soft_labels = probabilities(pool_logits, temperature).numpy()
    labels, confidence = soft_labels.argmax(axis=1), soft_labels.max(axis=1)
    is_gold = np.isin(pool.ids, gold.ids)
    kept = confident(confidence, ~is_gold, settings)
    if not len(kept):
        raise UserError(
            f"no row of the pool is left for noisy student '{name}': {is_gold.sum():,} of its "
            f"{len(pool):,} rows have gold labels, and the highest confidence of '{teacher.name}' "
            f"is {confidence.max():.3f}: lower the threshold, raise top_share, or give the pool "
            "other rows in params.yaml."
        )
    chosen = balanced(labels, confidence, kept, label_names) if settings.balance else kept
    path = root / name / "rows.arrow"
    rows.write(path, _tables(pool, chosen, labels, soft_labels), label_names)

    def count(numbers: np.ndarray) -> list[int]:
        return [int((labels[numbers] == i).sum()) for i in range(len(label_names))]

    counts = zip(count(np.flatnonzero(~is_gold)), count(kept), count(chosen), strict=True)
    is_right = validation_logits[:, 0].argmax(dim=-1) == gold_labels
    card = Card(
        teacher=teacher.name,
        weights=identity.weights,
        label_names=label_names,
        settings=settings,
        temperature=temperature,
        validation_accuracy=is_right.float().mean().item(),
        pool=pool.fingerprint,
        pool_rows=len(pool),
        gold_rows=int(is_gold.sum()),
        least_confidence=float(confidence[chosen].min()),
        classes={label: Counts(*three) for label, three in zip(label_names, counts, strict=True)},
        checksum=file_hash(path),
    )
    write_json(root / name / "card.json", {**asdict(card), "settings": settings.model_dump()})
    return card


def artifact_of(name: str, teacher: str, root: Path = PSEUDO_LABELS) -> Artifact:
    """The logits behind the pseudo-labels of noisy student ``name``."""
    return Artifact(root / name / "logits" / teacher, f"pseudo_label@{name}")


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
