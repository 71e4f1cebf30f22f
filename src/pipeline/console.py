"""What a person sees: one live line while a stage works, plain lines where there is no terminal.

No stage lists this file as a dependency: what is printed never changes what is made.
"""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from pipeline.errors import UserError

# Of several processes the first speaks; any of them says what went wrong.
_console = Console(highlight=False, soft_wrap=True, quiet=os.environ.get("RANK", "0") != "0")
_errors = Console(stderr=True, highlight=False, soft_wrap=True)
PLAIN_SECONDS = 10.0


def say(sentence: str) -> None:
    """One sentence for the person who runs the pipeline."""
    _console.print(sentence, markup=False)


def hush() -> None:
    """Say nothing more: one of several processes, whose parent speaks for them."""
    _console.quiet = True


def show(table: Table) -> None:
    _console.print(table)


def run(stage: Callable[[], str]) -> None:
    """Run a stage script's main and say its closing sentence with the time it took.

    An error that the user can mend ends in one sentence and exit status 1.
    """
    started = time.monotonic()
    try:
        sentence = stage()
    except UserError as error:
        _errors.print(f"error: {error}", markup=False, style="bold red")
        sys.exit(1)
    except OSError as error:
        _errors.print(f"error: {error}; mend that and run it again.", markup=False, style="red")
        sys.exit(1)
    except KeyboardInterrupt:
        _errors.print("stopped; run it again to go on from the last checkpoint.", style="yellow")
        sys.exit(130)
    say(f"{sentence} ({duration(time.monotonic() - started)})")


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def progress(task: str, total: int, unit: str, start: int = 0) -> Iterator[Callable[[int], None]]:
    """A progress line over ``total`` units; call what it yields with the units just finished."""
    if _console.is_terminal:
        rate = "[progress.data.speed]{task.fields[rate]}"
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(
            *columns, TextColumn(rate), TimeRemainingColumn(), console=_console, transient=True
        ) as bar:
            line = bar.add_task(task, total=total, completed=start, rate="")
            began, done = time.monotonic(), 0

            def advance(count: int) -> None:
                nonlocal done
                done += count
                rate = done / (time.monotonic() - began)
                bar.update(line, advance=count, rate=f"{rate:,.1f} {unit}/s")

            yield advance
        return
    began = spoke = time.monotonic()
    done = 0

    def advance_plainly(count: int) -> None:
        nonlocal done, spoke
        done += count
        now = time.monotonic()
        if now - spoke >= PLAIN_SECONDS and done + start < total:
            rate = done / (now - began)
            left = duration((total - start - done) / rate)
            say(f"{task}: {start + done}/{total} {unit}, {rate:,.1f}/s, {left} left")
            spoke = now

    yield advance_plainly
