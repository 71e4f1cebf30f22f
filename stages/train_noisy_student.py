"""Train one noisy student, which becomes a teacher."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows, runtime
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.noisy_student.training import train_noisy_student
from pipeline.preflight import read_params
from pipeline.pseudo_labels import artifact
from pipeline.training import curves


def main() -> str:
    (name,) = console.arguments("NAME")
    params = read_params()
    settings = entry(params.noisy_students, name, "noisy_students")
    models = Path("models")
    gold = rows.read("task", "train")
    trained = train_noisy_student(
        name,
        settings,
        max_length=params.max_length,
        gold=gold,
        pseudo_labelled=artifact.read(name, settings.teacher, settings.pseudo_labels, gold),
        validation=rows.read("task", "validation"),
        models=models,
    )
    if runtime.is_main_process():
        curves.write(name, trained)
        mark_done(models / "teachers" / name)
    return f"noisy student {name}: {curves.summary(trained)}"


if __name__ == "__main__":
    runtime.run(main)
