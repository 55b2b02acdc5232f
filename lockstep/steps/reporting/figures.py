"""Small tables to pictures. Each function is pure; drawing.py says what all of them have in common."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from lockstep.steps.diagnosing.diagnosis import Cloud
from lockstep.steps.reporting.date_ticks import date_ticks
from lockstep.steps.reporting.drawing import (
    DASHES,
    HEIGHT,
    INK,
    PAPER,
    SERIES,
    SMALLEST,
    SOFT,
    WASH,
    WIDTH,
    draw_legend,
    drawing,
    height_above,
    new_figure,
    svg_of,
)
from lockstep.steps.reporting.wording import compact, shortened

from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

LABEL = 12
"""Characters of a class beside a confusion matrix."""
_NAME, LETTER = 26, 6.4
"""Characters of a bar's label left of the axis, and pixels of one."""
APART = 1.45
"""The least ratio of two ticks of a logarithmic axis, to have room for their labels."""

Point = tuple[float, float]


class Line(NamedTuple):
    """A curve.

    Attributes:
        label: "" has no line in the legend.
        x, y: of its points.
        spread: half the height of the error bar of each point.
        marks: draw the single points too.
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    spread: Sequence[float] = ()
    marks: bool = False


class Axis(NamedTuple):
    """An axis of a picture of curves, or of bars.

    Attributes:
        label: what it shows, with the unit.
        range: from where to where; None: what the values need.
        log: it is logarithmic, of numbers of rows, with a tick at each value of the curves (x alone).
        most: what the values cannot exceed, though error bars may (y alone).
        dates: its values are days since 1970-01-01 (x of curves alone).
        band: shade this part (x of curves alone).
        counts: its values are counts (of bars alone).
    """

    label: str
    range: Point | None = None
    log: bool = False
    most: float | None = None
    dates: bool = False
    band: Point | None = None
    counts: bool = False


def lines(
    name: str,
    alt: str,
    curves: Sequence[Line],
    x: Axis,
    y: Axis,
    *,
    reference: Sequence[Point] = (),
    legend: str = "best",
) -> str:
    """Curves.

    Args:
        name, alt: of the picture.
        curves: what is drawn.
        x, y: the axes.
        reference: two points of a dashed line to compare with.
        legend: where a short one is placed, as matplotlib says it.
    """
    above = height_above([curve.label for curve in curves if curve.label])
    with drawing():
        figure, axes = new_figure(height=HEIGHT + above, top=10 + above, right=24 if x.dates else 12)
        if x.band is not None:
            axes.axvspan(*x.band, facecolor=SOFT, alpha=0.1, linewidth=0)
        if reference:
            axes.plot(*zip(*reference, strict=True), color=SOFT, linewidth=1, dashes=(3, 3))
        handles, labels = [], []
        for number, curve in enumerate(curves):
            color, dashes = SERIES[number % len(SERIES)], DASHES[number % len(DASHES)]
            marker = "o" if curve.marks or len(curve.x) == 1 else ""
            (handle,) = axes.plot(curve.x, curve.y, color=color, linestyle=dashes, marker=marker, markersize=4.5)
            if curve.spread:
                axes.errorbar(
                    curve.x, curve.y, yerr=curve.spread, fmt="none", ecolor=color, elinewidth=1.2, capsize=2.5
                )
            if curve.label:
                handles.append(handle)
                labels.append(curve.label)
        _scale(axes, curves, x, y)
        if handles:
            draw_legend(axes, handles, labels, None if above else legend)
        return svg_of(figure, name, alt)


def _scale(axes: Axes, curves: Sequence[Line], x: Axis, y: Axis) -> None:
    """Set the scales and labels of a picture of curves."""
    if x.log:
        axes.set_xscale("log")
        ticks = sorted({value for curve in curves for value in curve.x})
        axes.xaxis.set_major_locator(FixedLocator(_apart(ticks)))
        axes.xaxis.set_major_formatter(FuncFormatter(_rows))
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.minorticks_off()
    elif all(float(value).is_integer() for curve in curves for value in curve.x):
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    if x.range is not None:
        axes.set_xlim(*x.range)
    label = _dates(axes, curves, x) if x.dates else x.label
    if y.range is not None:
        axes.set_ylim(*y.range)
    if y.most is not None:
        axes.set_ylim(top=min(axes.get_ylim()[1], y.most + 0.02 * (y.most - axes.get_ylim()[0])))
    axes.set_xlabel(label)
    axes.set_ylabel(y.label)


def _dates(axes: Axes, curves: Sequence[Line], x: Axis) -> str:
    """Set the ticks of an axis of dates, and give its label: with the day or the year that the ticks share."""
    values = [value for curve in curves for value in curve.x]
    data = min(values), max(values)
    if data[0] == data[1] and x.range is None:
        axes.set_xlim(data[0] - 0.5, data[0] + 0.5)
    low, high = axes.get_xlim()
    axes.set_xlim(low, high)
    ticks = date_ticks(data, (low, high), axes.get_position().width * WIDTH)
    axes.xaxis.set_major_locator(FixedLocator(ticks.places))
    axes.xaxis.set_major_formatter(FixedFormatter(ticks.labels))
    return f"{x.label}, {ticks.shared}" if ticks.shared else x.label


def _rows(value: float, _: int) -> str:
    """A tick that counts rows: 2,000, as sentences have it, and not a year's 2000."""
    return f"{value:,.0f}" if 1000 <= value < 10_000 else compact(value)


