"""Make the directory that is shipped from a student: standard files, ONNX, int8 and a card."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import console
from pipeline.core.errors import UserError, explained
from pipeline.core.files import whole_directory
from pipeline.core.rows import Rows, class_order
from pipeline.export import card, cross_encoder, gate, onnx_files, timing
from pipeline.export.card import CROSS_ENCODER, ONNX_FLOAT32, ONNX_INT8, Exported, Origin
from pipeline.export.folding import fold
from pipeline.export.settings import Export
from pipeline.model import pair_model
from pipeline.model.encoding import Batch, Encoded, collate, encode
from pipeline.model.inference import predict, probabilities
from pipeline.serving.scorer import FLOAT32, INT8, Scorer

TOLERANCE = 1e-4
"""Largest difference of a probability between the student and what is shipped in float32."""
PARITY_ROWS = 500
"""Validation rows on which they are compared."""


def export(
    student: Path,
    *,
    stage1: Path | None,
    settings: Export,
    relevant_label: str | None,
    text_columns: tuple[str, str],
    validation: Rows,
    pool: Rows,
    metrics: Path,
    corpora: Path,
    origin: Origin,
    directory: Path,
) -> Exported:
    """Write the student saved in ``student`` to ``directory``, which appears when it is complete.

    ``stage1`` is where the student that it has started from is saved, if it has. Of two classes,
    the score is the probability of ``relevant_label`` (None: the last class). ``text_columns`` are
    the names of both texts, by which ``predict`` finds them in a file, and ``origin`` says where
    weights and corpora came from. ``metrics`` and
    ``corpora`` are the directories whose results and counts the card shows. Raises UserError if
    the student cannot be exported, or gives other probabilities once it is.
    """
    background = card.read_background(metrics, corpora)
    model, tokenizer, own_card = pair_model.load(student)
    label_names = shipped_order(own_card.label_names, relevant_label)
    encoded = encode(tokenizer, validation, own_card.max_length, stop=PARITY_ROWS)
    expected = predict(model, encoded, own_card.heads, in_float32=True)
    expected = expected[:, :, class_order(own_card.label_names, label_names)]
    wanted = probabilities(expected.double(), own_card.temperature).numpy()
    # A GPU may have computed that.
    folded = fold(model.cpu(), own_card, label_names)
    thresholds = dict(zip(own_card.label_names, own_card.thresholds, strict=False))
    threshold = thresholds.get(label_names[-1])
    with whole_directory(directory) as draft:
        what = f"a {model.encoder.config.model_type} cannot be exported"
        remedy = "use a student of another architecture"
        with explained(what, remedy):
            is_plain = cross_encoder.write(
                draft,
                folded,
                tokenizer,
                label_names=label_names,
                text_columns=text_columns,
                threshold=threshold,
                max_length=own_card.max_length,
            )
            (draft / FLOAT32).parent.mkdir()
            onnx_files.write_float32(draft / FLOAT32, folded, _example(encoded))
        float32 = Scorer(draft)
        pairs = gate.pairs_of(validation, np.arange(len(encoded)))
        tools = {
            CROSS_ENCODER: cross_encoder.loaded(draft),
            ONNX_FLOAT32: float32.probabilities,
        }
        differences = {
            name: float(np.abs(score(pairs) - wanted).max()) for name, score in tools.items()
        }
        _refuse_differences(differences)
        for cautious in (False, True):
            with explained(what, remedy):
                onnx_files.write_int8(draft / INT8, draft / FLOAT32, cautious=cautious)
            int8 = Scorer(draft, int8=True)
            found = gate.compare(float32, int8, pool=pool, validation=validation, settings=settings)
            if found.refusal is None:
                break
        exported = Exported(
            label_names,
            threshold,
            is_plain,
            found,
            cautious,
            differences,
            {
                ONNX_FLOAT32: (draft / FLOAT32).stat().st_size / 1e6,
                ONNX_INT8: (draft / INT8).stat().st_size / 1e6,
            },
            timing.rates({**tools, ONNX_INT8: int8.probabilities}, pairs),
            timing.machine(),
        )
        if found.refusal:
            (draft / INT8).unlink()
            console.say(f"int8 is not shipped: {found.refusal}.")
        card.write(
            draft / "README.md",
            exported,
            background,
            student=own_card,
            stage1=None if stage1 is None else pair_model.read_card(stage1),
            encoder=model.encoder.config,
            parameters=pair_model.parameters(folded),
            origin=origin,
            license_name=settings.license,
        )
    return exported


def shipped_order(label_names: Sequence[str], relevant_label: str | None) -> tuple[str, ...]:
    """The classes in the order that is shipped: of two, ``relevant_label`` is the second."""
    if len(label_names) == 2 and relevant_label == label_names[0]:
        return (label_names[1], label_names[0])
    return tuple(label_names)


def _example(encoded: Encoded) -> Batch:
    """A batch of rows of different lengths, so that the exporter sees padding."""
    shortest, longest = int(encoded.lengths.argmin()), int(encoded.lengths.argmax())
    return collate(encoded, np.array([shortest, longest, shortest]))


def _refuse_differences(differences: dict[str, float]) -> None:
    for name, difference in differences.items():
        if not difference <= TOLERANCE:
            raise UserError(
                f"{name} gives probabilities that differ by {difference:.1e} from those of the "
                f"student, and at most {TOLERANCE:.0e} is rounding: use a student of another "
                "architecture."
            )


def summary(exported: Exported) -> dict[str, Any]:
    """The numbers of ``metrics/export.json``."""
    gate = exported.gate
    return {
        "int8": {
            "shipped": gate.refusal is None,
            "cautious": exported.cautious,
            "rows": gate.rows,
            "agreement": round(gate.agreement, 4),
            "accuracy_gain": round(gate.gain.value, 4),
            "megabytes": round(exported.megabytes[ONNX_INT8], 1),
        },
        "float32": {"megabytes": round(exported.megabytes[ONNX_FLOAT32], 1)},
        "pairs_per_second": {
            tool.replace(" ", "_"): {name: round(value, 1) for name, value in vars(rate).items()}
            for tool, rate in exported.rates.items()
        },
    }
