"""Whatever a file contains, its reader gives rows or logits, or one sentence. By random search."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import rows_of
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save

from pipeline import logits
from pipeline.logits import Artifact, Notes, TeacherIdentity
from robustness.conftest import sentence_of
from robustness.test_input import COUNT, SPLITS, csv, download, json_lines, rows, write

VALUES = st.recursive(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6), st.just("no")
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=2)
    ),
    max_leaves=4,
)
COLUMNS = ("text_a", "text_b", "label", "group", "soft")


def read_or_refused(place: Path, kind: str, content: bytes, **more: Any) -> None:
    """Download a corpus whose train split has ``content``."""
    source = place / "own"
    shutil.rmtree(place, ignore_errors=True)
    source.mkdir(parents=True)
    for split in SPLITS[1:]:
        table = [{**row, "group": "g", "soft": [0.5, 0.5]} for row in rows(split)]
        write(source, split, json_lines(table), "jsonl")
    write(source, "train", content, kind)
    sentence = sentence_of(lambda: download(source, **more))
    assert sentence is None or len(sentence.splitlines()) == 1


@settings(max_examples=60)
@given(
    changes=st.lists(
        st.tuples(st.integers(0, COUNT - 1), st.sampled_from(COLUMNS), VALUES), max_size=5
    ),
    whole_column=st.one_of(st.none(), st.tuples(st.sampled_from(COLUMNS), VALUES)),
    more=st.sampled_from([{}, {"group": "group"}, {"soft_label": "soft"}]),
)
def test_any_values_in_json_lines(
    changes: list[tuple[int, str, Any]],
    whole_column: tuple[str, Any] | None,
    more: dict[str, str],
    tmp_path: Path,
) -> None:
    table: list[dict[str, Any]] = [
        {**row, "group": "g", "soft": [0.5, 0.5]} for row in rows("train")
    ]
    if whole_column:
        table = [{**row, whole_column[0]: whole_column[1]} for row in table]
    for number, column, value in changes:
        table[number][column] = value
    read_or_refused(tmp_path / "place", "jsonl", json_lines(table), **more)


@settings(max_examples=60)
@given(
    place=st.integers(0, 200),
    length=st.integers(0, 20),
    inserted=st.one_of(st.binary(max_size=8), st.text('",\n\r\t\0 x0', max_size=6).map(str.encode)),
)
def test_any_edit_of_csv(place: int, length: int, inserted: bytes, tmp_path: Path) -> None:
    whole = csv(rows("train"))
    content = whole[:place] + inserted + whole[place + length :]
    read_or_refused(tmp_path / "place", "csv", content)


IDENTITY = TeacherIdentity("t1", "weights", "tokenizer", 16, "float32", ("irrelevant", "relevant"))
ROWS = rows_of(30)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    root = tmp_path_factory.mktemp("logits")
    scores = torch.arange(60.0).reshape(30, 2)
    logits.write(
        root / "t1",
        IDENTITY,
        [ROWS],
        notes=Notes(7, {}, (5,), failed=False),
        score=lambda rows, start, stop: scores[start:stop].clone(),
        parts=root / "parts",
    )
    return Artifact(root / "t1", "dump_task_logits@t1")


def assert_refused_or_same(artifact: Artifact, path: Path, whole: bytes, content: bytes) -> None:
    def read() -> None:
        tensor = logits.read(artifact, IDENTITY, ROWS, IDENTITY.label_names)
        assert torch.equal(tensor, torch.arange(60.0).reshape(30, 2))

    path.write_bytes(content)
    sentence = sentence_of(read)
    path.write_bytes(whole)
    assert sentence is None or "run `dvc repro -f dump_task_logits@t1`" in sentence
    assert sentence is None or len(sentence.splitlines()) == 1


@settings(max_examples=400)
@given(st.data())
def test_any_edit_of_logits(artifact: Artifact, data: st.DataObject) -> None:
    path = artifact.directory / "task-train.safetensors"
    whole = path.read_bytes()
    place = data.draw(st.integers(0, len(whole)))
    length = data.draw(st.integers(0, 12))
    inserted = data.draw(st.binary(max_size=12))
    content = whole[:place] + inserted + whole[place + length :]
    assert_refused_or_same(artifact, path, whole, content)


@settings(max_examples=200)
@given(metadata=VALUES, shape=st.lists(st.integers(0, 30), max_size=3), kind=st.integers(0, 5))
def test_any_metadata_and_tensor(
    artifact: Artifact, metadata: Any, shape: list[int], kind: int
) -> None:
    path = artifact.directory / "task-train.safetensors"
    whole = path.read_bytes()
    types = (torch.float32, torch.float64, torch.int8, torch.bfloat16, torch.bool, torch.complex64)
    tensor = torch.zeros(shape, dtype=types[kind])
    content = save({"logits": tensor}, {"artifact": json.dumps(metadata)})
    assert_refused_or_same(artifact, path, whole, content)


@settings(max_examples=200)
@given(name=st.sampled_from(["card.json", "notes.json"]), content=st.data())
def test_any_card_and_notes(artifact: Artifact, name: str, content: st.DataObject) -> None:
    path = artifact.directory / name
    whole = path.read_bytes()
    fields = st.sampled_from(sorted(json.loads(whole)))
    changed = {**json.loads(whole), content.draw(fields): content.draw(VALUES)}
    path.write_text(json.dumps(changed))
    sentence = sentence_of(lambda: (logits.read_identity(artifact), logits.read_notes(artifact)))
    path.write_bytes(whole)
    assert sentence is None or "run `dvc repro -f dump_task_logits@t1`" in sentence
