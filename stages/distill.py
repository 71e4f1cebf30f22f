"""Stage 1: the student learns the teachers' logits on the general pool."""

from pathlib import Path

import _path
from pipeline.core import rows, runtime
from pipeline.logits import dumped
from pipeline.preflight import read_params
from pipeline.student.stages import distill
from pipeline.training import curves


def main() -> str:
    params = read_params()
    trained = distill(
        params.student,
        params.stage1,
        max_length=params.max_length,
        pool=rows.read("general", "pool"),
        teachers=[dumped("general", name) for name in params.stage1.teachers],
        start=Path("models") / params.student.weights,
        directory=Path("models/student/stage1"),
    )
    if runtime.is_main_process():
        curves.write("stage1", trained)
    return f"stage 1: {curves.summary(trained, 'agreement with the teachers')}"


if __name__ == "__main__":
    runtime.run(main)
