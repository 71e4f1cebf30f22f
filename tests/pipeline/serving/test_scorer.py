"""An exported student scores pairs without PyTorch, whatever their number and length."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import exports
import numpy as np
import onnx
import onnxruntime
import pytest
from closure import SOURCE
from exports import Export

from pipeline.core.errors import UserError
from pipeline.serving import scorer
from pipeline.serving.scorer import Scorer

PAIRS = exports.pairs_of(100, seed=11)


def test_probabilities_are_those_that_were_evaluated(
    exported: Export, exported_nli: Export
) -> None:
    for made in (exported, exported_nli):
        own = Scorer(made.directory)
        found = own.probabilities(PAIRS)
        assert np.abs(found - made.expected(PAIRS).numpy()).max() < 1e-5
        assert own.label_names == made.made.label_names
        assert np.abs(found.sum(axis=1) - 1).max() < 1e-6


def test_int8_is_close_to_float32(exported: Export) -> None:
    float32 = Scorer(exported.directory).probabilities(PAIRS)
    int8 = Scorer(exported.directory, int8=True).probabilities(PAIRS)
    assert 0 < np.abs(float32 - int8).max() < 0.2


def test_many_pairs_are_tokenised_piece_by_piece_and_score_the_same(
    exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Scorer(exported.directory)
    before = own.probabilities(PAIRS)
    monkeypatch.setattr(scorer, "SORTED_TOGETHER", 16)
    assert np.abs(own.probabilities(PAIRS) - before).max() < 1e-6


def test_threads_that_yield_score_the_same(
    exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, made = onnxruntime.SessionOptions, []

    def options() -> Any:
        made.append(original())
        return made[-1]

    expected = Scorer(exported.directory).logits(PAIRS)
    monkeypatch.setattr(onnxruntime, "SessionOptions", options)
    yielding = Scorer(exported.directory, yielding=True)
    assert made[0].get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert yielding.logits(PAIRS).tolist() == expected.tolist()


def test_passages_are_ranked_by_the_second_class(exported: Export) -> None:
    own = Scorer(exported.directory)
    passages = [passage for _, passage in PAIRS[:20]]
    ranking = own.rank("which cat", passages)
    expected = exported.expected([("which cat", passage) for passage in passages])[:, 1].numpy()
    assert [position for position, _ in ranking] == np.argsort(-expected, kind="stable").tolist()
    assert all(abs(score - expected[position]) < 1e-5 for position, score in ranking)
    # Equal passages keep their order.
    assert [position for position, _ in own.rank("which cat", ["red"] * 4)] == [0, 1, 2, 3]
    assert own.rank("which cat", []) == []
    assert own.probabilities([]).shape == (0, 2)


def test_three_classes_have_no_order(exported_nli: Export) -> None:
    with pytest.raises(UserError, match="it cannot rank: use `predict`"):
        Scorer(exported_nli.directory).rank("which cat", ["red"])


@pytest.mark.parametrize("text", ["", " ", "\0", "\U0001f937", "東京", "cat\ncat", "a" * 10_000])
def test_any_text_has_a_score(text: str, exported: Export) -> None:
    own = Scorer(exported.directory)
    assert np.isfinite(own.probabilities([(text, "cat"), ("cat", text)])).all()


FILES = ["config.json", "tokenizer.json", "onnx/model.onnx"]


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("content", [b"", b"{}", b"null", b"[]", b"\xff\xfe", b"\0" * 100])
def test_a_damaged_file_is_refused(
    file: str, content: bytes, exported: Export, tmp_path: Path
) -> None:
    shutil.copytree(exported.directory, tmp_path / "copy")
    (tmp_path / "copy" / file).write_bytes(content)
    with pytest.raises(UserError, match=r"copy is damaged .*: run `dvc repro export`"):
        Scorer(tmp_path / "copy")


def test_the_configuration_of_another_student_is_refused(
    exported: Export, exported_nli: Export, tmp_path: Path
) -> None:
    shutil.copytree(exported.directory, tmp_path / "copy")
    shutil.copy(exported_nli.directory / "config.json", tmp_path / "copy")
    with pytest.raises(UserError, match="is damaged"):
        Scorer(tmp_path / "copy")


def test_no_export_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no exported student: run `dvc repro export`"):
        Scorer(tmp_path)


def test_only_three_packages_are_imported(exported: Export, tmp_path: Path) -> None:
    """Anything else that is installed is out of reach, as on a server that only serves."""
    (tmp_path / "passages.txt").write_text("red cat\nhorse\n")
    (tmp_path / "pairs.csv").write_text("a,b\nred,cat\n")
    program = f"""
import importlib.abc, sys
ALLOWED = {{"onnxruntime", "tokenizers", "numpy", "pipeline"}}
class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        top = name.split(".")[0]
        if top not in ALLOWED and top not in sys.stdlib_module_names:
            raise ImportError(f"{{name}} is not installed")
sys.meta_path.insert(0, Refuse())
from pipeline.serving.command import main
main(["rank", "which", "passages.txt", "--model", {str(exported.directory)!r}])
main(["predict", "pairs.csv", "--model", {str(exported.directory)!r}])
from pipeline.serving import page
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(SOURCE), "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 4


def test_a_padding_token_without_an_embedding_is_damage(exported: Export, tmp_path: Path) -> None:
    """It would fail later, at the first pairs of different lengths."""
    directory = shutil.copytree(exported.directory, tmp_path / "e")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "pad_token_id": 10**6}))
    with pytest.raises(UserError, match="is damaged"):
        Scorer(directory)


def test_weights_that_are_no_numbers_are_damage(exported: Export, tmp_path: Path) -> None:
    directory = shutil.copytree(exported.directory, tmp_path / "e")
    model = onnx.load(directory / "onnx/model.onnx")
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and len(tensor.dims) == 2:
            values = onnx.numpy_helper.to_array(tensor) * np.float32("nan")
            tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
    onnx.save(model, directory / "onnx/model.onnx")
    with pytest.raises(UserError, match=r"is damaged \(its logits are not finite"):
        Scorer(directory)


@pytest.mark.parametrize("columns", [[], ["q"], ["q", "q"], "ab", {"a": 1, "b": 2}, [1, 2]])
def test_text_columns_that_are_no_two_names_are_damage(
    columns: Any, exported: Export, tmp_path: Path
) -> None:
    directory = shutil.copytree(exported.directory, tmp_path / "e")
    config = json.loads((directory / "config.json").read_text())
    (directory / "config.json").write_text(json.dumps({**config, "text_columns": columns}))
    with pytest.raises(UserError, match=r"is damaged \(its text_columns are"):
        Scorer(directory)
