"""What student and teachers answer for each test row, for people who look at their mistakes."""

from typing import Any

from torch import Tensor

from pipeline.core.rows import Rows


def predictions(test: Rows, student: Tensor, teachers: Tensor) -> list[dict[str, Any]]:
    """A line of ``data/predictions.csv`` for each row of ``test``, by column.

    Both inputs are probabilities of shape [rows, classes], and all figures have full precision.
    ``probability_of_label`` is what the student gives to the gold label, so that the rows with the
    lowest are its worst mistakes. ``student`` and ``teachers`` are the class that it and the
    teachers' mean choose, and what is called after both is a probability of each class.
    """
    groups = test.groups or [""] * len(test)
    names = test.label_names
    lines = []
    for group, text_a, text_b, label, own, theirs in zip(
        groups, *test.texts(), test.labels, student.numpy(), teachers.numpy(), strict=True
    ):
        line: dict[str, Any] = {
            "test": test.name.removeprefix("test/"),
            "group": group,
            "text_a": text_a,
            "text_b": text_b,
            "label": names[label],
            "probability_of_label": float(own[label]),
        }
        for system, found in (("student", own), ("teachers", theirs)):
            line[system] = names[found.argmax()]
            line |= {
                f"{system}_{name}": float(value) for name, value in zip(names, found, strict=True)
            }
        lines.append(line)
    return lines
