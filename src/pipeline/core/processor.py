"""Let this process compute as fast as its processor can: memory and products of matrices.

Threads are in ``pipeline/__init__.py``, because they must be set before PyTorch is imported.
"""

import ctypes
import sys
import time
from functools import cache

import torch
from torch.nn.functional import linear

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_ERROR = 1e-5
"""Of a product in float32, relative to its largest value; one in bfloat16 has about 1e-3."""
LEAST_SPEED = 0.8
"""Below this share of the speed of MKL, oneDNN is not used. Processors that were measured are far
from it, so that all runs on a machine choose alike, whatever else it does."""
PROBE = (320, 384, 1536)
"""Rows, inputs and outputs of the layer that is timed: 8 pairs of 40 tokens in a small BERT."""
ROUNDS = 8


@cache
def prepare() -> None:
    """Keep freed memory, and multiply matrices by oneDNN where that is better than MKL."""
    _keep_freed_memory()
    if not torch.accelerator.is_available() and _onednn_is_better():
        # The setting of oneDNN alone makes PyTorch refuse to tell the precision to its exporter.
        torch.set_float32_matmul_precision("medium")


def _onednn_is_better() -> bool:
    """Whether PyTorch's oneDNN computes as exactly as its MKL, and not clearly more slowly.

    On processors of AMD, MKL does not use all their instructions. PyTorch takes oneDNN for products
    that need not be exact, which it then computes in bfloat16 on some processors, in float32 on
    others.
    """
    before, threads = torch.get_float32_matmul_precision(), torch.get_num_threads()
    rows, inputs, outputs = PROBE
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, inputs, generator=generator) for size in (rows, outputs))
    exact = linear(x.double(), weight.double())
    # One thread never waits for another, so that other work on the machine matters less.
    torch.set_num_threads(1)
    seconds: dict[str, float] = {"highest": 1.0, "medium": 1.0}
    try:
        for _ in range(ROUNDS):
            for precision in seconds:
                torch.set_float32_matmul_precision(precision)
                started = time.perf_counter()
                product = linear(x, weight)
                seconds[precision] = min(seconds[precision], time.perf_counter() - started)
    finally:
        torch.set_float32_matmul_precision(before)
        torch.set_num_threads(threads)
    error = (product - exact).abs().max() / exact.abs().max()
    is_fast = seconds["highest"] / seconds["medium"] > LEAST_SPEED
    return is_fast and bool(error < LARGEST_ERROR)


def _keep_freed_memory() -> None:
    """Let this process keep freed memory for its next step, where malloc is that of glibc.

    Otherwise most of it is returned to the kernel after each step, which then clears new pages.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        # Setting the trim threshold fixes the threshold for mmap, which older versions of glibc
        # refuse to raise afterwards or at all. One without the other would cost time.
        if mallopt(M_MMAP_THRESHOLD, 2**31 - 1):
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
