"""Write down what one teacher says of every row: ``dump_logits.py general|task NAME``."""

import sys
from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, rows, runtime
from pipeline.dumping import dump
from pipeline.logits import LOGITS, SPLITS


def main() -> str:
    corpus, name = sys.argv[1:]
    splits = [rows.read(corpus, split) for split in SPLITS[corpus]]
    total = dump(name, Path("models/teachers") / name, splits, LOGITS / corpus / name)
    return f"logits of {name} on {corpus}: {total:,} rows"


if __name__ == "__main__":
    runtime.launch()
    console.run(main)
