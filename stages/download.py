"""Fetch, check and clean the general corpus and that of the task."""

import _path  # noqa: F401 - puts src on the path
from pipeline import console
from pipeline.core.rows import CORPORA
from pipeline.corpus import cleaning
from pipeline.preflight import read_params


def main() -> str:
    params = read_params()
    cards = cleaning.download(params.corpora, params.general, params.task, directory=CORPORA)
    counts = []
    for place, card in cards.items():
        for role, split in card["splits"].items():
            counts.append(f"{place} {role} {split['rows']:,}")
            if left_out := {reason: n for reason, n in split["left_out"].items() if n}:
                reasons = ", ".join(f"{reason} {n:,}" for reason, n in left_out.items())
                console.say(f"{place}/{role}, rows left out: {reasons.replace('_', ' ')}.")
    return f"corpora: {', '.join(counts)} rows"


if __name__ == "__main__":
    console.run(main)
