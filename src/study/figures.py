"""The figures of the study's tables, from the predictions of teachers and students."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline import logits
from pipeline.core import rows
from pipeline.evaluation import speed
from pipeline.evaluation.ensemble import majority_vote
from pipeline.logits import dumped
from pipeline.model.encoding import Encoded, encode
from pipeline.model.inference import mean_probability
from pipeline.model.loading import load_encoder
from study.cells import SPLITS, read_predictions
from study.settings import Combination, Study, Table
from study.statistics import Estimate, crossed_mean, holm

SIGNIFICANT = 0.05
"""A difference with a corrected p-value below this is called established."""


@dataclass(frozen=True)
class SystemPredictions:
    """The predictions of one system, and what they cost."""

    probabilities: dict[str, Tensor]
    """Of ``validation`` and ``test``, float64 of shape [seeds, rows, classes]."""
    predicted: dict[str, Tensor]
    """The classes it chooses, int64 of shape [seeds, rows]."""
    parameters: int
    seconds: float
    """Time per pair on this machine."""
    chosen: str = ""
    """If this is the best of several systems, its name."""

    def hits(self, split: str, labels: np.ndarray) -> np.ndarray:
        """1 for a right and 0 for a wrong prediction, float64 of shape [seeds, rows]."""
        return np.asarray(self.predicted[split].numpy() == labels, dtype=float)


@dataclass(frozen=True)
class TableRow:
    """The figures of a system in a table."""

    name: str
    accuracy: Estimate
    by_seed: tuple[float, ...]
    validation: float
    """Accuracy on the validation rows."""
    parameters: int
    speedup: float
    """Pairs per second divided by those of the slowest teacher."""
    chosen: str

    @property
    def label(self) -> str:
        return f"{self.name} = {self.chosen}" if self.chosen else self.name


@dataclass(frozen=True)
class Comparison:
    """The difference in accuracy of two systems on the same rows, paired by seed."""

    first: str
    second: str
    difference: Estimate
    corrected_p: float
    """The p-value after Holm's correction for all comparisons of the table."""

    @property
    def established(self) -> bool:
        return self.corrected_p < SIGNIFICANT


@dataclass(frozen=True)
class TableResult:
    """A table with its figures."""

    name: str
    table: Table
    rows: tuple[TableRow, ...]
    comparisons: tuple[Comparison, ...]


def compute_tables(study: Study, models: Path) -> list[TableResult]:
    """The figures of all tables, from the teachers' logits and the students' predictions."""
    labelled = {split: rows.read("task", split) for split in SPLITS}
    labels = {split: split_rows.labels for split, split_rows in labelled.items()}
    all_logits: dict[str, dict[str, Tensor]] = {}
    parameters: dict[str, int] = {}
    encoders: dict[str, dict[str, Any]] = {}
    for name in study.teachers:
        artifact = dumped("task", name)
        identity, notes = logits.read_identity(artifact)
        all_logits[name] = {
            split: logits.read(artifact, identity, split_rows)[None, :, None]
            for split, split_rows in labelled.items()
        }
        parameters[name], encoders[name] = notes["parameters"], notes["encoder"]
    for name, seeds in study.seeds().items():
        by_seed = list(read_predictions(name, seeds))
        all_logits[name] = {
            split: torch.stack([cell.logits[split] for cell in by_seed]) for split in SPLITS
        }
        parameters[name], encoders[name] = by_seed[0].parameters, by_seed[0].encoder
    recipe = next(iter(study.recipes.values()))
    _, tokenizer = load_encoder(models / study.start)
    timed = encode(tokenizer, labelled["test"], recipe.max_length, stop=speed.ROWS)
    seconds = _seconds_per_pair(encoders, timed, len(labelled["test"].label_names))
    single = {
        name: _single(own_logits, parameters[name], seconds[name])
        for name, own_logits in all_logits.items()
    }
    slowest = max(seconds[name] for name in study.teachers)
    return [
        _compute_table(
            name,
            table,
            combinations=study.combinations,
            single=single,
            labels=labels,
            slowest=slowest,
        )
        for name, table in study.tables.items()
    ]


