"""Which library multiplies matrices, memory settings of malloc, and threads that wait."""

import ctypes
import os
import subprocess
import sys
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


@pytest.mark.parametrize("in_bfloat16", [False, True])
def test_onednn_is_exact_unless_it_computes_in_bfloat16(
    in_bfloat16: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def product(x: Tensor, weight: Tensor) -> Tensor:
        exact = linear(x, weight)
        if x.dtype == torch.float64:
            return exact
        assert torch.get_float32_matmul_precision() == "medium"
        return exact.bfloat16().float() if in_bfloat16 else exact

    monkeypatch.setattr(processor, "linear", product)
    assert processor._onednn_is_exact() != in_bfloat16
    assert torch.get_float32_matmul_precision() == "highest"


def test_the_choice_is_the_precision_of_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    for is_exact in (False, True):
        chosen: list[str] = []
        monkeypatch.setattr(processor, "_onednn_is_exact", lambda is_exact=is_exact: is_exact)
        monkeypatch.setattr(torch, "set_float32_matmul_precision", chosen.append)
        processor.prepare.__wrapped__()
        assert chosen == (["medium"] if is_exact else [])


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
