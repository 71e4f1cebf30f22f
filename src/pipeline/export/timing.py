"""How fast an exported student scores texts, from texts to probabilities, with each tool."""

import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pipeline.serving.scorer import Pair

ROUNDS = 3
PAIRS = 64
"""Pairs that each tool scores in a round."""


@dataclass(frozen=True)
class Rate:
    """Pairs per second of a tool."""

    one_by_one: float
    in_batches: float
    """In batches of 32."""


def rates(
    tools: Mapping[str, Callable[[list[Pair]], object]], pairs: Sequence[Pair]
) -> dict[str, Rate]:
    """The rate of each tool, a function that scores a batch, on the first ``PAIRS`` of ``pairs``.

    The tools take turns, so that other work on the machine affects all alike. A rate is the median
    of several rounds after a first one to warm up.
    """
    timed = list(pairs[:PAIRS])
    found: dict[str, list[float]] = {name: [] for name in tools}
    for size in (1, 32):
        batches = [timed[start : start + size] for start in range(0, len(timed), size)]
        seconds: dict[str, list[float]] = {name: [] for name in tools}
        for _ in range(ROUNDS + 1):
            for name, score in tools.items():
                started = time.perf_counter()
                for batch in batches:
                    score(batch)
                seconds[name].append(time.perf_counter() - started)
        for name, own in seconds.items():
            found[name].append(len(timed) / median(own[1:]))
    return {name: Rate(*own) for name, own in found.items()}


def machine() -> str:
    """The processor and the number of its cores that this process may use."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(encoding="utf-8").splitlines()
        name = next((line.split(": ")[1] for line in lines if line.startswith("model name")), name)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores of {name}"
