"""The verdict on a metric of two models, from one p-value per metric; and the reasons for which there is none."""

from collections.abc import Iterable, Mapping
from typing import Final, Literal

from lockstep.learning.metrics import metric_of
from lockstep.steps.splitting.two_samples import holm

import msgspec
import numpy as np

ALPHA = 0.05
"""Family-wise error rate of the tests of a problem's metrics."""
BETTER: Final = "better"
WORSE: Final = "worse"
NO_DIFFERENCE: Final = "no detectable difference"
NOT_COMPARABLE: Final = "not comparable"
MIXED: Final = "mixed"
"""The verdict on a problem of which one metric is better and another worse."""
Verdict = Literal["better", "worse", "no detectable difference", "not comparable", "mixed"]


class MetricComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One metric of two models.

    Attributes:
        before, after: its values, None where it is undefined.
        difference: after less before.
        low, high: the 95 % interval of the difference, None where it has none.
        test: the name of the test that gave ``p``.
        p: the p-value for this metric alone, None where the test is undefined.
        p_holm: the same corrected for the number of metrics: the verdict goes by it.
        why: the reason for a verdict that the numbers do not explain.
    """

    metric: str
    lower_is_better: bool
    before: float | None
    after: float | None
    difference: float | None
    low: float | None
    high: float | None
    test: str
    p: float | None
    p_holm: float | None
    verdict: Verdict
    why: str | None = None


class NotComparable(msgspec.Struct, frozen=True, kw_only=True, tag_field="reason"):
    """Two models, or their cross-validations, that are not compared; each subclass is a reason."""

    verdict: Literal["not comparable"] = NOT_COMPARABLE


class Target(msgspec.Struct, frozen=True):
    """What is predicted."""

    column: str
    task: str


class AnotherTarget(NotComparable, frozen=True, tag="another target"):
    """The two sides predict different columns, or another kind of target."""

    before: Target
    after: Target


def verdict_of(metric: str, difference: float | None, p: float | None) -> Verdict:
    """Judge one metric by its corrected p-value, None where the test is undefined."""
    if p is None or difference is None:
        return NOT_COMPARABLE
    if p > ALPHA or difference == 0:
        return NO_DIFFERENCE
    return BETTER if (difference < 0) == metric_of(metric).lower_is_better else WORSE


def overall_verdict(metrics: Iterable[MetricComparison]) -> Verdict:
    """The verdict of several metrics together."""
    verdicts = {item.verdict for item in metrics}
    if {BETTER, WORSE} <= verdicts:
        return MIXED
    return BETTER if BETTER in verdicts else WORSE if WORSE in verdicts else NO_DIFFERENCE


def find_families(differences: Mapping[str, np.ndarray], same: Mapping[str, str]) -> dict[str, str]:
    """Find metrics that are one test: {metric: the first metric that has the same test}.

    Two metrics have the same test if their differences are the same in every resample, or fold, up to a constant factor
    (macro recall and balanced accuracy; accuracy and all micro averages), or if ``same`` says so.

    Args:
        differences: by metric (n_resamples,) or (n_folds,).
    """
    families: dict[str, str] = {}
    scaled = {name: _scaled(values) for name, values in differences.items()}
    for name, values in scaled.items():
        firsts = (other for other in families if families[other] == other)
        equal = (other for other in firsts if _is_same(scaled[other], values))
        families[name] = next(equal, same.get(name, name))
    return families


def _is_same(one: np.ndarray, other: np.ndarray) -> bool:
    return one.shape == other.shape and bool(np.allclose(one, other, equal_nan=True))


def _scaled(values: np.ndarray) -> np.ndarray:
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return values / largest if largest > 0 else values


def correct_by_holm(p_values: Mapping[str, float | None], families: Mapping[str, str]) -> dict[str, float]:
    """Correct the p-values for their number by Holm's method, one per family: {first metric of a family: p}."""
    own = {name: p for name, p in p_values.items() if families[name] == name and p is not None}
    return dict(zip(own, holm(list(own.values())), strict=True))
