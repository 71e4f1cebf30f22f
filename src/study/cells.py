"""The cells of the study, one student with one seed each, and the files with their predictions.

Each file stores the identity of its cell. So a stopped study resumes, and only cells whose file has
another identity are trained again.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from pipeline.core import rows, tensors
from pipeline.core.checkpoints import run_identity
from pipeline.core.errors import UserError
from pipeline.core.files import file_hash
from pipeline.core.rows import CORPORA, Rows
from pipeline.student import stages
from pipeline.student.settings import Stage
from pipeline.training import run
from study.averaging import artifact_of, content_hash
from study.settings import Recipe, Study

PREDICTIONS = Path("study/predictions")
SPLITS = ("validation", "test")
CODE = (*run.CODE, stages.CODE)
"""The code that determines what a student is."""


@dataclass(frozen=True)
class Cell:
    """One student with one seed, and what its predictions depend on."""

    name: str
    seed: int
    recipe: Recipe
    """With the seed set."""
    test: str
    """The test set that it predicts."""
    identity: str
    """A hash over the recipe, the rows, the logits, the weights, the precision and the code."""
    stage1: str | None
    """The same for its stage 1, which several cells may share."""

    @property
    def file(self) -> Path:
        return PREDICTIONS / f"{self.name}-{self.seed}.safetensors"

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"


@dataclass(frozen=True)
class StudentPredictions:
    """The logits of one cell, and the size of its student."""

    logits: dict[str, Tensor]
    """Of ``validation`` and ``test``, float32 of shape [rows, heads, classes]."""
    parameters: int
    encoder: dict[str, Any]
    """The transformers configuration of its encoder."""
    lengths: list[int]
    """The numbers of tokens of the rows that it is timed on."""
    temperature: float
    """What the mean of the heads' logits is divided by before the softmax."""
    failed: bool
    """Whether its last training has failed: its loss stayed that of a constant predictor."""
    curve: list[dict[str, float]]
    """The epochs of its stage 2, with the names of ``Epoch``; empty without stage 2."""


def cells(study: Study, models: Path, code: str) -> list[Cell]:
    """All cells of the study, in the order of its tables.

    ``code`` is the module that trains a cell; its source is part of the identity of each.
    """
    pool = file_hash(CORPORA / "general/pool.arrow")
    task = file_hash(
        *(CORPORA / f"task/{split}.arrow" for split in ("train", "validation")),
        CORPORA / f"test/{study.test}.arrow",
    )
    start = models / study.start
    weights = file_hash(
        *(start / name for name in ("config.json", "model.safetensors", "tokenizer.json"))
    )
    hashes: dict[tuple[str, str], str] = {}

    def logits_of(place: str, stage: Stage | None) -> list[str]:
        for teacher in stage.teachers if stage else ():
            if (place, teacher) not in hashes:
                hashes[place, teacher] = content_hash(artifact_of(place, teacher))
        return [hashes[place, teacher] for teacher in stage.teachers] if stage else []

    all_cells = []
    for name, seeds in study.seeds().items():
        for seed in range(1, seeds + 1):
            recipe = study.recipes[name].seeded(seed)
            stage1 = None
            if recipe.stage1:
                made_of = (
                    *(recipe.student, recipe.pooling, recipe.stage1),
                    *(recipe.max_length, pool, weights),
                )
                logits = logits_of("general", recipe.stage1)
                stage1 = run_identity((made_of, logits), code=(*CODE, code))
            logits = logits_of("task", recipe.stage2)
            identity = run_identity((recipe, stage1, task, weights, logits), code=(*CODE, code))
            all_cells.append(Cell(name, seed, recipe, study.test, identity, stage1))
    return all_cells


def labelled_rows(test: str) -> dict[str, Rows]:
    """The rows of ``SPLITS``: those of validation, and of the test set ``test``."""
    return {"validation": rows.read("task", "validation"), "test": rows.read("test", test)}


def is_done(cell: Cell) -> bool:
    """Whether the cell has predictions that were made exactly as it would make them now."""
    saved = tensors.take(cell.file)
    return saved is not None and saved[1]["identity"] == cell.identity


def write_predictions(cell: Cell, predictions: StudentPredictions) -> None:
    notes = {
        "identity": cell.identity,
        "parameters": predictions.parameters,
        "encoder": predictions.encoder,
        "lengths": predictions.lengths,
        "temperature": predictions.temperature,
        "failed": predictions.failed,
        "curve": predictions.curve,
    }
    tensors.write(cell.file, predictions.logits, notes)


def read_predictions(name: str, seeds: int) -> Iterator[StudentPredictions]:
    """The predictions of a student with seeds 1 to ``seeds``."""
    for seed in range(1, seeds + 1):
        saved = tensors.read(PREDICTIONS / f"{name}-{seed}.safetensors")
        if saved is None:
            raise UserError(
                f"{PREDICTIONS} has no predictions of '{name}' with seed {seed}, or damaged ones: "
                "run the study again."
            )
        logits, notes = saved
        del notes["identity"]
        yield StudentPredictions(logits, **notes)
