"""Fetch, check and clean the corpora of stage 1, of the task and of the tests."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core.files import write_text
from pipeline.core.rows import CORPORA
from pipeline.corpus import cleaning
from pipeline.preflight import read_params


def main() -> str:
    params = read_params()
    cards = cleaning.download(
        params.corpora, params.general, params.task, params.tests, directory=CORPORA
    )
    counts = []
    said: set[str] = set()
    for place, card in cards.items():
        for role, split in card["splits"].items():
            counts.append(f"{place} {role} {split['rows']:,}")
            if left_out := {reason: n for reason, n in split["left_out"].items() if n}:
                reasons = ", ".join(f"{reason} {n:,}" for reason, n in left_out.items())
                console.say(f"{place}/{role}, rows left out: {reasons.replace('_', ' ')}.")
            if (place, role) != ("general", "pool"):
                meanings = [
                    f"{own} is '{name}'" for own, name in sorted(split["labels_read_as"].items())
                ]
                said.update([f"labels: {', '.join(meanings)}."] if meanings else [])
    for sentence in sorted(said):
        console.say(sentence)
    _retire_results({split["fingerprint"] for split in cards["test"]["splits"].values()})
    return f"corpora: {', '.join(counts)} rows"


def _retire_results(tests: set[str]) -> None:
    """Remove results on other test rows, which would look like results on these.

    The stage `evaluate`, which writes them, runs again in any case, as its test rows have changed.
    """
    results = Path("metrics/results.md")
    text = results.read_text(encoding="utf-8") if results.exists() else ""
    if all(fingerprint in text for fingerprint in tests):
        return
    for name in ("confusion.csv", "calibration.csv", "evaluation.json", "scores.csv"):
        results.with_name(name).unlink(missing_ok=True)
    Path("data/predictions.csv").unlink(missing_ok=True)
    write_text(results, "There are no results for these corpora yet: run `dvc repro`.\n")


if __name__ == "__main__":
    console.run(main)
