"""What makes one cell: its stage 1, which others may share, its stage 2, and its answers."""

import shutil
from pathlib import Path

from pipeline import models, rows
from pipeline.distillation import distill, finetune_student
from pipeline.encoding import encode
from pipeline.errors import UserError
from pipeline.inference import predict
from pipeline.resume import ROOT
from study.cells import SPLITS, Answers, Cell, logits_root, write_answers
from study.systems import Recipe

WORK = ROOT / "study"


def distill_stage1(recipe: Recipe, start: Path, directory: Path) -> None:
    """Train stage 1 of ``recipe`` from the weights in ``start`` and save it to ``directory``."""
    assert recipe.stage1
    distill(
        recipe.student,
        recipe.stage1,
        recipe.max_length,
        rows.read("general", "pool"),
        logits_root("general", recipe.stage1.teachers),
        start,
        directory,
    )


def answer(cell: Cell, start: Path) -> None:
    """Train stage 2, if the cell has one, and write what the student says."""
    student = start
    if stage2 := cell.recipe.stage2:
        student = WORK / cell.identity
        finetune_student(
            cell.recipe.student,
            stage2,
            cell.recipe.alpha,
            cell.recipe.max_length,
            rows.read("task", "train"),
            rows.read("task", "validation"),
            logits_root("task", stage2.teachers),
            start,
            student,
        )
    model, tokenizer, card = models.load(student)
    said = {}
    for split in SPLITS:
        asked = rows.read("task", split)
        if card.label_names != asked.label_names:
            raise UserError(
                f"it scores the classes {', '.join(card.label_names)}, but {asked.name} has "
                f"{', '.join(asked.label_names)}: give it a stage 2"
            )
        said[split] = predict(model, encode(tokenizer, asked, card.max_length), card.heads)
    encoder = model.encoder.config.to_diff_dict()
    write_answers(cell, Answers(said, models.parameters(model), encoder))
    if stage2:
        shutil.rmtree(student)
