"""Stage 2: the student learns gold labels and the teachers' logits on the task."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params, rows, runtime
from pipeline.artifacts import write_csv, write_json
from pipeline.distillation import Stage2, Student, finetune_student
from pipeline.logits import LOGITS
from pipeline.preflight import checked_params


def main() -> str:
    content = checked_params()
    student = params.section(content, "student", Student)
    stage2 = params.section(content, "stage2", Stage2)
    curve, heads = finetune_student(
        student,
        stage2,
        params.share(content, "alpha"),
        params.max_length(content),
        rows.read("task", "train"),
        rows.read("task", "validation"),
        LOGITS / "task",
        Path("models") / ("student/stage1" if stage2.from_stage1 else student.weights),
        Path("models/student/stage2"),
    )
    write_csv(Path("metrics/curves/stage2.csv"), [vars(epoch) for epoch in curve])
    write_json(
        Path("metrics/stage2.json"),
        {
            "soft_heads_carried_over": len(heads.carried_over),
            "soft_heads_started_afresh": len(heads.started_afresh),
        },
    )
    carried = f"{len(heads.carried_over)} soft heads carried over"
    fresh = f"{len(heads.started_afresh)} started afresh"
    return f"stage 2: validation loss {curve[-1].validation_loss:.3f}; {carried}, {fresh}"


if __name__ == "__main__":
    runtime.launch()
    console.run(main)
