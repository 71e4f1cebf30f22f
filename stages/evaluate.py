"""Compare the student with its teachers on the task's test split."""

from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params, report, rows
from pipeline.artifacts import write_csv, write_json
from pipeline.evaluation import evaluate
from pipeline.logits import LOGITS
from pipeline.preflight import checked_params


def main() -> str:
    student = Path("models/student")
    evaluation = evaluate(
        rows.read("task", "test"),
        params.teachers(checked_params(), "stage2"),
        LOGITS / "task",
        student / "stage1",
        student / "stage2",
    )
    write_json(Path("metrics/evaluation.json"), report.metrics(evaluation))
    write_csv(Path("metrics/scores.csv"), report.scores(evaluation))
    write_csv(Path("metrics/confusion.csv"), evaluation.confusion)
    write_csv(Path("metrics/calibration.csv"), evaluation.reliability)
    console.show(report.table(evaluation))
    for sentence in report.sentences(evaluation):
        console.say(sentence)
    return "evaluation: metrics/evaluation.json, scores.csv, confusion.csv and calibration.csv"


if __name__ == "__main__":
    console.run(main)
