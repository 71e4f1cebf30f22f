"""The mean of the teachers' logits, as the logits of one more teacher."""

import hashlib
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from pipeline import logits
from pipeline.core import rows
from pipeline.core.checkpoints import ROOT, run_identity
from pipeline.core.errors import UserError
from pipeline.core.files import file_hash
from pipeline.core.rows import Rows
from pipeline.logits import SPLITS, Artifact, Notes, TeacherIdentity, dumped

MEAN = "mean"
"""The teacher whose logits are the mean of all teachers' logits."""
MEAN_LOGITS = Path("study/logits")
CODE = ("pipeline.logits", __name__)
"""The code that determines parts of the artifact."""


def artifact_of(place: str, teacher: str) -> Artifact:
    """The logits of ``teacher``, which may be ``mean``, at ``place`` (general or task)."""
    if teacher == MEAN:
        stage = f"study/dvc.yaml:average_logits@{place}"
        return Artifact(MEAN_LOGITS / place / MEAN, stage)
    return dumped(place, teacher)


def content_hash(artifact: Artifact) -> str:
    """A hash over all files of an artifact. It changes with any logit, so also with the precision.

    Raises UserError if the artifact is missing.
    """
    logits.read_identity(artifact)
    return file_hash(*sorted(artifact.directory.iterdir()))


def average(place: str, teachers: Sequence[str]) -> int:
    """Write the mean of the raw logits of ``teachers`` as an artifact; returns its number of rows.

    The mean has the classes in the order of the first teacher. Raises UserError if there are no
    teachers, or if their classes differ.
    """
    if not teachers:
        raise UserError(
            f"no teacher has logits for {place}, so there is nothing to average: name teachers in "
            "the stages in params.yaml."
        )
    artifacts = [dumped(place, teacher) for teacher in teachers]
    identities = [logits.read_identity(artifact) for artifact in artifacts]
    all_notes = [logits.read_notes(artifact) for artifact in artifacts]
    first = identities[0]
    for identity in identities:
        if set(identity.label_names) != set(first.label_names):
            raise UserError(
                f"teachers '{first.teacher}' and '{identity.teacher}' differ in label_names, so "
                "their logits have no mean: name other teachers in params.yaml."
            )
    together = TeacherIdentity(
        MEAN,
        weights=_joined(identity.weights for identity in identities),
        tokenizer=_joined(identity.tokenizer for identity in identities),
        max_length=max(identity.max_length for identity in identities),
        precision=" and ".join(sorted({identity.precision for identity in identities})),
        label_names=first.label_names,
    )

    splits = [rows.read(place, split) for split in SPLITS[place]]
    means = {
        split.name: torch.stack(
            [
                logits.read(artifact, identity, split, first.label_names)
                for artifact, identity in zip(artifacts, identities, strict=True)
            ]
        ).mean(dim=0)
        for split in splits
    }

    def mean(split: Rows, start: int, stop: int) -> Tensor:
        return means[split.name][start:stop].clone()

    made_of = [content_hash(artifact) for artifact in artifacts]
    run = run_identity((made_of, [split.fingerprint for split in splits]), code=CODE)
    parts = ROOT / f"average_logits-{place}" / run
    logits.write(
        artifact_of(place, MEAN).directory,
        together,
        splits,
        notes=Notes(
            sum(notes.parameters for notes in all_notes),
            encoder={},
            lengths=(),
            failed=any(notes.failed for notes in all_notes),
            gold={name: learned for notes in all_notes for name, learned in notes.gold.items()},
        ),
        score=mean,
        parts=parts,
    )
    shutil.rmtree(parts.parent)
    return sum(len(split) for split in splits)


def _joined(hashes: Iterable[str]) -> str:
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()
