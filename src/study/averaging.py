"""The teachers' mean as a teacher: one set of logits to learn instead of several."""

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from pipeline import logits, rows
from pipeline.errors import UserError
from pipeline.logits import LOGITS, SPLITS
from pipeline.resume import ROOT
from pipeline.rows import Rows

MEAN = "mean"
"""The teacher whose logits are the average of all teachers' logits."""
MEAN_LOGITS = Path("study/logits")


def average(corpus: str, teachers: Sequence[str]) -> int:
    """Write the mean of the raw logits of ``teachers``, an artifact like theirs; returns its rows.

    Raises UserError if there are none or if they do not read and answer alike.
    """
    if not teachers:
        raise UserError(
            f"no teacher has logits of the {corpus} corpus, so there is nothing to average: name "
            "teachers in params.yaml's stages."
        )
    found = [logits.read_source(LOGITS / corpus / teacher)[0] for teacher in teachers]
    first = found[0]
    for source in found:
        if replace(source, teacher=first.teacher, weights=first.weights) != first:
            raise UserError(
                f"teachers '{first.teacher}' and '{source.teacher}' differ in tokenizer, "
                "max_length or label names, so their logits have no mean."
            )
    together = " ".join(source.weights for source in found)
    source = replace(first, teacher=MEAN, weights=hashlib.sha256(together.encode()).hexdigest())

    splits = [rows.read(corpus, split) for split in SPLITS[corpus]]
    means = {
        split.name: torch.stack(
            [logits.read(LOGITS / corpus / one.teacher, one, split) for one in found]
        ).mean(dim=0)
        for split in splits
    }

    def mean(asked: Rows, start: int, stop: int) -> Tensor:
        return means[asked.name][start:stop].clone()

    parts = ROOT / f"average_logits-{corpus}" / source.weights
    logits.write(
        MEAN_LOGITS / corpus / MEAN, source, splits, {"mean_of": list(teachers)}, mean, parts
    )
    shutil.rmtree(parts.parent)
    return sum(len(split) for split in splits)
