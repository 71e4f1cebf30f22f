"""The study: compare the students, their teachers and what they are together."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params, rows
from pipeline.preflight import checked_params
from study import report, results, systems


def main() -> str:
    study = systems.read(checked_params(), params.read(Path("study/params.yaml")))
    found = results.results(study, Path("models"))
    report.write(found, Path("docs/study"), Path("metrics/study"), len(rows.read("task", "test")))
    for result in found:
        for comparison in result.comparisons:
            console.say(report.sentence(comparison))
    return "study: docs/study/README.md, metrics/study"


if __name__ == "__main__":
    console.run(main)
