import numpy as np
import torch
from exports import rows_of

from pipeline.evaluation.predictions import COLUMNS, predictions


def test_a_line_has_texts_label_and_what_both_answer() -> None:
    test = rows_of([("q", "p"), ('a "b"', "c\nd")], name="test/qa")
    student = torch.tensor([[0.3, 0.7], [0.9, 0.1]], dtype=torch.float64)
    teachers = torch.tensor([[0.6, 0.4], [0.2, 0.8]], dtype=torch.float64)
    first, second = predictions(test, student, teachers)
    assert tuple(first) == COLUMNS
    assert test.labels.tolist() == [0, 1]
    assert first == {
        "test": "qa",
        "text_a": "q",
        "text_b": "p",
        "label": "irrelevant",
        "probability_of_label": 0.3,
        "student": "relevant",
        "student_probability": 0.7,
        "teachers": "irrelevant",
        "teachers_probability": 0.6,
    }
    # The worst mistake is the row whose label gets least.
    lines = [first, second]
    worst = min(range(2), key=lambda i: lines[i]["probability_of_label"])
    assert worst == int(np.argmin([0.3, 0.1]))
