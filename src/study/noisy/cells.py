"""The cells of the study of noisy students: one system with one seed, and its predictions."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from pipeline.core import rows, tensors
from pipeline.core.checkpoints import ROOT, run_identity
from pipeline.core.errors import UserError
from pipeline.core.files import file_hash
from pipeline.core.rows import CORPORA, Rows
from pipeline.noisy_student.settings import NoisyStudent
from pipeline.preflight import Params
from pipeline.training import run
from study.noisy.corruption import CORRUPTIONS, STRENGTHS, corrupt, faults
from study.noisy.settings import NoisyStudyParams, Recipe, recipes

PREDICTIONS = Path("study/noisy/predictions")
WORK = ROOT / "noisy_study"
"""Weights and pseudo-labels, until the study has finished."""
CODE = (
    *run.CODE,
    *("pipeline.dumping", "pipeline.logits", "pipeline.teacher"),
    *("pipeline.noisy_student", "pipeline.pseudo_labels", "study.noisy.training"),
)
"""The code that determines the weights of a system."""


@dataclass(frozen=True)
class Cell:
    """One system with one seed."""

    system: str
    seed: int
    recipe: Recipe
    """With the seed set."""
    teacher: "Cell | None"
    """What labels the pool for it; None for a teacher of gold labels."""
    max_length: int
    test: str
    """The test set that it predicts."""
    is_tested_for_robustness: bool
    model_identity: str
    """A hash over the recipe, the teacher, the rows, the weights that it starts from, the precision
    and the code. Its model has this name."""
    identity: str
    """The same for its predictions, with the test rows."""

    @property
    def file(self) -> Path:
        return PREDICTIONS / f"{self.system}-{self.seed}.safetensors"

    @property
    def model(self) -> Path:
        return WORK / "teachers" / self.model_identity

    def is_done(self) -> bool:
        """Whether its predictions are there, made exactly as it would make them now."""
        saved = tensors.take(self.file)
        return saved is not None and saved[1]["identity"] == self.identity

    def __str__(self) -> str:
        return f"{self.system}, seed {self.seed}"


@dataclass(frozen=True)
class CellPredictions:
    """What one cell predicts."""

    logits: dict[str, Tensor]
    """By split (see ``splits``), float32 of shape [rows, classes]."""
    failed: bool
    """Whether its training has failed: its loss stayed that of a constant predictor."""


def cells(study: NoisyStudyParams, params: Params) -> list[Cell]:
    """All cells; those of a seed together, teachers before their students."""
    test = params.tests[0]
    learned = file_hash(
        *(CORPORA / f"task/{split}.arrow" for split in ("train", "validation")),
        CORPORA / "general/pool.arrow",
    )
    tested = file_hash(CORPORA / f"test/{test}.arrow")
    weights = {
        f"pretrained/{name}": file_hash(*sorted(Path("models/pretrained", name).glob("*.*")))
        for name in params.pretrained
    }
    systems = recipes(study, params)
    found: dict[tuple[str, int], Cell] = {}
    for seed in range(1, study.seeds + 1):
        for name, recipe in systems.items():
            # With restarts, two cells could end with the same seed.
            seeded = recipe.model_copy(update={"seed": seed, "restarts": 0})
            teacher = found[recipe.teacher, seed] if isinstance(recipe, NoisyStudent) else None
            labelled_by = teacher and teacher.model_identity
            made_of = (name, seeded, labelled_by, learned, weights[recipe.weights])
            model_identity = run_identity((made_of, params.max_length), code=CODE)
            robustness = name in study.robustness
            predicted = (model_identity, tested, robustness)
            identity = run_identity(predicted, code=("study.noisy.corruption",))
            found[name, seed] = Cell(
                system=name,
                seed=seed,
                recipe=seeded,
                teacher=teacher,
                max_length=params.max_length,
                test=test,
                is_tested_for_robustness=robustness,
                model_identity=model_identity,
                identity=identity,
            )
    return list(found.values())


def splits(test: str, *, corrupted: bool) -> dict[str, Rows]:
    """The rows that a cell predicts: validation, test, and the test rows with faults."""
    test_rows = rows.read("test", test)
    found = {"validation": rows.read("task", "validation"), "test": test_rows}
    if corrupted:
        for kind in CORRUPTIONS:
            for name, strength in zip(faults(kind), STRENGTHS, strict=True):
                found[name] = corrupt(test_rows, kind, strength)
    return found


def write_predictions(cell: Cell, predictions: CellPredictions) -> None:
    notes = {"identity": cell.identity, "failed": predictions.failed}
    tensors.write(cell.file, predictions.logits, notes)


def read_predictions(system: str, seeds: int) -> Iterator[CellPredictions]:
    """The predictions of a system with seeds 1 to ``seeds``."""
    for seed in range(1, seeds + 1):
        saved = tensors.read(PREDICTIONS / f"{system}-{seed}.safetensors")
        if saved is None:
            raise UserError(
                f"{PREDICTIONS} has no predictions of '{system}' with seed {seed}, or damaged "
                "ones: run `dvc repro study/noisy/dvc.yaml`."
            )
        yield CellPredictions(saved[0], bool(saved[1]["failed"]))
