"""int8 is shipped if it decides like float32 and is not established to be worse."""

from collections.abc import Sequence
from typing import Any, cast

import exports
import numpy as np

from pipeline.export.gate import Gate, compare
from pipeline.export.settings import Export
from pipeline.serving.scorer import Pair, Scorer

POOL = exports.rows_of(exports.pairs_of(300, 1), name="general/pool")
VALIDATION = exports.rows_of(exports.pairs_of(200, 2))


class Answers:
    """A scorer whose answers are known: the class in ``chosen`` of each pair."""

    label_names = exports.TWO

    def __init__(self, chosen: dict[Pair, int]) -> None:
        self.chosen = chosen

    def probabilities(self, pairs: Sequence[Pair]) -> np.ndarray:
        return np.eye(2)[[self.chosen[pair] for pair in pairs]] * 0.8 + 0.1


def right() -> dict[Pair, int]:
    """The gold label of each validation pair, and a class for those of the pool."""
    answers = dict.fromkeys(zip(*POOL.texts(), strict=True), 1)
    return answers | dict(
        zip(zip(*VALIDATION.texts(), strict=True), VALIDATION.labels, strict=True)
    )


def gate(float32: dict[Pair, int], int8: dict[Pair, int], **changes: Any) -> Gate:
    settings = Export(**{"int8_rows": 1000, **changes})
    first, second = (cast(Scorer, Answers(chosen)) for chosen in (float32, int8))
    return compare(first, second, pool=POOL, validation=VALIDATION, settings=settings)


def flipped(answers: dict[Pair, int], pairs: list[Pair]) -> dict[Pair, int]:
    return answers | {pair: 1 - answers[pair] for pair in pairs}


def test_the_same_answers_pass() -> None:
    found = gate(right(), right())
    assert (found.rows, found.labelled_rows) == (500, 200)
    assert (found.agreement, found.float32_accuracy, found.int8_accuracy) == (1, 1, 1)
    assert found.refusal is None


def test_too_many_other_answers_on_rows_without_labels_are_refused() -> None:
    pool = list(zip(*POOL.texts(), strict=True))
    assert gate(right(), flipped(right(), pool[:10])).refusal is None
    found = gate(right(), flipped(right(), pool[:11]))
    assert found.agreement == 489 / 500
    assert found.refusal == (
        "it chooses the same class as float32 on 97.80% of 500 rows, and export.int8_agreement "
        "asks for 98.00%"
    )
    assert gate(right(), flipped(right(), pool[:11]), int8_agreement=0.97).refusal is None


def test_an_established_loss_of_accuracy_is_refused_and_a_chance_one_is_not() -> None:
    labelled = list(zip(*VALIDATION.texts(), strict=True))
    found = gate(right(), flipped(right(), labelled[:8]))
    assert found.int8_accuracy == 0.96
    assert "its accuracy on 200 validation rows differs by -4.0 points" in str(found.refusal)
    assert gate(right(), flipped(right(), labelled[:8]), int8_loss=0.05).refusal is None
    # As many answers become right as become wrong.
    before = flipped(right(), labelled[:4])
    after = flipped(right(), labelled[4:8])
    found = gate(before, after)
    assert found.gain.low < 0 < found.gain.high
    assert found.refusal is None
    # A better int8 is no reason to refuse it.
    assert gate(flipped(right(), labelled[:8]), right()).refusal is None


def test_rows_are_drawn_from_everywhere() -> None:
    pool = list(zip(*POOL.texts(), strict=True))
    found = gate(right(), flipped(right(), pool[200:]), int8_rows=100, int8_agreement=0)
    assert found.rows == 200
    # A third of the pool, which is half of the rows.
    assert abs(found.agreement - (1 - 1 / 6)) < 0.01


def test_labels_are_matched_by_name() -> None:
    swapped = exports.rows_of(exports.pairs_of(200, 2), exports.TWO[::-1])
    answers = right() | dict(
        zip(zip(*swapped.texts(), strict=True), 1 - swapped.labels, strict=True)
    )
    scorer = cast(Scorer, Answers(answers))
    found = compare(scorer, scorer, pool=POOL, validation=swapped, settings=Export())
    assert found.float32_accuracy == 1
