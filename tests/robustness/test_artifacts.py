"""Damaged corpora, models and logits are refused in one sentence that says what to run again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from pipeline.logits import checksum
from robustness.conftest import refusal

Damage = Callable[[bytes], bytes]
ANY: dict[str, Damage] = {
    "empty": lambda content: b"",
    "one byte": lambda content: content[:1],
    "half": lambda content: content[: len(content) // 2],
    "end missing": lambda content: content[:-3],
    "zeros": lambda content: bytes(len(content)),
    "start zeroed": lambda content: bytes(16) + content[16:],
    "text": lambda content: b"not what was here before\n" * 40,
    "inverted": lambda content: bytes(255 - byte for byte in content),
}
JSON: dict[str, Damage] = {
    "null": lambda content: b"null",
    "list": lambda content: b"[]",
    "number": lambda content: b"7",
    "empty object": lambda content: b"{}",
    "deep list": lambda content: b"[" * 100_000 + b"]" * 100_000,
    "deep object": lambda content: b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "latin-1": lambda content: b'{"label_names": "caf\xe9"}',
    "values are lists": lambda content: json.dumps(
        {key: [[]] for key in json.loads(content)}
    ).encode(),
    "values are null": lambda content: json.dumps(dict.fromkeys(json.loads(content))).encode(),
    "values are huge": lambda content: json.dumps(
        dict.fromkeys(json.loads(content), 10**300)
    ).encode(),
}
READERS = {
    "data/corpora/test/qa.arrow": ("evaluate",),
    "data/corpora/general/pool.arrow": ("dump_logits", "general", "t1"),
    "data/logits/pool/n1/t1/card.json": ("pseudo_label", "n1"),
    "data/logits/pool/n1/t1/general-pool.safetensors": ("pseudo_label", "n1"),
    "data/pseudo_labels/n1/card.json": ("train_noisy_student", "n1"),
    "data/pseudo_labels/n1/rows.arrow": ("train_noisy_student", "n1"),
    "data/logits/task/t1/card.json": ("finetune_student",),
    "data/logits/task/t1/notes.json": ("finetune_student",),
    "data/logits/test/qa/t1/notes.json": ("evaluate",),
    "data/logits/task/t1/task-train.safetensors": ("finetune_student",),
    "data/logits/test/qa/t2/test-qa.safetensors": ("evaluate",),
    "data/logits/general/t1/general-pool.safetensors": ("distill",),
    "models/pretrained/tiny/config.json": ("finetune_teacher", "t1"),
    "models/pretrained/tiny/model.safetensors": ("distill",),
    "models/pretrained/tiny/tokenizer.json": ("finetune_teacher", "t1"),
    "models/pretrained/tiny/tokenizer_config.json": ("finetune_teacher", "t1"),
    "models/teachers/t1/card.json": ("dump_logits", "task", "t1"),
    "models/teachers/t1/config.json": ("dump_logits", "task", "t1"),
    "models/teachers/t1/heads.safetensors": ("dump_logits", "task", "t1"),
    "models/teachers/t1/model.safetensors": ("dump_logits", "task", "t1"),
    "models/student/stage1/card.json": ("finetune_student",),
    "models/student/stage1/heads.safetensors": ("finetune_student",),
    "models/student/stage2/card.json": ("evaluate",),
    "models/student/stage2/tokenizer.json": ("evaluate",),
    "data/corpora/task/validation.arrow": ("export",),
    "data/corpora/test/card.json": ("export",),
}
"""A stage that reads each file."""
HARMLESS = {
    # An Arrow file is read from its end.
    ("data/corpora/test/qa.arrow", "start zeroed"),
    ("data/corpora/general/pool.arrow", "start zeroed"),
    ("data/corpora/task/validation.arrow", "start zeroed"),
    # A tokenizer of BERT has these settings by default.
    ("models/pretrained/tiny/tokenizer_config.json", "empty object"),
}
CASES = [
    (file, name, damage)
    for file in READERS
    for name, damage in (ANY | (JSON if file.endswith(".json") else {})).items()
    if (file, name) not in HARMLESS
]


@pytest.mark.parametrize(("file", "name", "damage"), CASES, ids=[f"{f}-{n}" for f, n, _ in CASES])
def test_a_damaged_file_is_refused(file: str, name: str, damage: Damage, place: Path) -> None:
    path = place / file
    path.write_bytes(damage(path.read_bytes()))
    sentence = refusal(*READERS[file])
    # A tokenizer may be readable, but not that of the model.
    assert "run `dvc repro -f" in sentence or "its own tokenizer" in sentence


LOGITS = {
    "task/t2/task-train": ("dump_task_logits@t2", "finetune_student"),
    "task/t2/task-validation": ("dump_task_logits@t2", "finetune_student"),
    "test/qa/t2/test-qa": ("dump_test_logits@qa-t2", "evaluate"),
    "general/t2/general-pool": ("dump_general_logits@t2", "distill"),
}
"""The stage that makes each file, and one that reads it."""
TENSORS: dict[str, Callable[[Tensor], Tensor]] = {
    "nan": lambda logits: torch.full_like(logits, torch.nan),
    "one nan": lambda logits: logits.index_fill(0, torch.tensor([3]), torch.nan),
    "infinity": lambda logits: logits.index_fill(0, torch.tensor([0]), torch.inf),
    "minus infinity": lambda logits: logits.index_fill(0, torch.tensor([1]), -torch.inf),
    "a row less": lambda logits: logits[1:].clone(),
    "no row": lambda logits: logits[:0],
    "a row more": lambda logits: torch.cat([logits, logits[:1]]),
    "a column more": lambda logits: torch.cat([logits, logits[:, :1]], 1),
    "one dimension": lambda logits: logits[:, 0].contiguous(),
    "three dimensions": lambda logits: logits[:, :, None].contiguous(),
    "no dimension": lambda logits: logits[0, 0].clone(),
    "double": lambda logits: logits.double(),
    "half": lambda logits: logits.half(),
    "integers": lambda logits: logits.long(),
    "booleans": lambda logits: logits > 0,
}


@pytest.mark.parametrize("change", TENSORS.values(), ids=TENSORS)
@pytest.mark.parametrize("file", LOGITS)
def test_wrong_logits_are_refused_even_with_a_right_checksum(
    file: str, change: Callable[[Tensor], Tensor], place: Path
) -> None:
    path = place / f"data/logits/{file}.safetensors"
    with safe_open(path, framework="pt") as opened:
        metadata = json.loads(opened.metadata()["artifact"])
    logits = change(load_file(path)["logits"])
    metadata["checksum"] = checksum(logits)
    save_file({"logits": logits}, path, {"artifact": json.dumps(metadata)})
    made_by, read_by = LOGITS[file]
    assert f"run `dvc repro -f {made_by}`" in refusal(read_by)


def with_value(key: str, value: Any) -> Callable[[dict[str, str]], Any]:
    return lambda metadata: {**metadata, key: value}


METADATA: dict[str, Callable[[dict[str, str]], Any]] = {
    "list": lambda metadata: [metadata],
    "null": lambda metadata: None,
    "number": lambda metadata: 1e300,
    "text": lambda metadata: "metadata",
    "empty": lambda metadata: {},
}
for key in (
    *("format", "teacher", "weights", "tokenizer", "max_length", "precision"),
    *("label_names", "rows", "fingerprint", "shard", "dtype", "checksum"),
):
    for name, value in {"other": "x", "null": None, "number": 1, "list": ["x"]}.items():
        METADATA[f"{key} {name}"] = with_value(key, value)


@pytest.mark.parametrize("change", METADATA.values(), ids=METADATA)
def test_wrong_metadata_of_logits_are_refused(
    change: Callable[[dict[str, str]], Any], place: Path
) -> None:
    path = place / "data/logits/task/t1/task-train.safetensors"
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["artifact"])
    content = json.dumps(change(metadata))
    save_file(load_file(path), path, {"artifact": content})
    assert "run `dvc repro -f dump_task_logits@t1`" in refusal("finetune_student")


@pytest.mark.parametrize("depth", [100, 100_000])
def test_deep_metadata_of_logits_are_refused(depth: int, place: Path) -> None:
    path = place / "data/logits/task/t1/task-train.safetensors"
    save_file(load_file(path), path, {"artifact": "[" * depth + "]" * depth})
    assert "is damaged" in refusal("finetune_student")


WEIGHTS: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "all renamed": lambda tensors: {f"x.{name}": value for name, value in tensors.items()},
    "none": lambda tensors: {},
    "a layer missing": lambda tensors: {
        name: value for name, value in tensors.items() if "layer.0" not in name
    },
    "one tensor missing": lambda tensors: dict(sorted(tensors.items())[1:]),
    "a column less": lambda tensors: {
        name: value[..., 1:].contiguous() for name, value in tensors.items()
    },
    "transposed": lambda tensors: {
        name: value.T.contiguous() if value.ndim == 2 else value for name, value in tensors.items()
    },
    "no dimension": lambda tensors: {
        name: value.reshape(-1)[0].clone() for name, value in tensors.items()
    },
    "not finite": lambda tensors: {
        name: torch.full_like(value, torch.nan) for name, value in tensors.items()
    },
}
WEIGHT_FILES = {
    "models/pretrained/tiny/model.safetensors": ("finetune_teacher", "t1"),
    "models/teachers/t1/model.safetensors": ("dump_logits", "general", "t1"),
    "models/teachers/t1/heads.safetensors": ("dump_logits", "general", "t1"),
    "models/student/stage1/model.safetensors": ("finetune_student",),
    "models/student/stage2/heads.safetensors": ("evaluate",),
}


@pytest.mark.parametrize(
    ("file", "name"),
    # Heads have one layer.
    [(f, n) for f in WEIGHT_FILES for n in WEIGHTS if "heads" not in f or n != "a layer missing"],
)
def test_weights_that_do_not_fit_are_refused(file: str, name: str, place: Path) -> None:
    change = WEIGHTS[name]
    save_file(change(load_file(place / file)), place / file, {"format": "pt"})
    sentence = refusal(*WEIGHT_FILES[file])
    # A dump refuses heads that are not finite by what they give.
    assert "run `dvc repro -f" in sentence or "gives logits that are not finite" in sentence


CARDS: dict[str, dict[str, Any]] = {
    "a class twice": {"label_names": ["a", "a"]},
    "one class": {"label_names": ["a"]},
    "no head": {"heads": []},
    "endless": {"max_length": 10**30},
    "hundreds of layers": {"head_layers": 700},
    "frozen": {"temperature": 0.0},
    "boiling": {"temperature": 1e300},
}


@pytest.mark.parametrize("values", CARDS.values(), ids=CARDS)
def test_a_card_of_a_model_that_makes_no_sense_is_refused(
    values: dict[str, Any], place: Path
) -> None:
    path = place / "models/student/stage2/card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))
    assert "run `dvc repro -f finetune_student`" in refusal("evaluate")


NOTES: dict[str, dict[str, Any]] = {
    "no rows": {"lengths": []},
    "rows without tokens": {"lengths": [0, 0]},
    "too long": {"lengths": [500]},
    "another model": {"encoder": {"model_type": "t5"}},
    "no model": {"encoder": {}},
    "other outputs": {"encoder": {"model_type": "bert", "return_dict": False}},
}


@pytest.mark.parametrize("values", NOTES.values(), ids=NOTES)
def test_notes_of_logits_that_make_no_sense_are_refused(
    values: dict[str, Any], place: Path
) -> None:
    path = place / "data/logits/test/qa/t1/notes.json"
    content = json.loads(path.read_text())
    if values.get("encoder", {}).get("return_dict") is False:
        values = {"encoder": {**content["encoder"], "return_dict": False}}
    path.write_text(json.dumps({**content, **values}))
    assert "run `dvc repro -f dump_test_logits@qa-t1`" in refusal("evaluate")


CONFIGURATIONS: dict[str, Any] = {
    "num_hidden_layers": [5, 0, -1, "2", None, 2.5],
    "hidden_size": [16, 0, "wide", None],
    "num_attention_heads": [0, 5, None],
    "intermediate_size": [8, None],
    "vocab_size": [10, 100_000, 0, None],
    "max_position_embeddings": [4, None],
    "model_type": ["nothing", "vit", "t5", None, 7],
    "hidden_act": ["nothing", None],
    "head_pooling": ["median", 7],
}


@pytest.mark.parametrize(
    ("key", "value"), [(key, value) for key, values in CONFIGURATIONS.items() for value in values]
)
def test_a_wrong_configuration_of_weights_is_refused(key: str, value: Any, place: Path) -> None:
    path = place / "models/pretrained/tiny/config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))
    assert "models/pretrained/tiny" in refusal("finetune_teacher", "t1")


ROWS: dict[str, Callable[[pa.Table], pa.Table]] = {
    "invalid UTF-8": lambda table: table.set_column(
        0, "text_a", pa.array([b"caf\xe9"] * len(table)).view(pa.string())
    ),
    "texts are bytes": lambda table: table.set_column(
        0, "text_a", table["text_a"].cast(pa.binary())
    ),
    "texts are missing": lambda table: table.set_column(
        1, "text_b", pa.nulls(len(table), pa.string())
    ),
    "labels are floats": lambda table: table.set_column(
        2, "label", table["label"].cast(pa.float64())
    ),
    "labels are too high": lambda table: table.set_column(2, "label", pc.add(table["label"], 1)),
    "labels are too low": lambda table: table.set_column(
        2, "label", pc.subtract(table["label"], 3)
    ),
    "no label": lambda table: table.drop(["label"]),
    "no column": lambda table: table.select([]),
    "no row": lambda table: table.slice(0, 0),
    "no gold label": lambda table: table.set_column(
        2, "label", pa.array([-1] * len(table), pa.int64())
    ),
    "a column twice": lambda table: table.append_column("label", table["label"]),
    "one column more": lambda table: table.append_column("more", table["label"]),
    "no metadata": lambda table: table.replace_schema_metadata(None),
    "metadata are a number": lambda table: table.replace_schema_metadata({"label_names": "7"}),
    "metadata are deep": lambda table: table.replace_schema_metadata(
        {"label_names": "[" * 100_000 + "]" * 100_000}
    ),
}


@pytest.mark.parametrize("change", ROWS.values(), ids=ROWS)
def test_wrong_rows_are_refused(change: Callable[[pa.Table], pa.Table], place: Path) -> None:
    path = place / "data/corpora/task/train.arrow"
    with pa.ipc.open_file(path) as file:
        table = change(file.read_all())
    with pa.ipc.new_file(path, table.schema) as file:
        file.write_table(table)
    assert "run `dvc repro -f download`" in refusal("finetune_teacher", "t1")
