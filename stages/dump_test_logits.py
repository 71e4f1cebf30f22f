"""Write the logits of one teacher for the rows of one test set."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.files import mark_done
from pipeline.dumping import dump
from pipeline.logits import dumped


def main() -> str:
    test, teacher = console.arguments("TEST", "TEACHER")
    directory = dumped(f"test/{test}", teacher).directory
    model = Path("models/teachers") / teacher
    # bfloat16 would give many rows of a question equal scores.
    total = dump(teacher, model, [rows.read("test", test)], directory=directory, in_float32=True)
    if runtime.is_main_process():
        mark_done(directory.parent.with_name(f"{test}.{teacher}"))
    return f"logits of {teacher} on the test set {test}: {total:,} rows"


if __name__ == "__main__":
    runtime.run(main)
