"""The model card of an exported student, from the results in ``metrics`` and the artifacts."""

import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResult, ModelCard, ModelCardData
from jinja2 import Environment, StrictUndefined
from transformers import PretrainedConfig

from pipeline.core.errors import explained
from pipeline.core.files import write_text
from pipeline.evaluation.markdown import escaped
from pipeline.export.cross_encoder import ENCODER
from pipeline.export.gate import Gate
from pipeline.export.timing import Rate
from pipeline.model.pair_model import Card

TEMPLATE = Path(__file__).with_name("card_template.md")
PLACES = {"general": "stage 1", "task": "the task", "test": "tests"}
CROSS_ENCODER, ONNX_FLOAT32, ONNX_INT8 = (
    "sentence-transformers",
    "onnxruntime float32",
    "onnxruntime int8",
)
"""The tools that score with what is shipped."""
METRICS = {
    "accuracy": "accuracy",
    "macro_f1": "f1",
    "roc_auc": "roc_auc",
    "average_precision": "average_precision",
    "mean_average_precision": "map",
    "mean_reciprocal_rank": "mrr",
}
"""What a hub calls our scores, of those that it knows."""


@dataclass(frozen=True)
class Exported:
    """What was shipped, and how it compares with the student that was trained."""

    label_names: tuple[str, ...]
    """In the order that is shipped; of two, the score is the probability of the second."""
    threshold: float | None
    """The least score at which the ranked class had the best F1 on validation rows."""
    is_plain: bool
    """Whether it is a classifier that transformers has a class for."""
    gate: Gate
    cautious: bool
    """Whether int8 leaves the second matrix of each feed-forward in float32, because it was too
    far from float32 otherwise."""
    differences: dict[str, float]
    """By tool, the largest difference of a probability from that of the student in PyTorch."""
    megabytes: dict[str, float]
    """By tool, the size of the ONNX file that was made for it."""
    rates: dict[str, Rate]
    """By tool, how fast it scores texts."""
    machine: str
    """Where it was measured."""


@dataclass(frozen=True)
class Origin:
    """The ids on a hub of weights and corpora, of those that came from one."""

    base_model: str | None = None
    datasets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Background:
    """What the card says beside the export itself."""

    results: str
    """The content of ``metrics/results.md``."""
    scores: list[dict[str, str]]
    """The lines of the student in ``metrics/scores.csv``."""
    counts: list[dict[str, str]]
    """For each split its rows, and the rows left out by reason."""


def read_background(metrics: Path, corpora: Path) -> Background:
    """Results from the directory ``metrics`` and counts of rows from the cards in ``corpora``.

    Raises UserError if they are missing or damaged.
    """
    with explained(f"the results in {metrics} are damaged", "run `dvc repro -f evaluate`"):
        with (metrics / "scores.csv").open(encoding="utf-8", newline="") as file:
            scores = [line for line in csv.DictReader(file) if line["system"] == "student"]
        if not scores or not all(float(line["value"]) >= 0 for line in scores):
            raise ValueError("they have no scores of the student")
        results = (metrics / "results.md").read_text(encoding="utf-8")
    with explained(f"a card in {corpora} is damaged", "run `dvc repro -f download`"):
        counts = [
            line
            for place in PLACES
            for line in _counts(place, json.loads((corpora / place / "card.json").read_text()))
        ]
    return Background(results.strip(), scores, counts)


def write(
    path: Path,
    exported: Exported,
    background: Background,
    *,
    student: Card,
    stage1: Card | None,
    encoder: PretrainedConfig,
    parameters: int,
    origin: Origin,
    license_name: str | None,
) -> None:
    """Write the card of ``exported`` to ``path``.

    ``stage1`` is the card of the student that stage 2 has started from, if it has, and ``encoder``
    the configuration of the encoder.
    """
    ranks = len(exported.label_names) == 2
    data = ModelCardData(
        license=license_name,
        base_model=origin.base_model,
        datasets=list(origin.datasets) or None,
        library_name="sentence-transformers",
        pipeline_tag="text-ranking" if ranks else "text-classification",
        tags=["cross-encoder", "sentence-transformers", "onnx", "knowledge-distillation"],
        model_name="student",
        eval_results=[
            _eval_result(line, ranks=ranks)
            for line in background.scores
            if line["score"] in METRICS
        ],
    )
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["plain"] = escaped
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    content = template.render(
        card_data=data.to_yaml(),
        exported=exported,
        gate=exported.gate,
        ranks=ranks,
        student=student,
        stage1=stage1,
        encoder=encoder,
        parameters=parameters,
        background=background,
        license_name=license_name,
        origin=origin,
        encoder_place=ENCODER,
    )
    write_text(path, f"{ModelCard(content).content.strip()}\n")


def _eval_result(score: Mapping[str, str], *, ranks: bool) -> EvalResult:
    return EvalResult(
        task_type="text-ranking" if ranks else "text-classification",
        dataset_type=score["test"],
        dataset_name=score["test"],
        metric_type=METRICS[score["score"]],
        metric_value=float(score["value"]),
    )


def _counts(place: str, card: dict[str, Any]) -> list[dict[str, str]]:
    """A line for each split of a place: its rows, and the rows left out by reason."""
    return [
        {
            "place": PLACES[place],
            "split": split,
            "corpora": ", ".join(card["corpora"]) if "corpora" in card else split,
            "rows": f"{content['rows']:,}",
            "left_out": ", ".join(
                f"{reason.replace('_', ' ')} {count:,}"
                for reason, count in content["left_out"].items()
                if count
            )
            or "none",
        }
        for split, content in card["splits"].items()
    ]
