"""Study: write the mean of the teachers' logits as the logits of one more teacher."""

import _path
from pipeline import console
from pipeline.preflight import read_params
from study.averaging import average


def main() -> str:
    (place,) = console.arguments("general|task")
    params = read_params()
    teachers = {"general": params.stage1.teachers, "task": params.stage2.teachers}[place]
    total = average(place, teachers)
    return f"mean logits of {len(teachers)} teachers on {place}: {total:,} rows"


if __name__ == "__main__":
    console.run(main)
