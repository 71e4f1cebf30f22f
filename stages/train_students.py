"""Study: train every student of ``study/params.yaml`` with every seed."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import settings
from pipeline.preflight import read_params
from study import workers
from study.settings import FILE, read_study


def main() -> str:
    study = read_study(read_params(), settings.read(FILE))
    count = workers.train(study, Path("models"))
    return f"study: {count} students trained"


if __name__ == "__main__":
    console.run(main, resumes=True)
