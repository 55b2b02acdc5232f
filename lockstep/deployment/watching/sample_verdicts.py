"""Compares a model's metrics on two independent samples of rows: is it as good on the one as on the other?"""

from collections.abc import Sequence
from typing import NamedTuple

from lockstep.comparing.model_verdicts import SAME_TEST, RowsMetric
from lockstep.comparing.significance import MOST_EXCHANGED, bootstrap_p, detectable, permutation_p
from lockstep.comparing.verdicts import (
    ALPHA,
    NO_DIFFERENCE,
    NOT_COMPARABLE,
    correct_by_holm,
    find_families,
    verdict_of,
)
from lockstep.kernel.log import counted
from lockstep.kernel.settings import Task
from lockstep.learning.metrics import RARE_CLASS_METRICS, in_order, metric_of
from lockstep.learning.scoring import Average, Predictions, Scorer, metrics_of
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.resampling import (
    SEED,
    ClassRows,
    bootstrap_interval,
    intervals_of,
    labels_of,
    resampled,
    resampled_own,
    resampling_rows,
)

import msgspec
import numpy as np


class Sample(NamedTuple):
    """Rows whose truth is known, and what a model says of them.

    Attributes:
        y: (n_rows,) the true targets.
        predictions: of the same rows.
        design: how the rows were drawn.
    """

    y: np.ndarray
    predictions: Predictions
    design: Design


class SampleMetric(RowsMetric, frozen=True, kw_only=True):
    """One metric of two samples; of each value its 95 % interval, None where it has none."""

    before_interval: tuple[float, float] | None
    after_interval: tuple[float, float] | None


class TooFew(msgspec.Struct, frozen=True):
    """Metrics that are not compared; ``why`` says how many rows are needed."""

    why: str


def compare_samples(
    before: Sample, after: Sample, task: Task, average: Average, own: Sequence[Scorer] = ()
) -> tuple[SampleMetric, ...] | TooFew:
    """Compare every metric that both samples have; the verdict is on the second one.

    Each sample is resampled by itself, and the difference of a resample of the one and a resample of the other is what
    the interval and the bootstrap's p-value are of (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993),
    section 8.3). With the degrees of freedom of the smaller sample, which errs towards no difference. The p-value is
    the larger one of it and, of so few rows that it takes no minutes, that of a permutation.
    """
    for name, sample in (("test rows", before), ("rows with the truth", after)):
        if not sample.design.enough:
            units, needed = sample.design.kind, sample.design.needed
            kind = "" if units == "rows" else f" in {sample.design.n_units} {units}"
            return TooFew(f"{len(sample.y)} {name}{kind} are too few, at least {needed} independent {units} are needed")
    sides = before, after
    labels = labels_of(np.concatenate([side.y for side in sides]), *(side.predictions for side in sides))
    rows = [
        resampling_rows(side.y, side.predictions, task, average, labels if task == "classification" else None)
        for side in sides
    ]
    values = [metrics_of(side.y, side.predictions, task, average, own, side.design.weights) for side in sides]
    names = set(values[0]) & set(values[1])
    one, other = rows
    if isinstance(one, ClassRows) and isinstance(other, ClassRows) and one.rare != other.rare:
        names -= set(RARE_CLASS_METRICS)
    samples = [
        resampled([built], side.design, SEED + number)[0]
        | resampled_own(own, side.y, [side.predictions], side.design, SEED + number)[0]
        for number, (built, side) in enumerate(counted(zip(rows, sides, strict=True), "samples"))
    ]
    smaller = min((side.design for side in sides), key=lambda design: design.degrees_of_freedom)
    differences = {}
    for name in in_order(names, task):
        n_both = min(len(sample[name]) for sample in samples)
        differences[name] = samples[1][name][:n_both] - samples[0][name][:n_both]
    p_values = {name: bootstrap_p(values, smaller) for name, values in differences.items()}
    tests = dict.fromkeys(p_values, "bootstrap")
    if len(before.y) + len(after.y) <= MOST_EXCHANGED:
        for name, p in _permuted(before, after, task, average).items():
            if name in p_values:
                own_p = p_values[name]
                p_values[name] = None if p is None or own_p is None else max(p, own_p)
                tests[name] = "bootstrap and permutation"
    families = find_families(differences, SAME_TEST)
    corrected = correct_by_holm(p_values, families)
    ranges = [intervals_of(side.y, side.predictions, task, average, side.design, own) for side in sides]
    level, found = ALPHA / max(1, len(corrected)), []
    for name, drawn in differences.items():
        difference = values[1][name] - values[0][name]
        verdict = verdict_of(name, difference, corrected.get(families[name]))
        low, high = bootstrap_interval(drawn, smaller) or (None, None)
        error = float(np.nanstd(drawn)) * smaller.widening
        is_equal = verdict == NO_DIFFERENCE and error > 0
        found.append(
            SampleMetric(
                metric=name,
                lower_is_better=metric_of(name).lower_is_better,
                before=values[0][name],
                after=values[1][name],
                before_interval=ranges[0].get(name),
                after_interval=ranges[1].get(name),
                difference=difference,
                low=low,
                high=high,
                test=tests[families[name]],
                p=p_values[families[name]],
                p_holm=corrected.get(families[name]),
                verdict=verdict,
                why="it is undefined in too many resamples of these rows" if verdict == NOT_COMPARABLE else None,
                detectable=detectable(error, smaller.degrees_of_freedom, level) if is_equal else None,
            )
        )
    return tuple(found)


def _permuted(before: Sample, after: Sample, task: Task, average: Average) -> dict[str, float | None]:
    y = np.concatenate([before.y, after.y])
    pooled = resampling_rows(y, _pooled(before.predictions, after.predictions), task, average, None)
    return permutation_p(pooled, before.design, after.design)


def _pooled(one: Predictions, other: Predictions) -> Predictions:
    """One model's predictions of some rows, then of others."""

    def joined(first: np.ndarray | None, second: np.ndarray | None) -> np.ndarray | None:
        return None if first is None or second is None else np.concatenate([first, second])

    return one._replace(
        values=np.concatenate([one.values, other.values]),
        probabilities=joined(one.probabilities, other.probabilities),
        scores=joined(one.scores, other.scores),
    )
