"""Stage 2: the student learns gold labels and the teachers' logits on the task."""

from pathlib import Path

import _path
from pipeline.core import rows, runtime
from pipeline.core.files import write_json
from pipeline.logits import dumped
from pipeline.preflight import read_params
from pipeline.student.stages import finetune_student
from pipeline.training import curves


def main() -> str:
    params = read_params()
    start = "student/stage1" if params.stage2.from_stage1 else params.student.weights
    trained = finetune_student(
        params.student,
        params.stage2,
        alpha=params.alpha,
        max_length=params.max_length,
        training=rows.read("task", "train"),
        validation=rows.read("task", "validation"),
        teachers=[dumped("task", name) for name in params.stage2.teachers],
        start=Path("models") / start,
        directory=Path("models/student/stage2"),
    )
    carried_over, new = len(trained.carried_over), len(trained.new)
    if runtime.is_main_process():
        curves.write("stage2", trained)
        write_json(
            Path("metrics/stage2.json"),
            {
                "soft_heads_carried_over": carried_over,
                "soft_heads_new": new,
                "seed": trained.seed,
                "failed": trained.failed,
                "still_falling": trained.still_falling,
            },
        )
    heads_text = f"soft heads: {carried_over} carried over from stage 1, {new} new"
    return f"stage 2: {curves.summary(trained)}; {heads_text}"


if __name__ == "__main__":
    runtime.run(main)
