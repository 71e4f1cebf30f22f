"""Compare the student with its teachers on each test set."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows
from pipeline.core.files import write_csv, write_json, write_text
from pipeline.evaluation import figures, report
from pipeline.evaluation.comparison import evaluate
from pipeline.logits import dumped
from pipeline.preflight import read_params


def main() -> str:
    params = read_params()
    evaluations = [
        evaluate(
            rows.read("test", test),
            [dumped(f"test/{test}", teacher) for teacher in params.stage2.teachers],
            is_task=test == params.task,
            stage1=Path("models/student/stage1"),
            stage2=Path("models/student/stage2"),
        )
        for test in params.tests
    ]
    metrics = Path("metrics")
    results = report.markdown(evaluations)
    write_text(metrics / "results.md", results)
    write_json(metrics / "evaluation.json", figures.metrics(evaluations))
    for name, columns, table in (
        ("scores", figures.SCORES, figures.scores),
        ("confusion", figures.CONFUSION, figures.confusion),
        ("calibration", figures.CALIBRATION, figures.calibration),
    ):
        lines = [line for evaluation in evaluations for line in table(evaluation)]
        write_csv(metrics / f"{name}.csv", columns, lines)
    rows_of_all = [line for evaluation in evaluations for line in evaluation.predictions]
    # Test sets may have different classes.
    empty = {column: "" for line in rows_of_all for column in line}
    write_csv(Path("data/predictions.csv"), list(empty), [empty | line for line in rows_of_all])
    console.say(results)
    return "evaluation: metrics/results.md, evaluation.json, scores.csv; data/predictions.csv"


if __name__ == "__main__":
    console.run(main)
