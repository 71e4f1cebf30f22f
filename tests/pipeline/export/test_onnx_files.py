"""The ONNX files: standard operators, any shape, nothing of this machine, the same everywhere."""

from pathlib import Path
from typing import Any

import exports
import numpy as np
import onnx
import onnxruntime
import pytest
from closure import ROOT
from exports import Export
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

from pipeline.export.onnx_files import write_int8

FLOAT32, INT8 = "onnx/model.onnx", "onnx/model_quantized.onnx"


@pytest.mark.parametrize("file", [FLOAT32, INT8])
def test_a_file_is_whole_standard_and_says_nothing_of_this_machine(
    file: str, exported: Export
) -> None:
    path = exported.directory / file
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not [one for one in model.graph.initializer if one.external_data]
    content = path.read_bytes()
    assert str(ROOT).encode() not in content
    assert b"site-packages" not in content
    assert [given.name for given in model.graph.input] == [
        *("input_ids", "attention_mask", "token_type_ids")
    ]
    assert [made.name for made in model.graph.output] == ["logits"]


def test_layer_norms_are_not_fused_into_a_slower_operator(exported: Export, tmp_path: Path) -> None:
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    onnxruntime.InferenceSession(str(exported.directory / FLOAT32), options)
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    # One for the embeddings and two for each of both layers.
    assert kinds.count("LayerNormalization") == 5
    assert "SkipLayerNormalization" not in kinds


def test_int8_has_a_scale_for_each_column(exported: Export) -> None:
    graph = onnx.load(exported.directory / INT8).graph
    shapes = {one.name: (one.data_type, tuple(one.dims)) for one in graph.initializer}
    multiplied = [node for node in graph.node if node.op_type == "MatMulInteger"]
    # Six in each of two layers, and the head.
    assert len(multiplied) == 13
    for node in multiplied:
        kind, shape = shapes[node.input[1]]
        assert kind == TensorProto.INT8
        assert shapes[node.input[1].replace("_quantized", "_scale")][1] == (shape[1],)
    values = [
        numpy_helper.to_array(one)
        for one in graph.initializer
        if one.data_type == TensorProto.INT8 and len(one.dims) == 2
    ]
    assert len(values) == 13
    # In 7 bits.
    assert all(np.abs(one.astype(int)).max() <= 64 for one in values)
    tables = [node.input[0] for node in graph.node if node.op_type == "Gather"]
    kinds = [shapes[table][0] for table in tables if table.endswith("weight_quantized")]
    assert kinds == [TensorProto.UINT8] * 3


class MatMulInteger(OpRun):
    """The product as processors without VNNI compute it: the sum of each two products of 8 bits is
    cut to 16 bits."""

    op_domain = ""

    def _run(self, a: Any, b: Any, a_zero: Any = 0, b_zero: Any = 0) -> tuple[np.ndarray]:
        products = a.astype(np.int64)[..., :, None] * b.astype(np.int64)[None]
        products = products.swapaxes(-1, -2)  # [..., rows, columns, inner]
        pairs = products[..., ::2] + products[..., 1::2]
        raw = pairs.clip(-(2**15), 2**15 - 1).sum(axis=-1)
        inner = a.shape[-1]
        left = a.astype(np.int64).sum(axis=-1, keepdims=True) * np.asarray(b_zero, np.int64)
        right = b.astype(np.int64).sum(axis=-2) * np.asarray(a_zero, np.int64)
        both = inner * np.asarray(a_zero, np.int64) * np.asarray(b_zero, np.int64)
        return ((raw - left - right + both).astype(np.int32),)


def test_processors_without_vnni_compute_the_same(tmp_path: Path) -> None:
    """Of the largest values, as of a matrix whose weights are all alike."""
    weights = numpy_helper.from_array(np.full((64, 4), 0.5, dtype=np.float32), "weights")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "weights"], ["y"], name="product")],
        "one",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [3, 4])],
        [weights],
    )
    float32 = tmp_path / "one.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), float32)
    write_int8(tmp_path / "ours.onnx", float32)
    x = np.ones((3, 64), dtype=np.float32)

    def product(path: Path, **changes: Any) -> np.ndarray:
        (made,) = ReferenceEvaluator(onnx.load(path), **changes).run(None, {"x": x})
        return np.asarray(made)

    exact = product(tmp_path / "ours.onnx")
    np.testing.assert_allclose(exact, 32, rtol=0.02)
    assert (product(tmp_path / "ours.onnx", new_ops=[MatMulInteger]) == exact).all()
    # With 8 bits, the same matrix loses half of its value there.
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(float32, tmp_path / "full.onnx", weight_type=QuantType.QInt8)
    cut = product(tmp_path / "full.onnx", new_ops=[MatMulInteger])
    assert np.abs(cut - product(tmp_path / "full.onnx")).max() > 10


def test_a_student_in_int8_is_the_same_without_vnni(exported: Export) -> None:
    model = onnx.load(exported.directory / INT8)
    pairs = exports.pairs_of(6, 4)
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(exported.directory / "tokenizer.json"))
    tokenizer.enable_padding()
    encodings = tokenizer.encode_batch(pairs)
    inputs = {
        "input_ids": np.array([one.ids for one in encodings]),
        "attention_mask": np.array([one.attention_mask for one in encodings]),
        "token_type_ids": np.array([one.type_ids for one in encodings]),
    }
    (exact,) = ReferenceEvaluator(model).run(None, inputs)
    (cut,) = ReferenceEvaluator(model, new_ops=[MatMulInteger]).run(None, inputs)
    np.testing.assert_array_equal(cut, exact)
