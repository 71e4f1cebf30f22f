"""From the answers of teachers and students to the figures of the study's tables."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline import logits, models, rows, speed
from pipeline.encoding import Encoded, encode
from pipeline.ensemble import majority_vote, mean_probability
from pipeline.logits import LOGITS
from study.cells import SPLITS, read_answers
from study.comparison import Estimate, crossed_mean, holm
from study.systems import Combination, Study, Table

SIGNIFICANT = 0.05
"""A difference with a corrected p-value below this is called established."""


@dataclass(frozen=True)
class System:
    """What one system answers, and what that costs."""

    probabilities: dict[str, Tensor]
    """Of ``validation`` and ``test``, float64 of shape [seeds, rows, classes]."""
    predicted: dict[str, Tensor]
    """The classes it chooses, int64 of shape [seeds, rows]."""
    parameters: int
    seconds: float
    """Per pair, on this machine."""
    chosen: str = ""
    """Of the best of several: which it is."""

    def hits(self, split: str, labels: np.ndarray) -> np.ndarray:
        """1 for a right answer and 0 for a wrong one, of shape [seeds, rows]."""
        return np.asarray(self.predicted[split].numpy() == labels, dtype=float)


@dataclass(frozen=True)
class Line:
    """A system in a table."""

    name: str
    accuracy: Estimate
    by_seed: tuple[float, ...]
    validation: float
    """Accuracy on the validation rows."""
    parameters: int
    speedup: float
    """Pairs per second over those of the slowest teacher."""
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
    """Holm's, for all comparisons of the table."""

    @property
    def established(self) -> bool:
        return self.corrected_p < SIGNIFICANT


@dataclass(frozen=True)
class Result:
    """A table with its figures."""

    name: str
    table: Table
    lines: tuple[Line, ...]
    comparisons: tuple[Comparison, ...]


def results(study: Study, models_root: Path) -> list[Result]:
    """Every table of the study, from the teachers' logits and the students' answers."""
    asked = {split: rows.read("task", split) for split in SPLITS}
    labels = {split: given.labels for split, given in asked.items()}
    said: dict[str, dict[str, Tensor]] = {}
    parameters: dict[str, int] = {}
    shapes: dict[str, dict[str, Any]] = {}
    for name in study.teachers:
        source, notes = logits.read_source(LOGITS / "task" / name)
        said[name] = {
            split: logits.read(LOGITS / "task" / name, source, given)[None, :, None]
            for split, given in asked.items()
        }
        parameters[name], shapes[name] = notes["parameters"], notes["encoder"]
    for name, seeds in study.seeds().items():
        answers = list(read_answers(name, seeds))
        said[name] = {split: torch.stack([a.logits[split] for a in answers]) for split in SPLITS}
        parameters[name], shapes[name] = answers[0].parameters, answers[0].encoder
    recipe = next(iter(study.recipes.values()))
    _, tokenizer = models.load_encoder(models_root / recipe.student.weights)
    timed = encode(tokenizer, asked["test"], recipe.max_length, 0, speed.ROWS)
    seconds = _seconds_per_pair(shapes, timed, len(asked["test"].label_names))
    single = {name: _system(given, parameters[name], seconds[name]) for name, given in said.items()}
    slowest = max(seconds[name] for name in study.teachers)
    return [
        _result(name, table, study.combinations, single, labels, slowest)
        for name, table in study.tables.items()
    ]


def _seconds_per_pair(
    shapes: Mapping[str, dict[str, Any]], timed: Encoded, classes: int
) -> dict[str, float]:
    """What each system's encoder takes for the rows ``timed``; equal shapes are timed once."""
    told = {name: json.dumps(shape, sort_keys=True) for name, shape in shapes.items()}
    distinct = {text: shapes[name] for name, text in told.items()}
    twins = [speed.untrained_twin(shape, classes) for shape in distinct.values()]
    rates = speed.pairs_per_second([(twin, list(twin.heads)) for twin in twins], timed)
    by_shape = dict(zip(distinct, rates, strict=True))
    return {name: 1 / by_shape[text] for name, text in told.items()}


def _system(said: Mapping[str, Tensor], parameters: int, seconds: float) -> System:
    """A single model from its logits of shape [seeds, rows, heads, classes]."""
    probabilities = {
        split: torch.stack([mean_probability(one) for one in given])
        for split, given in said.items()
    }
    predicted = {split: given.argmax(dim=-1) for split, given in probabilities.items()}
    return System(probabilities, predicted, parameters, seconds)


def _result(
    name: str,
    table: Table,
    combinations: Mapping[str, Combination],
    single: Mapping[str, System],
    labels: Mapping[str, np.ndarray],
    slowest: float,
) -> Result:
    def answer(name: str) -> System:
        if name not in combinations:
            return _first(single[name], table.seeds)
        rule = combinations[name]
        members = {member: answer(member) for member in rule.members}
        return _combine(rule.rule, members, labels["validation"])

    systems = {name: answer(name) for name in table.systems}
    lines = []
    for system in table.systems:
        given = systems[system]
        hits = given.hits("test", labels["test"])
        lines.append(
            Line(
                system,
                crossed_mean(hits),
                tuple(float(one) for one in hits.mean(axis=1)),
                float(given.hits("validation", labels["validation"]).mean()),
                given.parameters,
                slowest / given.seconds,
                given.chosen,
            )
        )
    differences = [
        crossed_mean(
            systems[first].hits("test", labels["test"])
            - systems[second].hits("test", labels["test"])
        )
        for first, second in table.compare
    ]
    corrected = holm([difference.p for difference in differences])
    comparisons = [
        Comparison(first, second, difference, p)
        for (first, second), difference, p in zip(
            table.compare, differences, corrected, strict=True
        )
    ]
    return Result(name, table, tuple(lines), tuple(comparisons))


def _first(system: System, seeds: int) -> System:
    return replace(
        system,
        probabilities={split: said[:seeds] for split, said in system.probabilities.items()},
        predicted={split: said[:seeds] for split, said in system.predicted.items()},
    )


def _combine(rule: str, members: Mapping[str, System], labels: np.ndarray) -> System:
    """The members of a combination as one system; they answer seed by seed."""
    if rule == "best":
        best = max(members, key=lambda name: float(members[name].hits("validation", labels).mean()))
        return replace(members[best], chosen=best)
    probabilities, predicted = {}, {}
    for split in SPLITS:
        # Logs of probabilities are logits too: a vote's ties and a mean need nothing else.
        voters = [member.probabilities[split].log() for member in members.values()]
        stacked = torch.stack(torch.broadcast_tensors(*voters), dim=2)
        probabilities[split] = torch.stack([mean_probability(one) for one in stacked])
        predicted[split] = probabilities[split].argmax(dim=-1)
        if rule == "vote":
            predicted[split] = torch.stack([majority_vote(one) for one in stacked])
    return System(
        probabilities,
        predicted,
        sum(member.parameters for member in members.values()),
        sum(member.seconds for member in members.values()),
    )
