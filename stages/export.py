"""Make the directory that is shipped: the student in standard formats, in int8, with its card."""

from pathlib import Path

import _path
from pipeline import console
from pipeline.core import rows
from pipeline.core.files import write_json
from pipeline.core.rows import CORPORA
from pipeline.export.card import Origin
from pipeline.export.package import export, summary
from pipeline.preflight import read_params
from pipeline.serving.scorer import EXPORTED


def main() -> str:
    params = read_params()
    metrics = Path("metrics")
    task = params.corpora[params.task]
    weights = params.pretrained.get(params.student.weights.removeprefix("pretrained/"))
    learned = {params.task, *params.general}
    on_hub = [corpus for name in learned if (corpus := params.corpora[name]).revision]
    exported = export(
        Path("models/student/stage2"),
        stage1=Path("models/student/stage1") if params.stage2.from_stage1 else None,
        settings=params.export,
        relevant_label=task.relevant_label,
        text_columns=(task.text_a, task.text_b),
        validation=rows.read("task", "validation"),
        pool=rows.read("general", "pool"),
        metrics=metrics,
        corpora=CORPORA,
        origin=Origin(
            weights.source if weights and weights.revision else None,
            tuple(sorted(corpus.source for corpus in on_hub)),
        ),
        directory=EXPORTED,
    )
    write_json(metrics / "export.json", summary(exported))
    gate = exported.gate
    int8 = "int8 is not shipped" if gate.refusal else f"int8 agrees on {gate.agreement:.1%} of rows"
    names = exported.label_names
    scored = f"its score is the probability of '{names[1]}', " if len(names) == 2 else ""
    return f"export: {EXPORTED}, {scored}{int8}"


if __name__ == "__main__":
    console.run(main)
