"""The noise under which a student learns, beside dropout: stochastic depth and span cutoff."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.core.errors import UserError
from pipeline.model.encoding import Encoded


@contextmanager
def stochastic_depth(encoder: PreTrainedModel, rate: float) -> Iterator[None]:
    """Let ``encoder`` skip layers at random while it trains (Huang et al. 2016).

    Layer i of L, from 1, is skipped with the probability ``rate`` · i / L, for each row by itself;
    the row then keeps the states that it had before the layer. In evaluation mode all layers are
    computed. Raises UserError if the layers of ``encoder`` cannot be found.
    """
    if not rate:
        yield
        return
    layers = _layers(encoder)
    hooks = [
        layer.register_forward_hook(_skipping(rate * i / len(layers)), with_kwargs=True)
        for i, layer in enumerate(layers, start=1)
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _layers(encoder: PreTrainedModel) -> nn.ModuleList:
    depth = encoder.config.num_hidden_layers
    for module in encoder.modules():
        if isinstance(module, nn.ModuleList) and len(module) == depth:
            return module
    raise UserError(
        f"stochastic_depth cannot skip layers of a {encoder.config.model_type}, which has no list "
        f"of {depth} layers: set it to 0 in params.yaml, or use other weights."
    )


def _skipping(rate: float) -> Any:
    """A forward hook that returns the input of a layer, instead of its output, for some rows."""

    def hook(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        if not layer.training:
            return None
        before: Tensor = args[0] if args else kwargs["hidden_states"]
        after: Tensor = output[0] if isinstance(output, tuple) else output
        is_skipped = torch.rand(len(after), 1, 1, device=after.device) < rate
        # The highest layer may have computed the first token only.
        mixed = torch.where(is_skipped, before[:, : after.shape[1]], after)
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    return hook


def cut_off(
    tokens: Encoded, removable: np.ndarray, share: float, *, seed: int, epoch: int
) -> Encoded:
    """Remove a span of tokens from each row, as span cutoff does (Shen et al. 2020).

    ``removable``, bool of shape [tokens], says which tokens are words; others, such as the
    separator between the texts, stay. Of the m words of a row, ``share`` · m that follow each other
    are removed, rounded up or down at random so that this is the mean. ``seed`` and ``epoch``
    determine the spans.
    """
    if not share:
        return tokens
    rows = np.repeat(np.arange(len(tokens)), tokens.lengths)
    counts = np.bincount(rows[removable], minlength=len(tokens))
    # The place of each word among those of its row.
    places = np.cumsum(removable) - 1 - np.repeat(np.cumsum(counts) - counts, tokens.lengths)
    generator = np.random.default_rng((seed, epoch, 1))
    removed = np.floor(share * counts + generator.random(len(tokens))).astype(np.int64)
    starts = generator.integers(counts - removed, endpoint=True)
    in_span = (places >= starts[rows]) & (places < (starts + removed)[rows])
    kept = ~(removable & in_span)
    lengths = np.bincount(rows[kept], minlength=len(tokens))
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return replace(tokens, ids=tokens.ids[kept], types=tokens.types[kept], offsets=offsets)
