"""Ready-made classifiers, which teach as they are, without training."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from pipeline.core.errors import UserError
from pipeline.model import pair_model, sequence_classifier
from pipeline.model.loading import default_pooling, load_config, longest_input
from pipeline.model.pair_model import Card
from pipeline.model.sequence_classifier import NO_HEADS, class_names
from pipeline.model.settings import GOLDEN, Classifier
from pipeline.pretrained import find, load_errors


def fetch(
    name: str,
    settings: Classifier,
    *,
    max_length: int,
    models: Path,
    expected: Sequence[str] | None = None,
) -> tuple[str, ...]:
    """Save classifier ``name`` to ``models/teachers/<name>``; returns the names of its classes.

    Its source may also be a teacher or student of this pipeline. ``expected`` are the classes that
    it has to have, if it teaches the task.

    Only safetensors are read and no remote code is run. Raises UserError if it cannot be loaded,
    has no classification head, does not have the classes that ``settings`` maps, would have two of
    the same name, or cannot read as many tokens.
    """
    max_length = settings.max_length or max_length
    found = find(settings)
    if (Path(found) / "card.json").is_file():
        return _fetch_own(name, settings, Path(found), expected=expected, models=models)
    with load_errors(settings.source):
        config = load_config(found, settings.revision)
        # What heads read of it if a teacher is trained from its weights.
        config.head_pooling = default_pooling(config)
        model, tokenizer = sequence_classifier.from_pretrained(found, config, settings.revision)
    if max_length > (longest := longest_input(model.encoder, max_length)):
        raise UserError(
            f"params.yaml: 'max_length' is {max_length}, but '{settings.source}' reads at most "
            f"{longest} tokens: set classifiers.{name}.max_length."
        )
    label_names = _mapped(name, settings, class_names(config), expected)
    sequence_classifier.save(
        models / "teachers" / name,
        model,
        tokenizer,
        card=Card(label_names, max_length, NO_HEADS, (GOLDEN,)),
    )
    return label_names


def _fetch_own(
    name: str, settings: Classifier, source: Path, *, expected: Sequence[str] | None, models: Path
) -> tuple[str, ...]:
    """The same for a teacher or student of this pipeline, which keeps its length."""
    with load_errors(settings.source):
        model, tokenizer, card = sequence_classifier.load_teacher(source)
    label_names = _mapped(name, settings, card.label_names, expected)
    save = sequence_classifier.save if card.head_layers == NO_HEADS else pair_model.save
    directory = models / "teachers" / name
    save(directory, cast(Any, model), tokenizer, card=replace(card, label_names=label_names))
    return label_names


def _mapped(
    name: str, settings: Classifier, own_names: Sequence[str], expected: Sequence[str] | None
) -> tuple[str, ...]:
    """The classes as the corpora call them."""
    setting = f"classifiers.{name}.label_names"
    for own in settings.label_names:
        if own not in own_names:
            raise UserError(
                f"params.yaml: '{setting}' maps '{own}', but the classes of '{settings.source}' "
                f"are {', '.join(own_names)}."
            )
    label_names = tuple(settings.label_names.get(own, own) for own in own_names)
    if len(set(label_names)) < len(label_names):
        raise UserError(
            f"params.yaml: '{setting}' gives two classes the same name: its classes would be "
            f"{', '.join(label_names)}."
        )
    if expected is not None and set(label_names) != set(expected):
        together = zip(own_names, expected, strict=False)
        pairs = ", ".join(f"{own}: {other}" for own, other in together)
        raise UserError(
            f"params.yaml: '{settings.source}' has the classes {', '.join(label_names)}, but those "
            f"of the task are {', '.join(expected)}: say which is which, as in {setting}: "
            f"{{{pairs}}}."
        )
    return label_names