def _seconds_per_pair(
    encoders: Mapping[str, dict[str, Any]], timed: Encoded, classes: int
) -> dict[str, float]:
    """The time of each system's encoder on the rows ``timed``; equal encoders are timed once."""
    as_text = {name: json.dumps(encoder, sort_keys=True) for name, encoder in encoders.items()}
    distinct = {text: encoders[name] for name, text in as_text.items()}
    twins = [speed.untrained_twin(encoder, classes) for encoder in distinct.values()]
    rates = speed.pairs_per_second([(twin, list(twin.heads)) for twin in twins], timed)
    rate_of = dict(zip(distinct, rates, strict=True))
    return {name: 1 / rate_of[text] for name, text in as_text.items()}


def _single(own_logits: Mapping[str, Tensor], parameters: int, seconds: float) -> SystemPredictions:
    """The predictions of a single model from its logits of shape [seeds, rows, heads, classes]."""
    probabilities = {
        split: torch.stack([mean_probability(by_seed.double()) for by_seed in split_logits])
        for split, split_logits in own_logits.items()
    }
    predicted = {split: values.argmax(dim=-1) for split, values in probabilities.items()}
    return SystemPredictions(probabilities, predicted, parameters, seconds)


def _compute_table(
    name: str,
    table: Table,
    *,
    combinations: Mapping[str, Combination],
    single: Mapping[str, SystemPredictions],
    labels: Mapping[str, np.ndarray],
    slowest: float,
) -> TableResult:
    def predictions_of(name: str) -> SystemPredictions:
        if name not in combinations:
            return _first_seeds(single[name], table.seeds)
        combination = combinations[name]
        members = {member: predictions_of(member) for member in combination.members}
        return _combine(combination.rule, members, labels["validation"])

    systems = {name: predictions_of(name) for name in table.systems}
    hits = {name: system.hits("test", labels["test"]) for name, system in systems.items()}
    table_rows = [
        TableRow(
            name,
            crossed_mean(hits[name]),
            tuple(float(accuracy) for accuracy in hits[name].mean(axis=1)),
            float(system.hits("validation", labels["validation"]).mean()),
            system.parameters,
            slowest / system.seconds,
            system.chosen,
        )
        for name, system in systems.items()
    ]
    differences = [crossed_mean(hits[first] - hits[second]) for first, second in table.compare]
    corrected = holm([difference.p for difference in differences])
    comparisons = [
        Comparison(first, second, difference, p)
        for (first, second), difference, p in zip(
            table.compare, differences, corrected, strict=True
        )
    ]
    return TableResult(name, table, tuple(table_rows), tuple(comparisons))


def _first_seeds(system: SystemPredictions, seeds: int) -> SystemPredictions:
    return replace(
        system,
        probabilities={split: values[:seeds] for split, values in system.probabilities.items()},
        predicted={split: values[:seeds] for split, values in system.predicted.items()},
    )


def _combine(
    rule: str, members: Mapping[str, SystemPredictions], labels: np.ndarray
) -> SystemPredictions:
    """The members of a combination as one system, seed by seed. ``labels`` are for validation."""
    if rule == "best":
        best = max(members, key=lambda name: float(members[name].hits("validation", labels).mean()))
        return replace(members[best], chosen=best)
    probabilities, predicted = {}, {}
    for split in SPLITS:
        # Log probabilities serve as logits: a vote's ties and a mean depend on nothing else.
        voters = [member.probabilities[split].log() for member in members.values()]
        stacked = torch.stack(torch.broadcast_tensors(*voters), dim=2)
        probabilities[split] = torch.stack([mean_probability(by_seed) for by_seed in stacked])
        predicted[split] = probabilities[split].argmax(dim=-1)
        if rule == "vote":
            predicted[split] = torch.stack([majority_vote(by_seed) for by_seed in stacked])
    return SystemPredictions(
        probabilities,
        predicted,
        sum(member.parameters for member in members.values()),
        sum(member.seconds for member in members.values()),
    )
