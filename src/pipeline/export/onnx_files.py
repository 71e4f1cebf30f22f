"""Write a folded student as ONNX: tokens in, logits out, in float32 and in int8."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import onnx
import torch
from onnxruntime.quantization import QuantType, quantize_dynamic

from pipeline.export.folding import FoldedStudent
from pipeline.model.encoding import Batch

LOGITS = "logits"
IR_VERSION = 9
"""Version of the file format, which onnxruntime 1.17 (2024) and newer read."""


def write_float32(path: Path, student: FoldedStudent, example: Batch) -> None:
    """Write ``student`` for any number of rows and tokens; ``example`` has at least two rows.

    Only operators of the ONNX standard are used, so that other runtimes can read the file.
    """
    # What onnxruntime fuses is the plain formula; it is no slower than the fused operator.
    student.encoder.set_attn_implementation("eager")
    rows, tokens = torch.export.Dim("rows"), torch.export.Dim("tokens")
    with _quiet():
        program = torch.onnx.export(
            student,
            kwargs=dict(example),
            input_names=list(example),
            output_names=[LOGITS],
            dynamic_shapes={name: {0: rows, 1: tokens} for name in example},
            dynamo=True,
            external_data=False,
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    _keep_fast_layer_norms(model.graph)
    _forget_origin(model)
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def write_int8(path: Path, float32: Path, *, cautious: bool = False) -> None:
    """Quantise ``float32``: its matrices per channel, its token tables as a whole.

    ``cautious`` leaves matrices that have more inputs than outputs in float32: the second of each
    feed-forward, whose inputs are the hardest to quantise. The file is larger and slower.

    Activations are quantised while it runs. Matrices have 7 bits, because processors without VNNI
    add two products in 16 bits, which overflow with 8. So scores do not depend on the processor.
    ``docs/serving.md`` compares this with other ways.
    """
    graph = onnx.load(float32).graph
    shapes = {one.name: one.dims for one in graph.initializer}
    narrowing = [
        node.name
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in shapes
        if shapes[node.input[1]][0] > shapes[node.input[1]][1]
    ]
    with _quiet():
        quantize_dynamic(
            float32,
            path,
            nodes_to_exclude=narrowing if cautious else [],
            op_types_to_quantize=["MatMul", "Gather"],
            per_channel=True,
            reduce_range=True,
            weight_type=QuantType.QInt8,
        )
    model = onnx.load(path)
    model.ir_version = IR_VERSION
    onnx.save(model, path)


def _keep_fast_layer_norms(graph: onnx.GraphProto) -> None:
    """Write the additions before layer norms as sums, which mean the same.

    onnxruntime 1.32 fuses an addition and its layer norm into an operator that takes three times as
    long on a CPU as both of them.
    """
    weights = {initializer.name for initializer in graph.initializer}
    producers = {output: node for node in graph.node for output in node.output}
    for node in graph.node:
        if node.op_type == "LayerNormalization":
            before = producers.get(node.input[0])
            if before and before.op_type == "Add" and not weights & set(before.input):
                before.op_type = "Sum"


def _forget_origin(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes, which include paths on this machine, and inferred shapes."""
    del model.metadata_props[:]
    del model.graph.metadata_props[:]
    del model.graph.value_info[:]
    for node in model.graph.node:
        del node.metadata_props[:]
        node.doc_string = ""


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings and hints of the exporter and the quantiser to their developers."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
