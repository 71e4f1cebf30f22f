import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import files
from pipeline.core.errors import UserError
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


def test_two_runs_at_once_do_not_share_a_draft(tmp_path: Path) -> None:
    """Each writes its own; one that was killed leaves nothing behind for ever."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from pipeline.core.files import whole_directory\n"
        "with whole_directory(Path('out')) as draft:\n"
        "    (draft / 'a').write_text(sys.argv[1]); print('ready', flush=True); time.sleep(600)"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[2])}
    with subprocess.Popen(
        [sys.executable, "-c", script, "other"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
    ) as other:
        assert other.stdout
        other.stdout.readline()
        with files.whole_directory(tmp_path / "out") as draft:
            (draft / "a").write_text("own")
        assert len(list(tmp_path.glob(".out.*"))) == 1
        other.kill()
        other.wait()
        with files.whole_directory(tmp_path / "out") as draft:
            (draft / "a").write_text("own")
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert (tmp_path / "out" / "a").read_text() == "own"


def test_what_stands_where_an_output_should_be_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "there")
    for name in ("file", "link"):
        with pytest.raises(UserError, match="move it away"), files.whole_directory(tmp_path / name):
            raise AssertionError("it has begun")
    with pytest.raises(UserError, match="move it away"), files.whole_file(tmp_path / "there"):
        raise AssertionError("it has begun")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "link", "there"]


QUEUED = (".dvc", "tmp", "exps")


@pytest.mark.parametrize("below", [(*QUEUED, "tmpab1"), (*QUEUED, "standalone", "tmpx")])
def test_a_source_of_a_queued_experiment_is_that_of_its_project(
    below: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path.joinpath("project", *below)
    place.mkdir(parents=True)
    (tmp_path / "mine").mkdir()
    monkeypatch.chdir(place)
    assert files.source_path("../mine").resolve() == (tmp_path / "mine").resolve()
    assert files.source_path("../missing") == Path("../missing")
    (place / "own").mkdir()
    assert files.source_path("own") == Path("own")
