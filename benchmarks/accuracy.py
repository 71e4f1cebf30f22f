"""Students on corpora that people know: metrics/results.csv, and the table of README.

    python benchmarks/accuracy.py DIRECTORY [CORPUS ...]

DIRECTORY becomes a clone of the current commit, beside a directory ``datasets`` with copies of the
corpora. After an interruption, the same command goes on where it was. Lines of corpora that are not
named stay in metrics/results.csv. On two cores, two runs with OMP_NUM_THREADS=1, other corpora and
other directories finish sooner than one after the other.
"""

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from shutil import copy, rmtree

import numpy as np
from side_by_side import ROOT, out, start

from pipeline.core import rows
from pipeline.core.files import write_csv
from pipeline.core.rows import Rows
from pipeline.evaluation import ranking
from pipeline.evaluation.scoring import Interval
from pipeline.logits import dumped, read_notes
from pipeline.preflight import read_params
from pipeline.serving.scorer import EXPORTED, INT8, Scorer
from study.statistics import crossed_mean

RESULTS = ROOT / "metrics/results.csv"
COLUMNS = (
    *("corpus", "system", "score", "value", "low", "high"),
    *("rows", "seeds", "parameters", "labelled_rows"),
)
"""``rows`` are those of the test split or, of a ranking, its questions that have right and wrong
answers; ``labelled_rows`` are all different rows that the teachers have learned from."""
TASKS = {
    "mnli": ("nli", "mnli"),
    "snli": ("nli", "snli"),
    "rte": ("rte", "rte"),
    "qnli": ("relevance", "qnli_8k"),
    "wiki_qa": ("relevance", "wiki"),
    "web": ("web", "web"),
}
"""The profile of each corpus, and the task in it."""
SEEDS_OF = {3: (1, 2, 3), 2: (1,)}
"""The seeds of the student, by its layers."""
TITLES = {
    ("mnli", "accuracy"): "MNLI matched",
    ("snli", "accuracy"): "SNLI dev",
    ("rte", "accuracy"): "RTE dev",
    ("qnli", "accuracy"): "QNLI dev",
    ("wiki_qa", "mean_average_precision"): "WikiQA test, MAP",
    ("wiki_qa", "mean_reciprocal_rank"): "WikiQA test, MRR",
    ("web", "accuracy"): "web questions, test",
}
TEACHERS = "teachers_mean"
SYSTEMS = (TEACHERS, "3 layers", "3 layers, int8", "2 layers", "2 layers, int8")
PAPER = {
    "mnli": ("71.3", "73.9"),
    "snli": ("78.4", "79.5"),
    "rte": ("66.6", "67.5"),
    "qnli": ("83.5", "86.4"),
}
"""TMKD-base and TMKD-large (Yang et al., 2020)."""
Line = Mapping[str, object]


def profile(corpus: str) -> Path:
    """The settings file of the runs of ``corpus``."""
    name, _ = TASKS[corpus]
    return ROOT / f"profiles/{name}.yaml"


def overrides(corpus: str, layers: int, seed: int) -> list[str]:
    """What is set in the profile of ``corpus`` for one of its students."""
    _, task = TASKS[corpus]
    own = [f"student.layers={layers}", f"++stage1.seed={seed}", f"++stage2.seed={seed}"]
    return [f"task={task}", f"tests=[{task}]", *own]


def train(corpus: str, layers: int, seed: int) -> None:
    """Run the pipeline for one student. DVC keeps what it has in common with other runs."""
    out.print(f"{corpus}: {layers} layers, seed {seed}")
    copy(profile(corpus), "params.yaml")
    words = [word for setting in overrides(corpus, layers, seed) for word in ("-S", setting)]
    subprocess.run(["dvc", "exp", "run", "--quiet", *words], check=True)


