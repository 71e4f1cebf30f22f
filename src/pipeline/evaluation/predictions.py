"""What student and teachers answer for each test row, for people who look at their mistakes."""

from typing import Any

from torch import Tensor

from pipeline.core.rows import Rows

COLUMNS = (
    *("test", "text_a", "text_b", "label", "probability_of_label"),
    *("student", "student_probability", "teachers", "teachers_probability"),
)
"""The columns of ``data/predictions.csv``. ``probability_of_label`` is what the student gives to
the gold label, so that the rows with the lowest are its worst mistakes. The others are a predicted
class and its probability, of the student and of the teachers' mean."""


def predictions(test: Rows, student: Tensor, teachers: Tensor) -> list[dict[str, Any]]:
    """One line per row of ``test``; both inputs are probabilities of shape [rows, classes]."""
    texts_a, texts_b = test.texts()
    names = test.label_names
    lines = []
    for text_a, text_b, label, own, theirs in zip(
        texts_a, texts_b, test.labels, student.numpy(), teachers.numpy(), strict=True
    ):
        lines.append(
            {
                "test": test.name.removeprefix("test/"),
                "text_a": text_a,
                "text_b": text_b,
                "label": names[label],
                "probability_of_label": round(float(own[label]), 4),
                "student": names[own.argmax()],
                "student_probability": round(float(own.max()), 4),
                "teachers": names[theirs.argmax()],
                "teachers_probability": round(float(theirs.max()), 4),
            }
        )
    return lines
