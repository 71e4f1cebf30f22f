"""Which rows of the pool are held out, and which are drawn."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest
from conftest import pairs, rows_of

from pipeline.core.errors import UserError
from pipeline.student.targets import draw, is_held_out


def test_one_in_twenty_rows_of_each_corpus_of_the_pool_is_held_out() -> None:
    corpora = [pairs(100, 0), pairs(40, 1), pairs(7, 2)]
    pool = dataclasses.replace(rows_of(1), table=pa.concat_tables(corpora))
    held_out = np.flatnonzero(is_held_out(pool)).tolist()
    assert held_out == [95, 96, 97, 98, 99, 138, 139, 146]


def test_drawn_rows_are_candidates_and_the_same_in_every_run() -> None:
    candidates = np.arange(100) % 3 > 0
    drawn = draw(20, candidates, "general/pool")
    assert drawn.sum() == 20
    assert not (drawn & ~candidates).any()
    assert drawn.tolist() == draw(20, candidates, "general/pool").tolist()
    assert draw(None, candidates, "general/pool").tolist() == candidates.tolist()
    with pytest.raises(UserError, match="learn 67 rows of general/pool, which has 66 to learn"):
        draw(67, candidates, "general/pool")
