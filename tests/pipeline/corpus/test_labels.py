"""What the values of a label column mean, and which one is to blame."""

from collections import Counter
from typing import Any

import pytest

from pipeline.corpus.labels import meanings, said

RIGHT = ("irrelevant", "relevant")


def read(values: list[Any], names: tuple[str, ...], declared: Any = None) -> list[int | str]:
    found = meanings(Counter(values), names, declared)
    return [found[value] for value in values]


@pytest.mark.parametrize(
    ("values", "names", "expected"),
    [
        (["entailment", "-", "neutral", ""], ("entailment", "neutral"), [0, -1, 1, -1]),
        (["1.0", "0.0", "-1", " ", " 1"], ("0", "1"), [1, 0, -1, -1, 1]),
        (["1.0", "0.0"], RIGHT, [1, 0]),
        (["TRUE", "false", ""], RIGHT, [1, 0, -1]),
        ([True, False], ("true", "false"), [0, 1]),
        ([True, False], ("1", "0"), [0, 1]),
        (["TRUE", "false"], ("1", "0"), [0, 1]),
        ([1.0, 0.0], ("1.0", "0.0"), [0, 1]),
        ([1, 0], ("true", "false"), [0, 1]),
        ([1, -1], ("+1", "-1"), [0, 1]),
        ([float("nan"), 1.0], RIGHT, [-1, 1]),
        ([1, 0], ("1", "0"), [0, 1]),
    ],
)
def test_labels_are_read_as_their_form_says(
    values: list[Any], names: tuple[str, ...], expected: list[int]
) -> None:
    assert read(values, names) == expected


@pytest.mark.parametrize(
    ("values", "names", "wrong", "reason"),
    [
        (["0", "1", "0", "NA", "1"], RIGHT, "NA", "is not one of irrelevant, relevant"),
        (["0", "1", "2"], RIGHT, "2", "is not in 0 to 1 or -1"),
        (["relevant", "irrelevant", "0"], RIGHT, "0", "is not one of irrelevant, relevant"),
        (["1", "2", "3"], ("1", "2"), "3", "is not one of 1, 2"),
        ([0.5, 1.0], RIGHT, 0.5, "is not a whole number"),
    ],
)
def test_the_label_that_does_not_fit_the_others_is_to_blame(
    values: list[Any], names: tuple[str, ...], wrong: Any, reason: str
) -> None:
    found = meanings(Counter(values), names, None)
    assert {value: text for value, text in found.items() if isinstance(text, str)} == {
        wrong: reason
    }


def test_numbers_of_a_source_that_names_its_classes_are_those_names() -> None:
    assert read([0, 1], RIGHT, ["relevant", "irrelevant"]) == [1, 0]
    assert read(["0", "1"], RIGHT, ["relevant", "irrelevant"]) == [1, 0]


def test_what_is_not_a_name_is_said() -> None:
    names = ("relevant", "irrelevant")
    assert said(meanings({True: 2, False: 1}, names, None), names) == {
        "true": "irrelevant",
        "false": "relevant",
    }
    assert said(meanings({"relevant": 2, "-": 1}, names, None), names) == {}
