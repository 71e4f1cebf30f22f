"""Fetch, check and clean the general and the task corpus."""

import _path  # noqa: F401 - puts src on the path
from pipeline import console, corpora
from pipeline.preflight import checked_params
from pipeline.rows import CORPORA


def main() -> str:
    cards = corpora.download(*corpora.settings(checked_params()), CORPORA)
    counts = []
    for corpus, card in cards.items():
        for role, split in card["splits"].items():
            counts.append(f"{corpus} {role} {split['rows']:,}")
            if left_out := {why: count for why, count in split["left_out"].items() if count}:
                reasons = ", ".join(f"{why} {count:,}" for why, count in left_out.items())
                console.say(f"{corpus}/{role}, rows left out: {reasons.replace('_', ' ')}.")
    return f"corpora: {', '.join(counts)} rows"


if __name__ == "__main__":
    console.run(main)
