"""A finished project to damage, and its stages as functions.

A stage either does its work or raises ``UserError`` or ``OSError``, which the console turns into
one sentence. Any other error would be a traceback.
"""

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import project
import pytest
from conftest import noisy_student, tiny_params
from hypothesis import HealthCheck, settings

from pipeline.core.errors import UserError

ORDER = (
    ("download",),
    ("fetch_pretrained", "tiny"),
    ("finetune_teacher", "t1"),
    ("finetune_teacher", "t2"),
    ("dump_pool_logits", "n1"),
    ("pseudo_label", "n1"),
    ("train_noisy_student", "n1"),
    ("dump_logits", "general", "t1"),
    ("dump_logits", "general", "t2"),
    ("dump_logits", "task", "t1"),
    ("dump_logits", "task", "t2"),
    ("dump_test_logits", "qa", "t1"),
    ("dump_test_logits", "qa", "t2"),
    ("distill",),
    ("finetune_student",),
    ("evaluate",),
    ("export",),
)
"""All stages with their arguments."""
# Searches draw the same examples in every run, so that a failure is that of a change.
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
)
settings.load_profile("same")


def sentence_of(action: Callable[[], object]) -> str | None:
    """The sentence in which ``action`` is refused, or None if it does its work."""
    try:
        action()
    except (UserError, OSError) as error:
        return str(error)
    return None


def run_stage(name: str, *arguments: str) -> str:
    """Run a stage in this process, in the current directory; returns its closing sentence."""
    sys.argv = [f"stages/{name}.py", *arguments]
    sentence: str = importlib.import_module(name).main()
    return sentence


def refusal(name: str, *arguments: str) -> str:
    """The sentence in which a stage ends that must not do its work."""
    sentence = sentence_of(lambda: run_stage(name, *arguments))
    assert sentence, "it did its work"
    assert len(sentence.splitlines()) == 1, sentence
    return sentence


def contents(directory: str) -> dict[str, bytes]:
    """The bytes of all files in ``directory``."""
    return {str(path): path.read_bytes() for path in Path(directory).rglob("*") if path.is_file()}


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, corpora: Path, tiny_bert: Path) -> Path:
    """A project without DVC whose stages have all run."""
    directory = tmp_path_factory.mktemp("whole")
    params = tiny_params(corpora, tiny_bert)
    params["noisy_students"] = {"n1": noisy_student(epochs=1)}
    for training in (*params["teachers"].values(), params["stage1"], params["stage2"]):
        training["epochs"] = 2
    project.write_params(directory, params)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        patch.setattr(sys, "argv", sys.argv)
        for name, *arguments in ORDER:
            run_stage(name, *arguments)
    return directory


@pytest.fixture
def place(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the project to change at will; it is the current directory."""
    copy = tmp_path / "copy"
    shutil.copytree(whole, copy)
    monkeypatch.chdir(copy)
    monkeypatch.setattr(sys, "argv", sys.argv)
    yield copy
    shutil.rmtree(copy)
