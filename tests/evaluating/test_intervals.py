"""Intervals in closed form."""

from lockstep.evaluating.intervals import mean_interval, wilson

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
