"""Ready-made classifiers give the logits that transformers' own pipeline gives."""

from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import torch
from conftest import COLOURS, FILLERS, THINGS, rows_of
from transformers import AutoConfig, AutoModel, AutoModelForSequenceClassification, pipeline

from pipeline.core.errors import UserError
from pipeline.model import sequence_classifier
from pipeline.model.encoding import collate, encode
from pipeline.model.inference import predict

WORDS = [*COLOURS, *THINGS, *FILLERS]
ROWS = rows_of(12)


def save(family: str, directory: Path, names: list[str], **settings: Any) -> None:
    classes = {"num_labels": len(names), "id2label": dict(enumerate(names))}
    families.save(
        family, directory, WORDS, AutoModelForSequenceClassification, **classes, **settings
    )


def logits_of(directory: Path) -> torch.Tensor:
    config = AutoConfig.from_pretrained(directory)
    model, tokenizer = sequence_classifier.from_pretrained(directory, config)
    return predict(model, encode(tokenizer, ROWS, 60), ["golden"])[:, 0]


def by_transformers(directory: Path, function: str) -> list[dict[str, float]]:
    """For each row the score of each class, by name."""
    classify = pipeline("text-classification", model=str(directory), device="cpu")
    pairs = [{"text": a, "text_pair": b} for a, b in zip(*ROWS.texts(), strict=True)]
    found = [
        classify(pair, top_k=None, function_to_apply=function, truncation=True, max_length=60)
        for pair in pairs
    ]
    return [{one["label"]: one["score"] for one in scores} for scores in found]


@pytest.mark.parametrize("family", [*families.FAMILIES, "bart"])
def test_the_logits_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    # Without it, transformers' pipeline has no padding token for a GPT-2.
    settings = {"pad_token_id": 256} if family == "gpt2" else {}
    names = ["contradiction", "entailment", "neutral"]
    save(family, tmp_path, names, **settings)
    expected = torch.tensor(
        [[row[name] for name in names] for row in by_transformers(tmp_path, "none")]
    )
    torch.testing.assert_close(logits_of(tmp_path), expected, rtol=1e-4, atol=1e-5)


def test_a_decoder_finds_its_last_token_whatever_its_configuration_says_of_padding(
    tmp_path: Path,
) -> None:
    save("gpt2", tmp_path, ["irrelevant", "relevant"], pad_token_id=7)
    together = logits_of(tmp_path)
    config = AutoConfig.from_pretrained(tmp_path)
    model, tokenizer = sequence_classifier.from_pretrained(tmp_path, config)
    tokens = encode(tokenizer, ROWS, 60)
    assert len(set(tokens.lengths)) > 1
    alone = [model.eval()(collate(tokens, np.array([i])), ["golden"])[:, 0] for i in range(12)]
    torch.testing.assert_close(together, torch.cat(alone), rtol=1e-4, atol=1e-6)


def test_one_logit_counts_as_two_classes_through_its_sigmoid(tmp_path: Path) -> None:
    save("electra", tmp_path, ["LABEL_0"])
    expected = torch.tensor([row["LABEL_0"] for row in by_transformers(tmp_path, "sigmoid")])
    found = logits_of(tmp_path)
    assert found.shape == (12, 2)
    torch.testing.assert_close(found.softmax(dim=1)[:, 1], expected)


def test_weights_without_a_classification_head_are_refused(tmp_path: Path) -> None:
    families.save("electra", tmp_path, WORDS, AutoModel)
    with pytest.raises(UserError, match="is not a fine-tuned classifier, because it lacks classif"):
        logits_of(tmp_path)
