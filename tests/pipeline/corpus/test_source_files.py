"""Which files of a directory hold a split: those with its name, and no others."""

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.corpus import source_files


def place(directory: Path, *names: str) -> None:
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("text_a,text_b\nx,y\n")


def find(directory: Path, config: str | None = None, split: str = "train") -> list[str]:
    found = source_files.find("corpus", "corpora.own", directory, split, config)
    return [str(path.relative_to(directory)) for path in found]


def refusal(directory: Path, config: str | None = None) -> str:
    with pytest.raises(UserError) as error:
        find(directory, config)
    return str(error.value)


@pytest.mark.parametrize(
    "names",
    [
        ["train_backup.csv"],
        ["train-old.csv", "train-new.csv"],
        ["v1/train.csv", "v2/train.csv"],
        ["training.csv"],
        ["train.csv.zip"],
        ["Train.csv"],
        ["train"],
    ],
)
def test_files_of_other_names_are_listed_and_not_read(names: list[str], tmp_path: Path) -> None:
    place(tmp_path, *names)
    said = refusal(tmp_path)
    assert "has no train.parquet, train.csv, train.tsv or train.jsonl" in said
    assert all(name in said for name in names if name != "train")


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["train.csv", "train_backup.csv", "train.old.csv", "v1/train.csv"], ["train.csv"]),
        (["train.jsonl.gz"], ["train.jsonl.gz"]),
        (["data/train.csv"], ["data/train.csv"]),
        (
            ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv"],
            ["data/train-00000-of-00002.csv", "data/train-00001-of-00002.csv"],
        ),
    ],
)
def test_a_split_is_the_file_with_its_name_or_its_numbered_parts(
    names: list[str], expected: list[str], tmp_path: Path
) -> None:
    place(tmp_path, *names)
    assert find(tmp_path) == expected


@pytest.mark.parametrize(
    "names",
    [
        ["train-00000-of-00002.csv"],
        ["train-00000-of-00001.csv", "train-00000-of-00002.csv", "train-00001-of-00002.csv"],
    ],
)
def test_parts_that_are_missing_or_of_another_download_are_refused(
    names: list[str], tmp_path: Path
) -> None:
    place(tmp_path, *names)
    assert "of the numbered files of 'train'" in refusal(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    place(tmp_path, "train.csv", "train.csv.gz")
    assert "has train.csv and train.csv.gz: keep one" in refusal(tmp_path)


README = """---
configs:
- config_name: easy
  data_files:
  - {split: train, path: "easy/part-*.csv"}
- config_name: hard
  data_files:
  - {split: train, path: hard/all.csv}
---
"""


def test_a_clone_is_read_as_its_readme_says(tmp_path: Path) -> None:
    place(tmp_path, "easy/part-1.csv", "easy/part-2.csv", "hard/all.csv")
    (tmp_path / "README.md").write_text(README)
    assert find(tmp_path, "easy") == ["easy/part-1.csv", "easy/part-2.csv"]
    assert find(tmp_path, "hard") == ["hard/all.csv"]
    assert "its README names easy, hard: set corpora.own.config to one" in refusal(tmp_path)
    assert "its README names easy, hard" in refusal(tmp_path, "other")


@pytest.mark.parametrize("path", ["../secret.csv", "/etc/passwd", "data/../../secret.csv"])
def test_a_readme_cannot_name_files_outside_of_the_directory(path: str, tmp_path: Path) -> None:
    place(tmp_path, "secret.csv", "clone/data/other.csv")
    own = README.replace("hard/all.csv", path)
    (tmp_path / "clone" / "README.md").write_text(own)
    assert f"names the file {path}, which is outside" in refusal(tmp_path / "clone", "hard")


def test_a_readme_that_is_no_metadata_ends_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("---\nconfigs: 5\n---\n")
    assert "README.md could not be read" in refusal(tmp_path)
