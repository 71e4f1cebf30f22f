"""The embedded corpus: real pairs, no row of one split recognisable in another."""

from pathlib import Path

import pytest

from pipeline.core.errors import UserError
from pipeline.corpus import docstrings

SOURCE = '''
def mean(a, axis):
    """
    Compute the arithmetic mean along the :ref:`specified <x>` axis.

    Returns the average of the ``array`` elements. The average is taken over
    the flattened array by default.

    Parameters
    ----------
    a : array_like
    """

class Empty:
    """One line only."""

def example(x):
    """Show what this function does here.

    >>> example(1) and a good deal more text that is no prose at all here
    """

def nested():
    def inner():
        """Return the greatest common divisor of both.

        It is found by repeated division, which takes few steps even for large numbers.
        """
'''


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    root = tmp_path / "some_package"
    (root / "tests").mkdir(parents=True)
    (root / "__init__.py").write_text("raise RuntimeError('sources are parsed, never imported')")
    (root / "module.py").write_text(SOURCE)
    (root / "tests" / "test_module.py").write_text(SOURCE)
    monkeypatch.syspath_prepend(str(tmp_path))
    return "some_package"


def test_first_line_and_prose_become_question_and_passage(package: str) -> None:
    found = docstrings.documents([package])
    assert [(d.question, d.passage) for d in found] == [
        (
            "Compute the arithmetic mean along the specified <x> axis.",
            "Returns the average of the array elements. The average is taken over the flattened "
            "array by default.",
        ),
        (
            "Return the greatest common divisor of both.",
            "It is found by repeated division, which takes few steps even for large numbers.",
        ),
    ]


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(UserError, match="'nowhere', which is not installed"):
        docstrings.documents(["nowhere"])


@pytest.mark.parametrize("together", [1, 2, 256])
def test_copies_under_other_names_and_in_other_words_are_dropped(
    together: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(docstrings, "COMPARED_TOGETHER", together)
    text = "It is found by repeated division, which takes few steps even for very large numbers."
    original = docstrings.Document("a", "Return the greatest common divisor.", text)
    same_question = docstrings.Document("b", "return the Greatest common divisor", "Other " * 12)
    same_passage = docstrings.Document("b", "Something else entirely here.", text.upper())
    reworded = docstrings.Document("b", "Return the greatest common divisor now.", text[:-20])
    other = docstrings.Document("b", "Draw a line between points.", "The line is blue and thick.")
    documents = [original, same_question, same_passage, reworded, other]
    assert docstrings.distinct(documents) == [original, other]


@pytest.mark.slow
def test_the_real_corpus_is_balanced_and_its_splits_share_no_text() -> None:
    tables = docstrings.tables()
    assert {split: len(tables[split]) for split in docstrings.SIZES} == docstrings.SIZES
    assert len(tables["test"]) == 1_907
    owner: dict[str, str] = {}
    for split, table in tables.items():
        labels = table["label"].to_pylist()
        assert abs(sum(labels) / len(labels) - 0.5) < 0.01
        for column in ("text_a", "text_b"):
            for text in set(table[column].to_pylist()):
                assert owner.setdefault(text, split) == split, text
