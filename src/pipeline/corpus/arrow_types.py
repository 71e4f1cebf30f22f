"""Arrow types of columns, as the libraries that people write files with choose them."""

import re
from collections.abc import Sequence
from contextlib import suppress

import pyarrow as pa
import pyarrow.compute as pc


def with_usual_types(table: pa.Table) -> pa.Table:
    """Texts and lists as Arrow usually has them; other libraries write large or viewed ones."""
    for i, field in enumerate(table.schema):
        usual = field.with_type(_usual_type(field.type))
        if usual != field:
            table = table.set_column(i, usual, table[i].cast(usual.type))
    return table


def _usual_type(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_dictionary(kind):
        return _usual_type(kind.value_type)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return pa.list_(_usual_type(kind.value_type))
    return kind


def is_number(kind: pa.DataType) -> bool:
    """Whether values of this type are numbers, or all missing."""
    is_number = pa.types.is_floating(kind) or pa.types.is_integer(kind)
    return bool(is_number or pa.types.is_null(kind))


def as_names_or_numbers(labels: pa.ChunkedArray, names: Sequence[str]) -> pa.ChunkedArray:
    """Labels as names where the class ``names`` say what they are written as, else as numbers.

    A file may write the classes 1 and 0, or True and False, as numbers, truth values or texts. If
    the names are such words themselves, a label is the class of that name and not of that position.
    Labels that fit neither are left as they are.
    """
    kind = labels.type
    by_word = {name.casefold(): name for name in names}
    are_numbers = all(re.fullmatch(r"-?\d+", name) for name in names)
    if pa.types.is_boolean(kind) and set(by_word) == {"true", "false"}:
        return pc.if_else(labels, by_word["true"], by_word["false"])
    if are_numbers and (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        with suppress(pa.ArrowInvalid):
            labels = labels.cast(pa.int64()).cast(pa.string())
    if not pa.types.is_string(labels.type):
        return labels
    if are_numbers:
        unlabelled = pc.and_(pc.equal(labels, "-1"), "-1" not in names)
        return pc.if_else(unlabelled, pa.scalar(None, pa.string()), labels)
    if pc.all(pc.is_in(labels.drop_null(), pa.array(names))).as_py() is False:
        words = pc.utf8_lower(pc.utf8_trim_whitespace(labels))
        if set(pc.unique(words.drop_null()).to_pylist()) <= {"true", "false"}:
            return pc.equal(words, "true")
        with suppress(pa.ArrowInvalid):
            return labels.cast(pa.float64())
    return labels
