"""The study: the mean of the teachers as one more teacher: ``average_logits.py general|task``."""

import sys

import _path  # noqa: F401 - puts src on the path
from pipeline import console, params
from pipeline.preflight import checked_params
from study.averaging import average


def main() -> str:
    corpus = sys.argv[1]
    teachers = params.teachers(checked_params(), {"general": "stage1", "task": "stage2"}[corpus])
    total = average(corpus, teachers)
    return f"mean logits of {len(teachers)} teachers on {corpus}: {total:,} rows"


if __name__ == "__main__":
    console.run(main)
