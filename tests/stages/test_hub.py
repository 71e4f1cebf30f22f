"""Without a network, a hub id ends in one sentence that says what to do instead."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import project
import pytest
import yaml
from conftest import tiny_params


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "section", "sentence"),
    [
        (
            ["download.py"],
            ("corpora", "qa"),
            "could not be read (.*): name a dataset on a hub that this machine can reach, or a "
            "local directory with one Parquet, CSV or JSON lines file per split, in UTF-8.",
        ),
        (
            ["fetch_pretrained.py", "tiny"],
            ("pretrained", "tiny"),
            "could not be loaded (.*): name a directory, a model on a hub that this machine can "
            "reach, or package:NAME.",
        ),
    ],
)
def test_a_hub_that_cannot_be_reached(
    stage: list[str],
    section: tuple[str, str],
    sentence: str,
    corpora: Path,
    tiny_bert: Path,
    tmp_path: Path,
) -> None:
    params: dict[str, Any] = tiny_params(corpora, tiny_bert)
    params[section[0]][section[1]] |= {"source": "someone/something", "revision": "0" * 40}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache"), "COLUMNS": "1000"}
    done = subprocess.run(
        [sys.executable, project.ROOT / "stages" / stage[0], *stage[1:]],
        cwd=tmp_path,
        env={**os.environ, **offline},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    output = " ".join((done.stdout + done.stderr).split())
    assert "someone/something" in output
    assert "Traceback" not in output
    before, after = sentence.split("(.*)")
    assert before in output
    assert after in output
