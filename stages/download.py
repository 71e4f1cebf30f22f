"""Fetch, check and clean the general and the task corpus."""

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params
from pipeline.corpora import download
from pipeline.preflight import checked_params
from pipeline.rows import CORPORA
from pipeline.sources import Corpus


def main() -> str:
    settings = checked_params()
    corpora = {
        name: params.section(settings, f"corpora.{name}", Corpus) for name in ("general", "task")
    }
    cards = download(corpora, CORPORA)
    counts = [
        f"{corpus} {role} {split['rows']:,}"
        for corpus, card in cards.items()
        for role, split in card["splits"].items()
    ]
    return f"corpora: {', '.join(counts)} rows"


if __name__ == "__main__":
    console.run(main)
