"""Ranking within a question: by hand, by permutations, and against scikit-learn."""

from itertools import permutations

import numpy as np
import pytest
from sklearn.metrics import average_precision_score

from pipeline.evaluation import ranking

GROUPS = ["a", "b", "a", "b", "a", "none right", "all right", "a"]
RIGHT = np.array([1, 0, 0, 1, 1, 0, 1, 0], dtype=bool)
SCORES = np.array([0.9, 0.8, 0.8, 0.1, 0.3, 0.5, 0.5, 0.1])


def test_a_ranking_worked_out_by_hand() -> None:
    asked = ranking.questions(GROUPS, RIGHT)
    found = ranking.ranked(SCORES, asked)
    # In the order of their names. a: right at ranks 1 and 3, precisions 1/1 and 2/3; b: at rank 2.
    assert asked.mixed.tolist() == [True, False, True, False]
    assert found[0].tolist() == pytest.approx([5 / 6, 1, 1])
    assert found[1].tolist() == [1, 1, 1]
    assert found[2].tolist() == [1 / 2, 1 / 2, 0]
    assert found[3].tolist() == [0, 0, 0]


def test_average_precision_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    groups = [str(one) for one in generator.integers(0, 20, 400)]
    right, scores = generator.random(400) < 0.3, generator.random(400)
    found = ranking.ranked(scores, ranking.questions(groups, right))[:, 0]
    places = [np.array(groups) == name for name in sorted(set(groups))]
    expected = [average_precision_score(right[own], scores[own]) for own in places]
    assert found.tolist() == pytest.approx(expected)


def test_a_model_that_says_the_same_of_all_rows_ranks_nothing_first() -> None:
    asked = ranking.questions(["q"] * 4, np.array([True, False, False, True]))
    assert ranking.ranked(np.full(4, 0.5), asked)[0, 1:].tolist() == [1 / 3, 0]


@pytest.mark.parametrize("right", [[1, 0, 0], [1, 0, 0, 1, 0], [0, 1, 1, 1], [0, 0], [1, 1], [1]])
def test_a_random_order_has_the_mean_scores_of_all_orders(right: list[int]) -> None:
    asked = ranking.questions(["q"] * len(right), np.array(right, dtype=bool))
    orders = permutations(np.arange(len(right), dtype=float))
    expected = np.mean([ranking.ranked(np.array(order), asked)[0] for order in orders], axis=0)
    assert ranking.random_order(asked)[0] == pytest.approx(expected)
