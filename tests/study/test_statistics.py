"""The interval of a mean over seeds and rows, against numbers by hand and against SciPy."""

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from study.statistics import crossed_mean, holm


def test_the_variance_is_that_of_a_crossed_layout() -> None:
    found = crossed_mean(np.array([[1.0, 0.0, 1.0, 1.0], [0.0, 0.0, 1.0, 1.0]]))
    of_seeds, of_rows, rest = 0.03125 / 2, 0.6875 / 3 / 4, 0.375 / 3 / 8
    variance = of_seeds + of_rows - rest
    freedom = variance**2 / (of_seeds**2 / 1 + of_rows**2 / 3 + rest**2 / 3)
    assert found.value == 0.625
    assert found.high - found.value == pytest.approx(t.ppf(0.975, freedom) * variance**0.5)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert found.p == pytest.approx(2 * t.sf(0.625 / variance**0.5, freedom))


def test_the_variance_is_never_less_than_that_of_the_seeds() -> None:
    found = crossed_mean(np.array([[1.0, 1.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0]]))
    of_seeds, rest = 0.125 / 2, 1.5 / 3 / 8
    freedom = of_seeds**2 / (of_seeds**2 + rest**2 / 3)
    assert found.high - found.value == pytest.approx(t.ppf(0.975, freedom) * of_seeds**0.5)


def test_one_seed_is_a_t_test_over_rows() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, (1, 50))
    found, expected = crossed_mean(values), ttest_1samp(values[0], 0)
    limits = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high))


def test_where_all_rows_agree_it_is_a_t_test_over_seeds() -> None:
    seeds = np.array([0.1, 0.3, 0.2, 0.5, 0.4])
    found, expected = crossed_mean(np.tile(seeds[:, None], (1, 40))), ttest_1samp(seeds, 0)
    assert found.p == pytest.approx(expected.pvalue)
    assert found.high == pytest.approx(expected.confidence_interval().high)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    generator = np.random.default_rng(1)
    held = 0
    for _ in range(1_000):
        seeds = generator.normal(0, 0.1, (5, 1))
        rows = generator.normal(0, 1, (1, 100))
        found = crossed_mean(seeds + rows + generator.normal(0, 1, (5, 100)))
        held += found.low <= 0 <= found.high
    assert 0.935 <= held / 1_000 <= 0.975


def test_systems_that_answer_alike_do_not_differ() -> None:
    found = crossed_mean(np.zeros((3, 10)))
    assert (found.low, found.high, found.p) == (0.0, 0.0, 1.0)


def test_p_values_are_corrected_for_their_number() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []
