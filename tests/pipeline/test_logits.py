"""Every way in which an artifact can be wrong is refused with a sentence that says which."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from conftest import rows_of
from safetensors import safe_open
from safetensors.torch import save_file

from pipeline import logits
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.logits import Artifact, Notes, TeacherIdentity

LABEL_NAMES = ("irrelevant", "relevant")
IDENTITY = TeacherIdentity("t1", "weights-1", "tokenizer-1", 48, "float32", LABEL_NAMES)
NOTES = Notes(parameters=7, encoder={}, lengths=(5, 6), failed=False)
NAME = "task-train.safetensors"


def scores(rows: Rows, start: int, stop: int) -> torch.Tensor:
    """Row i scores (i, -i), so that a row out of place shows."""
    places = torch.arange(start, stop, dtype=torch.float32)
    return torch.stack([places, -places], dim=1)


@pytest.fixture
def rows() -> Rows:
    return rows_of(100)


@pytest.fixture
def artifact(tmp_path: Path, rows: Rows) -> Path:
    directory = tmp_path / "task" / "t1"
    logits.write(directory, IDENTITY, [rows], notes=NOTES, score=scores, parts=tmp_path / "parts")
    return directory


def artifact_of(directory: Path) -> Artifact:
    return Artifact(directory, f"dump_task_logits@{directory.name}")


def edit(path: Path, change: Callable[[dict[str, str], torch.Tensor], torch.Tensor | None]) -> None:
    """Write the file again after ``change`` to its metadata or a new tensor."""
    with safe_open(path, framework="pt") as file:
        metadata, tensor = json.loads(file.metadata()["artifact"]), file.get_tensor("logits")
    changed = change(metadata, tensor)
    tensor = tensor if changed is None else changed
    save_file({"logits": tensor}, path, {"artifact": json.dumps(metadata)})


def refusal(directory: Path, rows: Rows, identity: TeacherIdentity = IDENTITY) -> str:
    with pytest.raises(UserError) as error:
        logits.read(artifact_of(directory), identity, rows, LABEL_NAMES)
    assert "run `dvc repro -f dump_task_logits@t1`" in str(error.value)
    return str(error.value)


def test_what_was_written_is_read_in_row_order(artifact: Path, rows: Rows) -> None:
    torch.testing.assert_close(
        logits.read(artifact_of(artifact), IDENTITY, rows, LABEL_NAMES), scores(rows, 0, 100)
    )
    assert logits.read_identity(artifact_of(artifact)) == IDENTITY


def test_shards_and_parts_read_as_one(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logits, "PART_ROWS", 8)
    monkeypatch.setattr(logits, "SHARD_ROWS", 32)
    directory = tmp_path / "t1"
    logits.write(directory, IDENTITY, [rows], notes=NOTES, score=scores, parts=tmp_path / "parts")
    assert len(list(directory.glob("task-train-*-of-00004.safetensors"))) == 4
    torch.testing.assert_close(
        logits.read(artifact_of(directory), IDENTITY, rows, LABEL_NAMES), scores(rows, 0, 100)
    )


def test_shards_in_another_order_are_refused(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logits, "SHARD_ROWS", 50)
    monkeypatch.setattr(logits, "PART_ROWS", 50)
    directory = tmp_path / "task" / "t1"
    logits.write(directory, IDENTITY, [rows], notes=NOTES, score=scores, parts=tmp_path / "parts")
    first, second = (directory / name for name in logits.shard_files(rows))
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(content)
    assert "its shard is 2 of 2, but this run needs 1 of 2" in refusal(directory, rows)


def test_a_killed_dump_goes_on_after_its_last_part(
    tmp_path: Path, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logits, "PART_ROWS", 30)
    directory, parts = tmp_path / "t1", tmp_path / "parts"
    asked: list[int] = []

    def dies_at_60(rows: Rows, start: int, stop: int) -> torch.Tensor:
        asked.append(start)
        if start == 60 and asked.count(60) == 1:
            raise KeyboardInterrupt
        return scores(rows, start, stop)

    with pytest.raises(KeyboardInterrupt):
        logits.write(
            tmp_path / "t1",
            IDENTITY,
            [rows],
            notes=NOTES,
            score=dies_at_60,
            parts=tmp_path / "parts",
        )
    assert not (tmp_path / "t1").exists()
    assert logits.finished_rows(tmp_path / "parts", [rows]) == 60
    logits.write(directory, IDENTITY, [rows], notes=NOTES, score=dies_at_60, parts=parts)
    assert asked == [0, 30, 60, 60, 90]
    torch.testing.assert_close(
        logits.read(artifact_of(tmp_path / "t1"), IDENTITY, rows, LABEL_NAMES),
        scores(rows, 0, 100),
    )


def test_another_teachers_file_is_refused(artifact: Path, rows: Rows, tmp_path: Path) -> None:
    other = dataclasses.replace(IDENTITY, teacher="t2", weights="weights-2")
    logits.write(
        tmp_path / "t2", other, [rows], notes=NOTES, score=scores, parts=tmp_path / "parts"
    )
    (tmp_path / "t2" / NAME).replace(artifact / NAME)
    assert "its teacher is t2, but this run needs t1" in refusal(artifact, rows)


def test_a_file_of_the_same_teacher_before_it_was_retrained_is_refused(
    artifact: Path, rows: Rows
) -> None:
    newer = dataclasses.replace(IDENTITY, weights="weights-9")
    assert "its weights is weights-1, but this run needs weights-9" in refusal(
        artifact, rows, newer
    )


def test_a_reordered_corpus_is_refused(artifact: Path, rows: Rows) -> None:
    backwards = dataclasses.replace(rows, table=rows.table.take(pa.array(range(99, -1, -1))))
    assert "its fingerprint is" in refusal(artifact, backwards)


def test_one_changed_row_is_refused(artifact: Path, rows: Rows) -> None:
    texts = rows.table["text_b"].to_pylist()
    texts[42] += "!"
    changed = dataclasses.replace(rows, table=rows.table.set_column(1, "text_b", pa.array(texts)))
    assert "its fingerprint is" in refusal(artifact, changed)


def test_a_wrong_row_count_is_refused(artifact: Path, rows: Rows) -> None:
    fewer = dataclasses.replace(rows, table=rows.table.slice(0, 99))
    assert "its rows is 100, but this run needs 99" in refusal(artifact, fewer)


def test_swapped_label_names_are_refused(artifact: Path, rows: Rows) -> None:
    def swap(metadata: dict[str, str], tensor: torch.Tensor) -> None:
        metadata["label_names"] = json.dumps(["relevant", "irrelevant"])

    edit(artifact / NAME, swap)
    assert 'its label_names is ["relevant", "irrelevant"]' in refusal(artifact, rows)


def test_columns_have_the_order_of_the_class_names_that_are_asked_for(
    artifact: Path, rows: Rows
) -> None:
    backwards = logits.read(artifact_of(artifact), IDENTITY, rows, ("relevant", "irrelevant"))
    torch.testing.assert_close(backwards, scores(rows, 0, 100).flip(1))


@pytest.mark.parametrize(
    ("field", "value"),
    [("tokenizer", "tokenizer-2"), ("max_length", 64), ("precision", "bfloat16")],
)
def test_a_file_of_the_same_weights_that_read_or_computed_otherwise_is_refused(
    artifact: Path, rows: Rows, field: str, value: Any
) -> None:
    card = dataclasses.replace(IDENTITY, **{field: value})
    assert f"its {field} is {getattr(IDENTITY, field)}, but this run needs {value}" in refusal(
        artifact, rows, card
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_neither_written_nor_read(
    artifact: Path, rows: Rows, tmp_path: Path, value: float
) -> None:
    def spoilt(rows: Rows, start: int, stop: int) -> torch.Tensor:
        tensor = scores(rows, start, stop)
        tensor[7, 1] = value
        return tensor

    parts = tmp_path / "parts"
    with pytest.raises(UserError, match="teacher 't1' gives logits that are not finite"):
        logits.write(tmp_path / "t1", IDENTITY, [rows], notes=NOTES, score=spoilt, parts=parts)
    assert not (tmp_path / "t1").exists()

    def spoil(metadata: dict[str, str], tensor: torch.Tensor) -> torch.Tensor:
        tensor[7, 1] = value
        metadata["checksum"] = logits.checksum(tensor)
        return tensor

    edit(artifact / NAME, spoil)
    assert "has logits that are not finite" in refusal(artifact, rows)


def test_an_artifact_under_the_name_of_another_teacher_is_refused(artifact: Path) -> None:
    artifact.rename(artifact.with_name("t2"))
    with pytest.raises(UserError, match="its teacher is t1, but this run needs t2"):
        logits.read_identity(artifact_of(artifact.with_name("t2")))


def test_a_truncated_file_is_refused(artifact: Path, rows: Rows) -> None:
    content = (artifact / NAME).read_bytes()
    (artifact / NAME).write_bytes(content[:-5])
    assert "is damaged" in refusal(artifact, rows)


def test_a_flipped_bit_in_the_tensor_is_refused(artifact: Path, rows: Rows) -> None:
    content = bytearray((artifact / NAME).read_bytes())
    content[-3] ^= 1
    (artifact / NAME).write_bytes(content)
    assert "its checksum is" in refusal(artifact, rows)


def test_a_missing_file_and_a_missing_artifact_say_what_to_run(
    artifact: Path, rows: Rows, tmp_path: Path
) -> None:
    (artifact / NAME).unlink()
    assert "is missing" in refusal(artifact, rows)
    with pytest.raises(UserError, match="missing: run `dvc repro -f dump_task_logits@t7`"):
        logits.read_identity(artifact_of(tmp_path / "task" / "t7"))


def test_a_file_that_never_had_metadata_is_refused(artifact: Path, rows: Rows) -> None:
    save_file({"logits": scores(rows, 0, 100)}, artifact / NAME)
    assert "its format is missing" in refusal(artifact, rows)


def test_a_tensor_of_another_width_is_refused(artifact: Path, rows: Rows) -> None:
    def widen(metadata: dict[str, str], tensor: torch.Tensor) -> torch.Tensor:
        wide = torch.cat([tensor, tensor], dim=1)
        metadata["checksum"] = logits.checksum(wide)
        return wide

    edit(artifact / NAME, widen)
    assert "its shape is (100, 4), but this run needs (100, 2)" in refusal(artifact, rows)
