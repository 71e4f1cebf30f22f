"""Fetch pretrained weights once for all trainings that start from them."""

from pathlib import Path

import _path
from pipeline import console, pretrained
from pipeline.core.files import mark_done
from pipeline.core.settings import entry
from pipeline.preflight import read_params


def main() -> str:
    (name,) = console.arguments("NAME")
    settings = entry(read_params().pretrained, name, "pretrained")
    directory = Path("models/pretrained") / name
    pretrained.fetch(settings, directory)
    mark_done(directory)
    return f"pretrained weights {name}: from {settings.source}"


if __name__ == "__main__":
    console.run(main)
