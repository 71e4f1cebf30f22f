"""Fine-tune one teacher on gold labels."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.preflight import read_params
from pipeline.teacher import finetune_teacher
from pipeline.training import curves


def main() -> str:
    (name,) = console.arguments("NAME")
    params = read_params()
    settings = entry(params.teachers, name, "teachers")
    models = Path("models")
    trained = finetune_teacher(
        name,
        settings,
        max_length=params.max_length,
        training=rows.read(settings.corpus, "train"),
        validation=rows.read(settings.corpus, "validation"),
        models=models,
    )
    if runtime.is_main_process():
        curves.write(name, trained)
        mark_done(models / "teachers" / name)
    return f"teacher {name}: {curves.summary(trained)}"


if __name__ == "__main__":
    runtime.run(main)
