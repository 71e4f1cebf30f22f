"""Shared by all benchmarks: taking turns, a description of the machine, its matrix rate, rows.

Figures are ratios between contenders that took turns in one run, because machines are shared and
noisy; absolute rates differ from day to day.
"""

import logging
import os
import sys
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "src"))

import torch
from rich.console import Console
from rich.table import Table
from torch.nn.functional import linear
from transformers import BertConfig, BertModel

from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.rows import Rows
from pipeline.export.timing import processor
from pipeline.model.encoding import Encoded, encode
from pipeline.model.loading import load_encoder

ROOT = Path(__file__).resolve().parent.parent
WEIGHTS = Path("models/pretrained/minilm")
ROUNDS = 3
out = Console(highlight=False, width=110)


def start() -> None:
    """Print on what machine and in what precision this benchmark runs."""
    console.silence()
    # Warnings of libraries would be printed between the lines of a table.
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    kind = {"no": "float32", "bf16": "bfloat16"}[runtime.precision()]
    if torch.cuda.is_available():
        device = torch.cuda.get_device_name()
    else:
        device = f"{torch.get_num_threads()} threads of {processor()}"
    out.print(f"{Path(sys.argv[0]).stem} on {device}, torch {torch.__version__}, {kind}")
    runtime.accelerator()
    products = "oneDNN" if torch.get_float32_matmul_precision() == "medium" else "MKL"
    spins = os.environ.get("GOMP_SPINCOUNT", "as many spins as OpenMP likes")
    out.print(f"Products in float32 by {products}; waiting threads spin: {spins}")


def take_turns(contenders: Mapping[str, Callable[[], object]]) -> dict[str, list[float]]:
    """Seconds of each contender in each round, after one round to warm up, without checkpoints."""
    os.environ.setdefault("TMKD_CHECKPOINT_SECONDS", "inf")
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(ROUNDS + 1):
        for name, contender in contenders.items():
            started = time.perf_counter()
            contender()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            if turn:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def times(slow: list[float], fast: list[float]) -> str:
    """How many times as fast, as the median over rounds and its range."""
    ratios = [a / b for a, b in zip(slow, fast, strict=True)]
    return f"{median(ratios):.2f}x [{min(ratios):.2f}, {max(ratios):.2f}]"


def matrix_rate() -> float:
    """FLOP/s of the device's own matrix product, in the precision of the run: the best of many."""
    dtype = {"no": torch.float32, "bf16": torch.bfloat16}[runtime.precision()]
    engine, size = runtime.accelerator(), 8192 if torch.cuda.is_available() else 2048
    a, b = (torch.randn(size, size, dtype=dtype, device=engine.device) for _ in range(2))
    best = 0.0
    for _ in range(8):
        started = time.perf_counter()
        linear(a, b)[0, 0].item()
        best = max(best, 2 * size**3 / (time.perf_counter() - started))
    return best


def default_rows(split: str, count: int, max_length: int) -> tuple[Rows, Encoded]:
    """The first rows of a split of the default corpus, and their tokens."""
    whole = rows.read("general" if split == "pool" else "task", split)
    _, tokenizer = load_encoder(WEIGHTS)
    first = Rows(whole.name, whole.table.slice(0, min(count, len(whole))), whole.label_names)
    return first, encode(tokenizer, first, max_length)


def random_bert(layers: int, width: int) -> BertModel:
    """A BERT with random weights and heads 64 wide, as in the paper's sizes."""
    config = BertConfig(
        num_hidden_layers=layers,
        hidden_size=width,
        num_attention_heads=width // 64,
        intermediate_size=4 * width,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    config.head_pooling = "cls"
    return BertModel(config, add_pooling_layer=False)


def table(title: str, *columns: str) -> Table:
    made = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        made.add_column(column, justify="right" if i else "left")
    return made
