"""What the teacher says of the pool, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from torch.nn.functional import softmax

from pipeline.core import settings
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.dumping import dump
from pipeline.logits import Artifact
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.pseudo_labels import artifact
from pipeline.pseudo_labels.artifact import Card, PseudoLabels
from pipeline.pseudo_labels.labelling import pseudo_label
from pipeline.teacher import finetune_teacher
from pipeline.training.calibration import fit_temperature
from pipeline.training.settings import Teacher

GOLD, VALIDATION = rows_of(60), rows_of(60, 1, "task/validation")
NEW = rows_of(200, 2, "general/pool")
POOL = Rows(NEW.name, pa.concat_tables([NEW.table, GOLD.table.slice(0, 10)]), LABEL_NAMES)


@pytest.fixture(scope="module")
def teacher(tiny_bert: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher with dropout in its training, better than chance."""
    models = tmp_path_factory.mktemp("models")
    (models / "pretrained").mkdir()
    (models / "pretrained/tiny").symlink_to(tiny_bert)
    content = {"weights": "pretrained/tiny", "corpus": "task", "lr": 3e-3, "epochs": 12}
    finetune_teacher(
        "t1",
        settings.check(Teacher, content),
        max_length=16,
        training=GOLD,
        validation=VALIDATION,
        models=models,
    )
    return models / "teachers/t1"


def labelled(teacher: Path, root: Path, gold: Rows = GOLD, **changes: Any) -> tuple[Card, Rows]:
    chosen = PseudoLabels(**changes)
    logits = Artifact(root / "logits" / "t1", "dump_pool_logits@n1")
    if not logits.directory.exists():
        dump("t1", teacher, [VALIDATION, POOL], directory=logits.directory)
    card = pseudo_label(
        "n1", chosen, logits, pool=POOL, gold=gold, validation=VALIDATION, root=root
    )
    return card, artifact.read("n1", "t1", chosen, gold, root)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_pseudo_labels_are_the_calibrated_probabilities_of_a_clean_teacher(
    teacher: Path, tmp_path: Path
) -> None:
    card, rows = labelled(teacher, tmp_path, balance=False)
    model, tokenizer, own = pair_model.load(teacher)
    of_validation, of_pool = (
        predict(model.eval(), encode(tokenizer, split, 16), own.heads)
        for split in (VALIDATION, NEW)
    )
    temperature = fit_temperature(of_validation, torch.from_numpy(VALIDATION.labels))
    assert card.temperature == pytest.approx(temperature, rel=1e-4)
    assert abs(temperature - 1) > 0.05
    expected = softmax(of_pool[:, 0] / temperature, dim=-1).numpy()
    assert rows.soft_labels == pytest.approx(expected, abs=1e-4)
    assert rows.texts() == NEW.texts()
    assert (rows.labels == expected.argmax(axis=1)).all()
    confidence = rows.table["confidence"].to_numpy()
    assert confidence == pytest.approx(expected.max(axis=1), abs=1e-4)
    accuracy = (of_validation[:, 0].argmax(-1).numpy() == VALIDATION.labels).mean()
    assert card.validation_accuracy == pytest.approx(accuracy)


def test_rows_with_gold_labels_are_left_out(teacher: Path, tmp_path: Path) -> None:
    card, rows = labelled(teacher, tmp_path, balance=False)
    assert (card.pool_rows, card.gold_rows, len(rows)) == (210, 10, 200)
    assert not set(rows.ids) & set(GOLD.ids)


def test_the_card_counts_what_was_filtered_and_balanced(teacher: Path, tmp_path: Path) -> None:
    card, rows = labelled(teacher, tmp_path, top_share=0.4)
    counts = list(card.classes.values())
    assert list(card.classes) == list(LABEL_NAMES)
    assert sum(count.labelled for count in counts) == 200
    assert sum(count.confident for count in counts) == 80
    assert [count.rows for count in counts] == [40, 40] == np.bincount(rows.labels).tolist()
    assert card.least_confidence == rows.table["confidence"].to_numpy().min()
    content = json.loads((tmp_path / "n1/card.json").read_text())
    assert content["settings"] == {"threshold": 0.0, "top_share": 0.4, "balance": True}


