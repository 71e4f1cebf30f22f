"""Whatever a settings file says, it is valid or refused in one sentence. Found by random search."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import tiny_params
from hypothesis import given, settings
from hypothesis import strategies as st
from study_project import PARAMS, STUDY

from pipeline.core import settings as files
from pipeline.core.errors import UserError
from pipeline.preflight import Params
from robustness.conftest import sentence_of
from study.settings import read_study

TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "t1", "task", "pretrained/tiny", "1e-4", "1e400", "nan", "../x", "{0}"]),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([10**400, -(10**400), float("inf"), float("nan"), 5e-324, 2**64]),
    st.floats(),
    TEXTS,
    st.dates(),
    st.binary(max_size=4),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(TEXTS, st.integers(), st.none()), inner, max_size=3),
    ),
    max_leaves=6,
)
VALID = tiny_params(Path("corpora"), Path("bert"))


def paths(content: Any, start: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The place of every value in nested mappings and lists."""
    if isinstance(content, dict):
        steps = list(content.items())
    else:
        steps = list(enumerate(content)) if isinstance(content, list) else []
    return [start, *(path for key, value in steps for path in paths(value, (*start, key)))]


def at(content: Any, path: tuple[Any, ...]) -> Any:
    return at(content[path[0]], path[1:]) if path else content


