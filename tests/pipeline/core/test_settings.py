"""Wrong settings end in one sentence that names the setting."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.core.settings import (
    FINITE,
    Flag,
    Number,
    Settings,
    Text,
    Whole,
    require,
    require_name,
)


class Inner(Settings):
    share: Number = 1.0


class Example(Settings):
    lr: Annotated[float, Field(gt=0, le=1), FINITE]
    epochs: Annotated[Whole, Field(ge=1, lt=2**32)] = 3
    kind: Literal["adam", "sgd"] = "adam"
    names: tuple[Text, ...] = ()
    revision: Text | None = None
    fast: Flag = False
    at: tuple[Number, ...] = ()
    inner: dict[str, Inner] = Field(default={})

    @model_validator(mode="after")
    def _fits_together(self) -> "Example":
        require(not self.fast or self.epochs == 1, "epochs", self.epochs, "1 if fast is true")
        for name in self.inner:
            require_name(name != "golden", "inner", name, "another word")
        return self


def example(**content: Any) -> Example:
    return settings.check(Example, content, where="part")


@pytest.mark.parametrize("text", ["lr: 5e-05", "lr: '5e-05'", "lr: 0.00005", "lr: 5.0e-5"])
def test_every_spelling_of_a_float_is_that_float(tmp_path: Path, text: str) -> None:
    file = tmp_path / "params.yaml"
    file.write_text(text)
    assert settings.check(Example, settings.read(file)).lr == 5e-5


def test_values_arrive_with_their_types_and_defaults() -> None:
    found = example(lr=1, names=["a", "b"], revision=None, kind="sgd", at=["1e-3", 2])
    assert found == Example(lr=1.0, names=("a", "b"), kind="sgd", at=(1e-3, 2.0))
    assert isinstance(found.lr, float)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        example(lr=1).lr = 2.0


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({"lr": "fast"}, "'part.lr' is 'fast', but must be a number."),
        ({"lr": True}, "'part.lr' is true, but must be a number."),
        ({"lr": "nan"}, "'part.lr' is nan, but must be a number."),
        ({"lr": float("inf")}, "'part.lr' is inf, but must be a number."),
        ({"lr": None}, "'part.lr' is null, but must be a number."),
        ({"lr": 0}, "'part.lr' is 0, but must be above 0."),
        ({"lr": 1.5}, "'part.lr' is 1.5, but must be at most 1."),
        ({}, "'part.lr' is missing."),
        ({"lr": 1, "epochs": 2.5}, "'part.epochs' is 2.5, but must be an integer."),
        ({"lr": 1, "epochs": True}, "'part.epochs' is true, but must be an integer."),
        ({"lr": 1, "epochs": "3"}, "'part.epochs' is '3', but must be an integer."),
        ({"lr": 1, "epochs": 0}, "'part.epochs' is 0, but must be at least 1."),
        ({"lr": 1, "epochs": 2**33}, "'part.epochs' is 8589934592, but must be below 4294967296."),
        ({"lr": 1, "kind": "lion"}, "'part.kind' is 'lion', but must be one of adam or sgd."),
        ({"lr": 1, "names": "t1"}, "'part.names' is 't1', but must be a list."),
        ({"lr": 1, "names": [1]}, "'part.names[0]' is 1, but must be a string."),
        ({"lr": 1, "names": [""]}, "'part.names[0]' is '', but must be a string."),
        ({"lr": 1, "fast": 1}, "'part.fast' is 1, but must be true or false."),
        ({"lr": 1, "epoch": 2}, "'part.epoch' is not a setting; part takes lr, epochs, kind"),
        ({"lr": 1, "fast": True}, "'part.epochs' is 3, but must be 1 if fast is true."),
        ({"lr": 1, "inner": 5}, "'part.inner' is 5, but must be a mapping."),
        ({"lr": 1, "inner": {"a": 5}}, "'part.inner.a' is 5, but must be a mapping of settings."),
        ({"lr": 1, "inner": {"a": {"b": 1}}}, "'part.inner.a.b' is not a setting; part.inner.a"),
        ({"lr": 1, "inner": {"a": {"share": "x"}}}, "'part.inner.a.share' is 'x', but must be a"),
        ({"lr": 1, "inner": {1: {}}}, "'part.inner' has an entry named 1, but a name there must"),
        ({"lr": 1, "inner": {"golden": {}}}, "'part.inner' has an entry named 'golden', but a"),
    ],
)
def test_a_wrong_setting_is_named(content: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as refusal:
        example(**content)
    assert str(refusal.value).startswith(f"params.yaml: {sentence}")


def test_a_long_value_is_shortened() -> None:
    with pytest.raises(UserError) as refusal:
        example(lr="x" * 500)
    assert len(str(refusal.value)) < 150


def test_another_file_and_the_whole_file_are_named() -> None:
    with pytest.raises(UserError, match=r"^study/params\.yaml: 'lr' is 0, but must be above 0\.$"):
        settings.check(Example, {"lr": 0}, file="study/params.yaml")
    with pytest.raises(UserError, match="'speed' is not a setting; the file takes lr, epochs"):
        settings.check(Example, {"speed": 0})


def test_a_missing_entry_is_named_with_those_that_exist() -> None:
    assert settings.entry({"t1": 1, "t2": 2}, "t2", "teachers") == 2
    with pytest.raises(UserError, match=r"has no 'teachers.t4': 'teachers' defines t1, t2"):
        settings.entry({"t1": 1, "t2": 2}, "t4", "teachers")


def test_broken_yaml_and_a_missing_file_end_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing: run from the project root"):
        settings.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("a: [1")
    with pytest.raises(UserError, match="not valid YAML"):
        settings.read(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text("- a")
    with pytest.raises(UserError, match="must be a mapping"):
        settings.read(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: 020", 20),
        ("a: 1:30", "1:30"),
        ("a: [no, yes, on]", ["no", "yes", "on"]),
        ("a: 5e-05", 5e-05),
        ("a: 1e-4", 1e-4),
        ("a: null", None),
    ],
)
def test_yaml_is_read_as_dvc_reads_it(text: str, expected: Any, tmp_path: Path) -> None:
    from dvc.utils.serialize import load_yaml

    (tmp_path / "x.yaml").write_text(text)
    found = settings.read(tmp_path / "x.yaml")
    assert found == {"a": expected} == load_yaml(str(tmp_path / "x.yaml"))
    assert type(found["a"]) is type(expected)


def test_a_key_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("alpha: 0.1\nalpha: 0.9\n")
    with pytest.raises(UserError, match=r"not valid YAML: .*duplicate key \"alpha\".*[^.]\.$"):
        settings.read(tmp_path / "x.yaml")
