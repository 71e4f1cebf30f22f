"""Fetch pretrained weights, once for all that start from them: ``fetch_pretrained.py NAME``."""

import sys
from pathlib import Path

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params, pretrained
from pipeline.preflight import checked_params
from pipeline.pretrained import Pretrained


def main() -> str:
    name = sys.argv[1]
    settings = params.section(checked_params(), f"pretrained.{name}", Pretrained)
    pretrained.fetch(settings, Path("models/pretrained") / name)
    return f"pretrained weights {name}: from {settings.source}"


if __name__ == "__main__":
    console.run(main)
