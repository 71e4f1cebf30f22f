"""The table of results on known corpora comes from metrics/results.csv, and its runs are valid."""

from pathlib import Path
from shutil import copy

import accuracy
import exports
import project
import pytest
from closure import ROOT
from dvc.utils.hydra import apply_overrides
from exports import Export

from pipeline.core import rows
from pipeline.preflight import read_params
from pipeline.serving.scorer import Scorer


@pytest.mark.parametrize("corpus", accuracy.TASKS)
def test_the_settings_of_each_run_are_valid(
    corpus: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(accuracy.profile(corpus), tmp_path / "params.yaml")
    apply_overrides(tmp_path / "params.yaml", accuracy.overrides(corpus, layers=2, seed=5))
    monkeypatch.chdir(tmp_path)
    params = read_params()
    _, task = accuracy.TASKS[corpus]
    assert (params.task, params.tests, params.student.layers) == (task, (task,), 2)
    assert (params.stage1.seed, params.stage2.seed) == (5, 5)


def test_a_clone_of_another_commit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.run(tmp_path, "git", "init", "-q")
    project.run(tmp_path, "git", "config", "user.name", "tester")
    project.run(tmp_path, "git", "config", "user.email", "tester@example.com")
    project.run(tmp_path, "git", "commit", "-q", "--allow-empty", "-m", "another")
    monkeypatch.setattr("sys.argv", ["accuracy.py", str(tmp_path)])
    monkeypatch.setattr(accuracy, "start", lambda: None)
    with pytest.raises(SystemExit, match="is not a clone of the current commit"):
        accuracy.main()


@pytest.mark.parametrize(("corpus", "expected"), [("web", 40), ("mnli", 60), ("rte", 80)])
def test_rows_of_all_teachers_are_counted_once(
    corpus: str, expected: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Teachers of ``web`` learn the task alone, and there are no other labelled rows."""
    monkeypatch.chdir(tmp_path)
    copy(accuracy.profile(corpus), "params.yaml")
    texts = [(f"question {number}", "answer") for number in range(80)]
    learned = {"task": texts[40:]}
    if corpus != "web":
        learned["general"] = texts[:60]
    for place, pairs in learned.items():
        made = exports.rows_of(pairs)
        rows.write(rows.CORPORA / place / "train.arrow", [made.table], made.label_names)
    assert accuracy.labelled_rows() == expected


def test_a_student_is_right_where_its_class_is_the_label(exported_nli: Export) -> None:
    pairs = exports.pairs_of(60, seed=3)
    names = exported_nli.made.label_names
    right = exported_nli.expected(pairs).argmax(dim=1).numpy()
    # The rows have the classes in another order than the student.
    test = exports.rows_of(pairs, names[::-1])
    scores = accuracy.of_student(test, Scorer(exported_nli.directory))
    assert list(scores["accuracy"]) == list(right == len(names) - 1 - test.labels)
    assert 0 < scores["accuracy"].mean() < 1


def test_the_table_is_the_one_of_the_file() -> None:
    table = accuracy.markdown(accuracy.read_results())
    assert table.count("\n") == 2 + len(accuracy.TITLES)
    for page in ("README.md", "docs/results.md"):
        assert table in (ROOT / page).read_text()
