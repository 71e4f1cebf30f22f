"""Write the logits of one teacher for the rows of one place, ``general`` or ``task``."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.files import mark_done
from pipeline.dumping import dump
from pipeline.logits import SPLITS, dumped


def main() -> str:
    place, teacher = console.arguments("general|task", "TEACHER")
    splits = [rows.read(place, split) for split in SPLITS[place]]
    directory = dumped(place, teacher).directory
    total = dump(teacher, Path("models/teachers") / teacher, splits, directory=directory)
    if runtime.is_main_process():
        mark_done(directory)
    return f"logits of {teacher} on {place}: {total:,} rows"


if __name__ == "__main__":
    runtime.run(main)
