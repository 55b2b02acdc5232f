"""Intervals in closed form."""

from lockstep.steps.evaluating.intervals import mean_interval, wilson

import numpy as np
import pytest
from scipy import stats

RNG = np.random.default_rng(0)


def test_intervals_are_the_known_ones():
    assert wilson(2, 30) == pytest.approx((0.0184771, 0.2132346), abs=1e-6)
    assert wilson(0, 10)[0] == 0
    values = RNG.normal(size=50)
    expected = stats.t.interval(0.95, 49, values.mean(), stats.sem(values))
    assert mean_interval(values) == pytest.approx(expected)


def test_the_interval_of_a_weighted_mean_covers_it_and_with_equal_weights_is_the_plain_one():
    random = np.random.default_rng(0)
    values = random.normal(size=20)
    assert mean_interval(values, weights=np.full(20, 3.0)) == pytest.approx(mean_interval(values))
    hits = 0
    for _ in range(400):
        values, weights = random.normal(size=60), random.uniform(0.5, 3, 60)
        low, high = mean_interval(values, weights=weights)
        hits += low < 0 < high
    assert 365 <= hits <= 395  # 380 of 400
