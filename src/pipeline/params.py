"""Read sections of ``params.yaml`` into the frozen dataclasses that document them."""

import contextlib
import dataclasses
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import yaml

from pipeline.errors import UserError

Section = TypeVar("Section")


def read(path: Path = Path("params.yaml")) -> dict[str, Any]:
    """The whole params file as plain values; raises UserError if it is missing or not YAML."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project root.") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of settings.")
    return content


def section(content: Mapping[str, Any], name: str, kind: Any) -> Any:
    """The setting at the dotted ``name`` as a value of type ``kind``.

    ``kind`` is a frozen dataclass, or any type that a field of one may have. Raises UserError for
    a missing, unknown, ill-typed or out-of-range setting, naming it by its dotted path.
    """
    value: Any = content
    for step in name.split("."):
        if not isinstance(value, Mapping) or step not in value:
            known = ", ".join(map(str, value)) if isinstance(value, Mapping) else "none"
            raise UserError(f"params.yaml has no '{name}': '{step}' is not among {known}.")
        value = value[step]
    return convert(value, kind, name)


def convert(value: Any, kind: Any, where: str) -> Any:
    """``value``, as YAML gave it, as a ``kind``; raises UserError naming ``where``."""
    origin = get_origin(kind)
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        return _dataclass(value, kind, where)
    if origin in (Union, types.UnionType):
        options = [option for option in get_args(kind) if option is not type(None)]
        return None if value is None else convert(value, options[0], where)
    if origin is Literal:
        if not any(value == one and type(value) is type(one) for one in get_args(kind)):
            raise _wrong(where, value, f"one of {', '.join(map(str, get_args(kind)))}")
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(where, value, "a list")
        return tuple(convert(v, get_args(kind)[0], f"{where}[{i}]") for i, v in enumerate(value))
    if origin is dict:
        if not isinstance(value, Mapping):
            raise _wrong(where, value, "a mapping")
        return {str(k): convert(v, get_args(kind)[1], f"{where}.{k}") for k, v in value.items()}
    return _scalar(value, kind, where)


def _scalar(value: Any, kind: Any, where: str) -> Any:
    # DVC writes 5e-05 and YAML 1.1, which PyYAML reads, takes that for text: floats may be text.
    if kind is Any:
        return value
    if kind is float and isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            number = float(value)
            if math.isfinite(number):
                return number
    elif kind in (int, bool, str) and type(value) is kind and value != "":
        return value
    names = {float: "a number", int: "a whole number", bool: "true or false", str: "a text"}
    raise _wrong(where, value, names[kind])


def _dataclass(value: Any, kind: type, where: str) -> Any:
    if not isinstance(value, Mapping):
        raise _wrong(where, value, "a mapping of settings")
    hints = get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}
    if unknown := [key for key in value if key not in fields]:
        raise UserError(
            f"params.yaml: '{where}.{unknown[0]}' is not a setting; {where} takes "
            f"{', '.join(fields)}."
        )
    required = [f.name for f in fields.values() if _is_required(f)]
    if missing := [name for name in required if name not in value]:
        raise UserError(f"params.yaml: '{where}.{missing[0]}' is missing.")
    values = {key: convert(v, hints[key], f"{where}.{key}") for key, v in value.items()}
    try:
        return kind(**values)
    except ValueError as error:
        raise UserError(f"params.yaml: '{where}.{error}.") from None


def _is_required(field: dataclasses.Field[Any]) -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _wrong(where: str, value: Any, expected: str) -> UserError:
    return UserError(f"params.yaml: '{where}' is {value!r}, but must be {expected}.")


def require(holds: bool, field: str, expected: str) -> None:
    """For ``__post_init__``: raises the ValueError that ``section`` turns into a sentence."""
    if not holds:
        raise ValueError(f"{field}' must be {expected}")


def share(content: Mapping[str, Any], name: str) -> float:
    """The setting ``name``, a number from 0 to 1 such as ``alpha``."""
    value: float = section(content, name, float)
    if not 0 <= value <= 1:
        raise _wrong(name, value, "from 0 to 1")
    return value


def max_length(content: Mapping[str, Any]) -> int:
    """``max_length``: the most tokens of a pair that teachers and student read alike."""
    value: int = section(content, "max_length", int)
    if value < 8:
        raise _wrong("max_length", value, "at least 8")
    return value


def teachers(content: Mapping[str, Any], stage: str) -> tuple[str, ...]:
    """The names in ``<stage>.teachers``, each of which must be an entry of ``teachers``."""
    names: tuple[str, ...] = section(content, f"{stage}.teachers", tuple[str, ...])
    known: dict[str, Any] = section(content, "teachers", dict[str, Any])
    for name in names:
        if name not in known:
            raise UserError(
                f"params.yaml: '{stage}.teachers' names '{name}', but 'teachers' defines only "
                f"{', '.join(known)}."
            )
    return names
