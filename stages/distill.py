"""Stage 1: the student learns the teachers' logits on the general pool."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params, rows, runtime
from pipeline.artifacts import write_csv
from pipeline.distillation import Stage, Student, distill
from pipeline.logits import LOGITS
from pipeline.preflight import checked_params


def main() -> str:
    content = checked_params()
    student = params.section(content, "student", Student)
    curve = distill(
        student,
        params.section(content, "stage1", Stage),
        params.max_length(content),
        rows.read("general", "pool"),
        LOGITS / "general",
        Path("models") / student.weights,
        Path("models/student/stage1"),
    )
    write_csv(Path("metrics/curves/stage1.csv"), [vars(epoch) for epoch in curve])
    return f"stage 1: soft loss {curve[-1].validation_loss:.3f} on held-out rows of the pool"


if __name__ == "__main__":
    runtime.launch()
    console.run(main)
