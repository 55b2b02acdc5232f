"""How targets, scores and predictions are spread."""

from lockstep.steps.diagnosing import distributions
from lockstep.steps.diagnosing.distributions import cloud_of, scores_of, target_histogram, thresholds_of

import numpy as np
import pytest

RNG = np.random.default_rng(0)


def test_thresholds_count_every_row():
    actual = np.array(["n", "n", "p", "p"], dtype=object)
    found = {entry.threshold: entry for entry in thresholds_of(actual, np.array([0.1, 0.6, 0.4, 0.9]), "p")}
    assert list(found) == pytest.approx(np.arange(0.05, 0.96, 0.05))
    half = found[0.5]
    assert (half.true_positives, half.false_positives, half.false_negatives) == (1, 1, 1)
    assert (half.precision, half.recall, half.f1_score) == (0.5, 0.5, 0.5)
    assert found[0.95].precision is None
    assert found[0.95].f1_score == 0


def test_a_row_on_the_threshold_is_not_flagged():
    """As the model does it, which names the first of two classes that are equally likely."""
    half = next(
        entry for entry in thresholds_of(np.array(["n", "p"]), np.array([0.5, 0.5]), "p") if entry.threshold == 0.5
    )
    assert (half.true_positives, half.false_positives) == (0, 0)


def test_many_rows_are_counted_in_cells_and_none_is_lost():
    x = RNG.normal(size=100_000)
    cloud = cloud_of(x, x + RNG.normal(size=100_000))
    assert cloud.points == []
    assert len(cloud.cells) <= distributions.CELLS**2
    assert sum(rows for _, _, rows in cloud.cells) + cloud.outside == 100_000
    assert cloud.outside < 2000


def test_few_rows_are_points_and_all_inside():
    cloud = cloud_of(np.array([1.0, 2.0, 3.0]), np.array([5.0, 5.0, 5.0]))
    assert (cloud.points, cloud.cells, cloud.outside) == ([(1.0, 5.0), (2.0, 5.0), (3.0, 5.0)], [], 0)


def test_histograms_are_shares_of_all_rows():
    actual, scores = np.array(["n"] * 50 + ["p"] * 50), np.linspace(0, 1, 100)
    for found in (
        target_histogram(RNG.normal(size=500), RNG.normal(size=100) * 9),
        scores_of(actual, scores, "p").histogram,
    ):
        for shares in found.shares.values():
            assert len(shares) == len(found.edges) - 1
            assert sum(shares) == pytest.approx(1)
