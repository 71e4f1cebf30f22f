"""Train with an embedding table of the tokens that occur; the others cost time and learn nothing.

A table of 30,000 tokens is most of a small student, and its gradient and optimizer state are dense.
A token that occurs in no row has a gradient of zero, so leaving it out changes no result.
"""

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import cast

import numpy as np
import torch
from torch import nn

from pipeline.model.encoding import Encoded
from pipeline.model.pair_model import PairModel


@contextmanager
def only_tokens_of(model: PairModel, *encoded: Encoded) -> Iterator[list[Encoded]]:
    """Give ``model`` a table of the tokens in ``encoded``, and yield these with the new numbers.

    Afterwards the model has its whole table again, with the trained embeddings in it.
    """
    whole = cast(nn.Embedding, model.encoder.get_input_embeddings())
    occurs = np.zeros(whole.num_embeddings, dtype=bool)
    if whole.padding_idx is not None:
        # It keeps its number, because encoders recognise padding by that.
        occurs[: whole.padding_idx + 1] = True
    occurs[encoded[0].pad_id] = True
    for tokens in encoded:
        occurs[tokens.ids] = True
    new_numbers = (occurs.cumsum() - 1).astype(encoded[0].ids.dtype)
    kept = torch.from_numpy(np.flatnonzero(occurs)).to(whole.weight.device)
    # A copy, because some architectures have a table of their own kind, which scales what it gives.
    part = copy.copy(whole)
    part._parameters = {"weight": nn.Parameter(whole.weight.detach()[kept])}
    part.num_embeddings = len(kept)
    model.encoder.set_input_embeddings(part)
    try:
        pad_id = int(new_numbers[encoded[0].pad_id])
        yield [replace(tokens, ids=new_numbers[tokens.ids], pad_id=pad_id) for tokens in encoded]
    finally:
        with torch.no_grad():
            whole.to(part.weight.device).weight[kept.to(part.weight.device)] = part.weight
        model.encoder.set_input_embeddings(whole)
