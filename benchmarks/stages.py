"""The whole pipeline in a fresh clone: time for the work of its stages, and for a new alpha.

Work is the time that each stage reports; the rest is DVC, starting processes and imports.
"""

import re
import subprocess
import tempfile
import time
from pathlib import Path

from side_by_side import ROOT, out, start, table


def run(directory: Path, *command: str) -> tuple[float, str]:
    """Seconds of a command and what it printed."""
    started = time.perf_counter()
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, check=True)
    return time.perf_counter() - started, done.stdout


def work(printed: str) -> float:
    """Seconds that the stages report in their closing sentences."""
    durations = re.findall(r"\((?:(\d+) min )?(\d+) s\)$", printed, re.MULTILINE)
    return sum(60 * int(minutes or 0) + int(seconds) for minutes, seconds in durations)


def main() -> None:
    start()
    with tempfile.TemporaryDirectory() as scratch:
        clone = Path(scratch) / "clone"
        run(ROOT, "git", "clone", "--quiet", str(ROOT), str(clone))
        whole, printed = run(clone, "dvc", "repro")
        again, _ = run(clone, "dvc", "repro")
        alpha, of_alpha = run(clone, "dvc", "exp", "run", "-S", "alpha=0.5")
    stages = printed.count("Running stage")
    made = table("The default pipeline, from nothing", "", "seconds", "")
    made.add_row("dvc repro", f"{whole:.0f}", f"{stages} stages")
    made.add_row("  work of its stages", f"{work(printed):.0f}", f"{work(printed) / whole:.0%}")
    overhead = whole - work(printed)
    made.add_row("  everything else", f"{overhead:.0f}", f"{overhead / stages:.1f} s a stage")
    made.add_row("dvc repro, nothing changed", f"{again:.0f}", f"{again / whole:.1%}")
    ran = ", ".join(re.findall(r"Running stage '([^']+)'", of_alpha))
    made.add_row("dvc exp run -S alpha=0.5", f"{alpha:.0f}", f"{alpha / whole:.0%}: {ran}")
    out.print(made)


if __name__ == "__main__":
    main()
