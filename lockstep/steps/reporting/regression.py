"""What a report shows of the predictions of a regression."""

from collections.abc import Sequence
from dataclasses import dataclass

from lockstep.steps.diagnosing.diagnosis import Cloud, Histogram, OfNumbers
from lockstep.steps.reporting.plotted import Bin, bins_of
from lockstep.steps.reporting.sources import PlotTables
from lockstep.steps.reporting.wording import number


@dataclass(frozen=True)
class RegressionFacts:
    """The predictions of a regression; ``calibration``: mean target by mean prediction, ``error_by_size``: mean
    absolute error by mean target, and in a sentence what to see in it."""

    target: Histogram
    predicted: Cloud
    residuals: Cloud
    calibration: list[Bin]
    error_by_size: list[Bin]
    error_says: str


def regression_facts(plots: PlotTables, own: OfNumbers) -> RegressionFacts:
    """What there is to show of the predictions.

    Args:
        plots: the tables that evaluate has written.
        own: the part of the diagnosis that a regression has.
    """
    by_size = bins_of(plots.curves, "absolute error by size of the target")
    return RegressionFacts(
        target=own.target,
        predicted=own.predicted,
        residuals=own.residuals,
        calibration=bins_of(plots.curves, "calibration"),
        error_by_size=by_size,
        error_says=error_says(by_size),
    )


def error_says(bins: Sequence[Bin]) -> str:
    """How the error of the smallest and of the largest targets compare, in a sentence."""
    if len(bins) < 2:
        return ""
    first, last = bins[0], bins[-1]
    ends = f"{number(first.y)} where the target is smallest, {number(last.y)} where it is largest"
    if first.low is None or first.high is None or last.low is None or last.high is None:
        return f"It is {ends}."
    if last.low > first.high:
        return f"It is larger for large values: {ends}."
    if last.high < first.low:
        return f"It is larger for small values: {ends}."
    return f"It is {ends}; their intervals overlap."
