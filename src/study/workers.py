"""Train every cell of the study, several at a time.

Cells that share stage 1 share its training. A cell that fails costs no other.
"""

import inspect
import os
import shutil
import signal
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread

import torch

from pipeline import console, rows
from pipeline.distillation import Stage
from pipeline.errors import UserError
from study import students
from study.cells import ANSWERS, Cell, cells, is_done
from study.students import WORK, answer, distill_stage1
from study.systems import Study


def train(study: Study, models_root: Path) -> int:
    """Train the cells that have no answers yet, and return how many there are in all.

    Raises UserError at the end if some failed.

    On a CPU each worker has one thread, and there are as many as torch would take threads: small
    trainings side by side are faster than one after another, and a cell comes out the same however
    many there are. A GPU has one worker.
    """
    wanted = cells(study, models_root, inspect.getsource(students))
    ANSWERS.mkdir(parents=True, exist_ok=True)
    for path in {*ANSWERS.iterdir()} - {cell.answers for cell in wanted}:
        path.unlink()
    missing = [cell for cell in wanted if not is_done(cell)]
    groups = _groups(missing)
    total = _pairs(wanted)
    workers = 1 if torch.cuda.is_available() else torch.get_num_threads()
    if 0 < len(missing) < len(wanted):
        console.say(f"study: goes on with {len(missing)} of {len(wanted)} students to train.")
    failed: dict[Cell, str] = {}
    with (
        ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool,
        console.progress("study", total, "pairs", total - _pairs(missing)) as advance,
    ):
        waiting: dict[Future[dict[Cell, str]], list[Cell]] = {
            pool.submit(_train_group, group, models_root): group for group in groups
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
            f"{cell} ({reason}); the others are kept: mend that and run the study again."
        )
    shutil.rmtree(WORK, ignore_errors=True)
    return len(wanted)


def _pairs(group: list[Cell]) -> int:
    """How many pairs the training of these cells reads."""
    pool, training = len(rows.read("general", "pool")), len(rows.read("task", "train"))
    shared = {cell.stage1: cell.recipe.stage1 for cell in group if cell.recipe.stage1}
    return sum(_pairs_of(stage, pool) for stage in shared.values()) + sum(
        _pairs_of(cell.recipe.stage2, training) for cell in group if cell.recipe.stage2
    )


def _pairs_of(stage: Stage, available: int) -> int:
    return stage.epochs * (stage.rows or available)


def _groups(missing: list[Cell]) -> list[list[Cell]]:
    """Cells of one stage 1 together, each other one alone."""
    groups: dict[str, list[Cell]] = {}
    for cell in missing:
        groups.setdefault(cell.stage1 or cell.identity, []).append(cell)
    return list(groups.values())


def _start_worker() -> None:
    # The person's Ctrl-C is answered by the parent.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    console.hush()


def _end_with_parent() -> None:
    """A worker whose parent was killed would wait for work for ever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)


def _outcome(future: "Future[dict[Cell, str]]", group: list[Cell]) -> dict[Cell, str]:
    try:
        return future.result()
    except BrokenProcessPool:
        reason = "a process was killed, perhaps for memory: OMP_NUM_THREADS=1 runs one at a time"
        return {cell: reason for cell in group if not is_done(cell)}


def _train_group(group: list[Cell], models_root: Path) -> dict[Cell, str]:
    """Train cells that share stage 1, in a worker; returns why some failed."""
    first = group[0]
    start = models_root / first.recipe.student.weights
    if first.stage1:
        stage1 = WORK / first.stage1
        try:
            if not stage1.exists():
                distill_stage1(first.recipe, start, stage1)
        except Exception as error:
            return dict.fromkeys(group, f"stage 1: {_reason(error)}")
        start = stage1
    failed = {}
    for cell in group:
        try:
            answer(cell, start)
        except Exception as error:
            failed[cell] = _reason(error)
    if first.stage1 and not failed:
        shutil.rmtree(start)
    return failed


def _reason(error: Exception) -> str:
    return str(error).rstrip(".") if isinstance(error, UserError) else repr(error)
