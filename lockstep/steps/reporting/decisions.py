"""What a report says of calibration, threshold and prediction intervals, as the test rows bear them out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from lockstep.deciding.decision import ChosenThreshold, Decision, NumberIntervals
from lockstep.steps.reporting.metric_titles import TITLES
from lockstep.steps.reporting.plotted import Bin, bins_of, series_of
from lockstep.steps.reporting.sources import Sources
from lockstep.steps.reporting.wording import number, percent, score, visible, with_article

BEFORE = "calibration before"
"""The curve of the probabilities that were not calibrated; see lockstep/steps/evaluating/curves.py."""


@dataclass(frozen=True)
class DecisionFacts:
    """What was decided on out-of-fold predictions.

    Attributes:
        threshold: None for the model's own decision.
        judged_by: the metric of its curve, in words.
        folds_differ: whether the folds were scored without what was decided.
        before: the bins of the calibration without calibration, of two classes; empty where there is none.
    """

    threshold: ChosenThreshold | None
    judged_by: str
    folds_differ: bool
    before: list[Bin]


def decision_facts(given: Sources) -> DecisionFacts:
    """What there is to draw of it."""
    chosen, curves = given.sidecar.decision.threshold, given.plots.curves
    differ = chosen is not None or given.sidecar.decision.calibrate != "none"
    alone = len(series_of(curves, BEFORE)) == 1
    judged_by = "" if chosen is None else _judge(chosen)
    return DecisionFacts(chosen, judged_by, differ, bins_of(curves, BEFORE) if alone else [])


def decision_sentences(given: Sources) -> list[str]:
    """What it is worth, in sentences; none where nothing was decided."""
    decision, metrics = given.sidecar.decision, given.metrics
    return [
        *_calibration(decision, metrics),
        *_threshold(decision, metrics),
        *_intervals(decision, metrics, given.diagnosis.weight),
    ]


def _judge(chosen: ChosenThreshold) -> str:
    """The mean cost of a row; F1 of the class yes; the accuracy."""
    if chosen.metric == "cost":
        return "the mean cost of a row"
    of = f" of {visible(chosen.positive, 40)}" if chosen.metric == "f1_score" else ""
    return f"{with_article(TITLES[chosen.metric])}{of}"


def _calibration(decision: Decision, metrics: dict[str, float | str]) -> list[str]:
    if decision.calibrate == "none":
        return []
    said = f"Its probabilities are calibrated on out-of-fold predictions ({decision.calibrate})"
    after, before = metrics.get("log_loss"), metrics.get("log_loss_uncalibrated")
    if after is None or before is None:
        return [f"{said}."]
    return [f"{said}: the log loss of the test rows is {score(after)}, and was {score(before)} before."]


def _threshold(decision: Decision, metrics: dict[str, float | str]) -> list[str]:
    chosen = decision.threshold
    if chosen is None:
        return []
    what, name = "score" if chosen.default == 0 else "probability", visible(chosen.positive, 40)
    said = f"A row is given {name} from a {what} of {score(chosen.value)} on instead of {number(chosen.default)}"
    costs = ""
    if chosen.false_positive is not None and chosen.metric == "cost":
        wrong, missed = number(chosen.false_positive), number(chosen.false_negative)
        costs = f" ({wrong} for a row named so wrongly, {missed} for one missed)"
    on = f"{chosen.rows:,} out-of-fold predictions"
    by = (
        f": as the settings say, where {_judge(chosen)}{costs} was"
        if chosen.by == "given"
        else f", by {_judge(chosen)}{costs}:"
    )
    first = f"{said}{by} {score(chosen.reached)} instead of {score(chosen.reached_by_default)} on {on}."
    reached, default = (metrics.get(f"{kind}_{chosen.metric}") for kind in ("threshold", "default"))
    gain, low, high = (metrics.get(f"threshold_gain{end}") for end in ("", "_low", "_high"))
    if reached is None or gain is None:
        return [first]
    result = f"On the test rows it is {score(reached)} instead of {score(default)}"
    if not isinstance(low, float) or not isinstance(high, float):
        return [first, f"{result}."]
    between = f"a gain of {score(gain)} ({_range(low, high, score)})"
    doubt = "" if low > 0 or high < 0 else "; the interval does not exclude that nothing is gained"
    return [first, f"{result}, {between}{doubt}."]


def _intervals(decision: Decision, metrics: dict[str, float | str], weight: str | None) -> list[str]:
    intervals, coverage = decision.intervals, metrics.get("coverage")
    if intervals is None or coverage is None:
        return []
    low, high = metrics.get("coverage_low"), metrics.get("coverage_high")
    within = f" ({_range(low, high, percent)})" if isinstance(low, float) and isinstance(high, float) else ""
    less = ", fewer than they are made for" if isinstance(high, float) and high < intervals.level else ""
    weighted = "" if weight is None else f", weighted by {visible(weight, 40)}"
    holds = f"{percent(coverage)} of the test rows{weighted}{within}{less}"
    level = f"{100 * intervals.level:g}\N{NO-BREAK SPACE}%"
    if isinstance(intervals, NumberIntervals):
        wide = number(metrics["interval_width"])
        return [
            f"Its prediction intervals, made for {level}, hold the actual value in {holds}, {wide} wide on average."
        ]
    least, size = percent(metrics["set_coverage_least"]), number(metrics["set_size"], 3)
    noun = "class" if size == "1" else "classes"
    hold = f"hold the actual class in {holds}, of the class covered least in {least}"
    return [f"Its prediction sets, made for {level} of each class, {hold}, with {size} {noun} on average."]


def _range(low: float, high: float, form: Callable[[Any], str]) -> str:
    return f"95\N{NO-BREAK SPACE}% interval {form(low)} to {form(high)}"
