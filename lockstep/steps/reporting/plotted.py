"""Curves and bins, as the stages before have put them down in curves.csv."""

from collections.abc import Sequence
from typing import NamedTuple

from lockstep.steps.reporting.sources import CurvePoint
from lockstep.steps.reporting.wording import visible


class Bin(NamedTuple):
    """A bin of calibration or of error by size: means of x and y over ``rows`` rows, and the interval of y."""

    x: float
    y: float
    low: float | None
    high: float | None
    rows: int


class Curve(NamedTuple):
    """A curve; ``area`` under it is that of all rows, not of the thinned points (None: of no meaning)."""

    name: str
    x: list[float]
    y: list[float]
    area: float | None


def series_of(curves: Sequence[CurvePoint], curve: str) -> list[str]:
    """The series that ``curve`` has, in their order."""
    return list(dict.fromkeys(point.series for point in curves if point.curve == curve))


def area_of(curves: Sequence[CurvePoint], area: str, series: str) -> float | None:
    """A number given beside the curves, such as the "average precision" of a class."""
    return next((point.y for point in curves if (point.curve, point.series) == (area, series)), None)


def curve_of(curves: Sequence[CurvePoint], curve: str, area: str, series: str) -> Curve:
    """The points of ``series`` in ``curve``, with the ``area`` under it."""
    points = [point for point in curves if (point.curve, point.series) == (curve, series)]
    x = [point.x for point in points if point.x is not None]
    return Curve(visible(series), x, [point.y for point in points], area_of(curves, area, series))


def bins_of(curves: Sequence[CurvePoint], curve: str, series: str | None = None) -> list[Bin]:
    """The bins of ``series`` in ``curve``, or of the only series that it has."""
    return [
        Bin(point.x, point.y, point.low, point.high, point.count)
        for point in curves
        if point.curve == curve and series in (None, point.series) and point.x is not None and point.count is not None
    ]
