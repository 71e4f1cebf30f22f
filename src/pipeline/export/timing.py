"""How fast an exported student scores texts, from texts to probabilities, with each tool."""

import os
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.evaluation.speed import seconds_in_turns
from pipeline.serving.scorer import Pair

PAIRS = 64
"""Pairs that each tool scores in a round."""
Score = Callable[[Sequence[Pair]], object]
"""Scores a batch."""


@dataclass(frozen=True)
class Rate:
    """Pairs per second of a tool."""

    one_by_one: float
    in_batches: float
    """In batches of 32."""


def rates(tools: Mapping[str, Score], pairs: Sequence[Pair]) -> dict[str, Rate]:
    """The rate of each tool on the first ``PAIRS`` of ``pairs``, measured in turns."""
    timed = pairs[:PAIRS]
    by_size = []
    for size in (1, 32):
        batches = [timed[start : start + size] for start in range(0, len(timed), size)]
        seconds = seconds_in_turns([_over(batches, score) for score in tools.values()])
        by_size.append([len(timed) / own for own in seconds])
    return {name: Rate(*own) for name, *own in zip(tools, *by_size, strict=True)}


def _over(batches: Sequence[Sequence[Pair]], score: Score) -> Callable[[], object]:
    return lambda: [score(batch) for batch in batches]


def machine() -> str:
    """The processor and the number of its cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {processor()}"


def processor() -> str:
    """The name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.split(": ")[1] for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
