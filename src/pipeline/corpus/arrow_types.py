"""Arrow types of columns, as the libraries that people write files with choose them."""

import pyarrow as pa
import pyarrow.compute as pc


def with_usual_types(table: pa.Table) -> pa.Table:
    """Texts and lists as Arrow usually has them; other libraries write large or viewed ones."""
    for i, field in enumerate(table.schema):
        usual = field.with_type(_usual_type(field.type))
        if usual != field:
            table = table.set_column(i, usual, table[i].cast(usual.type))
    return table


def flat(table: pa.Table) -> pa.Table:
    """A table with a column for each field of structures, and of lists of structures."""
    while any(pa.types.is_struct(kind) for kind in table.schema.types):
        table = table.flatten()
    columns: dict[str, pa.ChunkedArray] = {}
    for name, column in zip(table.column_names, table.columns, strict=True):
        kind = column.type
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        if not (is_list and pa.types.is_struct(kind.value_type)):
            columns[name] = column
            continue
        for number, field in enumerate(kind.value_type):
            lists = [_lists_of(chunk, number) for chunk in column.chunks]
            own = pa.list_(field.type)
            columns[f"{name}.{field.name}"] = pa.chunked_array(lists, own)
    return pa.table(columns)


def _lists_of(structures: pa.Array, field: int) -> pa.Array:
    """Of lists of structures, the lists of one field; a list that is missing is empty."""
    lengths = pc.fill_null(pc.list_value_length(structures), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array([0, *lengths.cumsum()], pa.int32())
    values = pc.struct_field(structures.flatten(), field)
    return pa.ListArray.from_arrays(offsets, values)


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
