"""A tiny study of noisy students."""

from typing import Any

CONTENT: dict[str, Any] = {
    "seeds": 2,
    "teacher": {"corpus": "task", "weights": "pretrained/tiny", "lr": 3e-3, "epochs": 1},
    "noisy_student": {
        "weights": "pretrained/tiny",
        "pseudo_labels": {"balance": False},
        "lr": 3e-3,
        "epochs": 1,
    },
    "noisy_students": {"first": {"gold_share": 0.5}, "second": {"teacher": "first"}},
    "generations": ["teacher", "first", "second"],
    "robustness": ["teacher", "first"],
    "compare": [["first", "teacher"], ["second", "first"]],
}
