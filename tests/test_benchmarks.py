"""The comparison of a GPU with the CPU, on a machine without one: the CPU with itself."""

import shutil
from pathlib import Path

import device
import pytest
from project import environment


@pytest.mark.slow
def test_a_device_is_compared_with_the_cpu(
    uninterrupted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment().items():
        monkeypatch.setenv(name, value)
    place = shutil.copytree(uninterrupted, tmp_path / "place")
    weights, expected = device.resumed(place, "t1")
    assert device.largest_difference(weights, expected) == 0
    found = device.logits(place, "t1")
    assert list(found) == ["CPU", "float32", "bfloat16", "float32, two processes"]
    _, on_cpu = found["CPU"]
    assert sum(len(one) for one in on_cpu.values()) == 160
    difference = {name: device.largest_difference(own, on_cpu) for name, (_, own) in found.items()}
    assert difference["float32"] == difference["float32, two processes"] == 0
    assert 0 < difference["bfloat16"] < 0.1
    assert device.same_class(found["bfloat16"][1], on_cpu) > 0.95
    on_cpu[next(iter(on_cpu))][0] += 1
    assert device.largest_difference(on_cpu, found["float32"][1]) == 1
