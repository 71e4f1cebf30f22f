"""Write a folded student for sentence-transformers and transformers, so that none loads it wrongly.

A student that reads the first token, with a head of one layer, is written as a plain classifier of
its family, which every tool loads. For others there is no such class: their encoder lies in a
directory of its own, which only sentence-transformers 5.4 and newer look for. At the top, its
weights would be loaded by other tools as a classifier with a random head.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.base.modules import Dense, Transformer
from sentence_transformers.sentence_transformer.modules import Pooling
from torch import nn
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from pipeline.export.folding import FoldedStudent
from pipeline.serving.scorer import Pair

ENCODER = "0_Transformer"
"""Where the encoder lies, unless the student is a plain classifier."""
POOLING_MODES = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
"""The names of our poolings there."""
PLAIN = {
    "bert": ("bert.pooler.dense", "classifier"),
    "roberta": ("classifier.dense", "classifier.out_proj"),
    "xlm-roberta": ("classifier.dense", "classifier.out_proj"),
}
"""Families whose classifier is tanh between two linear layers on the first token, and these."""
NEAR_ZERO = 2.0**-14
"""A power of two so small that tanh of as much of a state is that state, within rounding."""
LEFTOVERS = (
    *("is_local", "local_files_only", "max_length", "never_split", "pad_to_multiple_of"),
    *("stride", "truncation_strategy"),
)
"""What a tokenizer remembers of how it was loaded and called."""


def write(
    directory: Path,
    student: FoldedStudent,
    tokenizer: Any,
    *,
    label_names: Sequence[str],
    text_columns: Sequence[str],
    threshold: float | None,
    max_length: int,
) -> bool:
    """Write ``student`` to ``directory`` in files that need no code of this pipeline.

    ``config.json`` names all classes (``label_names``), what each logit stands for (``id2label``),
    the columns of both texts and the ``threshold`` of the score. ``tokenizer.json`` cuts pairs at
    ``max_length`` tokens, as the student was trained, without being told. Returns whether it is a
    plain classifier.
    """
    config = student.encoder.config
    outputs = list(label_names[1:] if len(label_names) == 2 else label_names)
    config.id2label = dict(enumerate(outputs))
    config.label2id = {name: number for number, name in enumerate(outputs)}
    config.label_names = list(label_names)
    config.text_columns = list(text_columns)
    config.threshold = threshold
    config.pad_token_id = tokenizer.pad_token_id
    if len(outputs) == 1:
        # Transformers.js otherwise takes a softmax, which of a single logit is 1.
        config.problem_type = "multi_label_classification"
    tokenizer.model_max_length = max_length
    # Otherwise the tokenizers of some decoders pad on the left, and positions differ.
    tokenizer.padding_side = "right"
    tokenizer.backend_tokenizer.enable_truncation(max_length, strategy="longest_first")
    if plain := plain_classifier(student):
        plain.save_pretrained(directory)
    else:
        _write_modules(directory, student, tokenizer, one_logit=len(outputs) == 1)
    _write_tokenizer(directory, tokenizer)
    return plain is not None


def plain_classifier(student: FoldedStudent) -> PreTrainedModel | None:
    """A classifier of transformers that gives the logits of ``student``, if its family has one.

    Between its two linear layers is a tanh. The first one scales states to nearly 0, where tanh is
    the identity, and the second one scales them back.
    """
    config = student.encoder.config
    layers = [module for module in student.head if isinstance(module, nn.Linear)]
    if config.head_pooling != "cls" or len(layers) > 1 or config.model_type not in PLAIN:
        return None
    model = AutoModelForSequenceClassification.from_config(config)
    model.base_model.load_state_dict(student.encoder.state_dict(), strict=False)
    first, last = (model.get_submodule(name) for name in PLAIN[config.model_type])
    with torch.no_grad():
        first.weight.copy_(NEAR_ZERO * torch.eye(config.hidden_size))
        first.bias.zero_()
        last.weight.copy_(layers[0].weight / NEAR_ZERO)
        last.bias.copy_(layers[0].bias)
    classifier: PreTrainedModel = model.eval()
    return classifier


def _write_modules(
    directory: Path, student: FoldedStudent, tokenizer: Any, *, one_logit: bool
) -> None:
    config = student.encoder.config
    inner = directory / ENCODER
    student.encoder.save_pretrained(inner)
    _write_tokenizer(inner, tokenizer)
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
        Transformer(str(inner), max_seq_length=int(tokenizer.model_max_length)),
        Pooling(config.hidden_size, POOLING_MODES[config.head_pooling]),
        *head,
    ]
    activation = nn.Sigmoid() if one_logit else nn.Identity()
    CrossEncoder(modules=modules, activation_fn=activation, device="cpu").save_pretrained(
        str(directory), create_model_card=False
    )
    # It has written the encoder to the top, with a random pooler where the family has one.
    for path in directory.glob("*.safetensors*"):
        path.unlink()
    (directory / "sentence_bert_config.json").replace(inner / "sentence_bert_config.json")
    index = directory / "modules.json"
    content = json.loads(index.read_text(encoding="utf-8"))
    content[0]["path"] = ENCODER
    index.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def _write_tokenizer(directory: Path, tokenizer: Any) -> None:
    tokenizer.save_pretrained(directory)
    path = directory / "tokenizer_config.json"
    content = json.loads(path.read_text(encoding="utf-8"))
    kept = {name: value for name, value in content.items() if name not in LEFTOVERS}
    path.write_text(json.dumps(kept, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    # FlashRank and fastembed look for this file, which transformers 5 no longer writes.
    special = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    text = json.dumps(special, indent=2, ensure_ascii=False) + "\n"
    (directory / "special_tokens_map.json").write_text(text, encoding="utf-8")


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
