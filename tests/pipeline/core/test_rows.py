import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest
from conftest import LABEL_NAMES, pairs, rows_of

from pipeline.core import rows
from pipeline.core.errors import UserError
from pipeline.core.rows import row_ids


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows.write(
        tmp_path / "task" / "train.arrow", [pairs(12, 0), pairs(20, 0).slice(12)], LABEL_NAMES
    )
    read = rows.read("task", "train", tmp_path)
    assert read.name == "task/train"
    assert read.label_names == LABEL_NAMES
    assert read.fingerprint == rows_of(20).fingerprint
    assert read.labels.tolist() == [0, 1] * 10
    assert read.texts(3, 5) == tuple(
        rows_of(20).table[c].to_pylist()[3:5] for c in read.table.column_names[:2]
    )


def test_an_id_tells_apart_where_one_text_ends_and_the_other_starts() -> None:
    texts = {"text_a": ["ab", "a", "a", "b", "a"], "text_b": ["c", "bc", "b", "a", "b"]}
    assert len(set(row_ids(pa.table(texts)).tolist())) == 4


def test_a_corrected_label_keeps_the_fingerprint() -> None:
    given = rows_of(20)
    flipped = given.table.set_column(2, "label", pa.array([1, 0] * 10))
    assert dataclasses.replace(given, table=flipped).fingerprint == given.fingerprint


def test_a_missing_and_a_foreign_file_end_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"train.arrow is missing: run `dvc repro download`"):
        rows.read("task", "train", tmp_path)
    (tmp_path / "task").mkdir()
    (tmp_path / "task" / "train.arrow").write_text("not Arrow")
    with pytest.raises(UserError, match="not written by this pipeline"):
        rows.read("task", "train", tmp_path)
