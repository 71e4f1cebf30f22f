"""Train one cell: its stage 1, which several cells may share, its stage 2, and its predictions."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipeline.core import rows
from pipeline.core.checkpoints import ROOT
from pipeline.core.errors import UserError
from pipeline.core.files import write_json
from pipeline.core.rows import class_order
from pipeline.logits import TIMED_ROWS
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.student.stages import distill, finetune_student
from pipeline.training.loop import Epoch
from study.averaging import artifact_of
from study.cells import Cell, StudentPredictions, labelled_rows, write_predictions
from study.settings import Recipe

WORK = ROOT / "study"


@contextmanager
def start_of(recipe: Recipe, models: Path) -> Iterator[Path]:
    """The weights that a student starts from, with the pooling of ``recipe``."""
    weights = models / recipe.student.weights
    if recipe.pooling is None:
        yield weights
        return
    WORK.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=WORK) as place:
        start = Path(place, weights.name)
        start.mkdir()
        for file in weights.iterdir():
            (start / file.name).symlink_to(file.resolve())
        config = json.loads((weights / "config.json").read_text(encoding="utf-8"))
        (start / "config.json").unlink()
        write_json(start / "config.json", {**config, "head_pooling": recipe.pooling})
        yield start


def train_stage1(recipe: Recipe, start: Path, directory: Path) -> None:
    """Train stage 1 of ``recipe`` from the weights in ``start`` and save it to ``directory``."""
    assert recipe.stage1
    distill(
        recipe.student,
        recipe.stage1,
        max_length=recipe.max_length,
        pool=rows.read("general", "pool"),
        teachers=[artifact_of("general", teacher) for teacher in recipe.stage1.teachers],
        start=start,
        directory=directory,
    )


def train_cell(cell: Cell, start: Path) -> None:
    """Train stage 2 from ``start``, if the cell has a stage 2, and write the predictions."""
    student = start
    curve: list[Epoch] = []
    if stage2 := cell.recipe.stage2:
        student = WORK / cell.identity
        trained = finetune_student(
            cell.recipe.student,
            stage2,
            alpha=cell.recipe.alpha,
            max_length=cell.recipe.max_length,
            training=rows.read("task", "train"),
            validation=rows.read("task", "validation"),
            teachers=[artifact_of("task", teacher) for teacher in stage2.teachers],
            start=start,
            directory=student,
        )
        curve = trained.curve
    model, tokenizer, card = pair_model.load(student)
    logits = {}
    encoded = {}
    for split, labelled in labelled_rows(cell.test).items():
        if set(card.label_names) != set(labelled.label_names):
            raise UserError(
                f"the student has the classes {', '.join(card.label_names)}, but {labelled.name} "
                f"has {', '.join(labelled.label_names)}: add stage 2 to it"
            )
        encoded[split] = encode(tokenizer, labelled, card.max_length)
        order = class_order(card.label_names, labelled.label_names)
        predicted = predict(model, encoded[split], card.heads, in_float32=True)
        logits[split] = predicted[:, :, order].contiguous()
    predictions = StudentPredictions(
        logits,
        parameters=pair_model.parameters(model),
        encoder=model.encoder.config.to_diff_dict(),
        lengths=encoded["test"].first(TIMED_ROWS).lengths.tolist(),
        temperature=card.temperature,
        failed=card.failed,
        curve=[vars(epoch) for epoch in curve],
    )
    write_predictions(cell, predictions)
    if stage2:
        shutil.rmtree(student)
