"""Precision by device. Processes are tested in tests/stages."""

import pytest
import torch

from pipeline.core import runtime
from pipeline.core.errors import UserError


@pytest.mark.parametrize(
    ("gpu", "native", "precision"),
    [(False, False, "no"), (True, False, "no"), (True, True, "bf16")],
)
def test_a_gpu_that_only_emulates_bfloat16_computes_in_float32(
    gpu: bool, native: bool, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert runtime.precision() == precision


def test_an_unknown_precision_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "fp16")
    with pytest.raises(UserError, match="is 'fp16', but must be 'no' or 'bf16'"):
        runtime.precision()


def test_the_randomness_of_a_step_depends_on_seed_step_and_process() -> None:
    def draw(seed: int, step: int, process: int = 0) -> float:
        runtime.seed_step(seed, step, process)
        return torch.rand(1).item()

    assert draw(1, 5) == draw(1, 5)
    assert len({draw(1, 5), draw(1, 6), draw(2, 5), draw(1, 5, 1)}) == 4
