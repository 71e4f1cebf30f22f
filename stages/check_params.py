"""Refuse a wrong setting before any other stage does anything."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core.files import write_text
from pipeline.preflight import read_params


def main() -> str:
    read_params()
    # Always the same, so that no stage runs again because of it.
    write_text(Path("data/checked"), "params.yaml has been checked.\n")
    return "params.yaml: no setting is wrong"


if __name__ == "__main__":
    console.run(main)
