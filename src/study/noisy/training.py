"""Train the cells of the study of noisy students, several at a time, teachers first."""

import shutil
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch

from pipeline import console
from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.rows import class_order
from pipeline.dumping import dump
from pipeline.logits import Artifact
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.noisy_student.training import train_noisy_student
from pipeline.preflight import Params
from pipeline.pseudo_labels import artifact
from pipeline.pseudo_labels.labelling import pseudo_label
from pipeline.teacher import finetune_teacher
from pipeline.training.settings import Teacher
from study.noisy.cells import (
    PREDICTIONS,
    WORK,
    Cell,
    CellPredictions,
    cells,
    splits,
    write_predictions,
)
from study.noisy.settings import NoisyStudyParams
from study.processes import start_worker

PSEUDO_LABELS = WORK / "pseudo_labels"


def train(study: NoisyStudyParams, params: Params) -> int:
    """Train the cells that have no predictions yet; returns the number of all cells.

    On a CPU, there are as many workers of one thread as PyTorch would use threads, on a GPU there
    is one worker. Weights are kept until all cells have predictions, so that a stopped study
    resumes. Raises UserError naming the first cell that fails.
    """
    wanted = cells(study, params)
    PREDICTIONS.mkdir(parents=True, exist_ok=True)
    for path in {*PREDICTIONS.iterdir()} - {cell.file for cell in wanted}:
        path.unlink()
    waiting = _to_run(wanted)
    if 0 < len(waiting) < len(wanted):
        console.say(f"study: resumes with {len(waiting)} of {len(wanted)} systems to train.")
    ready = set(wanted) - set(waiting)
    running: dict[Future[None], Cell] = {}
    workers = 1 if torch.cuda.is_available() else torch.get_num_threads()
    with (
        ProcessPoolExecutor(workers, get_context("spawn"), start_worker) as pool,
        console.progress("study", len(wanted), "systems", start=len(ready)) as advance,
    ):
        try:
            while waiting or running:
                for cell in [c for c in waiting if c.teacher is None or c.teacher in ready]:
                    running[pool.submit(train_cell, cell)] = cell
                    waiting.remove(cell)
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    cell = running.pop(future)
                    _raise_failure(cell, future)
                    ready.add(cell)
                    advance(1)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    shutil.rmtree(WORK, ignore_errors=True)
    return len(wanted)


def _raise_failure(cell: Cell, future: "Future[None]") -> None:
    error = future.exception()
    if isinstance(error, BrokenProcessPool):
        reason = "a process was killed, perhaps for memory: OMP_NUM_THREADS=1 runs one at a time"
    elif isinstance(error, UserError):
        reason = str(error).rstrip(".")
    elif error:
        raise error
    else:
        return
    raise UserError(
        f"{cell} could not be trained ({reason}); finished systems are kept: fix that and run the "
        "study again."
    )


def _to_run(wanted: list[Cell]) -> list[Cell]:
    """The cells without predictions, and those whose weights these need and that are gone."""
    needed: set[Cell] = set()
    for cell in reversed(wanted):
        is_teacher = any(other.teacher == cell for other in needed)
        if not cell.is_done() or (is_teacher and not cell.model.exists()):
            needed.add(cell)
    return [cell for cell in wanted if cell in needed]


def train_cell(cell: Cell) -> None:
    """Train a cell, unless its weights are there, and write its predictions."""
    if not cell.model.exists():
        _train(cell)
    model, tokenizer, card = pair_model.load(cell.model)
    logits = {}
    for name, split in splits(cell.test, corrupted=cell.is_tested_for_robustness).items():
        encoded = encode(tokenizer, split, card.max_length)
        order = class_order(card.label_names, split.label_names)
        predicted = predict(model, encoded, card.heads, in_float32=True)
        logits[name] = predicted[:, 0, order].contiguous()
    write_predictions(cell, CellPredictions(logits, card.failed))


def _train(cell: Cell) -> None:
    gold, validation = rows.read("task", "train"), rows.read("task", "validation")
    # The trainings join this path to that of WORK, from which an absolute path stays as it is.
    start = Path("models", cell.recipe.weights).resolve()
    recipe = cell.recipe.model_copy(update={"weights": str(start)})
    if isinstance(recipe, Teacher):
        finetune_teacher(
            cell.model_identity,
            recipe,
            max_length=cell.max_length,
            training=gold,
            validation=validation,
            models=WORK,
        )
        return
    assert cell.teacher
    pool, chosen = rows.read("general", "pool"), recipe.pseudo_labels
    name, teacher = cell.model_identity, cell.teacher.model_identity
    directory = WORK / "logits" / name / teacher
    dump(teacher, cell.teacher.model, [validation, pool], directory=directory)
    pseudo_label(
        name,
        chosen,
        Artifact(directory, "study/noisy/dvc.yaml:train_noisy_study"),
        pool=pool,
        gold=gold,
        validation=validation,
        root=PSEUDO_LABELS,
    )
    train_noisy_student(
        name,
        recipe,
        max_length=cell.max_length,
        gold=gold,
        pseudo_labelled=artifact.read(name, teacher, chosen, gold, PSEUDO_LABELS),
        validation=validation,
        models=WORK,
    )
