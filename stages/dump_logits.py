"""Write down what one teacher says of every row: ``dump_logits.py NAME``."""

import sys
from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, rows
from pipeline.dumping import dump
from pipeline.logits import LOGITS

SPLITS = (("general", "pool"), ("task", "train"), ("task", "validation"), ("task", "test"))


def main() -> str:
    name = sys.argv[1]
    splits = [rows.read(corpus, split) for corpus, split in SPLITS]
    total = dump(name, Path("models/teachers") / name, splits, LOGITS / name)
    return f"logits of {name}: {total:,} rows"


if __name__ == "__main__":
    console.run(main)
