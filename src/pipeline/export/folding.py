"""Fold the heads of a student into one, so that other tools can load and run it."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.core.rows import class_order
from pipeline.model.pair_model import Card, PairModel, pool


class FoldedStudent(nn.Module):
    """A student with one head, which gives its prediction before the softmax or the sigmoid."""

    def __init__(self, encoder: PreTrainedModel, head: nn.Sequential) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = head

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None
    ) -> Tensor:
        """Logits, float32 of shape [rows, classes], or [rows, 1] if there are two classes."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, **types
        ).last_hidden_state
        state = pool(hidden, attention_mask, self.encoder.config.head_pooling)
        logits: Tensor = self.head(state)
        return logits


def fold(student: PairModel, card: Card, label_names: Sequence[str]) -> FoldedStudent:
    """One head that gives the mean of the logits of all heads, divided by the temperature.

    The logits are those of ``label_names``, the classes of ``card`` in the order that is shipped.
    Of two classes, there is one logit: that of the second minus that of the first, whose sigmoid is
    the probability of the second. The result is exact: the mean of linear layers is a linear
    layer, and heads of several layers are computed side by side in layers as wide as all of them.
    """
    order = class_order(card.label_names, label_names)
    columns = [
        [module for module in student.heads[name].children() if isinstance(module, nn.Linear)]
        for name in card.heads
    ]
    scale = len(card.heads) * card.temperature
    layers: list[nn.Module] = []
    for depth, side_by_side in enumerate(zip(*columns, strict=True)):
        weights = [linear.weight.detach() for linear in side_by_side]
        biases = [linear.bias.detach() for linear in side_by_side]
        is_first, is_last = depth == 0, depth == card.head_layers - 1
        if not is_last:
            # All heads read the same state, and each next layer reads that of its own head.
            weight = torch.cat(weights) if is_first else torch.block_diag(*weights)
            layers += [_linear(weight, torch.cat(biases)), nn.ReLU()]
            continue
        weight = torch.stack(weights).sum(dim=0) if is_first else torch.cat(weights, dim=1)
        weight, bias = weight[order] / scale, torch.stack(biases).sum(dim=0)[order] / scale
        if len(order) == 2:
            weight, bias = weight[1:] - weight[:1], bias[1:] - bias[:1]
        layers.append(_linear(weight, bias))
    return FoldedStudent(student.encoder, nn.Sequential(*layers)).eval()


def _linear(weight: Tensor, bias: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    layer.load_state_dict({"weight": weight.contiguous(), "bias": bias})
    return layer
