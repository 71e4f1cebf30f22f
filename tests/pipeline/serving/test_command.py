"""``python -m pipeline``: what it prints, writes and refuses."""

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import exports
import numpy as np
import pyarrow.parquet as pq
import pytest
from closure import SOURCE
from exports import Export

from pipeline.serving import command
from pipeline.serving.command import main
from pipeline.serving.scorer import Scorer

PAIRS = exports.pairs_of(30, 21)


def pairs_file(path: Path) -> str:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("question", "passage"), *PAIRS])
    return str(path)


def run(made: Export, *arguments: str, given: bytes = b"", **options: Any) -> Any:
    """A process of the command line."""
    return subprocess.run(
        [sys.executable, "-m", "pipeline", *arguments, "--model", str(made.directory)],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        input=given,
        capture_output=True,
        **options,
    )


def test_passages_are_ranked(exported: Export, tmp_path: Path) -> None:
    passages = list(dict.fromkeys(passage for _, passage in PAIRS))
    (tmp_path / "passages.txt").write_text("\n\n".join(passages) + "\n")
    done = run(exported, "rank", "which cat", str(tmp_path / "passages.txt"))
    assert done.stderr == b""
    lines = [line.split("\t") for line in done.stdout.decode().splitlines()]
    expected = Scorer(exported.directory).rank("which cat", passages)
    assert lines == [[f"{score:.4f}", passages[position]] for position, score in expected]
    # Windows ends lines otherwise, and a file may start with a mark.
    text = ("\ufeff" + "\r\n".join(passages)).encode()
    best = run(exported, "rank", "which cat", "-", "--top", "2", given=text).stdout.decode()
    assert best.splitlines() == ["\t".join(line) for line in lines[:2]]


