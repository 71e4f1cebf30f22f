"""Ranking within a question, worked out by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score

from pipeline.evaluation import ranking, scoring

GROUPS = ["a", "b", "a", "b", "a", "none right", "all right", "a"]
RIGHT = np.array([1, 0, 0, 1, 1, 0, 1, 0], dtype=bool)
SCORES = np.array([0.9, 0.8, 0.8, 0.1, 0.3, 0.5, 0.5, 0.1])


def test_a_ranking_worked_out_by_hand() -> None:
    found = ranking.by_question(SCORES, RIGHT, GROUPS)
    # a: right at ranks 1 and 3, precisions 1/1 and 2/3; b: right at rank 2 of 2.
    assert found["mean_average_precision"].tolist() == pytest.approx([5 / 6, 1 / 2])
    assert found["mean_reciprocal_rank"].tolist() == [1.0, 0.5]
    assert found["precision_at_1"].tolist() == [1.0, 0.0]


def test_questions_without_a_right_and_a_wrong_row_are_left_out_and_counted() -> None:
    answers = torch.from_numpy(np.stack([1 - SCORES, SCORES], axis=1))
    result = scoring.score(answers, RIGHT.astype(int), GROUPS)
    assert result.questions == 2
    assert result.mean_average_precision is not None
    assert result.mean_average_precision.value == pytest.approx(2 / 3)
    nobody = scoring.score(answers, RIGHT.astype(int), [str(i) for i in range(8)])
    assert (nobody.questions, nobody.mean_average_precision) == (0, None)


def test_average_precision_is_that_of_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    groups = [str(one) for one in generator.integers(0, 20, 400)]
    right, scores = generator.random(400) < 0.3, generator.random(400)
    found = ranking.by_question(scores, right, groups)["mean_average_precision"]
    places = [np.array(groups) == name for name in sorted(set(groups))]
    expected = [average_precision_score(right[own], scores[own]) for own in places]
    assert found.tolist() == pytest.approx(expected)


def test_a_model_that_says_the_same_of_all_rows_ranks_nothing_first() -> None:
    found = ranking.by_question(np.full(4, 0.5), np.array([True, False, False, True]), ["q"] * 4)
    assert found["mean_reciprocal_rank"].tolist() == [1 / 3]
