"""A folded student gives exactly the prediction of all its heads."""

from pathlib import Path

import exports
import numpy as np
import pytest
import torch
from torch.nn.functional import softmax

from pipeline.export.folding import fold
from pipeline.export.package import shipped_order
from pipeline.model import pair_model
from pipeline.model.encoding import collate, encode

NLI = ("entailment", "neutral", "contradiction")


@pytest.mark.parametrize("head_layers", [1, 2, 3])
@pytest.mark.parametrize("label_names", [exports.TWO, NLI])
@pytest.mark.parametrize("reverse", [False, True])
def test_folding_changes_no_probability(
    head_layers: int, label_names: tuple[str, ...], reverse: bool, tiny_bert: Path, tmp_path: Path
) -> None:
    student = exports.save_student(
        tmp_path / "s", tiny_bert, label_names=label_names, head_layers=head_layers
    )
    model, tokenizer, card = pair_model.load(student)
    shipped = label_names[::-1] if reverse else label_names
    batch = collate(encode(tokenizer, exports.rows_of(exports.pairs_of(9)), 16), np.arange(9))
    with torch.inference_mode():
        logits = fold(model.eval(), card, shipped)(**batch)
        # The prediction rule, computed apart: heads are averaged, then divided by 1.7.
        state = model.encoder(**batch).last_hidden_state
        mask = batch["attention_mask"][:, :, None]
        pooled = (state * mask).sum(dim=1) / mask.sum(dim=1)
        heads = torch.stack([model.heads[name](pooled) for name in exports.HEADS])
        expected = softmax(heads.mean(dim=0) / 1.7, dim=1)
    if len(label_names) == 2:
        assert logits.shape == (9, 1)
        second = torch.sigmoid(logits[:, 0])
        found = torch.stack([1 - second, second], dim=1)
    else:
        found = softmax(logits, dim=1)
    order = [label_names.index(name) for name in shipped]
    torch.testing.assert_close(found, expected[:, order], rtol=0, atol=1e-6)
    # Otherwise an order or a head could be mixed up without a difference.
    assert heads.std(dim=0).min() > 1e-3


def test_the_relevant_label_is_the_second_of_two_classes() -> None:
    assert shipped_order(("yes", "no"), None) == ("yes", "no")
    assert shipped_order(("yes", "no"), "no") == ("yes", "no")
    assert shipped_order(("yes", "no"), "yes") == ("no", "yes")
    assert shipped_order(NLI, "entailment") == NLI
