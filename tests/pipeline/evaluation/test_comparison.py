"""The table: each line is what its own model answers, on the same rows."""

import dataclasses
from pathlib import Path
from typing import Any

import families
import numpy as np
import pyarrow as pa
import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from scipy.special import softmax
from sklearn.metrics import average_precision_score, log_loss

from pipeline import logits
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.evaluation import figures, ranking, report
from pipeline.evaluation.comparison import evaluate
from pipeline.evaluation.results import Evaluation
from pipeline.evaluation.scoring import Interval
from pipeline.logits import Artifact, Notes, TeacherIdentity
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.model.loading import load_encoder
from pipeline.model.pair_model import Card, PairModel

TEST = rows_of(40, 2, "test/qa")
RIGHT = torch.from_numpy(TEST.labels)


def save_student(directory: Path, bert: Path, heads: tuple[str, ...], seed: int) -> None:
    encoder, tokenizer = load_encoder(bert, layers=1)
    torch.manual_seed(seed)
    model = PairModel(encoder, heads, head_layers=1, classes=2, dropout=0.0)
    for head in model.heads.parameters():
        torch.nn.init.normal_(head)
    card = Card(LABEL_NAMES, 16, 1, heads, from_stage1=True)
    pair_model.save(directory, model, tokenizer, card=card)


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


def change_card(student: Path, **changes: Any) -> None:
    model, tokenizer, card = pair_model.load(student)
    pair_model.save(student, model, tokenizer, card=dataclasses.replace(card, **changes))


def run(place: Path, test: Rows = TEST) -> Evaluation:
    teachers = [artifact(place, name) for name in ("t1", "t2")]
    return evaluate(test, teachers, is_task=True, stage1=place / "stage1", stage2=place / "stage2")


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


def test_test_rows_are_scored_in_float32_whatever_the_precision_of_the_run(
    place: Path, request: pytest.FixtureRequest
) -> None:
    """In bfloat16, many rows have equal logits, which would change a ranking."""
    before = run(place, grouped())
    request.getfixturevalue("in_bfloat16")
    after = run(place, grouped())
    for name in ("stage 1", "student"):
        scores = [one.systems[name].score for one in (before, after)]
        assert scores[1].ranking == scores[0].ranking
        assert scores[1].log_loss.value == pytest.approx(scores[0].log_loss.value, abs=1e-6)


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
    assert "has failed" not in report.markdown([run(place)])
    assert figures.metrics([run(place)])["qa"]["failed_trainings"] == 0
    rewrite(place, "t2", failed=True)
    change_card(place / "stage1", failed=True)
    shown = report.markdown([run(place)])
    assert "- the training of stage 1 has failed: its loss stayed close to that of a con" in shown
    # What ranks or answers well here has not failed, whatever its loss was.
    assert "- the training of t2 was weak: its loss stayed close to that of a constant" in shown
    assert "training of t1" not in shown
    assert figures.metrics([run(place)])["qa"]["failed_trainings"] == 1


def test_a_training_that_was_too_short_is_named(place: Path) -> None:
    rewrite(place, "t1", still_falling=True)
    change_card(place / "stage2", still_falling=True)
    shown = report.markdown([run(place)])
    for name in ("t1", "student"):
        assert f"- the training of {name} was too short: its loss was still falling" in shown
    assert shown.count("was too short") == 2
    assert figures.metrics([run(place)])["qa"]["short_trainings"] == 2


def test_stage_1_has_no_line_where_it_answers_another_question(
    place: Path, tiny_bert: Path
) -> None:
    encoder, tokenizer = load_encoder(tiny_bert, layers=1)
    other = Card(("no", "yes"), 16, 1, ("t1",))
    model = PairModel(encoder, ("t1",), head_layers=1, classes=2, dropout=0.0)
    pair_model.save(place / "stage1", model, tokenizer, card=other)
    assert list(run(place).systems) == ["t1", "t2", "teachers' mean", "student"]


def test_a_student_of_other_classes_is_refused(place: Path) -> None:
    with pytest.raises(UserError, match="scores the classes irrelevant, relevant, but test/qa"):
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
    with pytest.raises(UserError, match="'t2' scores the classes no, yes, but test/qa"):
        run(place)


