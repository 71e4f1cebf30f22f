"""Compute the highest layer of a BERT at the first token only, for heads that read no other.

Keys and values still come from all tokens, so the state at the first token is the same. This saves
five sixths of the layer's matrix products, in training and in inference.
"""

from functools import partial
from typing import Any, cast

from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel


def only_first_token(encoder: PreTrainedModel) -> None:
    """Let a BERT return a last hidden state of shape [rows, 1, width]; leave others unchanged."""
    if encoder.config.model_type == "bert":
        highest = cast(Any, encoder).encoder.layer[-1]
        highest.forward = partial(_at_first_token, highest)


def _at_first_token(
    layer: Any, hidden: Tensor, attention_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    """The output of a BertLayer at the first token; ``hidden`` is [rows, tokens, width]."""
    projections = layer.attention.self
    first = hidden[:, :1]

    def by_head(states: Tensor) -> Tensor:
        heads = projections.num_attention_heads
        return states.view(*states.shape[:-1], heads, -1).transpose(1, 2)

    # The fused operator would be slower in training; see ``attention.py``.
    with sdpa_kernel(SDPBackend.MATH):
        context = scaled_dot_product_attention(
            by_head(projections.query(first)),
            by_head(projections.key(hidden)),
            by_head(projections.value(hidden)),
            None if attention_mask is None else attention_mask[:, :, :1],
            dropout_p=projections.dropout.p if layer.training else 0.0,
        )
    state = layer.attention.output(context.transpose(1, 2).flatten(2), first)
    return cast(Tensor, layer.feed_forward_chunk(state))
