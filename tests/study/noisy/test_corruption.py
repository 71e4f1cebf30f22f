"""Faults in test pairs: as many as asked for, always the same, and nothing else changed."""

import difflib
import string

import pyarrow as pa
import pytest

from pipeline.core.rows import Rows
from study.noisy.corruption import corrupt

LETTERS = string.ascii_lowercase
TEXTS = [" ".join(LETTERS[i % 20 :][:6] for i in range(n, n + 20)) for n in range(200)]
ROWS = Rows(
    "test/qa",
    pa.table({"text_a": TEXTS, "text_b": TEXTS[::-1], "label": [0, 1] * 100}),
    ("no", "yes"),
)


def changed_words(kind: str, strength: float) -> list[tuple[str, str]]:
    """Words before and after, for kinds that keep the number of words."""
    pairs = zip(ROWS.texts()[0], corrupt(ROWS, kind, strength).texts()[0], strict=True)
    words = [zip(a.split(), b.split(), strict=True) for a, b in pairs]
    return [(before, after) for pair in words for before, after in pair if before != after]


@pytest.mark.parametrize("strength", [0.1, 0.3])
def test_a_share_of_the_words_has_one_typing_error(strength: float) -> None:
    changed = changed_words("typos", strength)
    assert len(changed) / 4000 == pytest.approx(strength, abs=0.03)
    for before, after in changed:
        assert abs(len(before) - len(after)) <= 1
        assert difflib.SequenceMatcher(None, before, after).ratio() > 0.7


def test_a_share_of_the_words_is_missing_and_the_others_keep_their_order() -> None:
    found = corrupt(ROWS, "dropped_words", 0.3).texts()[0]
    kept = sum(len(text.split()) for text in found)
    assert kept / 4000 == pytest.approx(0.7, abs=0.03)
    for before, after in zip(ROWS.texts()[0], found, strict=True):
        words = iter(before.split())
        assert all(word in words for word in after.split())
        assert after


def test_case_is_changed_and_nothing_else() -> None:
    changed = changed_words("changed_case", 0.2)
    assert len(changed) / 4000 == pytest.approx(0.2, abs=0.03)
    assert all(after == before.upper() for before, after in changed)


def test_labels_stay_and_the_faults_are_always_the_same() -> None:
    found = corrupt(ROWS, "typos", 0.2)
    assert (found.labels == ROWS.labels).all()
    assert found.texts() == corrupt(ROWS, "typos", 0.2).texts()
    assert corrupt(ROWS, "typos", 0.0).texts() == ROWS.texts()


def test_a_text_keeps_a_word() -> None:
    table = pa.table({"text_a": ["word"] * 50, "text_b": ["other"] * 50, "label": [0] * 50})
    found = corrupt(Rows("test/qa", table, ("no", "yes")), "dropped_words", 0.9)
    assert found.texts() == (["word"] * 50, ["other"] * 50)
