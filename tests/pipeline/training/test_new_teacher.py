"""A teacher that continues another one keeps its head, so that a short training is enough."""

from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from safetensors.torch import load_file

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.teacher import finetune_teacher
from pipeline.training.settings import Teacher


@pytest.fixture
def first(models: Path) -> Path:
    """Models with a teacher to continue."""
    train(models, "first", weights="pretrained/tiny", seed=1)
    return models


def train(
    models: Path, name: str, label_names: tuple[str, ...] = LABEL_NAMES, **changes: Any
) -> torch.Tensor:
    """The weights of the head of a teacher that is trained for 8 steps."""
    content = {"corpus": "task", "lr": 3e-3, "epochs": 1, "batch_size": 8, "seed": 2, **changes}
    rows = rows_of(60)
    finetune_teacher(
        name,
        settings.check(Teacher, content),
        max_length=16,
        training=Rows(rows.name, rows.table, label_names),
        validation=Rows("task/validation", rows_of(20, 1).table, label_names),
        models=models,
    )
    return load_file(models / "teachers" / name / "heads.safetensors")["golden.0.weight"]


def test_it_keeps_the_head_of_a_teacher_with_the_same_classes_in_any_order(first: Path) -> None:
    models, head = first, load_file(first / "teachers/first/heads.safetensors")["golden.0.weight"]
    nothing: dict[str, Any] = {"weights": "teachers/first", "lr": 1e-12}
    assert torch.allclose(train(models, "same", **nothing), head, atol=1e-6)
    turned = train(models, "turned", LABEL_NAMES[::-1], **nothing)
    assert torch.allclose(turned, head.flip(0), atol=1e-6)
    other = train(models, "other", ("no", "yes"), **nothing)
    assert not torch.allclose(other, head, atol=1e-3)


def test_a_damaged_head_is_refused(first: Path) -> None:
    (first / "teachers/first/heads.safetensors").write_bytes(b"damaged")
    with pytest.raises(UserError, match=r"teachers/first is damaged .* `dvc repro -f finetune_tea"):
        train(first, "same", weights="teachers/first")
