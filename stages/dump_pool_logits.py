"""Write the logits of a noisy student's teacher for the pool, and for the validation rows."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.dumping import dump
from pipeline.logits import dumped
from pipeline.preflight import read_params


def main() -> str:
    (name,) = console.arguments("NAME")
    teacher = entry(read_params().noisy_students, name, "noisy_students").teacher
    # The temperature of the pseudo-labels is fitted to the validation rows.
    splits = [rows.read("task", "validation"), rows.read("general", "pool")]
    directory = dumped(f"pool/{name}", teacher).directory
    total = dump(teacher, Path("models/teachers") / teacher, splits, directory=directory)
    if runtime.is_main_process():
        mark_done(directory.parent)
    return f"logits of {teacher} on validation and pool, for {name}: {total:,} rows"


if __name__ == "__main__":
    runtime.run(main)
