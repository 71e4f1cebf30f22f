"""Study: train the teacher and the noisy students of ``study/noisy/params.yaml``, every seed."""

import _path
from pipeline import console
from pipeline.preflight import read_params
from study.noisy import training
from study.noisy.settings import read_study


def main() -> str:
    count = training.train(read_study(), read_params())
    return f"study: {count} systems trained"


if __name__ == "__main__":
    console.run(main, resumes=True)
