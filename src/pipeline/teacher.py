"""Teachers: a pretrained encoder and one head, fine-tuned on gold labels."""

from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from pipeline.core.rows import Rows
from pipeline.model import text_fit
from pipeline.model.encoding import encode
from pipeline.training.loop import Examples, Trained
from pipeline.training.new_teacher import new_teacher
from pipeline.training.run import restarting, train_and_save
from pipeline.training.settings import Teacher


@restarting
def finetune_teacher(
    name: str,
    settings: Teacher,
    *,
    max_length: int,
    training: Rows,
    validation: Rows,
    models: Path,
) -> Trained:
    """Fine-tune teacher ``name`` on ``training``.

    It starts as ``new_teacher`` says and is saved to ``models/teachers/<name>``. Losses of its
    curve are cross-entropies, in nats per row.
    """
    model, tokenizer, card = new_teacher(settings, training, max_length=max_length, models=models)

    text_fit.say(tokenizer, training, card.max_length)

    def examples(rows: Rows) -> Examples:
        no_teachers = torch.empty(len(rows), 0, model.classes)
        tokens = encode(tokenizer, rows, card.max_length)
        return Examples(tokens, torch.from_numpy(rows.labels), no_teachers)

    def loss(logits: Tensor, labels: Tensor, _: Tensor) -> Tensor:
        return cross_entropy(logits[:, 0], labels, reduction="none")

    return train_and_save(
        model,
        tokenizer,
        card,
        directory=models / "teachers" / name,
        training=examples(training),
        validation=examples(validation),
        loss=loss,
        settings=settings,
        more_settings=card.max_length,
        code=__name__,
        name=f"teacher {name}",
    )
