"""Scoring one batch after another: queries per second and how long one waits.

Weights are random, for speed does not depend on them. All models take turns, batch by batch.
"""

import time
from dataclasses import dataclass, field

import numpy as np
import torch
from side_by_side import out, random_bert, start, table

from pipeline import runtime
from pipeline.encoding import Batch
from pipeline.models import GOLDEN, PairModel

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
        name: PairModel(random_bert(*shape), [GOLDEN], 1, 2, 0.0).to(device).eval()
        for name, shape in shapes.items()
    }
    for rows in (1, 32):
        contenders = [Contender(name, model, rows) for name, model in built.items()]
        for one in contenders:
            score(one)
            one.seconds.clear()
        # In turns of about equal length, so that other work falls on all alike.
        while any(sum(one.seconds) < SECONDS or len(one.seconds) < LEAST for one in contenders):
            for one in contenders:
                began = time.perf_counter()
                while time.perf_counter() - began < SECONDS / LEAST:
                    score(one)
        slowest = np.mean(contenders[0].seconds)
        for one in contenders:
            milliseconds = 1000 * np.array(one.seconds)
            made.add_row(
                one.name,
                str(rows),
                f"{1000 * rows / milliseconds.mean():,.1f}",
                *(f"{np.percentile(milliseconds, share):,.1f}" for share in (50, 99)),
                f"{len(milliseconds):,}",
                f"{1000 * slowest / milliseconds.mean():.1f}x",
            )
    out.print(made)


if __name__ == "__main__":
    main()
