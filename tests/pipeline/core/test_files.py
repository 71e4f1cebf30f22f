from pathlib import Path
from typing import Any

import pytest

from pipeline.core.files import (
    file_hash,
    read_json,
    whole_directory,
    whole_file,
    write_csv,
    write_json,
)


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "file"

    def fail_halfway() -> None:
        with whole_file(path) as draft:
            draft.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert list(path.parent.iterdir()) == []
    with whole_file(path) as draft:
        draft.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"


def test_a_directory_replaces_its_predecessor_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model"
    with whole_directory(path) as draft:
        (draft / "old").touch()

    def fail_halfway() -> None:
        with whole_directory(path) as draft:
            (draft / "half").touch()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_halfway()
    assert [file.name for file in path.iterdir()] == ["old"]
    with whole_directory(path) as draft:
        (draft / "new").touch()
    assert [file.name for file in path.iterdir()] == ["new"]
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


def test_text_files_are_the_same_bytes_on_every_platform(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"café": [1, 2.5]})
    assert (
        tmp_path / "a.json"
    ).read_bytes() == '{\n  "café": [\n    1,\n    2.5\n  ]\n}\n'.encode()
    assert read_json(tmp_path / "a.json", dict[str, Any], "make it") == {"café": [1, 2.5]}
    write_csv(tmp_path / "a.csv", ("x", "y"), [{"x": 1, "y": "b,c"}, {"x": 2, "y": "d"}])
    assert (tmp_path / "a.csv").read_bytes() == b'x,y\n1,"b,c"\n2,d\n'
    write_csv(tmp_path / "empty.csv", ("x", "y"), [])
    assert (tmp_path / "empty.csv").read_bytes() == b"x,y\n"


def test_a_hash_follows_content_and_order(tmp_path: Path) -> None:
    first, second = tmp_path / "1", tmp_path / "2"
    first.write_text("a")
    second.write_text("b")
    assert file_hash(first, second) != file_hash(second, first)
    assert file_hash(first) == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"
