"""From the logits of several heads or models to one answer."""

from torch import Tensor
from torch.nn.functional import one_hot, softmax


def mean_probability(logits: Tensor) -> Tensor:
    """The mean of the softmax outputs (paper equation 6).

    ``logits`` has shape [rows, heads, classes]; the result, [rows, classes], sums to 1 per row.
    """
    return softmax(logits.double(), dim=-1).mean(dim=1)


def majority_vote(logits: Tensor) -> Tensor:
    """The class most voters choose, of shape [rows], int64 (the m-o-m rule).

    ``logits`` has shape [rows, voters, classes]. A tie goes to the class of the highest mean
    probability among the tied ones.
    """
    votes = one_hot(logits.argmax(dim=-1), logits.shape[-1]).sum(dim=1)
    return (votes + mean_probability(logits) / 2).argmax(dim=-1)
