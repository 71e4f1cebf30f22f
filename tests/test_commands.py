"""The commands of README and docs run, those of long trainings on tiny stand-ins."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import accuracy
import families
import project
import pyarrow.parquet as pq
import pytest
import torch
import yaml
from closure import ROOT
from conftest import COLOURS, FILLERS, THINGS, pairs, save_tiny_bert, tiny_params
from dvc.cli import parse_args
from project import run, stages_run
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from pipeline.core import settings
from pipeline.evaluation.ranking import SCORES
from pipeline.preflight import Params
from pipeline.serving.command import parser

PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PROFILES = sorted((ROOT / "profiles").glob("*.yaml"))


def commands(text: str) -> Iterator[list[str]]:
    """The words of each command in a shell script, without variables in front of it."""
    joined = re.sub(r"\\\n\s*", "", text)
    for line in joined.splitlines():
        command: list[str] = []
        for word in [*shlex.split(line, comments=True), "&&"]:
            if word != "&&":
                command.append(word)
                continue
            while command and re.match(r"[A-Z_]+=", command[0]):
                del command[0]
            if command:
                yield command
            command = []


def blocks(page: Path) -> list[str]:
    """The shell scripts of a page, its longer ones and those in a line of text."""
    text = page.read_text()
    programs = r"(?:[A-Z_]+=\S+ )*(?:dvc|make|git|pip|pytest|python) "
    short = re.findall(rf"`({programs}[^`]*)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))
    return [*re.findall(r"```sh\n(.*?)```", text, re.DOTALL), *short]


SCRIPTS = [(page, block) for page in PAGES for block in blocks(page)]


def test_the_pages_have_commands() -> None:
    found = [command for _, script in SCRIPTS for command in commands(script)]
    assert ["dvc", "exp", "run", "-S", "alpha=0.5"] in found
    assert sum(command[0] == "dvc" for command in found) > 30
    assert ["dvc", "exp", "run", "-S", "task=snli", "-S", "tests=[snli]"] in found


@cache
def stages() -> set[str]:
    listed = run(ROOT, "dvc", "stage", "list", "--name-only").split()
    return {name for stage in listed for name in (stage, stage.split("@")[0])}


@pytest.mark.parametrize(("page", "script"), SCRIPTS)
def test_a_documented_command_is_one_that_its_program_knows(page: Path, script: str) -> None:
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for program, *words in commands(script):
        if program == "make":
            assert set(words) <= set(targets)
        elif program == "dvc":
            # It ends the process if it does not know a word.
            given = parse_args(words)
            if words[0] in ("repro", "pull"):
                named = [name for name in given.targets if not name.endswith("dvc.yaml")]
                assert set(named) <= stages()
        elif words[:2] == ["-m", "pipeline"] and words[2:]:
            parser().parse_args(words[2:])
        elif program == "hf":
            help_text = run(ROOT, "hf", words[0], "--help")
            assert "REPO_ID" in help_text
            assert "LOCAL_PATH" in help_text
        elif program == "cp" or (program == "python" and words[0] not in ("-m", "-c")):
            assert (ROOT / words[0]).exists()


def test_the_settings_for_ones_own_corpus_in_readme_are_valid() -> None:
    (block,) = re.findall(
        r"```yaml\n(general: .*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    default = (ROOT / "params.yaml").read_text()
    start, end = default.index("general:"), default.index("pretrained:")
    content = yaml.safe_load(default[:start] + block + default[end:])
    assert settings.check(Params, content).task == "mine"
    assert set(content) == set(yaml.safe_load(default))


@pytest.mark.slow
def test_the_settings_in_readme_compress_a_classifier(place: Path, tmp_path: Path) -> None:
    (block,) = re.findall(
        r"```yaml\n(pretrained: {}\n.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )
    given = yaml.safe_load(block)
    classifier = tmp_path / "large"
    names = {0: "irrelevant", 1: "relevant"}
    words = [*COLOURS, *THINGS, *FILLERS]
    families.save("electra", classifier, words, AutoModelForSequenceClassification, id2label=names)
    given["classifiers"]["large"]["source"] = str(classifier)
    given["student"]["layers"] = 1
    params = {**settings.read(place / "params.yaml"), **given}
    project.write_params(place, params)
    ran = stages_run(run(place, "dvc", "repro"))
    assert "fetch_classifier@large" in ran
    assert not [
        stage for stage in ran if stage.startswith(("fetch_pretrained", "finetune_teacher"))
    ]
    large, student = (
        load_file(path / "model.safetensors")
        for path in (place / "models/teachers/large", place / "models/student/stage1")
    )
    assert json.loads((place / "models/export/config.json").read_text())["num_hidden_layers"] == 1
    # The student starts from the classifier's weights, which a few small steps hardly change.
    table = "embeddings.word_embeddings.weight"
    torch.testing.assert_close(student[table], large[f"electra.{table}"], atol=0.01, rtol=0)


@pytest.mark.slow
def test_the_first_commands_of_readme(place: Path) -> None:
    (script,) = [block for block in blocks(ROOT / "README.md") if "metrics diff" in block]
    shown = {" ".join(words): run(place, *words) for words in commands(script) if words[0] == "dvc"}
    assert stages_run(shown["dvc exp run -S alpha=0.5"]) == [
        *("finetune_student", "evaluate", "export")
    ]
    assert "qa.student.log_loss" in shown["dvc metrics diff"]
    assert "alpha" in shown["dvc exp show --only-changed"]
    assert "index.html" in shown["dvc plots show"]


@pytest.mark.slow
def test_the_commands_that_use_the_student(place: Path) -> None:
    (script,) = [block for block in blocks(ROOT / "README.md") if "pipeline rank" in block]
    (place / "passages.txt").write_text("the red cat\nhere is a dog\n")
    (place / "pairs.csv").write_text("question,passage\nwhich animal,the red cat\n")
    # The python of the tests runs scripts only.
    rank, predict = (words[1:] for words in commands(script) if words[0] == "python")
    assert len(run(place, sys.executable, *rank, PYTHONPATH="src").splitlines()) == 2
    run(place, sys.executable, *predict, PYTHONPATH="src")
    first, second = (place / "predictions.csv").read_text().splitlines()
    assert first == "question,passage,predicted,probability,score"
    assert second.startswith("which animal,the red cat,")
    (script,) = [block for block in blocks(ROOT / "README.md") if "nsmallest" in block]
    ((_, *words),) = commands(script)
    # 60 test rows, of which the ten worst and a header are shown.
    assert len(run(place, sys.executable, *words).splitlines()) == 11


def test_the_package_is_found_without_a_path(tmp_path: Path) -> None:
    """`make install` sees to it."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    line = [sys.executable, "-m", "pipeline", "--help"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "rank" in done.stdout


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose profiles are the real ones, with tiny weights and corpora."""
    root = tmp_path_factory.mktemp("profiles")
    bert = root / "bert"
    save_tiny_bert(bert, [*COLOURS, *THINGS, *FILLERS], layers=3)
    directory = project.create(root / "project", tiny_params(root, bert))
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "benchmarks", directory / "benchmarks", ignore=ignored)
    # Two seeds, to save time.
    table = directory / "benchmarks/accuracy.py"
    table.write_text(table.read_text().replace("3: (1, 2, 3)", "3: (1, 2)"))
    for profile in PROFILES:
        text = profile.read_text()
        for old, new in (
            (r"package:\w+", str(bert)),
            (r"max_length: \d+", "max_length: 16"),
            (r"validation_rows: \d+", "validation_rows: 20"),
        ):
            text = re.sub(old, new, text)
        (directory / "profiles").mkdir(exist_ok=True)
        (directory / "profiles" / profile.name).write_text(text)
        for name, corpus in settings.read(profile)["corpora"].items():
            write_corpus(directory / corpus["source"], corpus, seed=crc32(name.encode()) % 10_000)
    project.commit(directory, "profiles")
    return directory


def write_corpus(source: Path, corpus: dict[str, Any], seed: int) -> None:
    """Tiny splits with the columns of a corpus."""
    if ".." not in source.parts:
        return
    source.mkdir(parents=True, exist_ok=True)
    for number, split in enumerate(sorted(set(corpus["splits"].values()))):
        table = pairs(60, seed * 10 + number)
        names = [corpus["text_a"], corpus.get("text_b"), corpus.get("label", "label") or "label"]
        table = table.rename_columns(names)
        if group := corpus.get("group"):
            table = table.append_column(group, [[f"question {i // 4}" for i in range(len(table))]])
        if soft := corpus.get("soft_label"):
            table = table.append_column(
                soft, [[label * 0.8 + 0.1 for label in table[2].to_pylist()]]
            )
        pq.write_table(table, source / f"{split}.parquet")


def commands_of_results(word: str) -> list[list[str]]:
    """The commands of docs/results.md in the script that has this word."""
    (script,) = [block for block in blocks(ROOT / "docs/results.md") if word in block]
    return [command for command in commands(script) if command[0] != "export"]


@pytest.mark.slow
def test_the_commands_that_run_a_profile(stand_in: Path) -> None:
    # The first and the last profile, to save time.
    script = commands_of_results("profiles/web.yaml")
    for command in [*script[:2], *script[-2:]]:
        output = run(stand_in, *command)
        if "exp" in command:
            assert "finetune_student" in stages_run(output)
    assert "Results on the test set 'web'" in (stand_in / "metrics/results.md").read_text()


@pytest.mark.slow
def test_the_command_that_makes_the_table(stand_in: Path) -> None:
    (command,) = commands_of_results("accuracy.py")
    # One corpus, to save time.
    printed = run(stand_in, *command, "wiki_qa", COLUMNS="500")
    lines = accuracy.read_results(stand_in / "metrics/results.csv")
    assert accuracy.markdown(lines) in printed
    assert {line["corpus"] for line in lines} == {"wiki_qa"}
    assert {line["score"] for line in lines} == {*SCORES[:2]}
    # The last run is still there.
    clone = stand_in.parent / "accuracy"
    scores = (clone / "metrics/scores.csv").read_text().splitlines()
    cards = [clone / f"data/corpora/{place}/card.json" for place in ("general", "task")]
    trained = sum(json.loads(card.read_text())["splits"]["train"]["rows"] for card in cards)
    for line in lines:
        assert line["labelled_rows"] == str(trained)
        assert line["seeds"] == ("2" if str(line["system"]).startswith("3 layers") else "1")
        if line["system"] == "2 layers":
            (given,) = [one for one in scores if f"student,{line['score']}," in one]
            assert float(given.split(",")[3]) == pytest.approx(float(str(line["value"])), abs=1e-4)
