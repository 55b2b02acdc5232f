"""Two samples: the same shares, the same distribution? Many tests at once."""

import numpy as np
import pytest
from scipy import stats

from lockstep.statistics import holm, homogeneity


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_homogeneity_pools_rare_categories():
    before, after = np.array([50, 50, 1, 0, 2, 3]), np.array([40, 60, 0, 2, 3, 2])
    pooled = np.array([[50, 50, 6], [40, 60, 7]])
    chi2, p, *_ = stats.chi2_contingency(pooled, correction=False)
    found = homogeneity(before, after)
    assert found == pytest.approx((np.sqrt(chi2 / pooled.sum()), p))
    # A pool that is too rare itself takes in the rarest of the others.
    found = homogeneity(np.array([50, 40, 10, 1]), np.array([50, 30, 20, 0]))
    expected = stats.chi2_contingency([[50, 40, 11], [50, 30, 20]], correction=False)
    assert found[1] == pytest.approx(expected.pvalue)


def test_homogeneity_of_two_rare_categories_is_fishers_test():
    found = homogeneity(np.array([0, 150]), np.array([8, 142]))
    assert found[1] == pytest.approx(stats.fisher_exact([[0, 150], [8, 142]]).pvalue)


@pytest.mark.parametrize(
    "counts",
    [([5], [7]), ([0, 0], [3, 4]), ([1] * 50, [1] * 50), ([0, 5, 0], [0, 7, 0])],
)
def test_what_cannot_be_tested(counts):
    assert homogeneity(*map(np.array, counts)) is None
