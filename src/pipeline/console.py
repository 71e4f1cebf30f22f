"""Output for people: a progress line on a terminal, plain lines elsewhere.

No stage of the pipeline depends on this file, because it does not affect outputs.
"""

import io
import os
import re
import signal
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

from pipeline.core.errors import UserError

# Of several processes the first one prints progress; any of them prints errors.
_console = Console(highlight=False, soft_wrap=True, quiet=os.environ.get("RANK", "0") != "0")
_errors = Console(stderr=True, highlight=False, soft_wrap=True)
PLAIN_SECONDS = 10.0


def say(sentence: str) -> None:
    """Print one sentence for the person who runs the pipeline."""
    _console.print(sentence, markup=False)


def silence() -> None:
    """Print nothing more: this is one of several processes, and its parent reports for all."""
    _console.quiet = True


def arguments(*names: str) -> list[str]:
    """The arguments of a stage script; exits with a usage message if they do not fit.

    A name such as ``general|task`` lists the values that an argument may have. Any other argument
    is part of a path, and must be one word.
    """
    values = sys.argv[1:]
    fit = len(values) == len(names) and all(
        value in name.split("|") if "|" in name else re.fullmatch(r"[\w-]+", value)
        for name, value in zip(names, values, strict=True)
    )
    if not fit:
        script = f"stages/{os.path.basename(sys.argv[0])}"
        sys.exit(f"usage: python {' '.join([script, *names])}")
    return values


def run(stage: Callable[[], str], *, resumes: bool = False) -> None:
    """Run the main function of a stage script and print its closing sentence with the time it took.

    An error that the user can fix ends in one sentence and exit status 1. ``resumes`` says whether
    the stage leaves checkpoints.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:
        # stages/_path.py has set this, for the time of the imports.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Texts of users have characters that not every terminal can show.
        sys.stdout.reconfigure(errors="replace")
    started = time.monotonic()
    try:
        sentence = stage()
        say(f"{sentence} ({duration(time.monotonic() - started)})")
    except UserError as error:
        # In one line, whatever is in the names that the sentence quotes.
        sentence = " ".join(str(error).split())
        _errors.print(f"error: {sentence}", markup=False, style="bold red")
        sys.exit(1)
    except OSError as error:
        _errors.print(
            f"error: {error}. Fix the cause and run the command again.", markup=False, style="red"
        )
        sys.exit(1)
    except KeyboardInterrupt:
        purpose = " to resume from the last checkpoint, if there is one" if resumes else ""
        _errors.print(f"Stopped. Run the command again{purpose}.", style="yellow")
        sys.exit(130)


def duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


@contextmanager
def progress(
    task: str, total: int, unit: str, *, start: int = 0
) -> Iterator[Callable[[int], None]]:
    """Show progress over ``total`` units. Yields a function to call with newly finished units."""
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
    began = printed = time.monotonic()
    done = 0

    def advance_plainly(count: int) -> None:
        nonlocal done, printed
        done += count
        now = time.monotonic()
        if now - printed >= PLAIN_SECONDS and done + start < total:
            rate = done / (now - began)
            left = duration((total - start - done) / rate)
            say(f"{task}: {start + done}/{total} {unit}, {rate:,.1f}/s, {left} left")
            printed = now

    yield advance_plainly
