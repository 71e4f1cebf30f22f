"""Let this process compute as fast as its processor can: memory and products of matrices.

Threads are in ``pipeline/__init__.py``, because they must be set before PyTorch is imported.
"""

import ctypes
import sys
from functools import cache

import torch
from torch.nn.functional import linear

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST_ERROR = 1e-5
"""Of a product in float32, relative to its largest value; one in bfloat16 has about 1e-3."""


@cache
def prepare() -> None:
    """Keep freed memory, and multiply matrices by oneDNN if that is as exact as MKL."""
    _keep_freed_memory()
    if not torch.accelerator.is_available() and _onednn_is_exact():
        # The setting of oneDNN alone makes PyTorch refuse to tell the precision to its exporter.
        torch.set_float32_matmul_precision("medium")


def _onednn_is_exact() -> bool:
    """Whether PyTorch's oneDNN computes products that need not be exact in float32 all the same.

    On some processors it does, on others in bfloat16. On those of AMD, it is faster than MKL, which
    does not use all their instructions. The times of both are not compared, because other work on
    the machine would decide, and a training that resumes could go on in another way.
    """
    before = torch.get_float32_matmul_precision()
    generator = torch.Generator().manual_seed(0)
    x, weight = (torch.randn(size, 1536, generator=generator) for size in (320, 384))
    exact = linear(x.double(), weight.double())
    torch.set_float32_matmul_precision("medium")
    try:
        product = linear(x, weight)
    finally:
        torch.set_float32_matmul_precision(before)
    return bool((product - exact).abs().max() < LARGEST_ERROR * exact.abs().max())


def _keep_freed_memory() -> None:
    """Let this process keep freed memory for its next step, where malloc is that of glibc.

    Otherwise most of it is returned to the kernel after each step, which then clears new pages.
    """
    if sys.platform == "linux" and (mallopt := getattr(ctypes.CDLL(None), "mallopt", None)):
        # Setting the trim threshold fixes the threshold for mmap, which older versions of glibc
        # refuse to raise afterwards or at all. One without the other would cost time.
        if mallopt(M_MMAP_THRESHOLD, 2**31 - 1):
            mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