def _apart(ticks: Sequence[float]) -> list[float]:
    """Those ticks of a logarithmic axis that leave room for their labels; the last one is kept."""
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or kept[-1] / tick >= APART:
            kept.append(tick)
    return kept[::-1]


def bars(
    name: str,
    alt: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    x: Axis,
    *,
    spread: Sequence[float] | None = None,
) -> str:
    """Horizontal bars, the first on top; the labels stand above their bars, so that long ones fit, or, where bars go to
    both sides of zero, left of the axis, out of their way. On an axis with a range points are drawn instead: the length
    of a bar that does not begin at zero means nothing.

    Args:
        labels: of the bars.
        series: (label, values) each.
        x: the axis of the values.
        spread: half the length of the error bars of the first series.
    """
    low = min(0.0, *(value for _, values in series for value in values))
    if spread is not None:
        low = min(low, *(value - half for value, half in zip(series[0][1], spread, strict=True)))
    beside = low < 0 and x.range is None
    shown = [shortened(label, _NAME) if beside else label for label in labels]
    left = max(12.0, 16 + LETTER * max(map(len, shown), default=0)) if beside else 12.0
    label_height, thickness, gap = (0, 9, 9) if beside else (16, 9, 6)  # of a row, in pixels, from top to bottom
    step = label_height + thickness * len(series) + gap
    above = height_above([label for label, _ in series], inside=1)
    height = 46 + step * len(labels) + above
    with drawing():
        figure, axes = new_figure(height=height, left=left, top=6 + above)
        handles = []
        for number, (_, values) in enumerate(series):
            inside = label_height + thickness * (number + 0.5) + (gap / 2 if beside else 0)
            places = [row + inside / step for row in range(len(labels))]
            if x.range is None:
                handles.append(axes.barh(places, values, 0.86 * thickness / step, color=SERIES[number])[0])
            else:
                handles += axes.plot(values, places, "o", color=SERIES[number], markersize=6, markeredgewidth=0)
            if number == 0 and spread is not None:
                axes.errorbar(values, places, xerr=spread, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        from_left = axes.get_yaxis_transform()  # x: 0 is the left end of the axis, whatever its numbers
        for row, label in enumerate(shown):
            if beside:
                axes.text(-6 / (WIDTH - left - 12), row + 0.5, label, va="center", ha="right", transform=from_left)
            else:
                axes.text(0, row + (label_height - 1) / step, label, va="bottom", ha="left", transform=from_left)
        axes.set_ylim(len(labels), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if x.range is not None:
            axes.set_xlim(*x.range)
        elif beside:
            axes.axvline(0, color=SOFT, linewidth=0.8)
        if x.counts:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
            axes.xaxis.set_major_formatter(FuncFormatter(_rows))
        middle = min((left + WIDTH - 12) / 2, WIDTH - 4 - LETTER * len(x.label) / 2)  # of an axis that may be narrow
        axes.set_xlabel(x.label, x=(middle - left) / (WIDTH - left - 12))
        if len(series) > 1:
            draw_legend(axes, handles, [label for label, _ in series])
        return svg_of(figure, name, alt)


def histogram(
    name: str, alt: str, edges: Sequence[float], series: Sequence[tuple[str, Sequence[float]]], x_label: str
) -> str:
    """Shares of the rows by value, each series as steps: (label, one share per bin)."""
    with drawing():
        figure, axes = new_figure(left=46)
        handles = []
        for number, (_, shares) in enumerate(series):
            axes.stairs(shares, edges, color=SERIES[number], linewidth=1.6, linestyle=DASHES[number])
            axes.stairs(shares, edges, fill=True, facecolor=SERIES[number], alpha=0.16, linewidth=0)
            handles.append(Line2D([], [], color=SERIES[number], linestyle=DASHES[number], linewidth=1.6))
        draw_legend(axes, handles, [label for label, _ in series], "best")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
        axes.set_xlabel(x_label)
        return svg_of(figure, name, alt)


def cloud(name: str, alt: str, rows: Cloud, labels: tuple[str, str], *, reference: Sequence[Point] = ()) -> str:
    """Rows in a plane, as points or as cells: the fuller a cell, the darker, by the root of its rows.

    Args:
        name, alt: of the picture.
        rows: in the plane.
        labels: of x and y.
        reference: two points of a dashed line to compare with.
    """
    with drawing():
        figure, axes = new_figure()
        fullest = max((count for _, _, count in rows.cells), default=1)
        for x, y, count in rows.cells:
            shade = round(0.12 + 0.88 * math.sqrt(count / fullest), 2)
            axes.add_patch(Rectangle((x, y), rows.width, rows.height, facecolor=SERIES[0], alpha=shade, linewidth=0))
        if rows.points:
            axes.plot(
                *zip(*rows.points, strict=True), "o", color=SERIES[0], markersize=4, alpha=0.55, markeredgewidth=0
            )
        if reference:
            axes.plot(*zip(*reference, strict=True), color=INK, linewidth=1.1, dashes=(4, 3))
        axes.set_xlim(*rows.x_range)
        axes.set_ylim(*rows.y_range)
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        return svg_of(figure, name, alt)


def matrix(name: str, alt: str, names: Sequence[str], counts: Sequence[Sequence[int]], *, others: bool = False) -> str:
    """A confusion matrix: actual classes down, predicted ones across; a cell is the stronger, the larger its share of
    the actual class.

    Args:
        names: of the classes.
        counts: rows by actual and predicted class.
        others: the last name is that of several classes, so that its cell is neither right nor wrong.
    """
    size = len(names)
    longest = max(map(len, names))
    left = min(112, 40 + 6.0 * min(longest, LABEL))
    cell = (WIDTH - left - 8) / size
    upright = longest * 6.0 < cell
    bottom = 42 if upright else min(112, 42 + 5.6 * min(longest, LABEL))
    shown = [shortened(label, LABEL) for label in names]
    row = min(cell, 64)
    with drawing():
        figure, axes = new_figure(height=bottom + row * size + 8, left=left, right=8, top=8, bottom=bottom)
        for actual, across in enumerate(counts):
            total = max(1, sum(across))
            for predicted, rows in enumerate(across):
                share = rows / total
                mixed = others and actual == predicted == size - 1
                color = SERIES[5] if mixed else SERIES[0] if actual == predicted else SERIES[1]
                box = Rectangle((predicted, actual), 1, 1, facecolor=color, edgecolor=PAPER, linewidth=1)
                box.set(facecolor=WASH) if not rows else box.set(alpha=round(0.08 + 0.86 * share, 3))
                axes.add_patch(box)
                if rows or size <= 5:
                    text = compact(rows) if size > 5 or rows >= 10**6 else f"{rows:,}"
                    axes.text(
                        predicted + 0.5, actual + 0.5, text, ha="center", va="center",
                        color=PAPER if share > 0.7 else INK, fontsize=min(SMALLEST, (cell - 1) / (0.64 * len(text))),
                    )  # fmt: skip
        axes.set_xlim(0, size)
        axes.set_ylim(size, 0)
        axes.grid(visible=False)
        places = [place + 0.5 for place in range(size)]
        axes.xaxis.set_major_locator(FixedLocator(places))
        axes.yaxis.set_major_locator(FixedLocator(places))
        axes.xaxis.set_major_formatter(FixedFormatter(shown))
        axes.yaxis.set_major_formatter(FixedFormatter(shown))
        axes.tick_params(length=0)
        if not upright:
            axes.tick_params(axis="x", rotation=90)
        for spine in axes.spines.values():
            spine.set_visible(False)
        axes.set_xlabel("predicted")
        axes.set_ylabel("actual")
        return svg_of(figure, name, alt)


def bins(
    name: str,
    alt: str,
    series: Sequence[tuple[str, Sequence[tuple[float, float, float | None, float | None]]]],
    x_label: str,
    y_label: str,
    *,
    diagonal: bool = False,
    ranges: tuple[Point, Point] | None = None,
) -> str:
    """Means of bins, (x, y, low, high) each, with error bars where there is one series only."""
    above = height_above([label for label, _ in series])
    with drawing():
        figure, axes = new_figure(height=HEIGHT + above, top=10 + above)
        handles = []
        for number, (_, entries) in enumerate(series):
            color, x, y = SERIES[number], [entry[0] for entry in entries], [entry[1] for entry in entries]
            (handle,) = axes.plot(x, y, "o", color=color, linestyle=DASHES[number], linewidth=1.2, markersize=4.5)
            handles.append(handle)
            if len(series) == 1 and all(entry[2] is not None for entry in entries):
                down = [max(0.0, entry[1] - (entry[2] or 0.0)) for entry in entries]
                up = [max(0.0, (entry[3] or 0.0) - entry[1]) for entry in entries]
                axes.errorbar(x, y, yerr=[down, up], fmt="none", ecolor=color, elinewidth=1.2, capsize=2.5)
        if ranges is not None:
            axes.set_xlim(*ranges[0])
            axes.set_ylim(*ranges[1])
        else:
            axes.set_ylim(bottom=0 if not diagonal else None)
        if diagonal:
            low, high = max(axes.get_xlim()[0], axes.get_ylim()[0]), min(axes.get_xlim()[1], axes.get_ylim()[1])
            axes.plot([low, high], [low, high], color=SOFT, linewidth=1, dashes=(3, 3), zorder=1)
        if len(series) > 1:
            draw_legend(axes, handles, [label for label, _ in series], None if above else "best")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return svg_of(figure, name, alt)


def dots(name: str, alt: str, rows: Sequence[tuple[str, Sequence[float]]], x_label: str) -> str:
    """Values on a line, one line per row (label, values); a bar marks the mean of several."""
    with drawing():
        figure, axes = new_figure(height=52 + 44 * len(rows), left=12, right=16)
        for number, (_, values) in enumerate(rows):
            heights = [number + 0.2 + 0.13 * _before(values, place) for place in range(len(values))]
            axes.plot(values, heights, "o", color=SERIES[number], markersize=7, alpha=0.6, markeredgewidth=0)
            if len(values) > 1:
                mean = sum(values) / len(values)
                axes.plot([mean, mean], [number, number + 0.4], color=SERIES[number], linewidth=2)
        axes.set_ylim(len(rows) - 0.4, -0.5)
        low, high = axes.get_xlim()
        for number, (label, _) in enumerate(rows):
            axes.text(low, number - 0.08, label, va="bottom", ha="left")
        axes.set_xlim(low, high)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_label)
        return svg_of(figure, name, alt)


def _before(values: Sequence[float], place: int) -> int:
    """How many equal values stand before this one: dots of one value are drawn one below the other."""
    return sum(value == values[place] for value in values[:place])
