"""Rows of JSON, as people write them by hand and by program."""

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.corpus import json_rows


def read(path: Path, *columns: str) -> list[dict[str, object]]:
    return [
        row for table in json_rows.tables("corpus", [path], columns) for row in table.to_pylist()
    ]


def test_values_inside_of_objects_and_lists_have_names_with_dots(tmp_path: Path) -> None:
    path = tmp_path / "train.jsonl"
    path.write_text(
        '{"q": {"text": "a"}, "found": [{"t": "x", "y": 1}, {"t": "z"}], "b.c": "d"}\n'
        '{"q": null, "found": []}\n'
    )
    assert read(path, "q.text", "found.t", "found.y", "b.c") == [
        {"q.text": "a", "found.t": ["x", "z"], "found.y": [1, None], "b.c": "d"},
        {"q.text": None, "found.t": [], "found.y": [], "b.c": None},
    ]
    assert json_rows.names("corpus", path) == ["q", "q.text", "found", "found.t", "found.y", "b.c"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ('[{"a": 1}, null]', "row 1 of .* is no JSON object"),
        ('{"a": 1}\nnull\n', "line 2 of .* is null, not a row"),
        ('{"a": 1}\n\n{"a": ', "line 3 of .* could not be read"),
        ('{"a": 1, "b": 1, "a": 2}', r"the key 'a' twice"),
        ('[{"a": 1}', "could not be read"),
    ],
)
def test_what_is_no_row_is_named(content: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(content)
    with pytest.raises(UserError, match=said):
        read(path, "a")
