"""Write a folded student for sentence-transformers, whose files transformers reads too."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn

from pipeline.export.folding import FoldedStudent
from pipeline.serving.scorer import Pair

POOLING_MODES = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
"""The names of our poolings there."""


def write(
    directory: Path,
    student: FoldedStudent,
    tokenizer: Any,
    *,
    label_names: Sequence[str],
    text_columns: Sequence[str],
    max_length: int,
) -> None:
    """Write ``student`` to ``directory`` in files that need no code of this pipeline.

    ``config.json`` names all classes (``label_names``) and what each logit stands for
    (``id2label``). ``tokenizer.json`` cuts pairs at ``max_length`` tokens, as the student was
    trained, without being told.
    """
    config = student.encoder.config
    outputs = list(label_names[1:] if len(label_names) == 2 else label_names)
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: number for number, name in enumerate(outputs)}
    config.label_names = list(label_names)
    config.text_columns = list(text_columns)
    config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = max_length
    # Otherwise the tokenizers of some decoders pad on the left, and positions differ.
    tokenizer.padding_side = "right"
    tokenizer.backend_tokenizer.enable_truncation(max_length, strategy="longest_first")
    student.encoder.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    linears = [module for module in student.head if isinstance(module, nn.Linear)]
    head = [
        Dense(
            linear.in_features,
            linear.out_features,
            activation_function=nn.ReLU() if linear is not linears[-1] else nn.Identity(),
            init_weight=linear.weight,
            init_bias=linear.bias,
            module_output_name="scores" if linear is linears[-1] else None,
        )
        for linear in linears
    ]
    modules = [
        Transformer(str(directory), max_seq_length=max_length),
        Pooling(config.hidden_size, POOLING_MODES[config.head_pooling]),
        *head,
    ]
    activation = nn.Sigmoid() if len(outputs) == 1 else nn.Identity()
    CrossEncoder(modules=modules, activation_fn=activation, device="cpu").save_pretrained(
        str(directory), create_model_card=False
    )


def loaded(directory: Path) -> Callable[[Sequence[Pair]], np.ndarray]:
    """A function that scores pairs with the CrossEncoder in ``directory``.

    It gives the probability of each class, float32 of shape [pairs, classes].
    """
    model = CrossEncoder(str(directory), device="cpu", local_files_only=True)

    def probabilities(pairs: Sequence[Pair]) -> np.ndarray:
        if model.num_labels > 1:
            return np.asarray(model.predict(list(pairs), apply_softmax=True))
        second = np.asarray(model.predict(list(pairs)))
        return np.stack([1 - second, second], axis=1)

    return probabilities
