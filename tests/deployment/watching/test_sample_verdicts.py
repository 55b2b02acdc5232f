"""A model's metrics on two independent samples: which tests, which verdict."""

import itertools

from lockstep.comparing.significance import permutation_p
from lockstep.comparing.verdicts import NO_DIFFERENCE, WORSE
from lockstep.deployment.watching.sample_verdicts import Sample, TooFew, compare_samples
from lockstep.learning.scoring import Predictions
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.resampling import resampling_rows

import numpy as np
import pytest
from scipy import stats

pytestmark = pytest.mark.usefixtures("few_resamples")


CLASSES = np.array(["a", "b"], dtype=object)


def plain(y):
    return Design.of(y, stratified=False, groups=None, in_time=False)


def classified(rows, wrong, seed=0):
    """A sample of two classes of which the first ``wrong`` rows are predicted wrong, with probabilities."""
    y = CLASSES[np.arange(rows) % 2]
    values = y.copy()
    values[:wrong] = CLASSES[(np.arange(wrong) + 1) % 2]
    sure = np.random.default_rng(seed).uniform(0.6, 0.9, rows)
    second = np.where(values == "b", sure, 1 - sure)
    return Sample(y, Predictions(values, CLASSES, np.column_stack([1 - second, second]), second), plain(y))


def numbers(rows, noise, seed):
    random = np.random.default_rng(seed)
    y = random.normal(size=rows)
    return Sample(y, Predictions(y + random.normal(scale=noise, size=rows), None, None, None), plain(y))


def compared(before, after):
    """{metric: what is said of it}"""
    task = "regression" if before.predictions.classes is None else "classification"
    return {item.metric: item for item in compare_samples(before, after, task, "macro")}


def test_a_permutation_of_the_accuracy_is_hypergeometric():
    one, other = classified(30, 0), classified(40, 7)
    values = np.concatenate([one.predictions.values, other.predictions.values])
    y = np.concatenate([one.y, other.y])
    pooled = resampling_rows(y, Predictions(values, CLASSES, None, None), "classification", "macro", None)
    wrong = np.arange(8)  # of the 7, in the first sample
    as_extreme = np.abs(wrong / 30 - (7 - wrong) / 40) >= 7 / 40 - 1e-12
    exact = stats.hypergeom.pmf(wrong, 70, 7, 30)[as_extreme].sum()
    assert permutation_p(pooled, one.design, other.design)["accuracy"] == pytest.approx(exact, abs=0.02)


def test_permutations_keep_groups_whole_and_go_by_all_divisions():
    """Of five groups, all ten ways to choose the first sample's two are listed."""
    errors = np.array([1.0, 1.0, 2.0, 3.0, 4.0, 4.0, 5.0, 9.0])
    y = np.arange(8.0)
    groups = np.array([0, 0, 1, 2, 3, 3, 4, 4])
    pooled = resampling_rows(y, Predictions(y - errors, None, None, None), "regression", "macro", None)
    designs = [
        Design.of(y[part], stratified=False, groups=groups[part], in_time=False) for part in (slice(3), slice(3, 8))
    ]

    def size(chosen):
        inside = np.isin(groups, chosen)
        return abs(errors[inside].mean() - errors[~inside].mean())

    exact = np.mean([size(chosen) >= size((0, 1)) - 1e-12 for chosen in itertools.combinations(range(5), 2)])
    assert permutation_p(pooled, *designs)["mae"] == pytest.approx(exact, abs=0.05)


def test_worse_in_all_metrics_and_its_intervals():
    found = {
        item.metric: item
        for item in compare_samples(classified(200, 10), classified(200, 60), "classification", "macro")
    }
    assert found["accuracy"].verdict == WORSE
    assert (found["accuracy"].before, found["accuracy"].after) == (0.95, 0.7)
    low, high = found["accuracy"].after_interval
    assert low < 0.7 < high
    assert found["accuracy"].low < -0.25 < found["accuracy"].high < 0
    assert found["log_loss"].verdict == WORSE
    errors = {
        item.metric: item.verdict
        for item in compare_samples(numbers(200, 1, 0), numbers(200, 2, 1), "regression", "macro")
    }
    assert errors["mae"] == errors["rmse"] == WORSE


def test_a_test_without_a_wrong_row_is_no_certainty():
    """No resample of 30 rows all right has a wrong one; three wrong ones of other 30 are within chance even so."""
    found = {
        item.metric: item for item in compare_samples(classified(30, 0), classified(30, 3), "classification", "macro")
    }
    assert found["accuracy"].verdict == NO_DIFFERENCE
    assert found["accuracy"].detectable > 0.05


def test_the_same_samples_do_not_differ():
    one = numbers(50, 1, 0)
    assert {item.verdict for item in compared(one, one).values()} == {NO_DIFFERENCE}


def test_too_few_rows_of_either_sample_are_said():
    few, enough = numbers(9, 1, 0), numbers(50, 1, 1)
    assert compare_samples(enough, few, "regression", "macro") == TooFew(
        "9 rows with the truth are too few, at least 10 independent rows are needed"
    )
    assert compare_samples(few, enough, "regression", "macro").why.startswith("9 test rows are too few")


def test_a_class_that_the_model_does_not_know_leaves_areas_and_losses_out():
    new = classified(40, 4)
    new.y[:2] = "c"
    found = compared(classified(60, 3), new)
    assert "accuracy" in found
    assert not found.keys() & {"roc_auc", "log_loss"}
