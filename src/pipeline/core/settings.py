"""Base class of all settings, and the errors that wrong settings end in.

Every section of ``params.yaml`` is a frozen pydantic model beside the code that reads it. The
docstring under a field is its description in ``docs/settings.md`` and in the JSON schema.
"""

import reprlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import ErrorDetails, PydanticCustomError, core_schema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import UserError

Entry = TypeVar("Entry")
Model = TypeVar("Model", bound="Settings")


def _number_from_text(value: Any) -> Any:
    # Such as 1e-4 in quotes.
    try:
        return float(value) if isinstance(value, str) else value
    except ValueError:
        return value


class _FiniteNumber:
    """Annotation of a float, after its limits: finite, and possibly written as a text."""

    def __get_pydantic_core_schema__(
        self, kind: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        schema = {**handler(kind), "strict": True, "allow_inf_nan": False}
        return core_schema.no_info_before_validator_function(
            _number_from_text, cast(core_schema.FloatSchema, schema)
        )


FINITE = _FiniteNumber()
Number = Annotated[float, FINITE]
Whole = Annotated[int, Field(strict=True)]
Flag = Annotated[bool, Field(strict=True)]
Text = Annotated[str, Field(strict=True, min_length=1)]
SHORT = reprlib.Repr()
"""Shows the start of a value only, as aliases in YAML can describe one of any size."""
SHORT.maxstring = SHORT.maxother = 80

EXPECTED = {
    "float_type": "a number",
    "finite_number": "a number",
    "int_type": "an integer",
    "bool_type": "true or false",
    "string_type": "a string",
    "string_unicode": "a string",
    "string_too_short": "a string",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping of settings",
    "literal_error": "one of {expected}",
    "greater_than": "above {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "below {lt}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of at least {min_length}",
    "setting": "{expected}",
    "name": "{expected}",
}
"""What a value must be, by pydantic's type of error."""


class Settings(BaseModel):
    """A section of a settings file. Unknown keys are refused, values cannot be changed."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_and_huge(cls, content: Any) -> Any:
        for key, value in content.items() if isinstance(content, Mapping) else ():
            if key not in cls.model_fields:
                names = ", ".join(cls.model_fields)
                raise PydanticCustomError("unknown", "", {"key": str(key), "names": names})
            require(not isinstance(value, set), key, "a set", "a list, which has an order")
            # No run is that long, and Python does not even print every such number.
            is_huge = isinstance(value, int) and abs(value) >= 10**15
            require(not is_huge, key, "huge", "a number of at most 15 digits")
        return content


def require(holds: bool, setting: str, value: Any, expected: str) -> None:
    """For validators: refuse ``value`` of ``setting`` (a dotted path) unless ``holds``."""
    if not holds:
        context = {"setting": setting, "value": value, "expected": expected}
        raise PydanticCustomError("setting", "", context)


def require_name(holds: bool, setting: str, name: str, expected: str) -> None:
    """For validators: refuse ``name`` as that of an entry of ``setting`` unless ``holds``."""
    if not holds:
        context = {"setting": setting, "value": name, "expected": expected}
        raise PydanticCustomError("name", "", context)


def read(path: Path) -> dict[str, Any]:
    """The content of a settings file; raises UserError if it is missing or not a YAML mapping."""
    try:
        # The library of DVC, which follows YAML 1.2 as DVC does, and refuses a key that is there
        # twice. In YAML 1.1, `no` is false and 020 is 16.
        content = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: run from the project root.") from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8: save it in that encoding.") from None
    except RecursionError:
        raise UserError(f"{path} is nested too deeply to be read: correct it.") from None
    except (YAMLError, ValueError, LookupError) as error:
        # A ValueError comes from a date that does not exist or a number of thousands of digits.
        reason = " ".join(str(error).split()).split(" To suppress this check")[0]
        raise UserError(f"{path} is not valid YAML: {reason}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of settings.")
    return content


def check(kind: type[Model], content: Any, *, file: str = "params.yaml", where: str = "") -> Model:
    """``content`` as settings of type ``kind``.

    Raises UserError for the first setting that is missing, unknown, of the wrong type or out of
    range. It names ``file`` and the dotted path of the setting, which starts with ``where``.
    """
    try:
        return kind.model_validate(content)
    except ValidationError as error:
        raise UserError(f"{file}: {_sentence(error.errors()[0], where)}") from None


def entry(section: Mapping[str, Entry], name: str, where: str) -> Entry:
    """The entry ``name`` of a section that maps names to settings; raises UserError without it."""
    if name not in section:
        raise UserError(
            f"params.yaml has no '{where}.{name}': '{where}' defines {', '.join(section)}."
        )
    return section[name]


def _sentence(problem: ErrorDetails, where: str) -> str:
    context = {
        key: f"{item:g}" if isinstance(item, float) and key != "value" else item
        for key, item in problem.get("ctx", {}).items()
    }
    value = context.get("value", problem["input"])
    path = _dotted(where, *problem["loc"], *context.get("setting", "").split("."))
    if problem["type"] == "missing":
        return f"'{path}' is missing."
    if problem["type"] == "unknown":
        key, names = _dotted(path, context["key"]), context["names"]
        return f"'{key}' is not a setting; {path or 'the file'} takes {names}."
    if problem["type"] == "string_type" and isinstance(value, bool):
        return f"'{path}' is {_shown(value)}, but must be a string: quote it."
    expected = EXPECTED.get(problem["type"], problem["msg"]).format(**context).replace("'", "")
    is_name = problem["type"] == "name"
    if problem["loc"] and problem["loc"][-1] == "[key]":
        is_name, path = True, _dotted(where, *problem["loc"][:-2])
    if is_name:
        return f"'{path}' has an entry named {value!r}, but a name there must be {expected}."
    return f"'{path}' is {_shown(value)}, but must be {expected}."


def _dotted(*steps: str | int) -> str:
    path = ""
    for step in steps:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step not in ("", "[key]"):
            path += f".{step}" if path else step
    return path


def _shown(value: Any) -> str:
    """A value as people write it in YAML."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = SHORT.repr(list(value) if isinstance(value, tuple) else value)
    return text if len(text) <= 80 else f"{text[:77]}..."
