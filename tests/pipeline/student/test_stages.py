"""Both stages: which heads there are, what they learn from, and what is refused."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch
from conftest import LABEL_NAMES, rows_of
from safetensors.torch import load_file

from pipeline import logits
from pipeline.core.errors import UserError
from pipeline.core.rows import Rows
from pipeline.core.settings import check
from pipeline.logits import Artifact, Notes, TeacherIdentity
from pipeline.model import pair_model
from pipeline.model.encoding import encode
from pipeline.model.inference import predict
from pipeline.student.settings import Stage, Stage1, Stage2, Student
from pipeline.student.stages import TrainedStudent, distill, finetune_student
from pipeline.training.calibration import fit_temperature

TEACHERS = ("t1", "t2", "t3")
POOL = rows_of(80, 3, "general/pool")
TRAIN = rows_of(64, 0, "task/train")
VALIDATION = rows_of(24, 1, "task/validation")
PRETRAINED = Path("pretrained")
SPLITS = [POOL, TRAIN, VALIDATION]


@pytest.fixture(autouse=True)
def _in_tmp(tmp_path: Path, tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    PRETRAINED.symlink_to(tiny_bert)


def write_teacher(
    root: Path, bert: Path, name: str, *, swap: bool = False, failed: bool = False, **changes: Any
) -> None:
    """Logits of a teacher that is always right; their size depends on its name.

    ``swap`` writes its columns the other way round.
    """
    identity = TeacherIdentity(name, f"weights of {name}", "tokenizer", 16, "float32", LABEL_NAMES)
    scale = float(name[-1])

    def score(rows: Rows, start: int, stop: int) -> torch.Tensor:
        sides = torch.from_numpy(rows.labels[start:stop]).float() * 2 - 1
        columns = [sides, -sides] if swap else [-sides, sides]
        return torch.stack(columns, dim=1) * scale

    changed = dataclasses.replace(identity, **changes)
    parts = root / "parts"
    logits.write(
        root / name, changed, SPLITS, notes=Notes(7, {}, (), failed), score=score, parts=parts
    )


@pytest.fixture
def root(tmp_path: Path, tiny_bert: Path) -> Path:
    for name in TEACHERS:
        write_teacher(tmp_path / "logits", tiny_bert, name)
    return tmp_path / "logits"


def stage(kind: type[Stage] = Stage1, **changes: Any) -> Any:
    settings = {"lr": 3e-3, "epochs": 2, "batch_size": 8, "dropout": 0.0, "teachers": TEACHERS}
    return kind(**{**settings, **changes})


def artifacts(root: Path, settings: Stage) -> list[Artifact]:
    return [Artifact(root / name, f"dump_task_logits@{name}") for name in settings.teachers]


STUDENT = Student(weights="pretrained/tiny", layers=1)


def stage1(root: Path, pool: Rows = POOL, out: str = "stage1", **changes: Any) -> Path:
    settings = stage(**changes)
    distill(
        STUDENT,
        settings,
        max_length=16,
        pool=pool,
        teachers=artifacts(root, settings),
        start=PRETRAINED,
        directory=Path(out),
    )
    return Path(out)


def stage2(
    root: Path,
    alpha: float = 0.9,
    train: Rows = TRAIN,
    out: str = "stage2",
    **changes: Any,
) -> tuple[Path, TrainedStudent]:
    settings = stage(Stage2, **changes)
    start = Path("stage1") if settings.from_stage1 else PRETRAINED
    trained = finetune_student(
        STUDENT,
        settings,
        alpha=alpha,
        max_length=16,
        training=train,
        validation=VALIDATION,
        teachers=artifacts(root, settings),
        start=start,
        directory=Path(out),
    )
    return Path(out), trained


def weights(directory: Path) -> dict[str, torch.Tensor]:
    return load_file(directory / "model.safetensors") | load_file(directory / "heads.safetensors")


def same(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return ours.keys() == theirs.keys() and all(torch.equal(ours[n], theirs[n]) for n in ours)


def test_stage_1_has_a_soft_head_per_teacher_each_close_to_its_own(
    tiny_bert: Path, root: Path
) -> None:
    directory = stage1(root, epochs=60)
    model, tokenizer, card = pair_model.load(directory)
    assert card.heads == TEACHERS
    assert card.teachers == {name: f"weights of {name}" for name in TEACHERS}
    said = predict(model, encode(tokenizer, POOL, 16), card.heads)
    given = artifacts(root, stage())
    targets = [logits.read(one, logits.read_identity(one), POOL, LABEL_NAMES) for one in given]
    distance = torch.stack(
        [(said[:76, i] - target[:76]).square().mean() for target in targets for i in range(3)]
    ).reshape(3, 3)
    assert distance.argmin(dim=1).tolist() == [0, 1, 2]


def test_stage_1_reads_no_gold_label(tiny_bert: Path, root: Path) -> None:
    unlabelled = POOL.table.set_column(2, "label", pa.array([-1] * len(POOL)))
    first = stage1(root)
    second = stage1(root, dataclasses.replace(POOL, table=unlabelled), "unlabelled")
    assert same(first, second)


def test_stage_2_adds_a_golden_head_and_carries_over_encoder_and_soft_heads(
    tiny_bert: Path, root: Path
) -> None:
    before = weights(stage1(root))
    directory, trained = stage2(root, lr=1e-12)
    assert pair_model.load(directory)[2].heads == ("golden", *TEACHERS)
    assert (trained.carried_over, trained.new) == (TEACHERS, ())
    after = weights(directory)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, msg=name)


def test_soft_heads_of_a_retrained_teacher_are_new(tiny_bert: Path, root: Path) -> None:
    stage1(root)
    write_teacher(root, tiny_bert, "t2", weights="retrained")
    _, trained = stage2(root)
    assert (trained.carried_over, trained.new) == (("t1", "t3"), ("t2",))


def test_without_stage_1_the_student_starts_from_the_pretrained_weights(
    tiny_bert: Path, root: Path
) -> None:
    directory, trained = stage2(root, from_stage1=False, teachers=("t1",), lr=1e-12)
    assert trained.carried_over == ()
    pretrained = load_file(tiny_bert / "model.safetensors")
    for name, value in load_file(directory / "model.safetensors").items():
        torch.testing.assert_close(value, pretrained[name], msg=name)


def test_at_alpha_0_no_teacher_takes_part_and_none_is_read(tiny_bert: Path, root: Path) -> None:
    stage1(root)
    directory, trained = stage2(Path("no logits here"), alpha=0.0)
    assert pair_model.load(directory)[2].heads == ("golden",)
    assert (trained.carried_over, trained.new) == ((), ())


def test_at_alpha_1_the_golden_head_takes_no_part_and_no_label_is_read(
    tiny_bert: Path, root: Path
) -> None:
    stage1(root)
    first, _ = stage2(root, alpha=1.0)
    assert pair_model.load(first)[2].heads == TEACHERS
    flipped = TRAIN.table.set_column(2, "label", pa.array(1 - TRAIN.labels))
    second, _ = stage2(root, 1.0, dataclasses.replace(TRAIN, table=flipped), out="flipped")
    assert same(first, second)


def test_alpha_decides_between_gold_labels_and_teachers_that_contradict_them(
    tiny_bert: Path, root: Path
) -> None:
    flipped = TRAIN.table.set_column(2, "label", pa.array(1 - TRAIN.labels))
    contradicted = dataclasses.replace(TRAIN, table=flipped)
    answers = {}
    for alpha in (0.1, 0.95):
        directory, _ = stage2(
            root, alpha, contradicted, from_stage1=False, epochs=40, out=str(alpha)
        )
        model, tokenizer, _ = pair_model.load(directory)
        said = predict(model, encode(tokenizer, TRAIN, 16), ["golden", "t1"]).argmax(dim=-1)
        agrees_with_teachers = (said == torch.from_numpy(TRAIN.labels)[:, None]).double()
        answers[alpha] = agrees_with_teachers.mean(dim=0).tolist()
    golden, soft = answers[0.1]
    assert golden < 0.3
    assert soft > 0.7
    assert answers[0.95][1] > 0.9


def test_the_same_run_gives_the_same_weights_and_another_seed_does_not(
    tiny_bert: Path, root: Path
) -> None:
    first, again = stage1(root), stage1(root, out="again")
    assert same(first, again)
    assert not same(first, stage1(root, out="other", seed=2))


def test_a_teacher_with_another_tokenizer_and_length_teaches_the_same(
    tiny_bert: Path, root: Path
) -> None:
    first = stage1(root)
    write_teacher(root, tiny_bert, "t2", tokenizer="another", max_length=99, precision="bfloat16")
    assert same(first, stage1(root, out="mixed"))


def test_label_names_must_agree_between_teachers_and_with_the_task(
    tiny_bert: Path, root: Path
) -> None:
    write_teacher(root, tiny_bert, "t3", label_names=("no", "yes"))
    with pytest.raises(UserError, match="'t1' and 't3' have different classes"):
        stage1(root)
    with pytest.raises(UserError, match="scores the classes no, yes, but task/train"):
        stage2(root, from_stage1=False, teachers=("t3",))


def test_classes_in_another_order_are_matched_by_name(tiny_bert: Path, root: Path) -> None:
    """A teacher that lists the classes the other way round teaches the same."""
    first = stage1(root)
    directory, _ = stage2(root, lr=1e-12)
    backwards = tuple(reversed(LABEL_NAMES))
    write_teacher(root, tiny_bert, "t3", label_names=backwards, swap=True)
    assert same(first, stage1(root, out="swapped"))
    # The student of stage 1 may have another order than the task as well.
    swapped_pool = dataclasses.replace(POOL, label_names=backwards)
    assert pair_model.read_card(stage1(root, swapped_pool)).label_names == backwards
    again, trained = stage2(root, lr=1e-12, out="again")
    assert (trained.carried_over, trained.new) == (TEACHERS, ())
    said = []
    for place in (directory, again):
        model, tokenizer, _ = pair_model.load(place)
        said.append(predict(model, encode(tokenizer, POOL, 16), TEACHERS).argmax(dim=-1))
    assert (said[0] == said[1]).double().mean() > 0.9


def test_the_temperature_of_a_student_is_fitted_on_validation_rows(root: Path) -> None:
    card = pair_model.read_card(stage1(root))
    assert card.temperature == 1.0
    directory, _ = stage2(root, epochs=20)
    model, tokenizer, card = pair_model.load(directory)
    said = predict(model, encode(tokenizer, VALIDATION, 16), card.heads)
    expected = fit_temperature(said, torch.from_numpy(VALIDATION.labels))
    assert card.temperature == pytest.approx(expected, rel=1e-3)
    assert abs(card.temperature - 1) > 0.05


def test_a_teacher_whose_training_failed_is_named(
    tiny_bert: Path, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_teacher(root, tiny_bert, "t2", failed=True)
    stage1(root)
    assert "The student learns from 't2', whose training has failed." in capsys.readouterr().out


def test_a_pool_too_small_to_hold_rows_out_is_refused(tiny_bert: Path, root: Path) -> None:
    few = dataclasses.replace(POOL, table=POOL.table.slice(0, 5))
    with pytest.raises(UserError, match="general/pool has 5 rows, which are too few for stage 1"):
        stage1(root, few)


def test_a_student_can_learn_a_part_of_the_rows_the_same_part_in_every_run(root: Path) -> None:
    part = stage1(root, rows=40)
    assert same(part, stage1(root, rows=40, out="again"))
    assert not same(part, stage1(root, out="whole"))
    assert same(stage1(root, rows=76, out="all"), Path("whole"))
    first, _ = stage2(root, rows=8, out="eight")
    flipped = TRAIN.table.set_column(2, "label", pa.array(1 - TRAIN.labels))
    second, _ = stage2(root, rows=8, train=dataclasses.replace(TRAIN, table=flipped), out="flipped")
    assert not same(first, second)
    with pytest.raises(UserError, match="to learn 65 rows of task/train, which has 64"):
        stage2(root, rows=65, out="more")
    tiny = stage1(root, rows=8, out="eight of the pool")
    assert not same(tiny, part)


def test_a_pool_of_single_row_corpora_is_refused(root: Path) -> None:
    single_rows = [POOL.table.slice(i, 1) for i in range(25)]
    with pytest.raises(UserError, match="too few for stage 1"):
        stage1(root, dataclasses.replace(POOL, table=pa.concat_tables(single_rows)))


def with_soft_label(rows: Rows) -> Rows:
    """The corpus's own probabilities, which contradict its labels."""
    soft = pa.array([[0.9, 0.1] if label else [0.0, 1.0] for label in rows.labels.tolist()])
    return dataclasses.replace(rows, table=rows.table.append_column("soft_label", soft))


