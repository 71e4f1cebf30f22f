from dataclasses import replace

import numpy as np
import torch
from exports import rows_of

from pipeline.evaluation.predictions import predictions


def test_a_line_has_texts_label_and_what_both_answer() -> None:
    test = rows_of([("q", "p"), ('a "b"', "c\nd")], name="test/qa")
    student = torch.tensor([[0.3, 0.7], [0.9, 0.1]], dtype=torch.float64)
    teachers = torch.tensor([[0.6, 0.4], [0.2, 0.8]], dtype=torch.float64)
    first, second = predictions(test, student, teachers)
    assert test.labels.tolist() == [0, 1]
    assert first == {
        "test": "qa",
        "group": "",
        "text_a": "q",
        "text_b": "p",
        "label": "irrelevant",
        "probability_of_label": 0.3,
        "student": "relevant",
        "student_irrelevant": 0.3,
        "student_relevant": 0.7,
        "teachers": "irrelevant",
        "teachers_irrelevant": 0.6,
        "teachers_relevant": 0.4,
    }
    # The worst mistake is the row whose label gets least.
    lines = [first, second]
    worst = min(range(2), key=lambda i: lines[i]["probability_of_label"])
    assert worst == int(np.argmin([0.3, 0.1]))


def test_figures_have_full_precision_and_rows_their_group() -> None:
    """With four decimal places, rows of a question would have equal scores."""
    test = rows_of([("q", "a"), ("q", "b")], name="test/qa")
    test = replace(test, table=test.table.append_column("group", [["q1", "q1"]]))
    student = torch.tensor([[0.1, 0.9], [0.1, 0.9]], dtype=torch.float64)
    student[1] += torch.tensor([1e-9, -1e-9], dtype=torch.float64)
    first, second = predictions(test, student, student)
    assert first["student_relevant"] > second["student_relevant"]
    assert first["group"] == second["group"] == "q1"
