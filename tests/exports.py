"""Tiny students, saved as stage 2 saves them, and their exports."""

import json
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from pipeline.core.rows import Rows
from pipeline.export import card, package, settings
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict, probabilities
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel

HEADS = ("golden", "t1", "t2")
TWO = ("irrelevant", "relevant")
WORDS = ["red", "green", "cat", "horse", "is", "usually", "small", "now", "which", "the"]


@dataclass(frozen=True)
class Export:
    """A student and its export."""

    student: Path
    directory: Path
    """What was made."""
    made: card.Exported

    def expected(self, pairs: list[tuple[str, str]]) -> torch.Tensor:
        """The probabilities that ``evaluate`` scores, of shape [pairs, classes], as shipped."""
        model, tokenizer, own = pair_model.load(self.student)
        rows = rows_of(pairs, own.label_names)
        encoded = encode(tokenizer, rows, own.max_length)
        logits = predict(model, encoded, own.heads, in_float32=True)
        order = [own.label_names.index(name) for name in self.made.label_names]
        return probabilities(logits[:, :, order].double(), own.temperature)


def pairs_of(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Pairs of different lengths, some of them longer than students read."""
    draw = random.Random(seed)
    texts = [" ".join(draw.choices(WORDS, k=draw.randint(1, 12))) for _ in range(2 * count)]
    return list(zip(texts[::2], texts[1::2], strict=True))


def rows_of(
    pairs: list[tuple[str, str]], label_names: tuple[str, ...] = TWO, name: str = "task/validation"
) -> Rows:
    labels = [number % len(label_names) for number in range(len(pairs))]
    columns = {"text_a": [a for a, _ in pairs], "text_b": [b for _, b in pairs]}
    table = pa.table({**columns, "label": pa.array(labels, pa.int64())})
    return Rows(name, table, label_names)


def save_student(
    directory: Path,
    weights: Path,
    *,
    label_names: tuple[str, ...] = TWO,
    head_layers: int = 1,
    pooling: str = "mean",
    **changes: Any,
) -> Path:
    """A student with random heads that are far from each other, and a temperature."""
    torch.manual_seed(1)
    encoder, tokenizer = load_encoder(weights)
    encoder.config.head_pooling = pooling
    model = PairModel(
        encoder, HEADS, head_layers=head_layers, classes=len(label_names), dropout=0.0
    )
    with torch.no_grad():
        for parameter in model.heads.parameters():
            parameter.normal_(std=0.4)
    given = {"temperature": 1.7, "teachers": {"t1": "a" * 64, "t2": "b" * 64}, **changes}
    own = Card(label_names, 16, head_layers, HEADS, **given)
    pair_model.save(directory, model, tokenizer, card=own)
    return directory


def results(root: Path) -> tuple[Path, Path]:
    """The directories ``metrics`` and ``corpora`` with results that a model card can show."""
    metrics, corpora = root / "metrics", root / "corpora"
    metrics.mkdir(parents=True)
    (metrics / "results.md").write_text("Results on the test set 'qa': 60 rows.\n")
    (metrics / "scores.csv").write_text(
        "test,system,score,value,low,high\n"
        "qa,t1,accuracy,0.7,0.6,0.8\n"
        "qa,student,accuracy,0.75,0.65,0.85\n"
    )
    for place, split in (("general", "pool"), ("task", "train"), ("test", "qa")):
        (corpora / place).mkdir(parents=True)
        counted = {"rows": 1234, "left_out": {"empty_text": 0, "also_in_evaluation": 5}}
        names = {} if place == "test" else {"corpora": ["web", "qa"]}
        content = {**names, "splits": {split: counted}}
        (corpora / place / "card.json").write_text(json.dumps(content))
    return metrics, corpora


def export(student: Path, root: Path, **changes: Any) -> Export:
    """The export of a student into ``root``, with ``changes`` of its arguments."""
    return export_with(student, root, *results(root), **changes)


def export_with(student: Path, root: Path, metrics: Path, corpora: Path, **changes: Any) -> Export:
    """Like ``export``, with these results."""
    label_names = pair_model.read_card(student).label_names
    arguments: dict[str, Any] = {
        "stage1": None,
        "settings": settings.Export(int8_agreement=0.0, int8_rows=100, int8_loss=1.0),
        "relevant_label": None,
        "text_columns": ("question", "passage"),
        "origin": card.Origin(),
        "validation": rows_of(pairs_of(60, 1), label_names),
        "pool": rows_of(pairs_of(120, 2), label_names, "general/pool"),
    }
    directory = root / "export"
    made = package.export(
        student,
        metrics=metrics,
        corpora=corpora,
        directory=directory,
        **{**arguments, **changes},
    )
    return Export(student, directory, made)
