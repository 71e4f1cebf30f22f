"""Compare the student with its teachers on the test split of the task."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console
from pipeline.core import rows
from pipeline.core.files import write_csv, write_json, write_text
from pipeline.evaluation import report
from pipeline.evaluation.comparison import evaluate
from pipeline.logits import dumped
from pipeline.preflight import read_params


def main() -> str:
    evaluation = evaluate(
        rows.read("task", "test"),
        [dumped("task", name) for name in read_params().stage2.teachers],
        stage1=Path("models/student/stage1"),
        stage2=Path("models/student/stage2"),
    )
    metrics = Path("metrics")
    results = report.markdown(evaluation)
    write_text(metrics / "results.md", results)
    write_json(metrics / "evaluation.json", report.metrics(evaluation))
    write_csv(metrics / "scores.csv", report.SCORES, report.scores(evaluation))
    write_csv(metrics / "confusion.csv", ("actual", "predicted"), evaluation.confusion)
    bins = ("confidence", "accuracy", "rows")
    write_csv(metrics / "calibration.csv", bins, evaluation.reliability)
    console.say(results)
    return "evaluation: metrics/results.md, evaluation.json, scores.csv, confusion.csv"


if __name__ == "__main__":
    console.run(main)
