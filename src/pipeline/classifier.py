"""Ready-made classifiers, which teach as they are, without training."""

from pathlib import Path

from pipeline.core.errors import UserError
from pipeline.model import sequence_classifier
from pipeline.model.loading import default_pooling, load_config, longest_input
from pipeline.model.pair_model import Card
from pipeline.model.sequence_classifier import NO_HEADS, class_names
from pipeline.model.settings import GOLDEN, Classifier
from pipeline.pretrained import find, load_errors


def fetch(name: str, settings: Classifier, *, max_length: int, models: Path) -> tuple[str, ...]:
    """Save classifier ``name`` to ``models/teachers/<name>``; returns the names of its classes.

    Only safetensors are read and no remote code is run. Raises UserError if it cannot be loaded,
    has no classification head, does not have the classes that ``settings`` maps, would have two of
    the same name, or cannot read as many tokens.
    """
    max_length = settings.max_length or max_length
    found = find(settings)
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
    own_names = class_names(config)
    for own in settings.label_names:
        if own not in own_names:
            raise UserError(
                f"params.yaml: 'classifiers.{name}.label_names' maps '{own}', but the classes of "
                f"'{settings.source}' are {', '.join(own_names)}."
            )
    label_names = tuple(settings.label_names.get(own, own) for own in own_names)
    if len(set(label_names)) < len(label_names):
        raise UserError(
            f"params.yaml: 'classifiers.{name}.label_names' gives two classes the same name: its "
            f"classes would be {', '.join(label_names)}."
        )
    sequence_classifier.save(
        models / "teachers" / name,
        model,
        tokenizer,
        card=Card(label_names, max_length, NO_HEADS, (GOLDEN,)),
    )
    return label_names
