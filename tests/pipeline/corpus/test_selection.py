"""Questions are never split: by caps, by carving, or between train and evaluation."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.core import rows, settings
from pipeline.core.errors import UserError
from pipeline.corpus import cleaning
from pipeline.corpus.settings import Corpus

LABEL_NAMES = ["right", "wrong"]
CANDIDATES = 12


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")


def ranked(first: int, last: int, candidates: int = CANDIDATES, *, version: int = 0) -> pa.Table:
    """Questions ``first`` to ``last``; of their passages, which ``version`` changes, two are right.

    The names of groups start at 0 in each table.
    """
    numbers = np.repeat(np.arange(first, last), candidates)
    places = np.tile(np.arange(candidates), last - first)
    return pa.table(
        {
            "id": pa.array([f"q{i - first}" for i in numbers]),
            "question": pa.array([f"what is {i}" for i in numbers]),
            "passage": pa.array(
                [f"answer {j} of {i} in {version}" for i, j in zip(numbers, places, strict=True)]
            ),
            "label": pa.array(np.where(places < 2, 0, 1)),
        }
    )


def write(directory: Path, **splits: pa.Table) -> Path:
    directory.mkdir(exist_ok=True)
    for name, table in splits.items():
        pq.write_table(table, directory / f"{name}.parquet")
    return directory


def corpus(source: Path, *, group: str | None = "id", **changes: Any) -> Corpus:
    content = {
        "source": str(source),
        "splits": {"train": "train", "pool": "train", "test": "test"},
        "text_a": "question",
        "text_b": "passage",
        "group": group,
        "relevant_label": "right",
        "label_names": LABEL_NAMES,
        "validation_rows": 120,
        **changes,
    }
    return settings.check(Corpus, content)


def download(place: Path, *tests: str, **corpora: Corpus) -> dict[str, dict[str, Any]]:
    first = next(iter(corpora))
    cards = cleaning.download(corpora, [first], first, tests or [first], directory=place / "out")
    return {
        **cards["task"]["splits"],
        "pool": cards["general"]["splits"]["pool"],
        **cards["test"]["splits"],
    }


def questions(place: Path, where: str, split: str) -> list[str]:
    return rows.read(where, split, place / "out").texts()[0]


def test_a_cap_counts_rows_and_keeps_questions_whole(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 100), test=ranked(100, 200))
    cards = download(tmp_path, mine=corpus(source, rows={"test": 500, "train": 250, "pool": 99}))
    assert {name: card["rows"] for name, card in cards.items()} == {
        "validation": 120,
        "train": 240,
        "pool": 96,
        "mine": 492,
    }
    for where, split in (("test", "mine"), ("task", "train"), ("general", "pool")):
        found = questions(tmp_path, where, split)
        assert {found.count(question) for question in set(found)} == {CANDIDATES}
    test = rows.read("test", "mine", tmp_path / "out")
    assert test.relevant_label == "right"
    assert len(set(test.groups or ())) == 41


def test_carved_validation_shares_no_question_with_train(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 100), test=ranked(100, 110))
    cards = download(tmp_path, mine=corpus(source, validation_rows=130))
    assert (cards["validation"]["rows"], cards["train"]["rows"]) == (120, 1080)
    found = {split: questions(tmp_path, "task", split) for split in ("train", "validation")}
    assert not set(found["train"]) & set(found["validation"])


def test_one_file_is_split_by_question_into_test_validation_and_train(tmp_path: Path) -> None:
    source = write(tmp_path / "s", all=ranked(0, 100))
    splits = {"train": "all", "pool": "all"}
    cards = download(
        tmp_path, mine=corpus(source, splits=splits, test_rows=245, validation_rows=121)
    )
    assert {name: card["rows"] for name, card in cards.items()} == {
        "mine": 240,
        "validation": 120,
        "train": 840,
        "pool": 840,
    }
    places = (("test", "mine"), ("task", "validation"), ("task", "train"))
    found = [set(questions(tmp_path, *place)) for place in places]
    assert len(set.union(*found)) == 100
    assert found[2] == set(questions(tmp_path, "general", "pool"))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"test_rows": 10}, "'test_rows' is 10, but must be 0 if splits.test is given"),
        ({"splits": {"pool": "a"}, "test_rows": 10}, "must be given with train, for test_rows"),
        (
            {"splits": {"train": "a"}, "test_rows": 10, "soft_label": "x"},
            "must be 0, because a soft_label is no gold label",
        ),
    ],
)
def test_rows_are_taken_from_train_for_what_the_source_lacks(
    changes: dict[str, Any], sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=sentence):
        corpus(tmp_path, **changes)


def test_a_sample_of_questions_depends_on_their_names_only(tmp_path: Path) -> None:
    table = ranked(0, 50)
    chosen = []
    for name, order in (("a", range(len(table))), ("b", reversed(range(len(table))))):
        source = write(tmp_path / name, train=table.take(list(order)), test=ranked(100, 110))
        download(tmp_path / name, mine=corpus(source, rows={"train": 60}))
        chosen.append(set(questions(tmp_path / name, "task", "train")))
    assert chosen[0] == chosen[1]
    assert len(chosen[0]) == 5


@pytest.mark.parametrize("group", ["id", "question"])
def test_a_question_of_the_test_split_is_in_no_other_with_other_passages(
    tmp_path: Path, group: str
) -> None:
    """Also where ids start again in each file, so that the same id is another question."""
    train = pa.concat_tables([ranked(0, 30), ranked(100, 105, version=1)])
    source = write(tmp_path / "s", train=train, test=ranked(100, 110))
    texts = train["question"].to_pylist()
    texts[-CANDIDATES:] = ["  What is\t104 "] * CANDIDATES
    train = train.set_column(1, "question", pa.array(texts))
    source = write(tmp_path / "s", train=train)
    if group == "id":
        ids = [f"q{i // CANDIDATES}" for i in range(len(train))]
        source = write(tmp_path / "s", train=train.set_column(0, "id", pa.array(ids)))
    cards = download(tmp_path, mine=corpus(source, group=group))
    assert cards["mine"]["rows"] == 10 * CANDIDATES
    assert cards["train"]["rows"] + cards["validation"]["rows"] == 30 * CANDIDATES
    left_out = [cards[split]["left_out"]["question_in_evaluation"] for split in cards]
    # Rows of train, in train or validation, and of the pool, which also leaves out validation.
    assert left_out[0] + left_out[1] == 5 * CANDIDATES
    assert cards["pool"]["left_out"]["question_in_evaluation"] == 5 * CANDIDATES
    assert cards["pool"]["left_out"]["also_in_evaluation"] == cards["validation"]["rows"]
    for split in ("train", "validation"):
        test = questions(tmp_path, "test", "mine")
        assert not set(test) & set(questions(tmp_path, "task", split))


def test_a_row_of_an_evaluation_question_takes_its_whole_group_with_it(tmp_path: Path) -> None:
    """A group may have several texts, as turns of a conversation."""
    train = ranked(0, 40)
    texts = train["question"].to_pylist()
    texts[5] = "what is 100"
    train = train.set_column(1, "question", pa.array(texts))
    source = write(tmp_path / "s", train=train, test=ranked(100, 110))
    cards = download(tmp_path, mine=corpus(source, validation_rows=12))
    dropped = [cards[split]["left_out"]["question_in_evaluation"] for split in ("train", "pool")]
    assert CANDIDATES in dropped
    assert "answer 3 of 0 in 0" not in rows.read("task", "train", tmp_path / "out").texts()[1]


def test_without_groups_the_same_premise_may_be_in_several_splits(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(100, 140, version=1), test=ranked(100, 110))
    cards = download(tmp_path, mine=corpus(source, group=None, relevant_label=None))
    assert cards["train"]["rows"] == 40 * CANDIDATES - 120
    assert cards["train"]["left_out"]["question_in_evaluation"] == 0
    assert rows.read("test", "mine", tmp_path / "out").groups is None


def test_further_test_sets_leave_train_as_it_is_and_give_way_to_it(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 50), test=ranked(100, 110))
    alone = download(tmp_path, mine=corpus(source))
    before = {path.name: path.read_bytes() for path in (tmp_path / "out/task").iterdir()}
    newer = pa.concat_tables(
        [
            ranked(200, 210),  # new
            ranked(100, 105),  # also in the first test set
            ranked(0, 3),  # in train or validation
            ranked(10, 12, version=1),  # there with other passages
        ]
    )
    other = write(tmp_path / "newer", sample=newer)
    given = corpus(other, group="question", splits={"test": "sample"}, validation_rows=0)
    cards = download(tmp_path, "mine", "newer", mine=corpus(source), newer=given)
    assert cards["mine"] == alone["mine"]
    assert {path.name: path.read_bytes() for path in (tmp_path / "out/task").iterdir()} == before
    assert cards["newer"]["rows"] == 15 * CANDIDATES
    assert cards["newer"]["left_out"]["also_in_training"] == 3 * CANDIDATES
    assert cards["newer"]["left_out"]["question_in_training"] == 2 * CANDIDATES
    said = json.loads((tmp_path / "out/test/card.json").read_text())
    assert said["corpora"] == ["mine", "newer"]
    assert set(said["splits"]) == {"mine", "newer"}


def test_a_further_test_set_gives_way_to_the_pool(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 50), more=ranked(60, 70), test=ranked(100, 110))
    splits = {"train": "train", "pool": "more", "test": "test"}
    other = write(tmp_path / "o", test=pa.concat_tables([ranked(60, 63), ranked(200, 203)]))
    test = corpus(other, splits={"test": "test"}, group="question", validation_rows=0)
    cards = download(tmp_path, "mine", "newer", mine=corpus(source, splits=splits), newer=test)
    assert cards["newer"]["rows"] == 3 * CANDIDATES
    assert cards["newer"]["left_out"]["also_in_training"] == 3 * CANDIDATES


def test_the_task_needs_no_test_split_of_its_own(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 50))
    other = write(tmp_path / "o", test=ranked(100, 110))
    task = corpus(source, splits={"train": "train", "pool": "train"})
    test = corpus(other, splits={"test": "test"}, validation_rows=0)
    cards = download(tmp_path, "only", mine=task, only=test)
    assert cards["only"]["rows"] == 10 * CANDIDATES


def test_a_cap_below_one_question_is_refused(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 50), test=ranked(100, 110))
    with pytest.raises(UserError, match="'mine' has no rows left for test/mine"):
        download(tmp_path, mine=corpus(source, rows={"test": 11}))


def test_a_question_that_would_be_too_much_is_passed_over(tmp_path: Path) -> None:
    """Wherever a question of 60 rows is in the order, others of 4 rows fill the sample."""
    for number in range(12):
        large = ranked(1000 + number, 1001 + number, 60)
        large = large.set_column(0, "id", pa.array([f"large {number}"] * 60))
        place = tmp_path / str(number)
        table = pa.concat_tables([large, ranked(0, 50, 4)])
        source = write(place, train=table, test=ranked(100, 110))
        cards = download(place, mine=corpus(source, validation_rows=50))
        assert cards["validation"]["rows"] == 48


def test_a_pool_needs_neither_labels_nor_groups(tmp_path: Path) -> None:
    source = write(
        tmp_path / "s",
        train=ranked(0, 50),
        test=ranked(100, 110),
        more=ranked(200, 210).select(["question", "passage"]),
    )
    splits = {"train": "train", "pool": "more", "test": "test"}
    cards = download(tmp_path, mine=corpus(source, splits=splits))
    assert cards["pool"]["rows"] == 10 * CANDIDATES


def test_a_test_set_that_cannot_be_ranked_is_refused_before_anything_is_trained(
    tmp_path: Path,
) -> None:
    source = write(tmp_path / "s", train=ranked(0, 50), test=ranked(100, 110))
    with pytest.raises(UserError, match="no question of test/mine has both right and wrong rows"):
        download(tmp_path, mine=corpus(source, group="passage"))


def test_a_test_set_that_was_learned_from_says_why_it_has_no_rows(tmp_path: Path) -> None:
    source = write(tmp_path / "s", train=ranked(0, 50), test=ranked(100, 110), known=ranked(0, 9))
    known = corpus(source, splits={"test": "known"}, validation_rows=0)
    with pytest.raises(UserError, match=r"'known' has no rows left .*also in training 108"):
        download(tmp_path, "mine", "known", mine=corpus(source), known=known)
