"""The table: each line is what its own model answers, on the same rows."""

import dataclasses
from pathlib import Path
from typing import Any

import families
import pyarrow as pa
import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from scipy.special import softmax
from sklearn.metrics import log_loss

from pipeline import logits
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.evaluation import report
from pipeline.evaluation.comparison import Evaluation, evaluate
from pipeline.evaluation.scoring import Interval
from pipeline.logits import Artifact, Notes, TeacherIdentity
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel

TEST = rows_of(40, 2, "task/test")
RIGHT = torch.from_numpy(TEST.labels)


def save_student(directory: Path, bert: Path, heads: tuple[str, ...], seed: int) -> None:
    encoder, tokenizer = load_encoder(bert, layers=1)
    torch.manual_seed(seed)
    model = PairModel(encoder, heads, head_layers=1, classes=2, dropout=0.0)
    for head in model.heads.parameters():
        torch.nn.init.normal_(head)
    pair_model.save(directory, model, tokenizer, card=Card(LABEL_NAMES, 16, 1, heads))


@pytest.fixture
def place(tmp_path: Path, tiny_bert: Path) -> Path:
    """Teacher t1 is always right; t2 is wrong, and surer of it, on the first 10 of 40 rows."""
    encoder, tokenizer = load_encoder(tiny_bert)
    source = TeacherIdentity("t1", "w1", "tokenizer", 16, "float32", LABEL_NAMES)
    lengths = encode(tokenizer, TEST, 16).lengths.tolist()
    notes = Notes(1_000_000, encoder.config.to_diff_dict(), tuple(lengths), failed=False)
    said = {"t1": torch.eye(2)[RIGHT], "t2": 3 * torch.eye(2)[RIGHT]}
    said["t2"][:10] = said["t2"][:10].flip(1)
    for name, tensor in said.items():

        def score(rows: Rows, start: int, stop: int, tensor: torch.Tensor = tensor) -> torch.Tensor:
            return tensor[start:stop].clone()

        own = dataclasses.replace(source, teacher=name)
        logits.write(
            tmp_path / "logits" / name,
            own,
            [TEST],
            notes=notes,
            score=score,
            parts=tmp_path / "parts",
        )
    save_student(tmp_path / "stage1", tiny_bert, ("t1", "t2"), 1)
    save_student(tmp_path / "stage2", tiny_bert, ("golden", "t1", "t2"), 2)
    return tmp_path


def artifact(place: Path, teacher: str) -> Artifact:
    return Artifact(place / "logits" / teacher, f"dump_task_logits@{teacher}")


def run(place: Path, test: Rows = TEST) -> Evaluation:
    teachers = [artifact(place, name) for name in ("t1", "t2")]
    return evaluate(test, teachers, stage1=place / "stage1", stage2=place / "stage2")


def test_every_system_is_scored_by_its_own_answers(place: Path) -> None:
    result = run(place)
    assert list(result.systems) == ["t1", "t2", "teachers' mean", "stage 1", "student"]
    accuracies = {name: one.score.accuracy.value for name, one in result.systems.items()}
    assert accuracies["t1"] == 1.0
    assert accuracies["t2"] == 0.75
    # The mean follows t2 where it is surer: 0.73 for the right class against 0.95 for the wrong.
    assert accuracies["teachers' mean"] == 0.75
    assert result.systems["t1"].agreement == 0.75
    assert result.systems["teachers' mean"].agreement == 1.0
    assert result.gains["t1"].value == pytest.approx(accuracies["student"] - 1.0)


def test_the_student_answers_with_the_mean_of_all_its_heads_and_its_temperature(
    place: Path,
) -> None:
    model, tokenizer, card = pair_model.load(place / "stage2")
    warm = dataclasses.replace(card, temperature=2.5)
    pair_model.save(place / "stage2", model, tokenizer, card=warm)
    said = predict(model, encode(tokenizer, TEST, 16), card.heads).double().numpy()
    expected = softmax(said.mean(axis=1) / 2.5, axis=-1)
    score = run(place).systems["student"].score
    assert score.accuracy.value == (expected.argmax(axis=1) == TEST.labels).mean()
    assert score.log_loss.value == pytest.approx(log_loss(TEST.labels, expected))


