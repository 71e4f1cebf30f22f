"""The figures of the study's tables, from the predictions of teachers and students."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.scoring import Interval, one_class, proportion
from study.cells import labelled_rows
from study.settings import Study, Table
from study.statistics import Estimate, crossed_mean, holm
from study.systems import SystemPredictions, combine, first_seeds, read_systems

SIGNIFICANT = 0.05
"""A difference with a corrected p-value below this is called established."""


@dataclass(frozen=True)
class TableRow:
    """The figures of a system in a table."""

    name: str
    title: str
    """What people call it."""
    accuracy: Estimate
    by_seed: tuple[float, ...]
    failed: tuple[bool, ...]
    """For each seed whether its training has failed: its loss stayed that of a constant."""
    validation: float
    """Accuracy on the validation rows."""
    parameters: int
    speedup: float
    """Pairs per second divided by those of the slowest teacher."""
    chosen: str
    """If this is the best of several systems, the name of that one."""
    above_majority: Estimate
    """Accuracy minus that of the most frequent class."""
    one_class: tuple[bool, ...]
    """For each seed whether it answers one class for nearly all rows."""

    @property
    def without_failed(self) -> float | None:
        """The mean accuracy of the seeds that have not failed, if some but not all have."""
        kept = [
            accuracy
            for accuracy, failed in zip(self.by_seed, self.failed, strict=True)
            if not failed
        ]
        return sum(kept) / len(kept) if 0 < len(kept) < len(self.by_seed) else None


@dataclass(frozen=True)
class Comparison:
    """The difference in accuracy of two systems on the same rows, paired by seed."""

    first: TableRow
    second: TableRow
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
    majority: Interval
    """The share of the most frequent class of the test rows."""
    rows: tuple[TableRow, ...]
    comparisons: tuple[Comparison, ...]


def compute_tables(study: Study) -> list[TableResult]:
    """The figures of all tables, from the teachers' logits and the students' predictions."""
    labelled = labelled_rows(study.test)
    labels = {split: split_rows.labels for split, split_rows in labelled.items()}
    single = read_systems(study)
    slowest = max(single[name].seconds for name in study.teachers)
    return [
        _compute_table(
            name,
            table,
            study=study,
            single=single,
            labels=labels,
            slowest=slowest,
        )
        for name, table in study.tables.items()
    ]


def _compute_table(
    name: str,
    table: Table,
    *,
    study: Study,
    single: Mapping[str, SystemPredictions],
    labels: Mapping[str, np.ndarray],
    slowest: float,
) -> TableResult:
    def predictions_of(name: str) -> SystemPredictions:
        if name not in study.combinations:
            return first_seeds(single[name], table.seeds)
        combination = study.combinations[name]
        members = {member: predictions_of(member) for member in combination.members}
        return combine(combination.rule, members, labels["validation"])

    def title_of(name: str) -> str:
        return study.titles.get(name, f"teacher {name}" if name in study.teachers else name)

    systems = {name: predictions_of(name) for name in table.systems}
    majority = labels["test"] == np.bincount(labels["test"]).argmax()
    hits = {name: system.hits("test", labels["test"]) for name, system in systems.items()}
    table_rows = {
        name: TableRow(
            name,
            title_of(name) + (f": {title_of(system.chosen)}" if system.chosen else ""),
            crossed_mean(hits[name]),
            tuple(float(accuracy) for accuracy in hits[name].mean(axis=1)),
            system.failed,
            float(system.hits("validation", labels["validation"]).mean()),
            system.parameters,
            slowest / system.seconds,
            system.chosen,
            crossed_mean(hits[name] - majority),
            tuple(
                one_class(by_seed, labels["test"]) is not None
                for by_seed in system.predicted["test"].numpy()
            ),
        )
        for name, system in systems.items()
    }
    differences = [crossed_mean(hits[first] - hits[second]) for first, second in table.compare]
    corrected = holm([difference.p for difference in differences])
    comparisons = [
        Comparison(table_rows[first], table_rows[second], difference, p)
        for (first, second), difference, p in zip(
            table.compare, differences, corrected, strict=True
        )
    ]
    return TableResult(
        name, table, proportion(majority), tuple(table_rows.values()), tuple(comparisons)
    )
