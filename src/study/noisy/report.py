"""The report of the study of noisy students: a page (docs/noisy) and figures (metrics/noisy)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import cross_entropy

from pipeline.core import rows
from pipeline.core.files import whole_directory, write_csv
from pipeline.evaluation.scoring import Interval
from pipeline.preflight import Params
from study.drawing import MEAN, interval, picture, seeds
from study.noisy.cells import read_predictions
from study.noisy.corruption import CORRUPTIONS, STRENGTHS, faults
from study.noisy.settings import NoisyStudyParams, recipes
from study.statistics import Estimate, crossed_mean, holm

SIGNIFICANT = 0.05
COLUMNS = ("system", "split", "accuracy", "low", "high", "log_loss", "failed_seeds")
COMPARISON_COLUMNS = ("first", "second", "split", "difference", "low", "high", "corrected_p")


@dataclass(frozen=True)
class System:
    """The hits of one system: by split, 1 or 0, float64 of shape [seeds, rows]."""

    hits: dict[str, np.ndarray]
    log_loss: dict[str, float]
    """The mean over seeds and rows, by split."""
    failed: tuple[bool, ...]
    """For each seed whether its training has failed."""
    unchanged: frozenset[str]
    """The splits with faults whose predictions are those without."""

    @property
    def by_seed(self) -> list[float]:
        """The accuracy of each seed on the test rows."""
        return [float(accuracy) for accuracy in self.hits["test"].mean(axis=1)]

    def accuracy(self, split: str) -> Estimate:
        return crossed_mean(self.hits[split])


@dataclass(frozen=True)
class Difference:
    """The difference in accuracy of two systems on the same rows of a split, paired by seed."""

    first: str
    second: str
    split: str
    estimate: Estimate
    corrected_p: float

    @property
    def sentence(self) -> str:
        verdict = "" if self.corrected_p < SIGNIFICANT else ", not established"
        where = "" if self.split == "test" else f" with {self.split.replace('_', ' ')}"
        return f"{self.first} minus {self.second}{where}: {self.estimate.points}{verdict}"


def read_systems(study: NoisyStudyParams, params: Params) -> dict[str, System]:
    """All systems, from their predictions."""
    labels = {
        "validation": rows.read("task", "validation").labels,
        "test": rows.read("test", params.tests[0]).labels,
    }
    systems = {}
    for name in recipes(study, params):
        by_seed = list(read_predictions(name, study.seeds))
        hits, log_loss = {}, {}
        for split in by_seed[0].logits:
            gold = torch.from_numpy(labels.get(split, labels["test"]))
            logits = torch.stack([cell.logits[split] for cell in by_seed])
            hits[split] = (logits.argmax(dim=-1) == gold).double().numpy()
            losses = [cross_entropy(by_seed_logits, gold) for by_seed_logits in logits.double()]
            log_loss[split] = float(torch.stack(losses).mean())
        unchanged = frozenset(
            split
            for kind in CORRUPTIONS
            for split in faults(kind)
            if all(
                split in cell.logits and torch.equal(cell.logits[split], cell.logits["test"])
                for cell in by_seed
            )
        )
        systems[name] = System(hits, log_loss, tuple(cell.failed for cell in by_seed), unchanged)
    return systems


def differences(study: NoisyStudyParams, systems: Mapping[str, System]) -> list[Difference]:
    """The tested differences: on the test rows, and with each kind of faults.

    The p-values of each of these families are corrected for their number.
    """
    families = [["test"], *map(faults, CORRUPTIONS)]
    found = []
    for family in families:
        tested = [
            (first, second, split)
            for first, second in study.compare
            for split in family
            if all(
                split in systems[name].hits and split not in systems[name].unchanged
                for name in (first, second)
            )
        ]
        estimates = [
            crossed_mean(systems[first].hits[split] - systems[second].hits[split])
            for first, second, split in tested
        ]
        corrected = holm([estimate.p for estimate in estimates]) if tested else []
        found += [
            Difference(*which, estimate, p)
            for which, estimate, p in zip(tested, estimates, corrected, strict=True)
        ]
    return found


def write(study: NoisyStudyParams, params: Params, page: Path, metrics: Path) -> list[Difference]:
    """Write ``page``, a directory with a README and a picture, and figures in ``metrics``."""
    systems = read_systems(study, params)
    tested = differences(study, systems)
    with whole_directory(page) as draft:
        _draw(study.generations, systems, draft / "generations.png")
        count = systems[next(iter(systems))].hits["test"].shape[1]
        text = markdown(systems, tested, rows=count)
        (draft / "README.md").write_text(text, encoding="utf-8", newline="\n")
    lines = [
        {
            "system": name,
            "split": split,
            **_rounded("accuracy", system.accuracy(split)),
            "log_loss": round(system.log_loss[split], 4),
            "failed_seeds": sum(system.failed),
        }
        for name, system in systems.items()
        for split in system.hits
    ]
    write_csv(metrics / "systems.csv", COLUMNS, lines)
    lines = [
        {
            "first": one.first,
            "second": one.second,
            "split": one.split,
            **_rounded("difference", one.estimate),
            "corrected_p": round(one.corrected_p, 4),
        }
        for one in tested
    ]
    write_csv(metrics / "comparisons.csv", COMPARISON_COLUMNS, lines)
    return tested


def markdown(systems: Mapping[str, System], tested: Sequence[Difference], *, rows: int) -> str:
    """The page: a picture, the systems on the test rows, their differences, and robustness."""
    parts = [
        "# Noisy students\n",
        f"Accuracy on {rows:,} test rows, in %, with 95% intervals that hold for other rows and "
        "other seeds. A difference is established if its p-value is below 0.05 after Holm's "
        "correction for the number of differences, on the test rows and with each kind of faults. "
        "The log loss is that of the raw logits on the test rows, `val` the accuracy on the "
        "validation rows. The systems are defined in `study/noisy/params.yaml`. This page is "
        "written by `dvc repro study/noisy/dvc.yaml`.\n",
        "![accuracy by generation](generations.png)\n",
        "| | accuracy | interval | seeds | log loss | val | failed |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, system in systems.items():
        accuracy = system.accuracy("test")
        parts.append(
            f"| {name} | {100 * accuracy.value:.1f} "
            f"| {100 * accuracy.low:.1f} to {100 * accuracy.high:.1f} "
            f"| {', '.join(f'{100 * value:.1f}' for value in system.by_seed)} "
            f"| {system.log_loss['test']:.3f} "
            f"| {100 * system.hits['validation'].mean():.1f} "
            f"| {sum(system.failed)} of {len(system.failed)} |"
        )
    parts += ["", *(f"- {one.sentence}" for one in tested if one.split == "test")]
    strengths = " | ".join(f"{100 * strength:.0f}%" for strength in STRENGTHS)
    for kind in CORRUPTIONS:
        columns = ["test", *faults(kind)]
        tested_systems = [system for system in systems.values() if columns[-1] in system.hits]
        if not tested_systems:
            continue
        parts.append(f"\n## Test pairs with {kind.replace('_', ' ')}\n")
        if all(set(columns[1:]) <= system.unchanged for system in tested_systems):
            parts += ["No prediction changes, because the tokenizer does not see these faults."]
            continue
        parts.append(
            f"| share of the words | none | {strengths} |\n|---|{'---|' * (1 + len(STRENGTHS))}"
        )
        for name, system in systems.items():
            if columns[-1] in system.hits:
                cells = " | ".join(f"{100 * system.hits[column].mean():.1f}" for column in columns)
                parts.append(f"| {name} | {cells} |")
        parts += ["", *(f"- {one.sentence}" for one in tested if one.split in columns[1:])]
    return "\n".join(parts) + "\n"


def _draw(generations: Sequence[str], systems: Mapping[str, System], path: Path) -> None:
    """Draw accuracy by generation: the mean with its interval, and the seeds."""
    accuracies = [systems[name].accuracy("test") for name in generations]
    with picture(path, height=3.4) as axes:
        for x, (name, accuracy) in enumerate(zip(generations, accuracies, strict=True)):
            seeds(axes, x, systems[name].by_seed, systems[name].failed, across=False)
            interval(axes, x, accuracy, across=False)
        axes.plot([accuracy.value for accuracy in accuracies], "-", color=MEAN)
        axes.set_xticks(range(len(generations)), [name.replace("_", " ") for name in generations])
        axes.set_ylabel("accuracy: mean, 95% interval, seeds")


def _rounded(name: str, interval: Interval) -> dict[str, float]:
    values = {name: interval.value, "low": interval.low, "high": interval.high}
    return {key: round(value, 4) for key, value in values.items()}
