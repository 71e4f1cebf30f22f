"""What makes a run another run. Saving and loading are tested with the training loop."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.checkpoints import code_hash, run_identity


def test_other_settings_weights_arrays_precision_or_code_are_another_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = torch.nn.Linear(3, 2)
    array = np.arange(4)

    def identity(settings: object = 1, array: np.ndarray = array, code: str = "textwrap") -> str:
        return run_identity(settings, code=[code], model=model, arrays=[array])

    identities = [identity(), identity(settings=2), identity(array=array + 1)]
    identities.append(identity(code="string"))
    assert identity() == identities[0]
    with torch.no_grad():
        model.weight[0, 0] += 1
    identities.append(identity())
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    identities.append(identity())
    assert len(set(identities)) == 6


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package on the path, with one module and its settings."""
    directory = tmp_path / "some_code"
    directory.mkdir()
    for name in ("__init__", "loop", "settings"):
        (directory / f"{name}.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    return directory


def test_all_modules_of_a_package_count_but_not_the_description_of_settings(package: Path) -> None:
    before = code_hash(["some_code"])
    (package / "settings.py").write_text("# another error message")
    assert code_hash(["some_code"]) == before
    (package / "loop.py").write_text("# another loop")
    changed = code_hash(["some_code"])
    (package / "new.py").write_text("")
    (package / "new.py").write_text("# a new module")
    assert len({before, changed, code_hash(["some_code"])}) == 3


def test_a_module_counts_alone(package: Path) -> None:
    before = code_hash(["some_code.loop"])
    (package / "new.py").write_text("# a new module")
    assert code_hash(["some_code.loop"]) == before
    (package / "loop.py").write_text("# another loop")
    assert code_hash(["some_code.loop"]) != before