def test_the_corpus_own_soft_label_is_one_more_teacher(root: Path) -> None:
    directory = stage1(root, with_soft_label(POOL), soft_label=True, epochs=60)
    model, tokenizer, card = pair_model.load(directory)
    assert card.heads == (*TEACHERS, "soft_label")
    said = predict(model, encode(tokenizer, POOL, 16), ["t1", "soft_label"])[:76]
    labels = torch.from_numpy(POOL.labels)[:76]
    assert (said[:, 0].argmax(dim=1) == labels).double().mean() > 0.9
    assert (said[:, 1].argmax(dim=1) == labels).double().mean() < 0.1
    # Its logits are those of the probabilities 0.9 and 0.1; a 0 counts as 0.0001.
    margin = (said[:, 1, 0] - said[:, 1, 1]).abs()
    assert margin[labels == 1].mean() == pytest.approx(math.log(9), abs=0.5)
    assert margin[labels == 0].mean() == pytest.approx(math.log(1e4), abs=1.5)


def test_a_student_can_learn_from_soft_labels_without_any_teacher(root: Path) -> None:
    nowhere = Path("no logits here")
    directory = stage1(nowhere, with_soft_label(POOL), soft_label=True, teachers=())
    assert pair_model.load(directory)[2].heads == ("soft_label",)
    training = with_soft_label(TRAIN)
    validation = with_soft_label(VALIDATION)
    settings = stage(Stage2, soft_label=True, teachers=("t1",))
    trained = finetune_student(
        STUDENT,
        settings,
        alpha=0.9,
        max_length=16,
        training=training,
        validation=validation,
        teachers=artifacts(root, settings),
        start=directory,
        directory=Path("stage2"),
    )
    assert (trained.carried_over, trained.new) == (("soft_label",), ("t1",))


