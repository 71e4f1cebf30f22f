"""Workers of the studies that start in no time."""

from multiprocessing import get_context

import preloaded
import pytest

import study.noisy.training
import study.workers


@pytest.fixture(autouse=True)
def _forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fork workers from a process that has imported the large libraries.

    The users' workers are spawned, as works everywhere; tests/test_study.py runs them.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(list(preloaded.LIBRARIES))
    for module in (study.workers, study.noisy.training):
        monkeypatch.setattr(module, "get_context", lambda _: context)