def test_predictions_are_added_to_the_rows(
    exported: Export, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pairs_file(tmp_path / "pairs.csv")
    main(["predict", path, "--model", str(exported.directory)])
    shown = capsys.readouterr()
    lines = list(csv.DictReader(io.StringIO(shown.out)))
    assert [(line["question"], line["passage"]) for line in lines] == PAIRS
    expected = exported.expected(PAIRS).numpy()
    assert [line["predicted"] for line in lines] == [
        exports.TWO[best] for best in expected.argmax(axis=1)
    ]
    for column, values in (("probability", expected.max(axis=1)), ("score", expected[:, 1])):
        assert np.abs(np.array([float(line[column]) for line in lines]) - values).max() < 1e-5
    assert "question and passage are the texts of a pair" in shown.err


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_predictions_are_written_to_a_file(kind: str, exported: Export, tmp_path: Path) -> None:
    out = tmp_path / f"out.{kind}"
    path = pairs_file(tmp_path / "pairs.csv")
    main(["predict", path, "--output", str(out), "--model", str(exported.directory)])
    readers: dict[str, Any] = {
        "csv": lambda: list(csv.DictReader(out.open(newline=""))),
        "tsv": lambda: list(csv.DictReader(out.open(newline=""), delimiter="\t")),
        "jsonl": lambda: [json.loads(line) for line in out.read_text().splitlines()],
        "parquet": lambda: pq.read_table(out).to_pylist(),
    }
    lines: list[dict[str, Any]] = readers[kind]()
    expected = exported.expected(PAIRS)[:, 1].numpy()
    assert np.abs(np.array([float(line["score"]) for line in lines]) - expected).max() < 1e-5
    assert [line["passage"] for line in lines] == [passage for _, passage in PAIRS]


def test_three_classes_have_a_score_each(exported_nli: Export, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    path = pairs_file(tmp_path / "pairs.csv")
    main(["predict", path, "--output", str(out), "--model", str(exported_nli.directory)])
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    names = ("entailment", "neutral", "contradiction")
    found = np.array([[line[f"score_{name}"] for name in names] for line in lines])
    assert np.abs(found - exported_nli.expected(PAIRS).numpy()).max() < 1e-5
    assert [line["predicted"] for line in lines] == [names[i] for i in found.argmax(axis=1)]


def test_standard_input_and_columns(exported: Export) -> None:
    text = "id,passage,question\n" + "".join(f"7,{b},{a}\n" for a, b in PAIRS)
    arguments = ("predict", "-", "--columns", "question", "passage")
    done = run(exported, *arguments, given=text.encode())
    lines = list(csv.DictReader(io.StringIO(done.stdout.decode())))
    expected = exported.expected(PAIRS)[:, 1].numpy()
    assert np.abs(np.array([float(line["score"]) for line in lines]) - expected).max() < 1e-5


def test_long_input_is_reported(
    exported: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command, "REPORT_SECONDS", 0.0)
    path = tmp_path / "many.csv"
    with path.open("w") as file:
        file.write("a,b\n")
        file.writelines("which,cat\n" for _ in range(5_000))
    out = str(tmp_path / "out.csv")
    main(["predict", str(path), "--output", out, "--model", str(exported.directory)])
    said = capsys.readouterr().err.splitlines()[1:]
    assert said[0].startswith("2,048 of 5,000 pairs, ")
    assert said[-1].startswith("5,000 of 5,000 pairs, ")


REFUSED = {
    ("rank", "q", "missing.txt"): "'missing.txt' cannot be read ([Errno 2] No such file",
    ("rank", "q", "latin.txt"): "'latin.txt' cannot be read ('utf-8' codec",
    ("predict", "missing.csv"): "there is no file 'missing.csv': correct its path.",
    ("predict", "pairs.csv", "--columns", "question", "x"): "has no column 'x'",
    ("predict", "taken.csv", "--columns", "a", "b"): "'taken.csv' has a column 'score' already",
    ("predict", "taken.csv"): "'taken.csv' has the columns a, b, score: say which ones are the",
    ("predict", "pairs.csv", "--output", "x.txt"): "'x.txt' has none of the extensions",
    ("predict", "pairs.csv", "--output", "none/x.csv"): "No such file",
    ("predict", "late.jsonl"): "'late.jsonl' has a column 'score' already",
    ("predict", "object.jsonl"): "has less than two columns ()",
    ("predict", "pairs.csv", "--columns", "passage", "passage"): "names 'passage' twice",
    ("rank", "\udcff", "passages.txt"): "the question is not valid Unicode: correct it.",
    ("rank", "q", "blank.txt"): "'blank.txt' has no passages: write one per line.",
    ("predict", "empty.jsonl"): "row 2: its a is None, but must be a text",
    ("predict", "pairs.csv", "--model", "."): ". holds no exported student: run `dvc repro export`",
}


@pytest.mark.parametrize("arguments", REFUSED)
def test_what_is_wrong_ends_in_one_sentence(
    arguments: tuple[str, ...],
    exported: Export,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    pairs_file(tmp_path / "pairs.csv")
    (tmp_path / "taken.csv").write_text("a,b,score\n1,2,3\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "passages.txt").write_text("red cat\n")
    (tmp_path / "blank.txt").write_text("\n \n")
    (tmp_path / "object.jsonl").write_text("{}\n")
    (tmp_path / "late.jsonl").write_text('{"a": "x", "b": "y"}\n{"a": "x", "b": "y", "score": 1}\n')
    (tmp_path / "empty.jsonl").write_text('{"a": "x", "b": "y"}\n{"b": "y"}\n')
    before = sorted(tmp_path.iterdir())
    model = () if "--model" in arguments else ("--model", str(exported.directory))
    with pytest.raises(SystemExit) as end:
        main([*arguments, *model])
    assert end.value.code == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("error: ")
    assert REFUSED[arguments] in said
    assert sorted(tmp_path.iterdir()) == before


def test_counts_are_above_zero(capsys: pytest.CaptureFixture[str]) -> None:
    for option in ("--top", "--threads"):
        with pytest.raises(SystemExit):
            main(["rank", "q", "passages.txt", option, "0"])
        assert "0 is not a number above 0" in capsys.readouterr().err


def test_a_closed_stream_is_refused(exported: Export) -> None:
    line = f"{sys.executable} -m pipeline rank q - --model {exported.directory} >&-"
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        ["bash", "-c", line], env=environment, stdin=subprocess.DEVNULL, capture_output=True
    )
    assert done.returncode == 1
    assert done.stderr == b"error: standard input or output is closed: open it.\n"


def test_a_reader_that_leaves_early_is_no_error(exported: Export, tmp_path: Path) -> None:
    (tmp_path / "passages.txt").write_text("red cat\n" * 20_000)
    line = (
        f"{sys.executable} -m pipeline rank q {tmp_path}/passages.txt "
        f"--model {exported.directory} | head -n 1"
    )
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 1
