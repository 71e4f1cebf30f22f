"""What each system of the study predicts on the task, and what it costs."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pipeline import logits
from pipeline.evaluation import speed
from pipeline.evaluation.ensemble import majority_vote
from pipeline.logits import dumped
from pipeline.model.inference import mean_probability, probabilities
from study.cells import SPLITS, labelled_rows, read_predictions
from study.settings import Study

Computed = tuple[dict[str, Any], list[int]]
"""What decides the time of a system: its transformers configuration and the tokens of its rows."""


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
    failed: tuple[bool, ...]
    """For each seed whether its training has failed; in a combination, that of any member."""
    chosen: str = ""
    """If this is the best of several systems, its name."""

    def hits(self, split: str, labels: np.ndarray) -> np.ndarray:
        """1 for a right and 0 for a wrong prediction, float64 of shape [seeds, rows]."""
        return np.asarray(self.predicted[split].numpy() == labels, dtype=float)


def read_systems(study: Study) -> dict[str, SystemPredictions]:
    """The teachers, by their logits, and the students, by their predictions, each with its name."""
    labelled = labelled_rows(study.test)
    all_logits: dict[str, dict[str, Tensor]] = {}
    parameters: dict[str, int] = {}
    computed: dict[str, Computed] = {}
    temperatures: dict[str, list[float]] = {}
    failed: dict[str, tuple[bool, ...]] = {}
    for name in study.teachers:
        artifacts = {"validation": dumped("task", name), "test": dumped(f"test/{study.test}", name)}
        all_logits[name] = {}
        for split, artifact in artifacts.items():
            own, identity = labelled[split], logits.read_identity(artifact)
            scores = logits.read(artifact, identity, own, own.label_names)
            all_logits[name][split] = scores[None, :, None]
        notes = logits.read_notes(artifacts["test"])
        parameters[name] = notes.parameters
        computed[name] = notes.encoder, list(notes.lengths)
        temperatures[name] = [1.0]
        failed[name] = (notes.failed,)
    for name, seeds in study.seeds().items():
        by_seed = list(read_predictions(name, seeds))
        all_logits[name] = {
            split: torch.stack([cell.logits[split] for cell in by_seed]) for split in SPLITS
        }
        parameters[name] = by_seed[0].parameters
        computed[name] = by_seed[0].encoder, by_seed[0].lengths
        temperatures[name] = [cell.temperature for cell in by_seed]
        failed[name] = tuple(cell.failed for cell in by_seed)
    seconds = _seconds_per_pair(computed, len(labelled["test"].label_names))
    return {
        name: _single(
            own_logits,
            temperatures[name],
            parameters=parameters[name],
            seconds=seconds[name],
            failed=failed[name],
        )
        for name, own_logits in all_logits.items()
    }


def _seconds_per_pair(computed: Mapping[str, Computed], classes: int) -> dict[str, float]:
    """The time of each system's encoder on its own rows; what computes the same is timed once."""
    as_text = {name: json.dumps(work, sort_keys=True) for name, work in computed.items()}
    distinct = {text: computed[name] for name, text in as_text.items()}
    twins = [speed.untrained_twin(*work, classes) for work in distinct.values()]
    rates = speed.pairs_per_second(twins)
    rate_of = dict(zip(distinct, rates, strict=True))
    return {name: 1 / rate_of[text] for name, text in as_text.items()}


def _single(
    own_logits: Mapping[str, Tensor],
    temperatures: Sequence[float],
    *,
    parameters: int,
    seconds: float,
    failed: tuple[bool, ...],
) -> SystemPredictions:
    """The predictions of a single model from its logits of shape [seeds, rows, heads, classes]."""
    predicted = {
        split: torch.stack(
            [
                probabilities(by_seed.double(), temperature)
                for by_seed, temperature in zip(split_logits, temperatures, strict=True)
            ]
        )
        for split, split_logits in own_logits.items()
    }
    chosen = {split: values.argmax(dim=-1) for split, values in predicted.items()}
    return SystemPredictions(predicted, chosen, parameters, seconds, failed)


def first_seeds(system: SystemPredictions, seeds: int) -> SystemPredictions:
    return replace(
        system,
        probabilities={split: values[:seeds] for split, values in system.probabilities.items()},
        predicted={split: values[:seeds] for split, values in system.predicted.items()},
        failed=system.failed[:seeds],
    )


def combine(
    rule: str, members: Mapping[str, SystemPredictions], labels: np.ndarray
) -> SystemPredictions:
    """The members of a combination as one system, seed by seed. ``labels`` are for validation."""
    if rule == "best":
        best = max(members, key=lambda name: float(members[name].hits("validation", labels).mean()))
        return replace(members[best], chosen=best)
    failed = [member.failed for member in members.values()]
    together, chosen = {}, {}
    for split in SPLITS:
        # Log probabilities serve as logits: a vote's ties and a mean depend on nothing else.
        voters = [member.probabilities[split].log() for member in members.values()]
        stacked = torch.stack(torch.broadcast_tensors(*voters), dim=2)
        together[split] = torch.stack([mean_probability(by_seed) for by_seed in stacked])
        chosen[split] = together[split].argmax(dim=-1)
        if rule == "vote":
            chosen[split] = torch.stack([majority_vote(by_seed) for by_seed in stacked])
    return SystemPredictions(
        together,
        chosen,
        sum(member.parameters for member in members.values()),
        sum(member.seconds for member in members.values()),
        tuple(np.logical_or.reduce(np.broadcast_arrays(*failed)).tolist()),
    )
