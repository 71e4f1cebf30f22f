"""Study: compare students, teachers and their combinations, and write the report."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows, settings
from pipeline.preflight import read_params
from study import figures, report
from study.settings import FILE, read_study


def main() -> str:
    study = read_study(read_params(), settings.read(FILE))
    results = figures.compute_tables(study)
    test_rows = len(rows.read("test", study.test))
    report.write(results, Path("docs/study"), Path("metrics/study"), rows=test_rows)
    for result in results:
        for comparison in result.comparisons:
            console.say(report.sentence(comparison))
    return "study: docs/study/README.md, metrics/study"


if __name__ == "__main__":
    console.run(main)
