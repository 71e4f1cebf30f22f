"""Study: write the report of the earlier reproduction, from its four projects."""

from pathlib import Path

import _path
from pipeline import console
from study import deck


def main() -> str:
    results = {task: deck.read_task(task) for task in deck.TASKS}
    deck.write(results, Path("docs/deck"), Path("metrics/deck"))
    return "deck: docs/deck/README.md, metrics/deck"


if __name__ == "__main__":
    console.run(main)