def test_the_report_holds_what_the_evaluation_found(place: Path) -> None:
    result = run(place)
    shown = report.markdown([result])
    student = result.systems["student"]
    line = next(line for line in shown.splitlines() if line.startswith("| student"))
    assert f"{student.score.accuracy.value:.1%}" in line
    title = f"'qa': 40 rows, 95% intervals (fingerprint {TEST.fingerprint})."
    assert f"Results on the test set {title}" in shown
    numbers = figures.metrics([result])["qa"]
    assert numbers["accuracy_of"] == {
        "t1": 1.0,
        "t2": 0.75,
        "teachers_mean": 0.75,
        "stage_1": result.systems["stage 1"].score.accuracy.value,
    }
    assert numbers["student"]["accuracy"] == student.score.accuracy.value
    # Stage 1 is no better than the majority class, and neither is this student.
    assert shown.count("- student minus ") == 3


def test_the_table_is_markdown_that_fits_a_terminal(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    lines = [line for line in report.markdown([run(place)]).splitlines() if line.startswith("|")]
    assert lines[1].replace("-", "") == "|" * 8
    assert len({len(line) for line in lines}) == 1
    assert len(lines[0]) <= 80
    assert len(lines) == 2 + 6
    first = [cell.strip() for cell in lines[2].split("|")]
    assert first[1:5] == ["majority class", "50.0%", "35.2-64.8", "0.500"]


def grouped(relevant: str = "relevant", size: int = 4) -> Rows:
    """Questions of ``size`` rows; a last one has only right rows."""
    names = [f"q{i // size}" for i in range(40)]
    for i in np.flatnonzero(TEST.labels == 1)[-3:]:
        names[i] = "right only"
    table = TEST.table.append_column("group", pa.array(names))
    return dataclasses.replace(TEST, table=table, relevant_label=relevant)


def test_a_ranking_leads_the_report_which_says_over_which_questions(place: Path) -> None:
    result = run(place, grouped())
    first = result.systems["t1"].score
    assert (result.questions, result.all_questions) == (9, 11)
    assert first.ranking["mean_average_precision"] == Interval(1.0, 1.0, 1.0)
    numbers = figures.metrics([result])["qa"]
    assert list(numbers["student"])[:3] == [*ranking.SCORES]
    assert numbers["mean_average_precision_of"]["t1"] == 1.0
    assert (numbers["questions"], numbers["all_questions"], numbers["rows"]) == (9, 11, 40)
    shown = report.markdown([result])
    assert "'qa': 40 rows of 11 questions" in shown
    assert "over the 9 questions with right and wrong rows, ranked by the probability of 'rel" in (
        shown
    )
    assert "over all 11 questions, of which one without a right row counts as 0" in shown
    lines = [line for line in figures.scores(result) if line["system"] == "t1"]
    assert {line["score"] for line in lines} >= {"accuracy", *ranking.SCORES}
    assert {line["test"] for line in lines} == {"qa"}
    assert set(lines[0]) == set(figures.SCORES)
    header = next(line for line in shown.splitlines() if "accuracy" in line)
    assert len(header) <= 90, header
    assert "…" not in shown
    assert [cell.strip() for cell in header.split("|")][2:-1] == [
        *("MAP", "interval", "MRR", "P@1", "accuracy", "agrees", "size", "speed"),
    ]
    assert shown.count("- student minus t1: MAP ") == 1


def test_scores_of_a_ranking_are_those_of_an_independent_implementation(place: Path) -> None:
    test = grouped()
    model, tokenizer, card = pair_model.load(place / "stage2")
    said = predict(model, encode(tokenizer, TEST, 16), card.heads).mean(dim=1).softmax(dim=-1)
    precisions, reciprocal_ranks, firsts, differences = [], [], [], []
    for name in sorted(set(test.groups or ())):
        own = np.array([group == name for group in test.groups or ()])
        right = TEST.labels[own] == 1
        if right.all() or not right.any():
            continue
        scores = said[torch.from_numpy(own), 1].double().numpy()
        best_first = right[np.argsort(-scores)]
        precisions.append(average_precision_score(right, scores))
        reciprocal_ranks.append(1 / (1 + best_first.argmax()))
        firsts.append(best_first[0])
        differences.append(precisions[-1] - 1.0)
    result = run(place, test)
    found = [result.systems["student"].score.ranking[name].value for name in ranking.SCORES]
    expected = [np.mean(precisions), np.mean(reciprocal_ranks), np.mean(firsts)]
    assert found == pytest.approx(expected, abs=1e-6)
    # t1 ranks all questions perfectly.
    assert result.gains["t1"].value == pytest.approx(np.mean(differences), abs=1e-6)


def test_the_right_class_is_the_one_that_the_corpus_names(place: Path) -> None:
    precise = ranking.SCORES[0]
    relevant, irrelevant = (run(place, grouped(name)) for name in reversed(LABEL_NAMES))
    # t1 knows both classes; the student ranks one as it does the other backwards.
    assert irrelevant.systems["t1"].score.ranking[precise].value == 1.0
    student = [
        one.systems["student"].score.ranking[precise].value for one in (relevant, irrelevant)
    ]
    assert student[0] != student[1]


def collapse(place: Path) -> None:
    """Let the student and t2 answer the same class for all rows."""
    model, tokenizer, card = pair_model.load(place / "stage2")
    for head in model.heads.parameters():
        torch.nn.init.zeros_(head)
    pair_model.save(place / "stage2", model, tokenizer, card=card)
    given = artifact(place, "t2")
    identity, notes = logits.read_identity(given), logits.read_notes(given)
    same = torch.tensor([[1.0, 0.0]]).expand(40, -1)

    def score(rows: Rows, start: int, stop: int) -> torch.Tensor:
        return same[start:stop].clone()

    parts = place / "parts"
    logits.write(given.directory, identity, [TEST], notes=notes, score=score, parts=parts)


def test_a_collapsed_system_is_named_and_not_compared_with_another(place: Path) -> None:
    collapse(place)
    result = run(place)
    shown = report.sentences(result)
    for name in ("t2", "student"):
        assert f"{name} answers 'irrelevant' for nearly all rows" in shown
        assert result.systems[name].above_baseline == Interval(0.0, 0.0, 0.0)
        start = f"{name} is not established to be better than the majority class: +0.0 points"
        assert any(sentence.startswith(start) for sentence in shown)
    assert not any(sentence.startswith("t1 ") for sentence in shown)
    # It is worse than t1; beside t2 there is nothing to compare.
    assert "t1" in result.gains
    assert "t2" not in result.gains
    assert figures.metrics([result])["qa"]["not_above_baseline"] >= 2


def with_scores(place: Path, scores: torch.Tensor, test: Rows) -> Evaluation:
    """The evaluation of t1 with these logits [rows, classes] on ``test``."""
    given = artifact(place, "t1")
    identity, notes = logits.read_identity(given), logits.read_notes(given)
    for name in ("t1", "t2"):
        logits.write(
            artifact(place, name).directory,
            dataclasses.replace(identity, teacher=name),
            [test],
            notes=notes,
            score=lambda rows, start, stop: scores[start:stop].clone().float(),
            parts=place / "parts",
        )
    return run(place, test)


def rare(count: int = 400, positives: int = 12) -> Rows:
    test = rows_of(count, 2, "test/qa")
    labels = pa.array([int(i < positives) for i in range(count)], pa.int64())
    return dataclasses.replace(test, table=test.table.set_column(2, "label", labels))


def test_a_model_of_a_rare_class_has_learned_though_it_never_answers_it(place: Path) -> None:
    """By accuracy alone, it would be as good as the majority class."""
    test = rare()
    scores = torch.zeros(400, 2)
    scores[:, 1] = torch.linspace(-3, -6, 400)
    result = with_scores(place, scores, test)
    t1 = result.systems["t1"]
    assert t1.above_baseline == Interval(0.0, 0.0, 0.0)
    assert t1.has_learned
    assert "t1" in result.gains
    assert t1.score.average_precision is not None
    assert t1.score.average_precision.value == 1.0
    assert not any(line.startswith("t1 is not established") for line in report.sentences(result))


def test_swapped_classes_are_suspected(place: Path) -> None:
    test = rare()
    scores = torch.zeros(400, 2)
    scores[:, 0] = torch.linspace(2, -2, 400)
    result = with_scores(place, scores, test)
    assert result.systems["t1"].is_worse
    assert any(
        line.startswith("t1 is worse than chance: are classes swapped?")
        for line in report.sentences(result)
    )


def test_what_the_student_finds_of_a_rare_class_is_said(place: Path) -> None:
    test = rare()
    change_card(place / "stage2", thresholds=(0.5, 0.2))
    result = with_scores(place, torch.zeros(400, 2), test)
    found = result.positive
    assert found is not None
    assert (found.name, found.share, found.threshold) == ("relevant", 0.03, 0.2)
    chosen = [line["student_relevant"] >= 0.2 for line in result.predictions]
    assert found.recall == pytest.approx(sum(chosen[:12]) / 12)
    assert found.precision == pytest.approx(sum(chosen[:12]) / max(1, sum(chosen)))
    said = report.sentences(result)
    assert any(line.startswith("'relevant' are 3.0% of the rows: the student") for line in said)


def test_a_test_set_that_lacks_a_class_says_so_and_may_merge_it(
    place: Path, tiny_bert: Path
) -> None:
    """As SciTail, which does not tell neutral from contradiction."""
    names = ("entailment", "neutral", "contradiction")
    test = dataclasses.replace(rows_of(40, 2, "test/qa"), label_names=names)
    # All rows of class 1 get class 2.
    scores = torch.eye(3)[torch.from_numpy(np.where(test.labels == 1, 2, 0))] * 4
    for stage in ("stage1", "stage2"):
        encoder, tokenizer = load_encoder(tiny_bert, layers=1)
        model = PairModel(encoder, ("t1",), head_layers=1, classes=3, dropout=0.0)
        pair_model.save(place / stage, model, tokenizer, card=Card(names, 16, 1, ("t1",)))
    identity = dataclasses.replace(logits.read_identity(artifact(place, "t1")), label_names=names)
    for name in ("t1", "t2"):
        logits.write(
            artifact(place, name).directory,
            dataclasses.replace(identity, teacher=name),
            [test],
            notes=logits.read_notes(artifact(place, name)),
            score=lambda rows, start, stop: scores[start:stop].clone().float(),
            parts=place / "parts",
        )
    apart = run(place, test)
    assert apart.absent == ("contradiction",)
    assert apart.systems["t1"].score.accuracy.value == 0.5
    assert "set corpora.qa.merged" in report.markdown([apart])
    merged = run(place, dataclasses.replace(test, merged={"contradiction": "neutral"}))
    assert merged.systems["t1"].score.accuracy.value == 1.0
    assert merged.systems["t1"].score.macro_f1.value == 1.0
    assert merged.absent == ()
    assert set(merged.predictions[0]) >= {"teachers_entailment", "teachers_neutral"}
    assert "teachers_contradiction" not in merged.predictions[0]


def test_a_collapsed_ranking_is_named(place: Path) -> None:
    collapse(place)
    result = run(place, grouped())
    start = "student is not established to be better than a random order: -"
    said = report.sentences(result)
    assert any(sentence.startswith(start) for sentence in said)
    assert "student answers 'irrelevant' for nearly all rows" in said
    assert result.systems["t1"].has_learned
    # One that ranks well may still answer one class, where the other is rare.
    rewritten = dataclasses.replace(result.systems["t1"], one_class="irrelevant")
    ranks = dataclasses.replace(result, systems={**result.systems, "t1": rewritten})
    sentence = "t1 answers 'irrelevant' for nearly all rows; its accuracy says nothing, but its"
    assert any(line.startswith(sentence) for line in report.sentences(ranks))


def test_the_baseline_knows_only_the_shares_of_the_classes(place: Path) -> None:
    baseline = run(place).baseline
    assert baseline.accuracy.value == 0.5
    assert baseline.log_loss.value == pytest.approx(np.log(2))
    assert baseline.roc_auc is not None
    assert baseline.roc_auc.value == 0.5
    random = run(place, grouped()).baseline.ranking["mean_average_precision"].value
    # Questions of 4 rows, mostly with 2 right ones: 25/36 by hand for 2 of 4.
    assert random == pytest.approx(0.66, abs=0.08)


def test_a_difference_inside_its_interval_is_not_called_a_gain(place: Path) -> None:
    evaluation = run(place)
    gains = {
        "sure": dataclasses.replace(evaluation.gains["t1"], value=0.03, low=0.01, high=0.05),
        "unsure": dataclasses.replace(evaluation.gains["t1"], value=0.01, low=-0.01, high=0.03),
    }
    sentences = report.sentences(dataclasses.replace(evaluation, gains=gains))
    assert sentences[-2:] == [
        "student minus sure: +3.0 points [+1.0, +5.0]",
        "student minus unsure: +1.0 points [-1.0, +3.0], not established: the interval includes 0",
    ]
