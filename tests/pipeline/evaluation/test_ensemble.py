"""Votes of several models."""

import torch

from pipeline.evaluation.ensemble import majority_vote
from pipeline.model.inference import mean_probability


def test_majority_vote_follows_the_most_voters_however_sure_the_others_are() -> None:
    votes = torch.tensor([[[0.1, 0.0], [0.1, 0.0], [0.0, 50.0]]])
    assert majority_vote(votes).tolist() == [0]
    assert mean_probability(votes).argmax(dim=-1).tolist() == [1]


def test_a_tie_goes_to_the_tied_class_of_the_highest_mean_probability() -> None:
    # Classes 0 and 1 have a vote each; class 2 has none, though it comes second everywhere.
    votes = torch.tensor([[[2.0, -9.0, 1.9], [-9.0, 3.0, 1.9]]])
    assert majority_vote(votes).tolist() == [1]
