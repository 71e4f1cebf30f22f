"""Train all cells of the study, several at a time.

Cells with the same stage 1 share its training. A failed cell does not stop the others.
"""

import shutil
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack
from multiprocessing import get_context
from pathlib import Path

import torch

from pipeline import console
from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.student.settings import Stage
from pipeline.student.targets import is_held_out
from study import training
from study.cells import PREDICTIONS, Cell, cells, is_done
from study.processes import start_worker
from study.settings import Study
from study.training import WORK, start_of, train_cell, train_stage1


def train(study: Study, models: Path) -> int:
    """Train the cells that have no predictions yet; returns the number of all cells.

    On a CPU, each worker has one thread, and there are as many workers as PyTorch would use
    threads: small trainings are faster side by side than one after another, and the result of a
    cell does not depend on the number of workers. On a GPU there is one worker. Raises UserError at
    the end if cells have failed.
    """
    wanted = cells(study, models, training.__name__)
    PREDICTIONS.mkdir(parents=True, exist_ok=True)
    for path in {*PREDICTIONS.iterdir()} - {cell.file for cell in wanted}:
        path.unlink()
    missing = [cell for cell in wanted if not is_done(cell)]
    groups = _groups(missing)
    total = _pairs(wanted)
    workers = 1 if torch.cuda.is_available() else torch.get_num_threads()
    if 0 < len(missing) < len(wanted):
        console.say(f"study: resumes with {len(missing)} of {len(wanted)} students to train.")
    failed: dict[Cell, str] = {}
    with (
        ProcessPoolExecutor(workers, get_context("spawn"), start_worker) as pool,
        console.progress("study", total, "pairs", start=total - _pairs(missing)) as advance,
    ):
        waiting: dict[Future[dict[Cell, str]], list[Cell]] = {
            pool.submit(_train_group, group, models): group for group in groups
        }
        try:
            for future in as_completed(waiting):
                failed |= _outcome(future, waiting[future])
                advance(_pairs(waiting[future]))
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    if failed:
        cell, reason = next(iter(failed.items()))
        raise UserError(
            f"{len(failed)} of {len(wanted)} students could not be trained, the first of them "
            f"{cell} ({reason}); the others are kept: fix that and run the study again."
        )
    shutil.rmtree(WORK, ignore_errors=True)
    return len(wanted)


def _pairs(group: list[Cell]) -> int:
    """The number of pairs that the training of these cells reads."""
    pool_rows = int((~is_held_out(rows.read("general", "pool"))).sum())
    task_rows = len(rows.read("task", "train"))
    shared = {cell.stage1: cell.recipe.stage1 for cell in group if cell.recipe.stage1}
    return sum(_pairs_of(stage, pool_rows) for stage in shared.values()) + sum(
        _pairs_of(cell.recipe.stage2, task_rows) for cell in group if cell.recipe.stage2
    )


def _pairs_of(stage: Stage, available: int) -> int:
    return stage.epochs * (stage.rows or available)


def _groups(missing: list[Cell]) -> list[list[Cell]]:
    """Cells with the same stage 1 together, each other cell alone."""
    groups: dict[str, list[Cell]] = {}
    for cell in missing:
        groups.setdefault(cell.stage1 or cell.identity, []).append(cell)
    return list(groups.values())


def _outcome(future: "Future[dict[Cell, str]]", group: list[Cell]) -> dict[Cell, str]:
    try:
        return future.result()
    except BrokenProcessPool:
        reason = "a process was killed, perhaps for memory: OMP_NUM_THREADS=1 runs one at a time"
        return {cell: reason for cell in group if not is_done(cell)}


def _train_group(group: list[Cell], models: Path) -> dict[Cell, str]:
    """Train cells that share stage 1, in a worker; returns the failed ones with the reason."""
    first = group[0]
    failed = {}
    with ExitStack() as stack:
        try:
            start = stack.enter_context(start_of(first.recipe, models))
            if first.stage1:
                weights, start = start, WORK / first.stage1
                if not start.exists():
                    train_stage1(first.recipe, weights, start)
        except Exception as error:
            where = "stage 1: " if first.stage1 else ""
            return dict.fromkeys(group, where + _reason(error))
        for cell in group:
            try:
                train_cell(cell, start)
            except Exception as error:
                failed[cell] = _reason(error)
    if first.stage1 and not failed:
        shutil.rmtree(start)
    return failed


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") if isinstance(error, UserError) else repr(error)
