"""Wrong settings end in one sentence that names the setting."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

from pipeline import params
from pipeline.errors import UserError
from pipeline.finetuning import Teacher
from pipeline.params import require


@dataclass(frozen=True, kw_only=True)
class Example:
    lr: float
    epochs: int = 3
    kind: Literal["adam", "sgd"] = "adam"
    depth: Literal[1, 2] = 1
    names: tuple[str, ...] = ()
    revision: str | None = None
    fast: bool = False

    def __post_init__(self) -> None:
        require(self.lr > 0, "lr", "above 0")


def example(**settings: Any) -> Example:
    result: Example = params.section({"part": settings}, "part", Example)
    return result


@pytest.mark.parametrize("text", ["lr: 5e-05", "lr: '5e-05'", "lr: 0.00005", "lr: 5.0e-5"])
def test_every_spelling_of_a_float_is_that_float(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(f"part: {{{text}}}")
    assert params.section(params.read(file), "part", Example).lr == 5e-5


def test_values_arrive_with_their_types_and_defaults() -> None:
    given = example(lr=1, names=["a", "b"], revision=None, kind="sgd")
    assert given == Example(lr=1.0, names=("a", "b"), kind="sgd")
    assert isinstance(given.lr, float)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lr": "fast"}, "'part.lr' is 'fast', but must be a number"),
        ({"lr": True}, "'part.lr' is True, but must be a number"),
        ({"lr": "nan"}, "'part.lr' is 'nan', but must be a number"),
        ({"lr": 0}, "'part.lr' must be above 0"),
        ({}, "'part.lr' is missing"),
        ({"lr": 1, "epochs": 2.5}, "'part.epochs' is 2.5, but must be a whole number"),
        ({"lr": 1, "epochs": True}, "'part.epochs' is True, but must be a whole number"),
        ({"lr": 1, "kind": "lion"}, "'part.kind' is 'lion', but must be one of adam, sgd"),
        ({"lr": 1, "depth": 2.0}, "'part.depth' is 2.0, but must be one of 1, 2"),
        ({"lr": 1, "depth": True}, "'part.depth' is True, but must be one of 1, 2"),
        ({"lr": 1, "names": "t1"}, "'part.names' is 't1', but must be a list"),
        ({"lr": 1, "names": [1]}, "'part.names[0]' is 1, but must be a text"),
        ({"lr": 1, "fast": 1}, "'part.fast' is 1, but must be true or false"),
        ({"lr": 1, "epoch": 2}, "'part.epoch' is not a setting; part takes lr, epochs"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError, match=r"^params\.yaml: ") as refusal:
        example(**settings)
    assert sentence in str(refusal.value)


def test_a_missing_section_is_named_with_its_neighbours() -> None:
    with pytest.raises(UserError, match=r"no 'teachers.t4': 't4' is not among t1, t2"):
        params.section({"teachers": {"t1": {}, "t2": {}}}, "teachers.t4", Teacher)


@pytest.mark.parametrize("alpha", [-0.1, 1.5, "nan"])
def test_alpha_outside_0_to_1_is_refused(alpha: float) -> None:
    with pytest.raises(UserError, match="'alpha' is"):
        params.share({"alpha": alpha}, "alpha")


def test_an_unknown_teacher_is_refused_by_name() -> None:
    content = {"teachers": {"t1": {}}, "stage1": {"teachers": ["t1", "t9"]}}
    with pytest.raises(UserError, match="names 't9', but 'teachers' defines only t1"):
        params.teachers(content, "stage1")


def test_broken_yaml_and_a_missing_file_end_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing: run from the project root"):
        params.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not valid YAML"):
        params.read(tmp_path / "params.yaml")