def test_size_and_speed_are_compared_with_the_slowest_teacher(place: Path) -> None:
    systems = run(place).systems
    assert systems["t1"].parameters == 1_000_000
    assert systems["teachers' mean"].parameters == 2_000_000
    assert systems["t1"].speedup == systems["t2"].speedup == 1.0
    assert systems["teachers' mean"].speedup == pytest.approx(0.5)
    assert systems["student"].speedup > 0


def rewrite(place: Path, teacher: str, *, flip: bool = False, **changes: Any) -> None:
    """Write the logits of a teacher again, with another identity or other notes."""
    given = artifact(place, teacher)
    identity, notes = logits.read_identity(given), logits.read_notes(given)
    tensor = logits.read(given, identity, TEST, LABEL_NAMES)
    own = {name: changes.pop(name) for name in list(changes) if hasattr(notes, name)}

    def score(rows: Rows, start: int, stop: int) -> torch.Tensor:
        return (tensor.flip(1) if flip else tensor)[start:stop].clone()

    logits.write(
        given.directory,
        dataclasses.replace(identity, **changes),
        [TEST],
        notes=dataclasses.replace(notes, **own),
        score=score,
        parts=place / "parts",
    )


@pytest.mark.parametrize("family", sorted(families.FAMILIES))
def test_a_teacher_of_another_family_has_its_own_size_and_speed(place: Path, family: str) -> None:
    config, _ = families.FAMILIES[family](["cat"])
    config.head_pooling = "mean"
    before = run(place)
    rewrite(
        place,
        "t2",
        tokenizer="another",
        max_length=99,
        encoder=config.to_diff_dict(),
        lengths=[120] * 40,
        parameters=7,
    )
    after = run(place)
    assert after.systems["t2"].parameters == 7
    assert after.systems["t2"].speedup == 1.0
    assert after.systems["t1"].speedup > 1.0
    for name in before.systems:
        assert after.systems[name].score == before.systems[name].score


def test_classes_in_another_order_are_matched_by_name(place: Path) -> None:
    before = run(place)
    rewrite(place, "t2", flip=True, label_names=tuple(reversed(LABEL_NAMES)))
    assert run(place).systems["t2"].score == before.systems["t2"].score
    for stage in ("stage1", "stage2"):
        model, tokenizer, card = pair_model.load(place / stage)
        for head in model.heads.values():
            pair_model.reorder_classes(head, [1, 0])
        backwards = dataclasses.replace(card, label_names=tuple(reversed(LABEL_NAMES)))
        pair_model.save(place / stage, model, tokenizer, card=backwards)
    for name in ("stage 1", "student"):
        assert run(place).systems[name].score == before.systems[name].score


def test_a_failed_training_is_named_in_the_report_and_counted(place: Path) -> None:
    assert "has failed" not in report.markdown(run(place))
    assert report.metrics(run(place))["failed_trainings"] == 0
    rewrite(place, "t2", failed=True)
    model, tokenizer, card = pair_model.load(place / "stage1")
    failed = dataclasses.replace(card, failed=True)
    pair_model.save(place / "stage1", model, tokenizer, card=failed)
    shown = report.markdown(run(place))
    for name in ("t2", "stage 1"):
        sentence = f"- the training of {name} has failed: its loss stayed that of a constant"
        assert sentence in shown
    assert "training of t1 has" not in shown
    assert report.metrics(run(place))["failed_trainings"] == 2


