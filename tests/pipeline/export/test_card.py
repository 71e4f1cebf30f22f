"""The model card says what was measured, and its snippets run."""

import os
import re
import subprocess
import sys
from pathlib import Path

import exports
import numpy as np
import pytest
import yaml
from closure import SOURCE
from exports import Export
from huggingface_hub import ModelCard

from pipeline.core.errors import UserError
from pipeline.export.card import ONNX_INT8
from pipeline.export.settings import Export as Settings


def card_of(made: Export) -> str:
    return (made.directory / "README.md").read_text()


def test_the_metadata_is_that_of_a_hub(exported: Export, exported_nli: Export) -> None:
    data = ModelCard.load(exported.directory / "README.md").data
    assert data.pipeline_tag == "text-ranking"
    assert data.library_name == "sentence-transformers"
    assert data.license is None
    (result,) = data.eval_results
    assert (result.dataset_name, result.metric_type, result.metric_value) == (
        "qa",
        "accuracy",
        0.75,
    )
    assert ModelCard.load(exported_nli.directory / "README.md").data.pipeline_tag == (
        "text-classification"
    )


def test_the_card_says_what_was_measured(exported: Export) -> None:
    text = card_of(exported)
    gate, rates = exported.made.gate, exported.made.rates
    assert f"{100 * gate.agreement:.2f}% of {gate.rows:,} rows" in text
    assert f"accuracy is {100 * gate.int8_accuracy:.1f}%" in text
    assert gate.gain.points in text
    assert exported.made.machine in text
    line = next(line for line in text.splitlines() if line.startswith(f"| {ONNX_INT8} "))
    assert f"{rates[ONNX_INT8].one_by_one:.0f}" in line
    size = (exported.directory / "onnx/model_quantized.onnx").stat().st_size / 1e6
    assert f"{size:.1f} MB" in line
    assert "Results on the test set 'qa': 60 rows." in text
    assert "| qa | accuracy | 0.75 | 0.65 to 0.85 |" in text
    assert "0.7 " not in text.split("All scores")[1].split("## Size")[0]
    for name, letter in (("t1", "a"), ("t2", "b")):
        assert f"| 2 | {name} | {letter * 64} |" in text
    assert "| stage 1 | pool | web, qa | 1,234 | also in evaluation 5 |" in text
    assert "| tests | qa | qa | 1,234 | also in evaluation 5 |" in text
    assert "at most 16 tokens" in text
    assert "No license is given" in text
    # What a template leaves behind when a condition does not hold.
    assert "\n\n\n" not in text
    assert "{" not in re.sub(r"```.*?```", "", text, flags=re.DOTALL)


def test_what_went_wrong_in_training_is_in_the_card(tiny_bert: Path, tmp_path: Path) -> None:
    student = exports.save_student(
        tmp_path / "s", tiny_bert, failed=True, still_falling=True, teachers={}
    )
    stage1 = exports.save_student(tmp_path / "s1", tiny_bert, teachers={"first": "c" * 64})
    settings = Settings(int8_agreement=0, int8_loss=1, license="mit")
    text = card_of(exports.export(student, tmp_path / "e", stage1=stage1, settings=settings))
    assert "Its training has failed" in text
    assert "Its training was too short" in text
    assert f"| 1 | first | {'c' * 64} |" in text
    assert "| 2 |" not in text
    assert yaml.safe_load(text.split("---")[1])["license"] == "mit"


def snippets(text: str) -> list[tuple[str, str]]:
    return re.findall(r"```(python|sh)\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("which", ["exported", "exported_nli"])
def test_the_snippets_run(which: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    made: Export = request.getfixturevalue(which)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/export").symlink_to(made.directory)
    (tmp_path / "pairs.csv").write_text("question,passage\nthe cat,is small\n")
    (tmp_path / "passages.txt").write_text("the cat\nis small\n")
    environment = {
        **os.environ,
        "PYTHONPATH": str(SOURCE),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    found = snippets(card_of(made))
    assert len(found) == 4
    outputs = []
    for kind, code in found:
        program = [sys.executable, "-c"] if kind == "python" else ["sh", "-ec"]
        done = subprocess.run(
            [*program, code], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"
        outputs.append(done.stdout)
    probability = made.expected([("which question?", "a passage")])[0].numpy()
    numbers = [float(number) for number in re.findall(r"\d\.\d+(?:e-\d+)?", outputs[1])]
    shipped = probability[1:] if len(probability) == 2 else probability
    assert np.allclose(numbers, shipped, atol=1e-4)


def test_damaged_results_are_refused(tiny_bert: Path, tmp_path: Path) -> None:
    student = exports.save_student(tmp_path / "s", tiny_bert)
    metrics, corpora = exports.results(tmp_path / "e")
    (metrics / "scores.csv").write_text("not what was here before\n")
    with pytest.raises(UserError, match=r"metrics are damaged .*: run `dvc repro -f evaluate`"):
        exports.export_with(student, tmp_path / "e", metrics, corpora)
