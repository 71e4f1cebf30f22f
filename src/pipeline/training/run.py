"""A whole training: it resumes, starts again if it fails, and ends with a saved model."""

from collections.abc import Callable
from dataclasses import replace
from functools import update_wrapper
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from pipeline import console
from pipeline.core import runtime
from pipeline.core.checkpoints import Checkpoint, run_identity
from pipeline.model import pair_model
from pipeline.model.encoding import check_vocabulary
from pipeline.model.inference import predict_together, probabilities
from pipeline.model.pair_model import Card, PairModel
from pipeline.training.calibration import fit_temperature, fit_thresholds
from pipeline.training.loop import EpochOf, Examples, Loss, Trained, train
from pipeline.training.settings import Training

CODE = (
    *(f"pipeline.core.{name}" for name in ("checkpoints", "processor", "runtime", "weights")),
    *("pipeline.model", "pipeline.training"),
)
"""The code that determines the result of every training."""

First = TypeVar("First")
Stage = TypeVar("Stage", bound=Training)
Rest = ParamSpec("Rest")
Result = TypeVar("Result", bound=Trained)


def train_and_save(
    model: PairModel,
    tokenizer: Any,
    card: Card,
    *,
    directory: Path,
    training: Examples,
    validation: Examples,
    loss: Loss,
    settings: Training,
    more_settings: Any,
    code: str,
    name: str,
    calibrated: bool = False,
    epoch_of: EpochOf | None = None,
) -> Trained:
    """Train ``model`` and save it to ``directory``, unless it has failed and is to be restarted.

    An interrupted training resumes if the settings (``settings`` and ``more_settings``), the
    encoder's configuration and weights, examples, precision and code (``CODE`` and ``code``) are
    the same; these must also determine ``epoch_of`` (see ``train``). ``name`` is shown to people.
    ``calibrated`` fits its temperature and its thresholds to the gold labels of ``validation``. Of
    several processes, the main one saves. Raises UserError if the tokenizer does not know the words
    of ``training``, or at the first step whose loss is not finite.
    """
    check_vocabulary(tokenizer, training.tokens, name)
    arrays = [
        array
        for examples in (training, validation)
        for array in (
            examples.tokens.ids,
            examples.labels.numpy(),
            examples.targets.numpy(),
        )
    ]
    described = (settings, more_settings, model.encoder.config.to_diff_dict())
    identity = run_identity(described, code=(*CODE, code), model=model, arrays=arrays)
    checkpoint = Checkpoint(f"{directory.parent.name}-{directory.name}", identity)
    trained = train(
        model,
        training,
        validation,
        heads=card.heads,
        loss=loss,
        settings=settings,
        name=name,
        checkpoint=checkpoint,
        epoch_of=epoch_of,
    )
    if trained.failed and settings.restarts:
        return trained
    card = replace(
        card, seed=trained.seed, failed=trained.failed, still_falling=trained.still_falling
    )
    if calibrated:
        logits = predict_together(model, validation.tokens, card.heads)
        temperature = fit_temperature(logits, validation.labels)
        predicted = probabilities(logits.double(), temperature)
        thresholds = fit_thresholds(predicted, validation.labels)
        card = replace(card, temperature=temperature, thresholds=thresholds)
    if runtime.is_main_process():
        pair_model.save(directory, model, tokenizer, card=card)
        checkpoint.clear()
    return trained


def restarting(
    train: Callable[Concatenate[First, Stage, Rest], Result],
) -> Callable[Concatenate[First, Stage, Rest], Result]:
    """Decorate a training whose second argument is its settings, so that it restarts if it fails.

    The result is that of a training with the seed that it ends with.
    """

    def repeated(
        first: First, settings: Stage, /, *args: Rest.args, **kwargs: Rest.kwargs
    ) -> Result:
        trained = train(first, settings, *args, **kwargs)
        while trained.failed and settings.restarts:
            changes = {"seed": settings.seed + 1, "restarts": settings.restarts - 1}
            settings = settings.model_copy(update=changes)
            console.say(f"It starts again with seed {settings.seed}.")
            trained = train(first, settings, *args, **kwargs)
        return trained

    update_wrapper(repeated, train)
    return repeated
