"""Download and dump of ten thousand, a hundred thousand and a million rows: time and memory.

Each size is a process of its own, so that its memory is its own. The rows are made up and the
teacher is tiny: what grows here is everything but its arithmetic.
"""

import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from side_by_side import WEIGHTS, out, start, table
from transformers import AutoTokenizer, BertConfig, BertModel

from pipeline.core import rows
from pipeline.corpus import cleaning
from pipeline.corpus.settings import Corpus, Role
from pipeline.dumping import dump
from pipeline.model import pair_model
from pipeline.model.pair_model import Card, PairModel
from pipeline.model.settings import GOLDEN

SIZES = (10_000, 100_000, 1_000_000)
LABEL_NAMES = ("irrelevant", "relevant")
WORDS = tuple("abcdefghijklmnopqrstuvwxyz")


def made_up(count: int, seed: int) -> Iterator[pa.Table]:
    """Pairs of letters; 8 or more of 26 in each text all but never repeat."""
    draw = random.Random(seed)
    for start_row in range(0, count, 50_000):
        size = min(50_000, count - start_row)
        texts = [
            [" ".join(draw.choices(WORDS, k=draw.randint(8, most))) for _ in range(size)]
            for most in (12, 36)
        ]
        labels = pa.array([i % 2 for i in range(size)], pa.int64())
        yield pa.table({"text_a": texts[0], "text_b": texts[1], "label": labels})


def write_source(directory: Path, pool: int) -> None:
    sizes = {"test": 100, "validation": 100, "train": 100, "pool": pool}
    for seed, (split, count) in enumerate(sizes.items()):
        tables = made_up(count, seed)
        first = next(tables)
        with pq.ParquetWriter(directory / f"{split}.parquet", first.schema) as file:
            file.write_table(first)
            for more in tables:
                file.write_table(more)


def download(count: int) -> None:
    roles: tuple[Role, ...] = ("test", "validation", "train", "pool")
    splits = {role: str(role) for role in roles}
    corpus = Corpus(source="source", splits=splits, label_names=LABEL_NAMES)
    cleaning.download({"own": corpus}, ["own"], "own", ["own"], directory=Path("corpora"))


def dump_pool(count: int) -> None:
    tokenizer = AutoTokenizer.from_pretrained(os.environ["WEIGHTS"])
    config = BertConfig(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64
    )
    encoder = BertModel(config, add_pooling_layer=False)
    model = PairModel(encoder, [GOLDEN], head_layers=1, classes=2, dropout=0.0)
    pair_model.save(Path("teacher"), model, tokenizer, card=Card(LABEL_NAMES, 40, 1, (GOLDEN,)))
    pool = rows.read("general", "pool", Path("corpora"))
    assert len(pool) == count
    dump("teacher", Path("teacher"), [pool], directory=Path("logits/teacher"))


def measure(phase: str, count: int) -> dict[str, float]:
    """Microseconds per row and peak memory; for a process of its own, in a scratch directory."""
    started = time.perf_counter()
    {"download": download, "dump": dump_pool}[phase](count)
    seconds = time.perf_counter() - started
    return {"microseconds": 1e6 * seconds / count, "megabytes": peak_megabytes()}


def peak_megabytes() -> float:
    unit = 1024 if sys.platform == "linux" else 1024**2
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def main() -> None:
    start()
    made = table(
        "Growth of the pool",
        "rows",
        "download, µs/row",
        "peak, MB",
        "dump, µs/row",
        "peak, MB",
    )
    for size in SIZES:
        with tempfile.TemporaryDirectory() as scratch:
            (Path(scratch) / "source").mkdir()
            write_source(Path(scratch) / "source", size)
            cells = []
            for phase in ("download", "dump"):
                done = subprocess.run(
                    [sys.executable, Path(__file__).resolve(), phase, str(size)],
                    cwd=scratch,
                    env={**os.environ, "WEIGHTS": str(WEIGHTS.resolve())},
                    check=True,
                    capture_output=True,
                    text=True,
                )
                figures = json.loads(done.stdout.splitlines()[-1])
                cells += [f"{figures['microseconds']:,.0f}", f"{figures['megabytes']:,.0f}"]
        made.add_row(f"{size:,}", *cells)
    out.print(made)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(measure(sys.argv[1], int(sys.argv[2]))))
    else:
        main()
