"""Two samples: the same shares, the same distribution? Two models: equally good? Many tests at once."""

from lockstep.comparing.significance import corrected_t_test, detectable, mcnemar
from lockstep.steps.splitting.two_samples import holm, homogeneity, smirnov

import numpy as np
import pandas as pd
import pytest
from scipy import stats


def test_holm():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_homogeneity_pools_rare_categories():
    before, after = np.array([50, 50, 1, 0, 2, 3]), np.array([40, 60, 0, 2, 3, 2])
    pooled = np.array([[50, 50, 6], [40, 60, 7]])
    chi2, p, *_ = stats.chi2_contingency(pooled, correction=False)
    found = homogeneity(before, after)
    assert found.test == "chi-squared"
    assert found[2:] == pytest.approx((np.sqrt(chi2 / pooled.sum()), p))
    # A pool that is too rare itself takes in the rarest of the others.
    found = homogeneity(np.array([50, 40, 10, 1]), np.array([50, 30, 20, 0]))
    expected = stats.chi2_contingency([[50, 40, 11], [50, 30, 20]], correction=False)
    assert found.p == pytest.approx(expected.pvalue)


def test_homogeneity_of_two_rare_categories_is_fishers_test():
    found = homogeneity(np.array([0, 150]), np.array([8, 142]))
    assert found.test == "Fisher's exact"
    assert found.p == pytest.approx(stats.fisher_exact([[0, 150], [8, 142]]).pvalue)


@pytest.mark.parametrize(
    "counts",
    [([5], [7]), ([0, 0], [3, 4]), ([1] * 50, [1] * 50), ([0, 5, 0], [0, 7, 0])],
)
def test_what_cannot_be_tested(counts):
    assert homogeneity(*map(np.array, counts)) is None


@pytest.mark.parametrize("sizes", [(800, 200), (200, 800), (500, 500), (1, 30)])
@pytest.mark.parametrize("decimals", [0, 1, 9])
@pytest.mark.parametrize("shift", [0.0, 0.3, -5.0])
def test_smirnov_is_scipys_with_and_without_ties(sizes, decimals, shift):
    rng = np.random.default_rng(sum(sizes))
    before, after = (rng.normal(size=size).round(decimals) for size in sizes)
    after += shift
    expected = stats.ks_2samp(before, after, method="asymp")
    found = smirnov(pd.Series(np.append(before, np.nan)), pd.Series(after))
    assert found == (expected.statistic, expected.pvalue)


def test_mcnemar_against_published_examples():
    """Approval of a prime minister in two surveys, 150 changing from yes to no and 86 back: A. Agresti, "Categorical
    Data Analysis", 2nd ed. (2002), table 10.1: z^2 = 17.36, so the exact p-value is near to that one's tail."""
    assert mcnemar(150, 86) == pytest.approx(stats.chi2.sf(17.36, 1), rel=0.25)
    assert mcnemar(150, 86) == stats.binomtest(86, 236).pvalue
    # By hand: of 9 coins at most one shows heads, or at most one tails: 2 (1 + 9) / 2^9.
    assert mcnemar(1, 8) == pytest.approx(20 / 512)


def test_mcnemar_is_symmetric_and_knows_nothing_from_nothing():
    assert mcnemar(3, 11) == mcnemar(11, 3)
    assert mcnemar(0, 0) == mcnemar(1, 0) == 1.0
    assert mcnemar(0, 6) == pytest.approx(2 / 64)


def test_the_corrected_t_test_widens_students():
    differences = np.array([0.02, 0.05, -0.01, 0.03, 0.04])
    n_train, n_test = np.full(5, 96), np.full(5, 24)
    found = corrected_t_test(differences, n_train, n_test)
    plain = stats.ttest_1samp(differences, 0)
    # The statistic shrinks by sqrt((1/k + n_test/n_train) k) = sqrt(1 + 5/4) = 1.5.
    assert found.p == pytest.approx(2 * stats.t.sf(plain.statistic / 1.5, 4))
    low, high = plain.confidence_interval(0.95)
    assert found.interval == pytest.approx((0.026 - 1.5 * (0.026 - low), 0.026 + 1.5 * (high - 0.026)))
    without = corrected_t_test(differences, np.full(5, 10**9), n_test)
    assert (without.difference, without.p) == pytest.approx((0.026, plain.pvalue))


def test_the_corrected_t_test_of_repeats_counts_every_fold():
    differences = np.random.default_rng(0).normal(0.01, 0.03, 50)
    found = corrected_t_test(differences, np.full(50, 90), np.full(50, 10))
    t = differences.mean() / np.sqrt((1 / 50 + 1 / 9) * differences.var(ddof=1))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(t), 49))


def test_the_corrected_t_test_without_spread():
    sizes = np.full(5, 96), np.full(5, 24)
    assert corrected_t_test(np.zeros(5), *sizes) == (0.0, (0.0, 0.0), 1.0)
    found = corrected_t_test(np.full(5, 0.1) + np.array([0, 1e-17, 0, 0, 0]), *sizes)
    assert (found.interval, found.p) == (None, None)


def test_the_minimum_detectable_effect():
    # 2.80 standard errors for many degrees of freedom: H. Bloom (1995), table 1.
    assert detectable(1.0, 10**6, 0.05) == pytest.approx(2.80, abs=0.005)
    # A test at that difference finds it in 80 % of draws.
    random = np.random.default_rng(0)
    effect = detectable(1 / np.sqrt(20), 19, 0.05)
    draws = random.normal(effect, 1, (20_000, 20))
    assert np.mean(stats.ttest_1samp(draws, 0, axis=1).pvalue <= 0.05) == pytest.approx(0.8, abs=0.02)
