"""What the student keeps of its teachers and what it costs, on the task's test split."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from pipeline import logits, models, speed
from pipeline.encoding import encode
from pipeline.ensemble import mean_probability
from pipeline.errors import UserError
from pipeline.inference import predict
from pipeline.models import PairModel
from pipeline.rows import Rows
from pipeline.scoring import Interval, Score, agreement, confusion, gain, reliability, score

MEAN_OF_TEACHERS = "teachers' mean"


@dataclass(frozen=True)
class System:
    """One line of the table."""

    score: Score
    agreement: float
    """Share of rows on which it chooses the class of the teachers' mean."""
    parameters: int
    speedup: float
    """Pairs per second over those of the slowest teacher."""


@dataclass(frozen=True)
class Evaluation:
    """All that is known at the end of the pipeline."""

    rows: int
    label_names: tuple[str, ...]
    systems: dict[str, System]
    """Teachers by name, their mean, ``stage 1`` (if it answers this task) and ``student``."""
    gains: dict[str, Interval]
    """Accuracy of the student minus that of another system, paired on the same rows, by name."""
    confusion: list[dict[str, str]]
    reliability: list[dict[str, float]]
    """How far the student's confidence can be trusted."""


def evaluate(
    test: Rows, teachers: Sequence[str], logits_root: Path, stage1: Path, stage2: Path
) -> Evaluation:
    """Score the teachers by their logits, and the student after each stage, on ``test``."""
    student, tokenizer, card = models.load(stage2)
    if card.label_names != test.label_names:
        raise UserError(
            f"{stage2} scores the classes {', '.join(card.label_names)}, but {test.name} has "
            f"{', '.join(test.label_names)}: run `dvc repro finetune_student`."
        )
    encoded = encode(tokenizer, test, card.max_length)
    expected = models.tokenizer_hash(tokenizer)
    shapes: dict[str, str] = {}
    timed: dict[str, tuple[PairModel, Sequence[str]]] = {}
    said: dict[str, Tensor] = {}
    parameters: dict[str, int] = {}
    for name in teachers:
        source, notes = logits.check_source(logits_root / name, name, expected, card.max_length)
        logits.check_labels(source, test)
        said[name] = logits.read(logits_root / name, source, test)[:, None]
        shapes[name] = json.dumps(notes["encoder"], sort_keys=True)
        if shapes[name] not in timed:
            twin = speed.untrained_twin(notes["encoder"], len(test.label_names))
            timed[shapes[name]] = (twin, list(twin.heads))
        parameters[name] = notes["parameters"]
    said[MEAN_OF_TEACHERS] = torch.cat([said[name] for name in teachers], dim=1)
    parameters[MEAN_OF_TEACHERS] = sum(parameters.values())
    for name, (model, its_card) in {
        "stage 1": models.load(stage1)[::2],
        "student": (student, card),
    }.items():
        if its_card.label_names == test.label_names:
            said[name] = predict(model, encoded, its_card.heads)
            timed[name] = (model, its_card.heads)
            parameters[name] = models.parameters(model)
    measured = speed.pairs_per_second(list(timed.values()), encoded.first(speed.ROWS))
    rates = dict(zip(timed, measured, strict=True))
    rates |= {name: rates[shape] for name, shape in shapes.items()}
    rates[MEAN_OF_TEACHERS] = 1 / sum(1 / rates[name] for name in teachers)
    slowest = min(rates[name] for name in teachers)
    speedups = {name: rates[name] / slowest for name in said}
    return _compare(test, said, parameters, speedups)


def _compare(
    test: Rows,
    said: dict[str, Tensor],
    parameters: dict[str, int],
    speedups: dict[str, float],
) -> Evaluation:
    labels, groups = test.labels, test.groups
    probabilities = {name: mean_probability(logits) for name, logits in said.items()}
    systems = {
        name: System(
            score(one, labels, groups),
            agreement(one, probabilities[MEAN_OF_TEACHERS]),
            parameters[name],
            speedups[name],
        )
        for name, one in probabilities.items()
    }
    student = probabilities["student"]
    gains = {
        name: gain(student, one, labels) for name, one in probabilities.items() if name != "student"
    }
    return Evaluation(
        len(test),
        test.label_names,
        systems,
        gains,
        confusion(student, labels, test.label_names),
        reliability(student, labels),
    )