def changed(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy of ``content`` with ``value`` at ``path``."""
    if not path:
        return value
    copied = copy.copy(content)
    copied[path[0]] = changed(content[path[0]], path[1:], value)
    return copied


def is_done_or_refused(action: Callable[[], object], start: str) -> None:
    sentence = sentence_of(action)
    assert sentence is None or (sentence.startswith(start) and len(sentence) < 2_000)
    assert sentence is None or "\n" not in sentence


@settings(max_examples=400)
@given(st.sampled_from(paths(VALID)[1:]), VALUES)
def test_any_value_anywhere_is_valid_or_refused(path: tuple[Any, ...], value: Any) -> None:
    is_done_or_refused(lambda: files.check(Params, changed(VALID, path, value)), "params.yaml: '")


SECTIONS = [path for path in paths(VALID) if isinstance(at(VALID, path), dict)]


@settings(max_examples=200)
@given(
    st.sampled_from(SECTIONS),
    st.one_of(TEXTS, st.integers(), st.none(), st.booleans(), st.floats(), st.dates()),
    VALUES,
)
def test_any_further_key_is_valid_or_refused(path: tuple[Any, ...], key: Any, value: Any) -> None:
    content = changed(VALID, path, {**at(VALID, path), key: value})
    is_done_or_refused(lambda: files.check(Params, content), "params.yaml: '")


@settings(max_examples=200)
@given(st.sampled_from(paths(STUDY)[1:]), VALUES)
def test_any_value_in_the_study_is_valid_or_refused(path: tuple[Any, ...], value: Any) -> None:
    is_done_or_refused(
        lambda: read_study(PARAMS, changed(STUDY, path, value)), "study/params.yaml: "
    )


def refusal(path: Path, content: bytes) -> str:
    path.write_bytes(content)
    sentence = sentence_of(lambda: files.read(path))
    assert sentence
    assert sentence.startswith(str(path))
    assert "\n" not in sentence
    return sentence


@settings(max_examples=200)
@given(content=st.one_of(st.binary(max_size=40), st.text(max_size=40).map(str.encode)))
def test_any_file_is_a_mapping_or_refused(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.yaml"
    path.write_bytes(content)
    is_done_or_refused(lambda: files.read(path), str(path))


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "must be a mapping"),
        (b"- a\n- b\n", "must be a mapping"),
        (b"alpha", "must be a mapping"),
        (b"alpha: [", "is not valid YAML"),
        (b"\talpha: 1", "is not valid YAML"),
        (b"alpha: !!python/object/apply:os.system ['touch PWNED']", "is not valid YAML"),
        (b"alpha: \xe9", "is not UTF-8"),
        ("alpha: 1".encode("utf-16"), "is not UTF-8"),
        ("alpha: 1".encode("utf-32"), "is not UTF-8"),
        (b"alpha: \0", "is not valid YAML"),
        (b"alpha: " + b"[" * 5_000 + b"]" * 5_000, "is nested too deeply"),
        (b"\n".join(b" " * i + b"a:" for i in range(5_000)), "is nested too deeply"),
        (b"{a: " * 5_000 + b"1" + b"}" * 5_000, "is nested too deeply"),
        (b"alpha: 2020-13-45", "is not valid YAML"),
        (b"alpha: " + b"9" * 5_000, "is not valid YAML"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(
    content: bytes, sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert sentence in refusal(tmp_path / "params.yaml", content)
    assert not (tmp_path / "PWNED").exists()


@pytest.mark.parametrize("section", ["pretrained", "classifiers", "corpora"])
@pytest.mark.parametrize(
    "source", ["models/pretrained/mine", "data/corpora", "./models/../models/teachers/t1", "LINK"]
)
def test_a_source_that_dvc_would_delete_is_refused(
    section: str, source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data/corpora").mkdir(parents=True)
    (tmp_path / "LINK").symlink_to(tmp_path / "data/corpora")
    entries = {"pretrained": "tiny", "corpora": "web", "classifiers": "other"}
    entry = VALID[section].get(entries[section], {})
    content = changed(VALID, (section,), {**VALID[section], "x": {**entry, "source": source}})
    with pytest.raises(UserError, match=rf"'{section}.x.source' is .*, but must be elsewhere"):
        files.check(Params, content)


@pytest.mark.parametrize("temperature", [1e-300, 0.001, 1e300])
def test_a_temperature_that_overflows_is_refused(temperature: float) -> None:
    content = changed(VALID, ("stage1",), {**VALID["stage1"], "soft_loss": "kl"})
    content["stage1"]["temperature"] = temperature
    with pytest.raises(UserError, match=r"'stage1.temperature' is .*, but must be at"):
        files.check(Params, content)


def test_a_combination_with_the_name_of_a_student_is_refused() -> None:
    name = next(iter(STUDY["students"]))
    content = {**STUDY, "combinations": {name: {"vote": [name]}}}
    with pytest.raises(UserError, match="names a combination and also a student"):
        read_study(PARAMS, content)


def test_aliases_that_describe_something_huge_are_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 40)]
    bomb = yaml.safe_load("\n".join(lines))["a39"]
    with pytest.raises(UserError, match=r"'alpha' is .* but must be a number"):
        files.check(Params, {**VALID, "alpha": bomb})


@pytest.mark.parametrize("number", ["0x" + "f" * 5_000, "1" + "0" * 400, "-0x" + "f" * 5_000])
@pytest.mark.parametrize(
    "setting", ["alpha", "max_length", "stage1.epochs", "stage2.rows", "stage1.seed"]
)
def test_an_integer_beyond_all_sizes_is_refused(setting: str, number: str) -> None:
    content = copy.deepcopy(VALID)
    section, *key = setting.split(".")
    if key:
        content[section][key[0]] = yaml.safe_load(number)
    else:
        content[section] = yaml.safe_load(number)
    with pytest.raises(UserError, match=rf"'{setting}' is .*, but must be"):
        files.check(Params, content)


@pytest.mark.parametrize("number", ["1e400", "-1e400", ".inf", "-.inf", ".nan", "'inf'", "'nan'"])
@pytest.mark.parametrize("setting", ["alpha", "stage1.lr", "teachers.t1.dropout", "max_length"])
def test_a_number_that_is_not_finite_is_refused(setting: str, number: str) -> None:
    path = tuple(setting.split("."))
    with pytest.raises(UserError, match=rf"'{setting}' is .*, but must be"):
        files.check(Params, changed(VALID, path, yaml.safe_load(number)))
