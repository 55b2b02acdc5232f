"""Compares two ways of training by the scores of the same cross-validation folds: better, or noise?"""

from lockstep.comparing.evaluations import Evaluated, another_target
from lockstep.comparing.significance import FoldTest, corrected_t_test
from lockstep.comparing.verdicts import (
    NOT_COMPARABLE,
    MetricComparison,
    NotComparable,
    correct_by_holm,
    find_families,
    verdict_of,
)
from lockstep.learning.cross_validation import mean_and_std
from lockstep.learning.metrics import in_order, metric_of

import msgspec
import pandas as pd


class FoldMetric(MetricComparison, frozen=True, kw_only=True):
    """One metric over the folds: its means, and its standard deviations between the folds."""

    before_std: float
    after_std: float


class FoldsComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two cross-validations on the same folds.

    Attributes:
        folds: their number.
        tuned: the revisions whose hyperparameters a search chose on these folds, so that their scores are optimistic.
    """

    folds: int
    metrics: tuple[FoldMetric, ...]
    tuned: tuple[str, ...]


class NoFolds(NotComparable, frozen=True, tag="no cross-validation"):
    """These revisions have no cross-validation."""

    revisions: tuple[str, ...]


class StaleFolds(NotComparable, frozen=True, tag="other settings or code"):
    """These revisions' cross-validation was run with other settings, code or libraries than the model."""

    revisions: tuple[str, ...]


class OtherFolds(NotComparable, frozen=True, tag="other folds"):
    """The folds differ: other training rows, folds, repeats or seed."""


def compare_folds(before: Evaluated, after: Evaluated) -> FoldsComparison | NotComparable:
    """Compare every metric of two cross-validations by the corrected resampled t-test, where their folds are the same.

    Folds in time are shown, not tested.
    """
    sides = before, after
    if targets := another_target(before, after):
        return targets
    if stale := tuple(side.shown for side in sides if side.folds and not side.folds.current):
        return StaleFolds(stale)
    if before.folds is None or after.folds is None:
        return NoFolds(tuple(side.shown for side in sides if side.folds is None))
    old, new = (
        folds.scores.pivot_table(index=["repeat", "fold", "n_train", "n_test"], columns="metric", values="value")
        for folds in (before.folds, after.folds)
    )
    if before.folds.made_from != after.folds.made_from or not old.index.equals(new.index):
        return OtherFolds()
    other_average = before.folds.average != after.folds.average
    names = [
        name
        for name in in_order([str(name) for name in new], after.task)
        if not (other_average and metric_of(name).averaged)
        and all(name in side and side[name].notna().all() for side in (old, new))
    ]
    metrics = _test(old[names], new[names], in_time=before.in_time or after.in_time)
    return FoldsComparison(folds=len(old), metrics=metrics, tuned=tuple(side.shown for side in sides if side.found))


def _test(old: pd.DataFrame, new: pd.DataFrame, *, in_time: bool) -> tuple[FoldMetric, ...]:
    """Test every metric, a column each, of the same folds, a row each."""
    n_train, n_test = (old.index.get_level_values(level).to_numpy() for level in ("n_train", "n_test"))
    differences = {str(name): (new[name] - old[name]).to_numpy() for name in old}
    tests = {name: corrected_t_test(values, n_train, n_test) for name, values in differences.items()}
    if in_time:
        tests = {name: FoldTest(test.difference, None, None) for name, test in tests.items()}
    families = find_families(differences, {})  # a mean over folds of roots is not the root of a mean
    corrected = correct_by_holm({name: test.p for name, test in tests.items()}, families)
    undefined = "folds in time are not tested" if in_time else "all folds differ by the same amount"
    metrics = []
    for name, test in tests.items():
        (before, before_std), (after, after_std) = mean_and_std(old[name].tolist()), mean_and_std(new[name].tolist())
        p = corrected.get(families[name])
        verdict = verdict_of(name, test.difference, p)
        low, high = test.interval or (None, None)
        metrics.append(
            FoldMetric(
                metric=name,
                lower_is_better=metric_of(name).lower_is_better,
                before=before,
                after=after,
                before_std=before_std,
                after_std=after_std,
                difference=test.difference,
                low=low,
                high=high,
                test="corrected resampled t",
                p=tests[families[name]].p,
                p_holm=p,
                verdict=verdict,
                why=undefined if verdict == NOT_COMPARABLE else None,
            )
        )
    return tuple(metrics)