def measure(corpus: str) -> list[Line]:
    """Train all students of a corpus, and return its lines of metrics/results.csv."""
    _, task = TASKS[corpus]
    # Logits of another test set would be inputs of this one.
    rmtree("data/logits/test", ignore_errors=True)
    lines: list[Line] = []

    def add(system: str, score: str, interval: Interval, *, seeds: int, parameters: int) -> None:
        proportions = (round(end, 4) for end in (interval.value, interval.low, interval.high))
        content = (corpus, system, score, *proportions, units, seeds, parameters, labelled)
        lines.append(dict(zip(COLUMNS, content, strict=True)))

    for layers, seeds in SEEDS_OF.items():
        values: dict[tuple[str, str], list[np.ndarray]] = {}
        for seed in seeds:
            train(corpus, layers, seed)
            test = rows.read("test", task)
            for name, int8 in ((f"{layers} layers", False), (f"{layers} layers, int8", True)):
                if not int8 or (EXPORTED / INT8).exists():
                    for score, own in of_student(test, Scorer(int8=int8)).items():
                        values.setdefault((name, score), []).append(own)
                        units = len(own)
        labelled = labelled_rows()
        evaluation = json.loads(Path("metrics/evaluation.json").read_text())
        parameters = evaluation[task]["student"]["parameters"]
        for (name, score), of_seeds in values.items():
            mean = crossed_mean(np.stack(of_seeds))
            add(name, score, mean, seeds=len(of_seeds), parameters=parameters)

    teachers = [
        read_notes(dumped(f"test/{task}", teacher)) for teacher in read_params().stage2.teachers
    ]
    with Path("metrics/scores.csv").open(encoding="utf-8") as file:
        for given in csv.DictReader(file):
            if given["system"] == TEACHERS and (corpus, given["score"]) in TITLES:
                interval = Interval(*(float(given[name]) for name in ("value", "low", "high")))
                parameters = sum(notes.parameters for notes in teachers)
                add(TEACHERS, given["score"], interval, seeds=1, parameters=parameters)
    return lines


def labelled_rows() -> int:
    """How many different rows the teachers of params.yaml have learned from."""
    places = {teacher.corpus for teacher in read_params().teachers.values()}
    return len(np.unique(np.concatenate([rows.read(place, "train").ids for place in places])))


def of_student(test: Rows, scorer: Scorer) -> dict[str, np.ndarray]:
    """The scores of an exported student on each row of ``test`` or, if it is ranked, question."""
    probabilities = scorer.probabilities(list(zip(*test.texts(), strict=True)))
    if test.groups is None or test.relevant_label is None:
        chosen = np.array(scorer.label_names)[probabilities.argmax(axis=1)]
        return {"accuracy": (chosen == np.array(test.label_names)[test.labels]).astype(float)}
    right = test.labels == test.label_names.index(test.relevant_label)
    asked = ranking.questions(test.groups, right)
    relevant = scorer.label_names.index(test.relevant_label)
    ranks = ranking.ranked(probabilities[:, relevant], asked)[asked.mixed]
    return dict(zip(ranking.SCORES[:2], ranks.T[:2], strict=True))


def read_results(path: Path = RESULTS) -> list[Line]:
    if not path.exists():
        return []
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def markdown(lines: Sequence[Line]) -> str:
    """The table of docs/results.md."""
    columns = (
        *("test split (rows)", "labelled rows", "teachers' mean"),
        *("**3 layers**, 3 seeds", "int8", "2 layers, 1 seed", "int8"),
        *("TMKD-base", "TMKD-large"),
    )
    table: list[Sequence[str]] = [columns, ["---"] * len(columns)]
    for (corpus, score), title in TITLES.items():
        own = {
            str(line["system"]): line
            for line in lines
            if (line["corpus"], line["score"]) == (corpus, score)
        }
        if own:
            student = own["3 layers"]
            units = f"{int(str(student['rows'])):,}{' questions' if score != 'accuracy' else ''}"
            cells = [cell(own.get(system), interval=system == "3 layers") for system in SYSTEMS]
            labelled = f"{int(str(student['labelled_rows'])):,}"
            table.append((f"{title} ({units})", labelled, *cells, *PAPER.get(corpus, ("–", "–"))))
    return "".join(f"| {' | '.join(cells)} |\n" for cells in table)


def cell(line: Line | None, *, interval: bool) -> str:
    if line is None:
        return "–"
    value, low, high = (f"{100 * float(str(line[name])):.1f}" for name in ("value", "low", "high"))
    return f"**{value}** [{low}, {high}]" if interval else value


def commit(directory: Path) -> bytes:
    """The commit that is checked out in ``directory``."""
    return subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=directory)


def main() -> None:
    start()
    if not sys.argv[1:] or not set(sys.argv[2:]) <= set(TASKS):
        sys.exit(f"usage: python benchmarks/accuracy.py DIRECTORY [{' '.join(TASKS)}]")
    clone = Path(sys.argv[1]).resolve()
    if not clone.exists():
        subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    if commit(clone) != commit(ROOT):
        sys.exit(f"{clone} is not a clone of the current commit: name a new directory.")
    os.chdir(clone)
    order = [(corpus, system) for corpus in TASKS for system in SYSTEMS]
    for corpus in sys.argv[2:] or TASKS:
        measured = measure(corpus)
        lines = [line for line in read_results() if line["corpus"] != corpus] + measured
        lines.sort(key=lambda line: order.index((str(line["corpus"]), str(line["system"]))))
        write_csv(RESULTS, COLUMNS, lines)
    out.print(markdown(read_results()), soft_wrap=True)


if __name__ == "__main__":
    main()
