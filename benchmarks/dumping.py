"""Dumping logits, against the floor: bare forward passes over batches without any padding.

The floor has its batches ready; the dump tokenises, sorts, pads, writes, hashes and reads back. The
forward pass of transformers computes the whole highest layer, that of our models only what is read.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import median

import numpy as np
import torch
from side_by_side import WEIGHTS, default_rows, out, random_bert, start, table, take_turns, times
from transformers import AutoTokenizer, PreTrainedModel

from pipeline.core import runtime
from pipeline.dumping import dump
from pipeline.model import pair_model
from pipeline.model.encoding import Batch, Encoded, collate
from pipeline.model.inference import BATCH_SIZE
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel
from pipeline.model.settings import GOLDEN


def batches_of_one_length(encoded: Encoded) -> list[Batch]:
    device = runtime.accelerator().device
    batches = []
    for length in np.unique(encoded.lengths):
        rows = np.flatnonzero(encoded.lengths == length)
        for piece in np.array_split(rows, -(-len(rows) // BATCH_SIZE)):
            batches.append({k: v.to(device) for k, v in collate(encoded, piece).items()})
    return batches


@torch.inference_mode()
def forward(encoder: PreTrainedModel | PairModel, batches: list[Batch]) -> None:
    engine = runtime.accelerator()
    encoder.to(engine.device).eval()
    with engine.autocast():
        for batch in batches:
            if isinstance(encoder, PairModel):
                last = encoder(batch, [GOLDEN])
            else:
                last = encoder(**batch).last_hidden_state
    last.sum().item()


def fresh(name: str) -> PreTrainedModel:
    return random_bert(12, 768) if name == "BERT-base" else load_encoder(WEIGHTS)[0]


def main() -> None:
    start()
    made = table(
        "Dumping logits",
        "model",
        "length",
        "dump, rows/s",
        "floor",
        "dump of the floor",
        "dump of transformers' floor",
    )
    cases = [("MiniLM, 6 layers", 1024, 40), ("MiniLM, 6 layers", 1024, 128)]
    if torch.cuda.is_available():
        cases = [(name, 65_536, most) for name, _, most in cases] + [("BERT-base", 16_384, 128)]
    for name, count, most in cases:
        rows, encoded = default_rows("pool", count, most)
        encoder, bare = (fresh(name) for _ in range(2))
        model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0)
        with tempfile.TemporaryDirectory() as scratch:
            teacher = Path(scratch) / "teacher"
            tokenizer = AutoTokenizer.from_pretrained(WEIGHTS)
            pair_model.save(
                teacher, model, tokenizer, card=Card(rows.label_names, most, 1, (GOLDEN,))
            )
            batches = batches_of_one_length(encoded)
            seconds = take_turns(
                {
                    "dump": partial(
                        dump, "bench", teacher, [rows], directory=teacher.with_name("logits")
                    ),
                    "floor": partial(forward, model, batches),
                    "transformers": partial(forward, bare, batches),
                }
            )
        rate = {who: len(rows) / median(own) for who, own in seconds.items()}
        made.add_row(
            name,
            str(most),
            f"{rate['dump']:,.0f}",
            f"{rate['floor']:,.0f}",
            times(seconds["floor"], seconds["dump"]),
            times(seconds["transformers"], seconds["dump"]),
        )
    out.print(made)


if __name__ == "__main__":
    main()
