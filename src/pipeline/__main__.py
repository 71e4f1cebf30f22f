"""``python -m pipeline``."""

from pipeline.serving.command import main

main()
