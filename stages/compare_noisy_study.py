"""Study: compare noisy students with their teacher and each other, and write the report."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.preflight import read_params
from study.noisy import report
from study.noisy.settings import read_study


def main() -> str:
    page, metrics = Path("docs/noisy"), Path("metrics/noisy")
    for difference in report.write(read_study(), read_params(), page, metrics):
        if difference.split == "test":
            console.say(difference.sentence)
    return "study: docs/noisy/README.md, metrics/noisy"


if __name__ == "__main__":
    console.run(main)
