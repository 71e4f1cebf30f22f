"""A BERT whose highest layer works out the first token alone, because no head reads the others.

Its keys and values still come from every token, so that the state of the first one is the same;
what falls away are five sixths of the layer's matrix products, in training and in scoring.
"""

from functools import partial
from typing import Any, cast

from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel


def only_first_token(encoder: PreTrainedModel) -> None:
    """Make a BERT's last hidden state one of shape [rows, 1, width]; others stay as they are."""
    if encoder.config.model_type == "bert":
        highest = cast(Any, encoder).encoder.layer[-1]
        highest.forward = partial(_at_first_token, highest)


def _at_first_token(
    layer: Any, hidden: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    """What a BertLayer makes of ``hidden``, of shape [rows, tokens, width], at the first token."""
    projections = layer.attention.self
    first = hidden[:, :1]

    def by_head(states: Tensor) -> Tensor:
        heads = projections.num_attention_heads
        return states.view(*states.shape[:-1], heads, -1).transpose(1, 2)

    seen = scaled_dot_product_attention(
        by_head(projections.query(first)),
        by_head(projections.key(hidden)),
        by_head(projections.value(hidden)),
        None if attention_mask is None else attention_mask[:, :, :1],
        dropout_p=projections.dropout.p if layer.training else 0.0,
    )
    state = layer.attention.output(seen.transpose(1, 2).flatten(2), first)
    return cast(Tensor, layer.feed_forward_chunk(state))