def test_a_soft_label_that_is_not_there_or_of_other_classes_is_refused(
    tiny_bert: Path, root: Path
) -> None:
    with pytest.raises(UserError, match="general/pool has no soft labels: set soft_label for"):
        stage1(root, soft_label=True)
    write_teacher(root, tiny_bert, "t1", label_names=("no", "yes"))
    with pytest.raises(UserError, match="'t1' scores the classes no, yes, but general/pool"):
        stage1(root, with_soft_label(POOL), soft_label=True, teachers=("t1",))


def test_the_stages_may_have_other_teachers_of_other_classes(tiny_bert: Path, root: Path) -> None:
    """As in the paper: the general corpus has its own teachers, and three classes here."""
    classes = ("yes", "maybe", "no")
    identity = TeacherIdentity("g1", "weights of g1", "tokenizer", 16, "float32", classes)

    def score(rows: Rows, start: int, stop: int) -> torch.Tensor:
        return torch.ones(stop - start, 3)

    logits.write(
        root / "g1",
        identity,
        [POOL],
        notes=Notes(7, {}, (), failed=False),
        score=score,
        parts=root / "parts",
    )
    assert pair_model.load(stage1(root, teachers=("g1",)))[2].label_names == classes
    directory, trained = stage2(root)
    assert (trained.carried_over, trained.new) == ((), TEACHERS)
    assert pair_model.load(directory)[2].label_names == LABEL_NAMES


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"teachers": ()}, "'teachers' is [], but must be a list of at least one, or soft_label"),
        ({"teachers": ("t1", "t1")}, "'teachers' is ['t1', 't1'], but must be a list of diff"),
        ({"temperature": 2.0}, "'temperature' is 2.0, but must be 1 if soft_loss is mse"),
        ({"soft_loss": "kl", "temperature": 0.0}, "'temperature' is 0.0, but must be at least 0.0"),
        ({"rows": 0}, "'rows' is 0, but must be at least 1"),
        ({"lr": -1.0}, "'lr' is -1.0, but must be above 0"),
        ({"warmup": 1.0}, "'warmup' is 1.0, but must be below 1"),
    ],
)
def test_settings_out_of_range_are_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UserError) as error:
        check(Stage1, {"lr": 1e-4, "epochs": 1, "teachers": ["t1"], **changes})
    assert sentence in str(error.value)


def test_a_teacher_of_other_gold_labels_is_refused(root: Path) -> None:
    """Logits may come from elsewhere, and labels be corrected in the meantime."""
    stage1(root, epochs=1)
    given = artifacts(root, stage())[0]
    notes = given.directory / "notes.json"
    content = json.loads(notes.read_text())
    notes.write_text(json.dumps({**content, "gold": {"task/train": TRAIN.gold_hash}}))
    stage2(root, epochs=1)
    flipped = TRAIN.table.set_column(2, "label", pa.array(1 - TRAIN.labels))
    with pytest.raises(UserError, match=r"teacher 't1' has learned other rows or labels of task/"):
        stage2(root, train=dataclasses.replace(TRAIN, table=flipped), epochs=1)
