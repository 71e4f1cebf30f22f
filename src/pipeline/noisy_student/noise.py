"""The noise under which a student learns, beside dropout: stochastic depth and span cutoff."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from pipeline.core.errors import UserError
from pipeline.model.encoding import Encoded

ROWS_CUT_TOGETHER = 100_000


@contextmanager
def stochastic_depth(encoder: PreTrainedModel, rate: float) -> Iterator[None]:
    """Let ``encoder`` skip layers at random while it trains, after Huang et al. 2016.

    Layer i of L, from 1, is skipped with the probability ``rate`` · i / L, for each row by itself;
    the row then keeps the states that it had before the layer. In evaluation mode all layers are
    computed; states are not scaled. Raises UserError if the layers of ``encoder`` are not found.
    """
    if not rate:
        yield
        return
    layers = _layers(encoder)
    with ExitStack() as stack:
        for i, layer in enumerate(layers, start=1):
            hook = layer.register_forward_hook(_skipping(rate * i / len(layers)), with_kwargs=True)
            stack.callback(hook.remove)
        yield


def _layers(encoder: PreTrainedModel) -> nn.ModuleList:
    """The layers, each of which makes states [rows, tokens, width] of such states."""
    depth = encoder.config.num_hidden_layers
    lists = [
        module
        for module in encoder.modules()
        if isinstance(module, nn.ModuleList) and len(module) == depth
    ]
    inner = [module for one in lists for module in one.modules() if module is not one]
    outermost = [one for one in lists if one not in inner]
    # Several lists would be those of attentions, of norms and so on.
    if len(outermost) == 1 and _are_layers(outermost[0], encoder):
        return outermost[0]
    raise UserError(
        f"stochastic_depth does not find the layers of a {encoder.config.model_type}: set it to 0 "
        "in params.yaml, or use other weights."
    )


def _are_layers(modules: nn.ModuleList, encoder: PreTrainedModel) -> bool:
    """Whether each of ``modules`` is called once, with the states of rows and tokens."""
    rows, tokens = encoder.dummy_inputs["input_ids"].shape
    called: list[bool] = []

    def note(_: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        before, after = _states(args, kwargs, output)
        width = encoder.config.hidden_size
        called.append(before.shape == (rows, tokens, width) and after.shape[::2] == (rows, width))

    with ExitStack() as stack, torch.inference_mode():
        for module in modules:
            stack.callback(module.register_forward_hook(note, with_kwargs=True).remove)
        encoder(**encoder.dummy_inputs)
    return len(called) == len(modules) and all(called)


def _states(args: Any, kwargs: Any, output: Any) -> tuple[Tensor, Tensor]:
    """The states before and after a layer."""
    before: Tensor = args[0] if args else kwargs["hidden_states"]
    after: Tensor = output[0] if isinstance(output, tuple) else output
    return before, after


def _skipping(rate: float) -> Any:
    """A forward hook that returns the input of a layer, instead of its output, for some rows."""

    def hook(layer: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
        if not layer.training:
            return None
        before, after = _states(args, kwargs, output)
        is_skipped = torch.rand(len(after), 1, 1, device=after.device) < rate
        # The highest layer may have computed the first token only.
        mixed = torch.where(is_skipped, before[:, : after.shape[1]], after)
        return (mixed, *output[1:]) if isinstance(output, tuple) else mixed

    return hook


def cut_off(
    tokens: Encoded, removable: np.ndarray, share: float, *, seed: int, epoch: int
) -> Encoded:
    """Remove a span of words from each row, after span cutoff (Shen et al. 2020).

    ``removable``, bool of shape [tokens], says which tokens are words; others, such as the
    separator between the texts, stay. Of the m words of a row, ``share`` · m that follow each other
    are removed, rounded up or down at random so that this is the mean. ``seed`` and ``epoch``
    determine the spans.
    """
    if not share:
        return tokens
    generator = np.random.default_rng((seed, epoch, 1))
    random = generator.random((2, len(tokens)))
    kept = np.ones(len(tokens.ids), dtype=bool)
    # In pieces, because the numbers below take many times the memory of the tokens.
    for first in range(0, len(tokens), ROWS_CUT_TOGETHER):
        last = min(first + ROWS_CUT_TOGETHER, len(tokens))
        start, stop = tokens.offsets[[first, last]]
        lengths, words = tokens.lengths[first:last], removable[start:stop]
        row = np.repeat(np.arange(last - first), lengths)
        counts = np.bincount(row[words], minlength=last - first)
        # The place of each word among those of its row.
        place = np.cumsum(words) - 1 - (np.cumsum(counts) - counts)[row]
        removed = np.floor(share * counts + random[0, first:last]).astype(np.int64)
        begin = np.floor(random[1, first:last] * (counts - removed + 1)).astype(np.int64)
        in_span = (place >= begin[row]) & (place < (begin + removed)[row])
        kept[start:stop] = ~(words & in_span)
    lengths = np.add.reduceat(kept, tokens.offsets[:-1], dtype=np.int64)
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    return replace(tokens, ids=tokens.ids[kept], types=tokens.types[kept], offsets=offsets)