def test_classes_have_the_order_of_the_gold_rows(teacher: Path, tmp_path: Path) -> None:
    _, first = labelled(teacher, tmp_path, balance=False)
    turned = Rows(GOLD.name, GOLD.table, LABEL_NAMES[::-1])
    _, second = labelled(teacher, tmp_path, turned, balance=False)
    assert second.label_names == LABEL_NAMES[::-1]
    assert first.soft_labels is not None
    assert second.soft_labels is not None
    assert (second.soft_labels == first.soft_labels[:, ::-1]).all()
    assert (second.labels == 1 - first.labels).all()


def test_a_threshold_that_no_row_reaches_is_refused(teacher: Path, tmp_path: Path) -> None:
    sentence = "no row of the pool is left for noisy student 'n1', because the confidence of 't1' i"
    with pytest.raises(UserError, match=sentence):
        labelled(teacher, tmp_path, threshold=1.0)
    assert not (tmp_path / "n1/card.json").exists()


def test_a_pool_of_gold_rows_is_refused(teacher: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="all 210 rows of the pool have gold labels in the task"):
        labelled(teacher, tmp_path, POOL)


def test_rows_that_are_repeated_often_are_announced(
    teacher: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled(teacher, tmp_path)
    assert "repeated" not in capsys.readouterr().out
    # Of all rows but ten, the labels are gold, so that the classes of the others are not balanced.
    _, rows = labelled(teacher, tmp_path, balance=False)
    ones, zeros = (np.flatnonzero(rows.labels == label) for label in (1, 0))
    known = rows.table.take(pa.array([*ones[1:], *zeros[9:]])).select(GOLD.table.column_names)
    gold = Rows(GOLD.name, pa.concat_tables([known, GOLD.table]), LABEL_NAMES)
    card, rows = labelled(teacher, tmp_path, gold)
    assert [count.confident for count in card.classes.values()] == [9, 1]
    sentence = "rows of class 'relevant', 1 in number, are repeated until there are 5."
    assert sentence in capsys.readouterr().out
    assert len(set(rows.ids)) == 6


def test_other_classes_than_those_of_the_task_are_refused(teacher: Path, tmp_path: Path) -> None:
    other = Rows(GOLD.name, GOLD.table, ("no", "yes"))
    with pytest.raises(UserError, match="scores the classes irrelevant, relevant, but task/train"):
        labelled(teacher, tmp_path, other)


def test_labels_for_another_use_are_refused(teacher: Path, tmp_path: Path) -> None:
    labelled(teacher, tmp_path)
    chosen, other = PseudoLabels(), PseudoLabels(threshold=0.5)
    remedy = "run `dvc repro -f pseudo_label@n"
    with pytest.raises(UserError, match=f"its teacher is t1, but this run needs t2; {remedy}1"):
        artifact.read("n1", "t2", chosen, GOLD, tmp_path)
    with pytest.raises(UserError, match=f"its settings is .*threshold=0.5.*; {remedy}1"):
        artifact.read("n1", "t1", other, GOLD, tmp_path)
    with pytest.raises(UserError, match=r"its fingerprint of gold rows is [0-9a-f]{32}, but this"):
        artifact.read("n1", "t1", chosen, rows_of(59), tmp_path)
    turned = Rows(GOLD.name, GOLD.table, LABEL_NAMES[::-1])
    with pytest.raises(UserError, match=r"its label_names is .*relevant"):
        artifact.read("n1", "t1", chosen, turned, tmp_path)
    with pytest.raises(UserError, match=rf"n2/rows.arrow is missing: {remedy}2"):
        artifact.read("n2", "t1", chosen, GOLD, tmp_path)


def test_a_changed_byte_is_refused(teacher: Path, tmp_path: Path) -> None:
    labelled(teacher, tmp_path)
    path = tmp_path / "n1/rows.arrow"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"its checksum is [0-9a-f]{64}, but this run needs"):
        artifact.read("n1", "t1", PseudoLabels(), GOLD, tmp_path)
