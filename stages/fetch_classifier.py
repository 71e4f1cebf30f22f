"""Fetch a ready-made classifier, which teaches without training."""

from pathlib import Path

import _path
from pipeline import classifier, console
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.preflight import read_params


def main() -> str:
    (name,) = console.arguments("NAME")
    params = read_params()
    settings = entry(params.classifiers, name, "classifiers")
    models = Path("models")
    teaches_task = name in params.stage2.teachers
    label_names = classifier.fetch(
        name,
        settings,
        max_length=params.max_length,
        expected=params.corpora[params.task].label_names if teaches_task else None,
        models=models,
    )
    mark_done(models / "teachers" / name)
    return f"classifier {name}: from {settings.source}, classes {', '.join(label_names)}"


if __name__ == "__main__":
    console.run(main)
