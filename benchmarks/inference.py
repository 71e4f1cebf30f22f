"""Scoring one batch after another: queries per second and latency.

Weights are random, because speed does not depend on them. All models take turns, batch by batch.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from side_by_side import out, random_bert, start, table

from pipeline.core import runtime
from pipeline.model.encoding import Batch
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN

LENGTH = 64
SECONDS = 8.0
"""Of measuring per model and batch size."""
LEAST = 5
"""Batches measured of a model that is slower than that."""


@dataclass
class Contender:
    """A model, the rows it scores at once, and how long each batch took."""

    name: str
    model: PairModel
    rows: int
    seconds: list[float] = field(default_factory=list)


def batch_of(rows: int) -> Batch:
    device = runtime.accelerator().device
    ids = torch.randint(1000, 30_000, (rows, LENGTH), device=device)
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


@torch.inference_mode()
def score(contender: Contender) -> None:
    engine = runtime.accelerator()
    batch = batch_of(contender.rows)
    started = time.perf_counter()
    with engine.autocast():
        contender.model(batch, [GOLDEN]).cpu()
    contender.seconds.append(time.perf_counter() - started)


def main() -> None:
    start()
    shapes = {
        "BERT-large": (24, 1024),
        "BERT-base": (12, 768),
        "3 layers of BERT-base": (3, 768),
        "1 layer of BERT-base": (1, 768),
        "MiniLM's size, 6 layers": (6, 384),
        "3 layers of it": (3, 384),
        "1 layer of it": (1, 384),
    }
    device = runtime.accelerator().device
    made = table(
        f"Scoring pairs of {LENGTH} tokens",
        "model",
        "batch",
        "queries/s",
        "p50, ms",
        "p99, ms",
        "batches",
        "faster than BERT-large",
    )
    built = {
        name: PairModel(random_bert(*shape), [GOLDEN], head_layers=1, classes=2, dropout=0.0)
        .to(device)
        .eval()
        for name, shape in shapes.items()
    }
    for rows in (1, 32):
        contenders = [Contender(name, model, rows) for name, model in built.items()]
        for contender in contenders:
            score(contender)
            contender.seconds.clear()
        # In turns of about equal length, so that other work falls on all alike.
        while any(
            sum(contender.seconds) < SECONDS or len(contender.seconds) < LEAST
            for contender in contenders
        ):
            for contender in contenders:
                began = time.perf_counter()
                while time.perf_counter() - began < SECONDS / LEAST:
                    score(contender)
        slowest = np.mean(contenders[0].seconds)
        for contender in contenders:
            milliseconds = 1000 * np.array(contender.seconds)
            made.add_row(
                contender.name,
                str(rows),
                f"{1000 * rows / milliseconds.mean():,.1f}",
                *(f"{np.percentile(milliseconds, share):,.1f}" for share in (50, 99)),
                f"{len(milliseconds):,}",
                f"{1000 * slowest / milliseconds.mean():.1f}x",
            )
    out.print(made)


if __name__ == "__main__":
    main()
