"""The worker processes of both studies."""

import os
import signal
from multiprocessing import parent_process
from threading import Thread

import torch

from pipeline import console


def start_worker() -> None:
    """Compute in one thread, say nothing, and end with the parent."""
    # The parent handles Ctrl-C.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    console.silence()


def _end_with_parent() -> None:
    """Exit when the parent is killed; otherwise the worker would wait for work forever."""
    if parent := parent_process():
        parent.join()
        os._exit(1)
