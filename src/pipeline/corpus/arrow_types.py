"""Arrow types of columns, as the libraries that people write files with choose them."""

import pyarrow as pa


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
