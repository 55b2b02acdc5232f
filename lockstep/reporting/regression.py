"""What a report shows of the predictions of a regression."""

from dataclasses import dataclass

from lockstep.diagnosing.diagnosis import Cloud, Histogram, OfNumbers
from lockstep.reporting.plotted import Bin, bins_of
from lockstep.reporting.sources import PlotTables


@dataclass(frozen=True)
class RegressionFacts:
    """The predictions of a regression; ``calibration``: mean target by mean prediction, ``error_by_size``: mean
    absolute error by mean target."""

    target: Histogram
    predicted: Cloud
    residuals: Cloud
    calibration: list[Bin]
    error_by_size: list[Bin]


def regression_facts(plots: PlotTables, own: OfNumbers) -> RegressionFacts:
    """What there is to show of the predictions.

    Args:
        plots: the tables that evaluate has written.
        own: the part of the diagnosis that a regression has.
    """
    return RegressionFacts(
        target=own.target,
        predicted=own.predicted,
        residuals=own.residuals,
        calibration=bins_of(plots.curves, "calibration"),
        error_by_size=bins_of(plots.curves, "absolute error by size of the target"),
    )
