"""The exported student beside PyTorch, its peers and larger models: texts in, scores out.

All tools score the same pairs, and tokenise them. BERT-base and BERT-large have random weights and
the tokenizer of the student, because speed does not depend on weights. All take turns.
"""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from rich.progress import track
from sentence_transformers import CrossEncoder
from side_by_side import out, random_bert, start, table

from pipeline.core import rows
from pipeline.core.rows import Rows
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN
from pipeline.serving.scorer import EXPORTED, Pair, Scorer

SECONDS = 8.0
"""Of measuring per tool and batch size."""
LEAST = 6
"""Batches measured of a tool that is slower than that."""
STUDENT = Path("models/student/stage2")
BASELINE = "the student in PyTorch"


def scorers() -> dict[str, Callable[[list[Pair]], object]]:
    """A function for each tool that scores pairs; the slowest comes first."""
    student, tokenizer, card = pair_model.load(STUDENT)

    def in_pytorch(model: PairModel, heads: tuple[str, ...]) -> Callable[[list[Pair]], object]:
        def score(pairs: list[Pair]) -> object:
            columns = {"text_a": [a for a, _ in pairs], "text_b": [b for _, b in pairs]}
            table = pa.table({**columns, "label": [0] * len(pairs)})
            encoded = encode(tokenizer, Rows("pairs", table, card.label_names), card.max_length)
            return predict(model, encoded, heads, in_float32=True)

        return score

    def random(layers: int, width: int) -> PairModel:
        return PairModel(random_bert(layers, width), [GOLDEN], head_layers=1, classes=2, dropout=0)

    return {
        "BERT-large in PyTorch": in_pytorch(random(24, 1024), (GOLDEN,)),
        "BERT-base in PyTorch": in_pytorch(random(12, 768), (GOLDEN,)),
        BASELINE: in_pytorch(student, card.heads),
        "sentence-transformers": CrossEncoder(str(EXPORTED), device="cpu").predict,
        "onnxruntime, float32": Scorer().probabilities,
        "onnxruntime, int8": Scorer(int8=True).probabilities,
    }


def main() -> None:
    start()
    test = rows.read("test", "docs")
    texts = list(zip(*test.texts(), strict=True))
    tools = scorers()
    made = table(
        "Scoring test pairs, from texts to scores",
        *("tool", "batch", "pairs/s", "p50, ms", "p99, ms", "times PyTorch", "times BERT-large"),
    )
    draw = np.random.default_rng(0)
    for size in (1, 32):
        seconds: dict[str, list[float]] = {name: [] for name in tools}

        def measure(name: str, size: int = size) -> float:
            batch = [texts[number] for number in draw.integers(0, len(texts), size)]
            started = time.perf_counter()
            tools[name](batch)
            return time.perf_counter() - started

        for name in tools:
            measure(name)
        # In turns of about equal length, so that other work falls on all alike.
        for _ in track(range(LEAST), "measuring", console=out, transient=True):
            for name, own in seconds.items():
                began = time.perf_counter()
                while time.perf_counter() - began < SECONDS / LEAST:
                    own.append(measure(name))
        mean = {name: float(np.mean(own)) for name, own in seconds.items()}
        largest = next(iter(tools))
        for name, own in seconds.items():
            made.add_row(
                name,
                str(size),
                f"{size / mean[name]:,.1f}",
                *(f"{1000 * np.percentile(own, share):,.1f}" for share in (50, 99)),
                f"{mean[BASELINE] / mean[name]:.1f}x",
                f"{mean[largest] / mean[name]:.0f}x",
            )
    out.print(made)


if __name__ == "__main__":
    with torch.inference_mode():
        main()