def test_stage_1_has_no_line_where_it_answers_another_question(
    place: Path, tiny_bert: Path
) -> None:
    encoder, tokenizer = load_encoder(tiny_bert, layers=1)
    other = Card(("no", "yes"), 16, 1, ("t1",))
    model = PairModel(encoder, ("t1",), head_layers=1, classes=2, dropout=0.0)
    pair_model.save(place / "stage1", model, tokenizer, card=other)
    assert list(run(place).systems) == ["t1", "t2", "teachers' mean", "student"]


def test_a_student_of_other_classes_is_refused(place: Path) -> None:
    with pytest.raises(UserError, match="scores the classes irrelevant, relevant, but task/test"):
        run(place, dataclasses.replace(TEST, label_names=("no", "yes")))


def test_a_teacher_of_other_classes_is_refused(place: Path, tiny_bert: Path) -> None:
    given = artifact(place, "t2")
    source, notes = logits.read_identity(given), logits.read_notes(given)
    other = dataclasses.replace(source, label_names=("no", "yes"))

    def score(rows: Rows, start: int, stop: int) -> torch.Tensor:
        return torch.zeros(stop - start, 2)

    directory = place / "logits" / "t2"
    parts = place / "parts"
    logits.write(directory, other, [TEST], notes=notes, score=score, parts=parts)
    with pytest.raises(UserError, match="'t2' scores the classes no, yes, but task"):
        run(place)


def test_the_report_holds_what_the_evaluation_found(place: Path) -> None:
    result = run(place)
    shown = report.markdown(result)
    student = result.systems["student"]
    line = next(line for line in shown.splitlines() if line.startswith("| student"))
    assert f"{student.score.accuracy.value:.1%}" in line
    assert "Results on the test split of the task: 40 rows" in shown
    numbers = report.metrics(result)
    assert numbers["accuracy_of"] == {
        "t1": 1.0,
        "t2": 0.75,
        "teachers_mean": 0.75,
        "stage_1": result.systems["stage 1"].score.accuracy.value,
    }
    assert numbers["student"]["accuracy"] == student.score.accuracy.value
    assert shown.count("- student minus ") == 4


def test_the_table_is_markdown_that_fits_a_terminal(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = [line for line in report.markdown(run(place)).splitlines() if line.startswith("|")]
    assert lines[1].replace("-", "") == "|" * 8
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    assert len(lines) == 2 + 5


def test_grouped_rows_are_ranked_and_the_report_says_by_what(place: Path) -> None:
    groups = pa.array([f"q{i // 4}" for i in range(40)])
    grouped = dataclasses.replace(TEST, table=TEST.table.append_column("group", groups))
    result = run(place, grouped)
    first = result.systems["t1"].score
    assert first.questions == 10
    assert first.mean_average_precision == Interval(1.0, 1.0, 1.0)
    assert report.metrics(result)["questions"] == 10
    shown = report.markdown(result)
    assert "over 10 questions with right and wrong rows, ranked by the probability of 'rel" in shown
    lines = [line for line in report.scores(result) if line["system"] == "t1"]
    assert {line["score"] for line in lines} >= {"accuracy", "roc_auc", "mean_average_precision"}
    assert set(lines[0]) == set(report.SCORES)
    header = next(line for line in shown.splitlines() if "accuracy" in line)
    assert len(header) <= 90
    assert "…" not in shown
    assert [cell.strip() for cell in header.split("|")][4:-1] == [
        *("AUC", "MAP", "agrees", "size", "speed"),
    ]


def test_a_difference_inside_its_interval_is_not_called_a_gain(place: Path) -> None:
    evaluation = run(place)
    gains = {
        "sure": dataclasses.replace(evaluation.gains["t1"], value=0.03, low=0.01, high=0.05),
        "unsure": dataclasses.replace(evaluation.gains["t1"], value=0.01, low=-0.01, high=0.03),
    }
    sentences = report.sentences(dataclasses.replace(evaluation, gains=gains))
    assert sentences[1:] == [
        "student minus sure: +3.0 points [+1.0, +5.0]",
        "student minus unsure: +1.0 points [-1.0, +3.0], not established: the interval includes 0",
    ]
