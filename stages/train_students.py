"""The study: train every student of ``study/params.yaml`` with every seed."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params
from pipeline.preflight import checked_params
from study import systems, workers


def main() -> str:
    study = systems.read(checked_params(), params.read(Path("study/params.yaml")))
    count = workers.train(study, Path("models"))
    return f"study: {count} students trained"


if __name__ == "__main__":
    console.run(main)
