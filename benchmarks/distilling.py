"""An epoch of the student from logits on disk, and one with three teachers running alongside.

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

from pipeline.core import runtime
from pipeline.core.checkpoints import Checkpoint
from pipeline.model.encoding import Batch, Encoded, collate, training_batches
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import PairModel
from pipeline.model.settings import GOLDEN
from pipeline.student.losses import soft_loss
from pipeline.training.loop import Examples, train
from pipeline.training.optimizer import make_optimizer
from pipeline.training.settings import Training

ROWS, LENGTH = 384, 40
SETTINGS = Training(lr=1e-4, epochs=1, batch_size=16, dropout=0.0)
TEACHERS = ("t1", "t2", "t3")


def fresh(heads: tuple[str, ...], layers: int) -> PairModel:
    encoder, _ = load_encoder(WEIGHTS, layers=layers)
    model = PairModel(encoder, heads, head_layers=1, classes=2, dropout=0.0)
    return model.to(runtime.accelerator().device)


@torch.inference_mode()
def ask(teachers: list[PairModel], batch: Batch) -> Tensor:
    return torch.cat([teacher(batch, [GOLDEN]) for teacher in teachers], dim=1)


def ours(encoded: Encoded, targets: Tensor | None, teachers: list[PairModel]) -> object:
    """An epoch of our loop; without ``targets`` it runs the teachers on each batch."""
    # In place of labels, which this loss does not use, the loop hands over row numbers.
    numbers = torch.arange(len(encoded))
    logits = torch.zeros(len(encoded), 3, 2) if targets is None else targets

    def loss(student: Tensor, numbers: Tensor, teacher: Tensor) -> Tensor:
        if targets is None:
            batch = collate(encoded, numbers.cpu().numpy())
            teacher = ask(teachers, {k: v.to(student.device) for k, v in batch.items()})
        return soft_loss(student, teacher, "mse", temperature=1.0)

    return train(
        fresh(TEACHERS, 3),
        Examples(encoded, numbers, logits),
        Examples(encoded.first(1), numbers[:1], logits[:1]),
        heads=TEACHERS,
        loss=loss,
        settings=SETTINGS,
        name="",
        checkpoint=Checkpoint("benchmark", "distilling"),
    )


class Batches:
    """TextBrewer asks for a length; rows come in the same order as in our loop."""

    def __init__(self, encoded: Encoded) -> None:
        self.encoded = encoded
        self.indices = training_batches(
            encoded.lengths, SETTINGS.batch_size, seed=SETTINGS.seed, epoch=0
        )

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


def adapt(batch: object, logits: Tensor) -> dict[str, Tensor]:
    return {"logits": logits[:, 0]}


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
