"""Which library multiplies matrices, memory settings of malloc, and threads that wait."""

import ctypes
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import linear

from pipeline.core import processor


@pytest.mark.parametrize(("accepted", "calls"), [(1, [-3, -1]), (0, [-3])])
def test_the_trim_threshold_is_set_only_if_the_mmap_threshold_was_accepted(
    accepted: int, calls: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters: list[int] = []

    def mallopt(parameter: int, value: int) -> int:
        parameters.append(parameter)
        return accepted

    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(mallopt=mallopt))
    processor._keep_freed_memory()
    assert parameters == calls


@pytest.fixture(autouse=True)
def _as_it_starts() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.parametrize(
    ("seconds", "in_bfloat16", "better"),
    [(0.004, False, True), (0.001, False, True), (0.012, False, False), (0.001, True, False)],
)
def test_onednn_is_used_unless_it_is_slower_or_computes_in_bfloat16(
    seconds: float, in_bfloat16: bool, better: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor on which a product takes 4 ms by MKL, and ``seconds`` by oneDNN."""

    def product(x: Tensor, weight: Tensor) -> Tensor:
        exact = linear(x, weight)
        if x.dtype == torch.float64 or torch.get_float32_matmul_precision() == "highest":
            time.sleep(0.004)
            return exact
        time.sleep(seconds)
        return exact.bfloat16().float() if in_bfloat16 else exact

    before = torch.get_num_threads()
    monkeypatch.setattr(processor, "PROBE", (4, 8, 4))
    monkeypatch.setattr(processor, "linear", product)
    assert processor._onednn_is_better() == better
    assert torch.get_float32_matmul_precision() == "highest"
    assert torch.get_num_threads() == before


def test_the_choice_is_the_precision_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for better, precision in ((False, "highest"), (True, "medium")):
        chosen: list[str] = []
        monkeypatch.setattr(processor, "_onednn_is_better", lambda better=better: better)
        monkeypatch.setattr(torch, "set_float32_matmul_precision", chosen.append)
        processor.prepare.__wrapped__()
        assert chosen == ([precision] if better else [])


@pytest.mark.parametrize(
    ("variables", "spins"),
    [({}, "2000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")],
)
def test_threads_do_not_wait_long_unless_a_person_has_set_it(
    variables: dict[str, str], spins: str
) -> None:
    code = (
        "import pipeline, os, sys; print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
    )
    own = {k: v for k, v in os.environ.items() if k not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**own, **variables, "PYTHONPATH": "src"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == f"{spins} False\n"
