"""A teacher's logits for every row its students will ask about."""

import shutil
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline import console, logits, models, runtime
from pipeline.encoding import encode
from pipeline.inference import predict
from pipeline.logits import Source
from pipeline.resume import ROOT, fingerprint
from pipeline.rows import Rows


def dump(name: str, teacher: Path, splits: list[Rows], directory: Path) -> int:
    """Score ``splits`` with the teacher saved in ``teacher`` and write the artifact.

    Returns the number of rows scored. The card's notes hold the encoder's configuration and the
    number of parameters, so that nobody needs the teacher's weights to tell its size and speed.
    """
    model, tokenizer, card = models.load(teacher)
    source = Source(
        name,
        models.weights_hash(teacher),
        models.tokenizer_hash(tokenizer),
        card.max_length,
        card.label_names,
    )
    notes: dict[str, Any] = {
        "parameters": models.parameters(model),
        "encoder": model.encoder.config.to_diff_dict(),
    }
    identity = fingerprint((source, notes, [rows.fingerprint for rows in splits]))
    parts = ROOT / f"dump_logits-{directory.parent.name}-{name}" / identity
    total = sum(len(rows) for rows in splits)
    done = logits.finished_rows(parts, splits)
    if done:
        console.say(f"logits of {name}: goes on from row {done:,} of {total:,}.")
    with console.progress(f"logits of {name}", total, "rows", done) as advance:
        # Of several processes, the others are about as far as this one.
        processes = runtime.accelerator().num_processes

        def score(rows: Rows, start: int, stop: int) -> Tensor:
            encoded = encode(tokenizer, rows, card.max_length, start, stop)
            said = predict(model, encoded, card.heads, lambda count: advance(processes * count))
            return said[:, 0]

        logits.write(directory, source, splits, notes, score, parts)
    shutil.rmtree(parts.parent)
    return total
