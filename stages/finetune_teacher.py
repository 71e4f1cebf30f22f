"""Fine-tune one teacher on the gold labels of its corpus: ``finetune_teacher.py NAME``."""

import sys
from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params, rows, runtime
from pipeline.artifacts import write_csv
from pipeline.finetuning import Teacher, finetune
from pipeline.preflight import checked_params


def main() -> str:
    name = sys.argv[1]
    content = checked_params()
    settings = params.section(content, f"teachers.{name}", Teacher)
    max_length = params.max_length(content)
    curve = finetune(
        name,
        settings,
        max_length,
        rows.read(settings.corpus, "train"),
        rows.read(settings.corpus, "validation"),
        Path("models"),
    )
    write_csv(Path(f"metrics/curves/{name}.csv"), [vars(epoch) for epoch in curve])
    return (
        f"teacher {name}: validation loss {curve[-1].validation_loss:.3f} after {len(curve)} epochs"
    )


if __name__ == "__main__":
    runtime.launch()
    console.run(main)
