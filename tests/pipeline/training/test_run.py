"""A training that does not learn is reported, and starts again with the next seed if it may."""

from pathlib import Path
from typing import Any

import families
import pytest
from conftest import COLOURS, FILLERS, THINGS, rows_of
from safetensors.torch import load_file
from transformers import AutoModel

from pipeline.model import pair_model
from pipeline.model.settings import Pretrained
from pipeline.pretrained import fetch
from pipeline.teacher import finetune_teacher
from pipeline.training import curves
from pipeline.training.loop import Trained
from pipeline.training.run import restarting
from pipeline.training.settings import Teacher, Training

TRAINING = rows_of(64)
VALIDATION = rows_of(24, 1)


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models/pretrained").mkdir(parents=True)
    (tmp_path / "models/pretrained/tiny").symlink_to(tiny_bert)


def finetune(name: str, **changes: Any) -> Trained:
    training = {"lr": 3e-3, "epochs": 12, "batch_size": 8, "dropout": 0.0}
    given = {"weights": "pretrained/tiny", "corpus": "task", **training, **changes}
    settings = Teacher(**given)
    return finetune_teacher(
        name,
        settings,
        max_length=16,
        training=TRAINING,
        validation=VALIDATION,
        models=Path("models"),
    )


def test_a_training_that_learns_has_not_failed(capsys: pytest.CaptureFixture[str]) -> None:
    trained = finetune("t1", epochs=60, restarts=3)
    assert (trained.failed, trained.seed) == (False, 1)
    assert "constant" not in capsys.readouterr().out
    assert "FAILED" not in curves.summary(trained)
    assert not pair_model.read_card(Path("models/teachers/t1")).failed


@pytest.mark.parametrize("family", families.FAMILIES)
def test_a_teacher_of_each_family_learns_its_rows(family: str, tmp_path: Path) -> None:
    families.save(family, tmp_path / "source", [*COLOURS, *THINGS, *FILLERS], AutoModel)
    fetch(Pretrained(source=str(tmp_path / "source")), Path("models/pretrained") / family)
    trained = finetune(family, weights=f"pretrained/{family}", max_length=80, epochs=25)
    assert trained.curve[-1].train_loss < 0.9 * trained.curve[0].train_loss
    card = pair_model.read_card(Path("models/teachers") / family)
    assert (card.max_length, card.failed) == (80, trained.failed)


def test_a_training_that_does_not_learn_is_named_and_saved(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = finetune("t1", lr=1e-9)
    assert trained.failed
    assert len(trained.curve) == 12
    sentence = "teacher t1: after a third of its steps, this training is no better than a constant"
    assert sentence in capsys.readouterr().out
    assert "FAILED" in curves.summary(trained)
    assert pair_model.read_card(Path("models/teachers/t1")).failed


def test_it_starts_again_with_the_next_seed_as_often_as_it_may(
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = finetune("t1", lr=1e-9, restarts=2)
    assert (trained.failed, trained.seed) == (True, 3)
    printed = capsys.readouterr().out
    assert printed.count("no better than a constant") == 3
    assert "It starts again with seed 2." in printed
    assert "It starts again with seed 3." in printed
    assert pair_model.read_card(Path("models/teachers/t1")).seed == 3
    finetune("t2", lr=1e-9, seed=3)
    ours, theirs = (load_file(f"models/teachers/{name}/heads.safetensors") for name in ("t1", "t2"))
    assert all((ours[key] == theirs[key]).all() for key in ours)
    assert not Path(".resume").exists()


def test_another_pooling_never_resumes_an_old_checkpoint(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TMKD_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        patch.setattr(pair_model, "save", _die)
        with pytest.raises(KeyboardInterrupt):
            finetune("t1")
    assert "resumes" not in capsys.readouterr().out
    Path("models/pretrained/tiny").unlink()
    fetch(Pretrained(source=str(tiny_bert), pooling="mean"), Path("models/pretrained/tiny"))
    finetune("t1")
    assert "resumes" not in capsys.readouterr().out


def test_a_restarted_training_resumes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Killed with its second seed, it ends like one that was not, without its first one again."""
    finetune("t1", lr=1e-9, restarts=1)
    expected = load_file("models/teachers/t1/heads.safetensors")
    monkeypatch.setenv("TMKD_CHECKPOINT_SECONDS", "0")
    with monkeypatch.context() as patch:
        patch.setattr(pair_model, "save", _die)
        with pytest.raises(KeyboardInterrupt):
            finetune("t2", lr=1e-9, restarts=1)
    capsys.readouterr()
    trained = finetune("t2", lr=1e-9, restarts=1)
    assert (trained.failed, trained.seed) == (True, 2)
    assert capsys.readouterr().out.count("resumes from step") == 2
    found = load_file("models/teachers/t2/heads.safetensors")
    assert all((found[key] == expected[key]).all() for key in expected)


def _die(*arguments: object, **options: object) -> None:
    raise KeyboardInterrupt


def test_no_seed_follows_one_that_learns() -> None:
    asked = []

    @restarting
    def train(name: str, settings: Training) -> Trained:
        asked.append(settings.seed)
        return Trained([], settings.seed, failed=settings.seed < 6, still_falling=False)

    assert train("t1", Training(lr=1, epochs=1, seed=4, restarts=9)).seed == 6
    assert asked == [4, 5, 6]
