"""A place where a study can run: tiny corpora, a tiny BERT and the logits of two teachers."""

from pathlib import Path
from typing import Any

import torch
from conftest import LABEL_NAMES, pairs
from transformers import AutoTokenizer

from pipeline import logits, models, rows
from pipeline.logits import LOGITS, Source
from pipeline.rows import CORPORA, Rows

TRAINING = {"lr": 3e-3, "epochs": 1, "batch_size": 8, "dropout": 0.0, "teachers": ["t1", "t2"]}
MAIN: dict[str, Any] = {
    "alpha": 0.5,
    "max_length": 16,
    "teachers": {"t1": {}, "t2": {}},
    "student": {"weights": "pretrained/tiny", "layers": 1},
    "stage1": TRAINING,
    "stage2": TRAINING,
}
STUDY: dict[str, Any] = {
    "students": {
        "gold": {"alpha": 0.0, "stage2": {"from_stage1": False}},
        "kd": {"stage2": {"from_stage1": False, "teachers": ["t1"]}},
        "stage1": {"stage2": None},
        "tmkd": {},
    },
    "combinations": {
        "mom": {"vote": ["gold", "kd", "stage1"]},
        "ensemble": {"mean": ["t1", "t2"]},
        "best": {"best": ["gold", "kd", "tmkd"]},
    },
    "tables": {
        "methods": {
            "title": "Which method?",
            "seeds": 2,
            "systems": ["t1", "ensemble", "gold", "kd", "mom", "stage1", "tmkd", "best"],
            "compare": [["tmkd", "gold"], ["tmkd", "kd"]],
        },
        "alpha": {
            "title": "How much?",
            "seeds": 1,
            "systems": ["gold", "tmkd"],
            "x": "alpha",
            "at": [0.0, 0.5],
        },
    },
}


def prepare(bert: Path) -> None:
    """Fill the working directory."""
    place = Path("models/pretrained")
    place.mkdir(parents=True)
    (place / "tiny").symlink_to(bert)
    sizes = {"general/pool": 60, "task/train": 32, "task/validation": 16, "task/test": 40}
    for seed, (name, count) in enumerate(sizes.items()):
        rows.write(CORPORA / f"{name}.arrow", [pairs(count, seed)], LABEL_NAMES)
    tokenizer = models.tokenizer_hash(AutoTokenizer.from_pretrained(bert))
    for teacher in ("t1", "t2"):
        source = Source(teacher, f"weights of {teacher}", tokenizer, 16, LABEL_NAMES)
        loudness = float(teacher[-1])

        def score(asked: Rows, start: int, stop: int, loudness: float = loudness) -> torch.Tensor:
            sides = torch.from_numpy(asked.labels[start:stop]).float() * 2 - 1
            return torch.stack([-sides, sides], dim=1) * loudness

        notes = {
            "parameters": 1_000_000,
            "encoder": models.load_encoder(bert)[0].config.to_diff_dict(),
        }
        for corpus, splits in {
            "general": ["pool"],
            "task": ["train", "validation", "test"],
        }.items():
            given = [rows.read(corpus, split) for split in splits]
            logits.write(LOGITS / corpus / teacher, source, given, notes, score, Path("parts"))
