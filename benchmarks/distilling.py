"""An epoch of the student from logits on disk, against one with three teachers run alongside.

The teachers have 6 layers, the student 3. TextBrewer (installed by ``make bench``) averages the
teachers' logits, where ours learns from each with a head of its own; both pad to the longest row of
a batch.
"""

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from statistics import median

import torch
from side_by_side import WEIGHTS, default_rows, out, start, table, take_turns, times
from textbrewer import DistillationConfig, MultiTeacherDistiller, TrainingConfig
from torch import Tensor

from pipeline import models, runtime
from pipeline.encoding import Batch, Encoded, collate, training_batches
from pipeline.losses import soft_loss
from pipeline.models import GOLDEN, PairModel
from pipeline.resume import Checkpoint
from pipeline.training import Training, make_optimizer, train

ROWS, LENGTH = 384, 40
SETTINGS = Training(lr=1e-4, epochs=1, batch_size=16, dropout=0.0)
TEACHERS = ("t1", "t2", "t3")


def fresh(heads: tuple[str, ...], layers: int) -> PairModel:
    encoder, _ = models.load_encoder(WEIGHTS, layers=layers)
    return PairModel(encoder, heads, 1, 2, 0.0).to(runtime.accelerator().device)


@torch.inference_mode()
def ask(teachers: list[PairModel], batch: Batch) -> Tensor:
    return torch.cat([teacher(batch, [GOLDEN]) for teacher in teachers], dim=1)


def ours(encoded: Encoded, targets: Tensor | None, teachers: list[PairModel]) -> object:
    """An epoch of our loop; without ``targets`` it asks the teachers for each batch."""

    def row_loss(model: PairModel, batch: Batch, indices: Tensor) -> Tensor:
        if targets is None:
            # The loop numbers tokens anew, and teachers know the old numbers.
            read = {k: v.to(batch["input_ids"].device) for k, v in collated(indices).items()}
            soft = ask(teachers, read)
        else:
            soft = targets[indices].to(batch["input_ids"].device)
        return soft_loss(model(batch, TEACHERS), soft, "mse", 1.0)

    def collated(indices: Tensor) -> Batch:
        return collate(encoded, indices.numpy())

    student, checkpoint = fresh(TEACHERS, 3), Checkpoint("benchmark", "distilling")
    return train(
        student, encoded, encoded.first(1), row_loss, SETTINGS, "", checkpoint, lambda _: 0.0
    )


class Batches:
    """TextBrewer asks for a length; rows come in the same order as in our loop."""

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded
        self.indices = training_batches(encoded.lengths, SETTINGS.batch_size, SETTINGS.seed, 0)

    def __len__(self) -> int:
        return len(self.indices)

    def __iter__(self) -> Iterator[dict[str, object]]:
        for indices in self.indices:
            yield {"batch": collate(self.encoded, indices), "heads": [GOLDEN]}


def textbrewer(encoded: Encoded, teachers: list[PairModel]) -> object:
    student = fresh((GOLDEN,), 3)
    distiller = MultiTeacherDistiller(
        TrainingConfig(device=runtime.accelerator().device, output_dir=tempfile.mkdtemp()),
        DistillationConfig(temperature=1, kd_loss_type="mse"),
        teachers,
        student,
        adapt,
        adapt,
    )
    with distiller:
        return distiller.train(
            make_optimizer(student, SETTINGS), Batches(encoded), 1, max_grad_norm=SETTINGS.clip
        )


def adapt(batch: object, said: Tensor) -> dict[str, Tensor]:
    return {"logits": said[:, 0]}


def main() -> None:
    start()
    _, encoded = default_rows("pool", ROWS, LENGTH)
    teachers = [fresh((GOLDEN,), 6).eval() for _ in TEACHERS]
    contenders: dict[str, Callable[[], object]] = {
        "ours, logits from disk": partial(ours, encoded, torch.randn(ROWS, 3, 2), []),
        "ours, three teachers alongside": partial(ours, encoded, None, teachers),
        "TextBrewer, three teachers alongside": partial(textbrewer, encoded, teachers),
    }
    seconds = take_turns(contenders)
    made = table("A student's epoch", "", "rows/s", "slower than from disk")
    first = next(iter(seconds.values()))
    for name, own in seconds.items():
        made.add_row(name, f"{ROWS / median(own):,.0f}", times(own, first))
    out.print(made)


if __name__ == "__main__":
    main()
