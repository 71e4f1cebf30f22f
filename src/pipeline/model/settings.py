"""Settings of the models that teachers and students start from, and of ready-made teachers."""

from typing import Annotated, Literal

from pydantic import Field

from pipeline.core.settings import Settings, Text, Whole

GOLDEN = "golden"
"""The head that learns from gold labels. Every other head has the name of its teacher."""
Pooling = Literal["mean", "cls", "last"]
"""What a head reads of a pair: the mean over its tokens, its first or its last token."""


class Source(Settings):
    """Where a model comes from."""

    source: Text
    """A model id on the hub, a directory, or ``package:NAME`` for weights in an installed package.

    DVC does not track the files of a directory: after a change, run ``dvc repro -f`` with
    ``fetch_pretrained`` or ``fetch_classifier``.
    """
    revision: Text | None = None
    """Commit of the model on the hub."""


class Pretrained(Source):
    """An entry of ``pretrained``: weights and tokenizer that trainings start from."""

    pooling: Pooling | None = None
    """What heads read of a pair: ``mean`` over its tokens, ``cls`` (the first) or ``last``.

    Default: what this pipeline has recorded in their ``config.json``, else what they say in
    ``1_Pooling/config.json``, else ``last`` for decoders, else ``cls``.
    """


class Classifier(Source):
    """An entry of ``classifiers``: a fine-tuned classifier that teaches as it is."""

    label_names: dict[Text, Text] = Field(default={})
    """Its classes as the corpora call them, by the names in its own ``id2label``.

    Only names that differ are needed. A model with one output has the classes ``negative`` and
    ``positive``; its sigmoid is the probability of the second.
    """
    max_length: Annotated[Whole, Field(ge=8)] | None = None
    """Maximum number of its own tokens of a pair; default that of the student."""
