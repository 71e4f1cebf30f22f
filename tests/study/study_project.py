"""A place where a study can run: tiny corpora, a tiny BERT and the logits of two teachers."""

from multiprocessing import get_context
from pathlib import Path
from typing import Any

import preloaded
import pytest
import torch
from conftest import LABEL_NAMES, pairs, tiny_params

import study.noisy.training
import study.workers
from pipeline import logits
from pipeline.core import rows, settings
from pipeline.core.rows import CORPORA, Rows
from pipeline.logits import SPLITS, Notes, TeacherIdentity, dumped
from pipeline.model.loading import load_encoder
from pipeline.preflight import Params

SETTINGS: dict[str, Any] = tiny_params(Path("corpora"), Path("bert"))
for _training in (*SETTINGS["teachers"].values(), SETTINGS["stage1"], SETTINGS["stage2"]):
    _training["epochs"] = 1
SETTINGS["alpha"] = 0.5
PARAMS = settings.check(Params, SETTINGS)
STUDY: dict[str, Any] = {
    "students": {
        "gold": {"alpha": 0.0, "stage2": {"from_stage1": False}},
        "kd": {"title": "KD from t1", "stage2": {"from_stage1": False, "teachers": ["t1"]}},
        "stage1": {"stage2": None},
        "tmkd": {},
    },
    "combinations": {
        "mom": {"title": "their vote", "vote": ["gold", "kd", "stage1"]},
        "ensemble": {"mean": ["t1", "t2"]},
        "best": {"best": ["gold", "kd", "tmkd"]},
    },
    "tables": {
        "methods": {
            "title": "Which method?",
            "seeds": 2,
            "systems": ["t1", "ensemble", "gold", "kd", "mom", "stage1", "tmkd", "best"],
            "compare": [["tmkd", "gold"], ["tmkd", "kd"]],
        },
        "alpha": {
            "title": "How much?",
            "seeds": 1,
            "systems": ["gold", "tmkd"],
            "x": "alpha",
            "at": [0.0, 0.5],
        },
    },
}


def fork_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork workers from a process that has imported the large libraries.

    The users' workers are spawned, as works everywhere; tests/test_study.py runs them.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(preloaded.LIBRARIES))
    for module in (study.workers, study.noisy.training):
        monkeypatch.setattr(module, "get_context", lambda _: context)


def prepare(bert: Path) -> None:
    """Fill the working directory."""
    pretrained = Path("models/pretrained")
    pretrained.mkdir(parents=True)
    (pretrained / "tiny").symlink_to(bert)
    sizes = {"general/pool": 60, "task/train": 32, "task/validation": 16, "test/qa": 40}
    for seed, (name, count) in enumerate(sizes.items()):
        rows.write(CORPORA / f"{name}.arrow", [pairs(count, seed)], LABEL_NAMES)
    for teacher in ("t1", "t2"):
        identity = TeacherIdentity(
            teacher, f"weights of {teacher}", "tokenizer", 16, "float32", LABEL_NAMES
        )
        scale = float(teacher[-1])

        def score(split: Rows, start: int, stop: int, scale: float = scale) -> torch.Tensor:
            sides = torch.from_numpy(split.labels[start:stop]).float() * 2 - 1
            return torch.stack([-sides, sides], dim=1) * scale

        encoder = load_encoder(bert)[0].config.to_diff_dict()
        for place, names in {**SPLITS, "test/qa": ("qa",)}.items():
            logits.write(
                dumped(place, teacher).directory,
                identity,
                [rows.read(place.split("/")[0], split) for split in names],
                notes=Notes(1_000_000, encoder, (12,) * 40, failed=False),
                score=score,
                parts=Path("parts"),
            )
