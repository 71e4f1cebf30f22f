"""Train a noisy student (Xie et al. 2020): gold labels and pseudo-labels together, under noise."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, one_hot

from pipeline.core.rows import Rows
from pipeline.model import text_fit
from pipeline.model.encoding import Encoded, encode
from pipeline.noisy_student.batches import mixed_batches
from pipeline.noisy_student.noise import cut_off, stochastic_depth
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.training.loop import Examples, Trained
from pipeline.training.new_teacher import new_teacher
from pipeline.training.run import restarting, train_and_save

CODE = "pipeline.noisy_student"
"""The code, beside that of all trainings, that determines the result."""


def loss(logits: Tensor, _: Tensor, targets: Tensor) -> Tensor:
    """Divergence KL(targets ‖ softmax(logits)), in nats, of shape [rows].

    ``logits`` and ``targets`` have shape [rows, 1, classes]. A gold label is a target of
    probability 1, whose divergence is the cross-entropy. For soft labels it is the cross-entropy
    minus their entropy, so that a perfect student has a loss of 0.
    """
    entropy: Tensor = torch.special.entr(targets[:, 0]).sum(dim=-1)
    return cross_entropy(logits[:, 0], targets[:, 0], reduction="none") - entropy


def targets_of(rows: Rows, *, soft: bool) -> Tensor:
    """A probability for each class, float32 of shape [rows, 1, classes].

    ``soft`` takes the soft labels of ``rows``, else their labels have probability 1.
    """
    if soft:
        assert rows.soft_labels is not None
        return torch.from_numpy(rows.soft_labels)[:, None]
    return one_hot(torch.from_numpy(rows.labels), len(rows.label_names)).float()[:, None]


@restarting
def train_noisy_student(
    name: str,
    settings: NoisyStudent,
    *,
    max_length: int,
    gold: Rows,
    pseudo_labelled: Rows,
    validation: Rows,
    models: Path,
) -> Trained:
    """Train noisy student ``name`` on ``gold`` and ``pseudo_labelled``, whose classes are the same.

    It starts as ``new_teacher`` says and is saved as a teacher to ``models/teachers/<name>``.
    Losses of its curve are those of ``loss``, in nats per row; those of the validation rows are
    without noise. Training accuracy counts pseudo-labels as labels.
    """
    model, tokenizer, card = new_teacher(settings, gold, max_length=max_length, models=models)
    text_fit.say(tokenizer, gold, card.max_length)
    labels = np.concatenate([gold.labels, pseudo_labelled.labels])
    targets = [targets_of(gold, soft=False)]
    targets.append(targets_of(pseudo_labelled, soft=settings.targets == "soft"))
    tokens = encode(tokenizer, _joined(gold, pseudo_labelled), card.max_length)
    # The loop may give tokens other numbers, so what can be removed is decided here.
    removable = ~np.isin(tokens.ids, tokenizer.all_special_ids)

    def epoch_of(tokens: Encoded, epoch: int) -> tuple[Encoded, list[np.ndarray]]:
        noisy = cut_off(tokens, removable, settings.cutoff, seed=settings.seed, epoch=epoch)
        batches = mixed_batches(
            noisy.lengths,
            len(gold),
            settings.batch_size,
            gold_share=settings.gold_share,
            seed=settings.seed,
            epoch=epoch,
        )
        return noisy, batches

    with stochastic_depth(model.encoder, settings.stochastic_depth):
        return train_and_save(
            model,
            tokenizer,
            card,
            directory=models / "teachers" / name,
            training=Examples(tokens, torch.from_numpy(labels), torch.cat(targets)),
            validation=Examples(
                encode(tokenizer, validation, card.max_length),
                torch.from_numpy(validation.labels),
                targets_of(validation, soft=False),
            ),
            loss=loss,
            settings=settings,
            more_settings=(card.max_length, len(gold)),
            code=CODE,
            name=f"noisy student {name}",
            epoch_of=epoch_of,
        )


def _joined(gold: Rows, pseudo_labelled: Rows) -> Rows:
    """The texts of both, one after the other."""
    tables = [rows.table.select(["text_a", "text_b"]) for rows in (gold, pseudo_labelled)]
    return Rows(
        f"{gold.name} and {pseudo_labelled.name}", pa.concat_tables(tables), gold.label_names
    )
