"""Choose how attention is computed: PyTorch's fused operator or the plain formula."""

from torch import Tensor
from transformers import PreTrainedModel

LARGEST_PLAIN = 64 * 256**2
"""Scores of attention, per head, above which the plain formula takes more memory and time."""


def fit_attention(encoder: PreTrainedModel, tokens: Tensor) -> None:
    """Let ``encoder`` compute attention in the way that is fastest for ``tokens`` [rows, tokens].

    On a CPU, the backward pass of the fused operator is slow for short rows, most of all in
    bfloat16 and beside products by oneDNN. Models without a fused operator stay as they are.
    """
    rows, length = tokens.shape
    plain = tokens.device.type == "cpu" and rows * length**2 <= LARGEST_PLAIN
    unwanted, wanted = ("sdpa", "eager") if plain else ("eager", "sdpa")
    if encoder.config._attn_implementation == unwanted and encoder._supports_sdpa:
        encoder.set_attn_implementation(wanted)
