"""Batches have gold and pseudo-labelled rows in a fixed proportion."""

import numpy as np
import pytest

from pipeline.model.encoding import training_batches
from pipeline.noisy_student.batches import mixed_batches, rows_per_batch

GOLD, PSEUDO = 30, 400
LENGTHS = np.random.default_rng(0).integers(5, 40, GOLD + PSEUDO)


def batches(gold_share: float, epoch: int = 0, seed: int = 1) -> list[np.ndarray]:
    return mixed_batches(LENGTHS, GOLD, 10, gold_share=gold_share, seed=seed, epoch=epoch)


@pytest.mark.parametrize(
    ("gold_share", "sizes"),
    [(0.0, (0, 10)), (0.01, (1, 9)), (0.4, (4, 6)), (0.99, (9, 1)), (1.0, (10, 0))],
)
def test_the_proportion_of_a_batch(gold_share: float, sizes: tuple[int, int]) -> None:
    assert rows_per_batch(10, gold_share) == sizes


@pytest.mark.parametrize("gold_share", [0.0, 0.2, 0.5, 0.9])
def test_every_batch_has_the_proportion_and_every_pseudo_labelled_row_comes_once(
    gold_share: float,
) -> None:
    gold_size, pseudo_size = rows_per_batch(10, gold_share)
    made = batches(gold_share)
    assert len(made) == -(-PSEUDO // pseudo_size)
    for batch in made:
        assert (batch < GOLD).sum() == gold_size
        # If they do not fill the batches, they are spread evenly.
        assert pseudo_size - 1 <= (batch >= GOLD).sum() <= pseudo_size
    read = np.concatenate(made)
    assert sorted(read[read >= GOLD]) == list(range(GOLD, GOLD + PSEUDO))


def test_few_pseudo_labelled_rows_are_spread_evenly() -> None:
    made = mixed_batches(LENGTHS[: GOLD + 20], GOLD, 32, gold_share=0.4, seed=1, epoch=0)
    assert [(batch < GOLD).sum() for batch in made] == [13, 13]
    assert [(batch >= GOLD).sum() for batch in made] == [10, 10]


def test_gold_rows_are_read_equally_often_over_the_epochs() -> None:
    counts = np.zeros(GOLD, dtype=int)
    for epoch in range(7):
        read = np.concatenate(batches(0.3, epoch))
        counts += np.bincount(read[read < GOLD], minlength=GOLD)
        assert counts.max() - counts.min() <= 1
    assert counts.min() > 7


def test_gold_rows_alone_are_batched_as_in_any_training() -> None:
    expected = training_batches(LENGTHS[:GOLD], 10, seed=1, epoch=3)
    found = batches(1.0, epoch=3)
    assert [list(batch) for batch in found] == [list(batch) for batch in expected]


def test_all_epochs_have_as_many_batches_and_rows_but_differ_in_order() -> None:
    first, second = batches(0.4, epoch=0), batches(0.4, epoch=1)
    assert [len(first), len(np.concatenate(first))] == [len(second), len(np.concatenate(second))]
    assert np.concatenate(first).tolist() != np.concatenate(second).tolist()
    assert np.concatenate(first).tolist() == np.concatenate(batches(0.4)).tolist()
    assert np.concatenate(first).tolist() != np.concatenate(batches(0.4, seed=2)).tolist()


def test_rows_of_a_batch_have_similar_lengths() -> None:
    spread = np.mean([np.ptp(LENGTHS[batch]) for batch in batches(0.4)])
    assert spread < np.ptp(LENGTHS) / 3
