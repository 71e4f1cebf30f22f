"""The cells of the study, one student with one seed each, and the files that keep their answers.

A file says exactly what made it, so that a study goes on where it was stopped, and trains again
what no longer fits and nothing else.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pipeline import logits
from pipeline.artifacts import file_hash, whole_file
from pipeline.distillation import Stage
from pipeline.logits import LOGITS, Source
from pipeline.resume import fingerprint
from pipeline.rows import CORPORA
from study.averaging import MEAN, MEAN_LOGITS
from study.systems import Recipe, Study

ANSWERS = Path("study/answers")
SPLITS = ("validation", "test")
METADATA = "answers"


@dataclass(frozen=True)
class Cell:
    """One student with one seed, and what its answers depend on."""

    name: str
    seed: int
    recipe: Recipe
    """With the seed set."""
    identity: str
    """A hash over the recipe, the rows, the logits, the weights and the code."""
    stage1: str | None
    """The like for its stage 1, which other cells may share."""

    @property
    def answers(self) -> Path:
        return ANSWERS / f"{self.name}-{self.seed}.safetensors"

    def __str__(self) -> str:
        return f"{self.name}, seed {self.seed}"


@dataclass(frozen=True)
class Answers:
    """What one cell says."""

    logits: dict[str, Tensor]
    """Of ``validation`` and ``test``, float32 of shape [rows, heads, classes]."""
    parameters: int
    encoder: dict[str, Any]
    """The transformers configuration of its encoder."""


def cells(study: Study, models_root: Path, code: str) -> list[Cell]:
    """All cells of the study, in the order of its tables; ``code`` is what trains them."""
    pool = file_hash(CORPORA / "general/pool.arrow")
    task = file_hash(*(CORPORA / f"task/{split}.arrow" for split in ("train", *SPLITS)))
    start = models_root / next(iter(study.recipes.values())).student.weights
    ground = (file_hash(start / "model.safetensors"), code)
    found = []
    for name, seeds in study.seeds().items():
        recipe = study.recipes[name]
        general = _sources("general", recipe.stage1) if recipe.stage1 else []
        taught = _sources("task", recipe.stage2) if recipe.stage2 else []
        for seed in range(1, seeds + 1):
            own = recipe.seeded(seed)
            stage1 = None
            if own.stage1:
                shared = (own.student, own.stage1, own.max_length, general)
                stage1 = fingerprint((shared, pool, ground))
            identity = fingerprint((own, stage1, taught, task, ground))
            found.append(Cell(name, seed, own, identity, stage1))
    return found


def _sources(place: str, stage: Stage) -> list[Source]:
    root = logits_root(place, stage.teachers)
    return [logits.read_source(root / teacher)[0] for teacher in stage.teachers]


def logits_root(place: str, teachers: tuple[str, ...]) -> Path:
    """Where the logits of ``teachers`` lie for the ``general`` or the ``task`` corpus."""
    return (MEAN_LOGITS if MEAN in teachers else LOGITS) / place


def is_done(cell: Cell) -> bool:
    """Whether the cell has answers, made exactly as it would make them now."""
    try:
        with safe_open(cell.answers, framework="pt") as file:
            notes = json.loads(file.metadata()[METADATA])
    except (FileNotFoundError, SafetensorError):
        return False
    return bool(notes["identity"] == cell.identity)


def write_answers(cell: Cell, answers: Answers) -> None:
    notes = {
        "identity": cell.identity,
        "parameters": answers.parameters,
        "encoder": answers.encoder,
    }
    with whole_file(cell.answers) as draft:
        save_file(answers.logits, draft, {METADATA: json.dumps(notes, sort_keys=True)})


def read_answers(name: str, seeds: int) -> Iterator[Answers]:
    """The answers of a student with seeds 1 to ``seeds``."""
    for seed in range(1, seeds + 1):
        with safe_open(ANSWERS / f"{name}-{seed}.safetensors", framework="pt") as file:
            notes = json.loads(file.metadata()[METADATA])
            given = {split: file.get_tensor(split) for split in SPLITS}
        yield Answers(given, notes["parameters"], notes["encoder"])
