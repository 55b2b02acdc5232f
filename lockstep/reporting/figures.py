"""Small tables to pictures: SVG text that takes its colours from the page around it.

Each function is pure, and the same table gives the same bytes on every machine: matplotlib's object interface (no
pyplot, no backend of the user's), its own defaults instead of the user's matplotlibrc, its bundled DejaVu font for the
layout, a fixed salt for the names of clip paths, no date. Texts stay texts, to be selected, searched and read aloud.

matplotlib knows no CSS, so colours that stand for a role (INK, LINE, SERIES) are drawn as placeholders, which ``_svg``
replaces by variables of CSS: one picture serves light, dark and print. scikit-learn's display classes are not used for
that reason: they import pyplot, and draw a confusion matrix as a raster image in fixed colours.
"""

import io
import logging
import math
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from lockstep.reporting.wording import compact, shortened

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FixedFormatter, FixedLocator, FuncFormatter, MaxNLocator, NullFormatter

WIDTH, HEIGHT = 360, 250
"""Of a picture, in CSS pixels: two stand side by side on a page, one on a phone."""
INK, SOFT, LINE, PAPER, WASH = "#000001", "#000002", "#000003", "#000004", "#000005"
SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015", "#000016")
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", PAPER: "paper", WASH: "wash"} | {
    color: f"c{number}" for number, color in enumerate(SERIES, 1)
}
_DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
"""Series differ in their dashes too, for readers who do not tell the colours apart."""
INSIDE = 3
"""Series, at most, whose legend is inside the picture; that of more is above it."""
LABEL = 12
"""Characters of a class beside a confusion matrix."""
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": 10.5,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.labelsize": 10.5,
    "axes.linewidth": 1,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.unicode_minus": True,
    "axes.prop_cycle": cycler(color=SERIES),
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.labelsize": 10,
    "ytick.labelsize": 10,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 10,
    "legend.handlelength": 1.8,
    "legend.labelspacing": 0.3,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.8,
    "figure.facecolor": "none",
    "figure.dpi": 72,
    "savefig.dpi": 72,
    "svg.fonttype": "none",
    "svg.hashsalt": "lockstep",
    "path.simplify": True,
    "path.simplify_threshold": 0.1,
}

Point = tuple[float, float]
Labelled = tuple[str, Sequence[float], Sequence[float]]
"""(label, x, y)"""


@contextmanager
def _drawing() -> Iterator[None]:
    """Matplotlib as it is without a user's settings, in our style, and silent about letters that its font lacks."""
    fonts = logging.getLogger("matplotlib.font_manager")
    before = fonts.level
    with mpl.rc_context(), warnings.catch_warnings():
        fonts.setLevel(logging.ERROR)
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        mpl.rcParams.update({key: mpl.rcParamsDefault[key] for key in mpl.rcParamsDefault if key != "backend"})
        mpl.rcParams.update(_STYLE)
        try:
            yield
        finally:
            fonts.setLevel(before)


def _figure(
    *, height: float = HEIGHT, left: float = 50, right: float = 12, top: float = 10, bottom: float = 42
) -> tuple[Figure, Axes]:
    """A figure of WIDTH x ``height`` pixels with one pair of axes and these margins."""
    figure = Figure(figsize=(WIDTH / 72, height / 72), frameon=False)
    axes = figure.add_axes(
        (left / WIDTH, bottom / height, (WIDTH - left - right) / WIDTH, (height - bottom - top) / height)
    )
    axes.patch.set_visible(False)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
    axes.xaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    return figure, axes


def _svg(figure: Figure, name: str, alt: str) -> str:
    """The figure as an ``<svg>`` element to stand in a page, with ``alt`` as its text alternative.

    Names inside it (clip paths, markers) begin with ``name``, so that they are unique in a page of many pictures; those
    that nothing refers to are left out.
    """
    file = io.StringIO()
    figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"\s*<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->\s*", "", text, flags=re.DOTALL)
    text = re.sub(r"<style.*?</style>\s*", "", text, flags=re.DOTALL)  # of the whole page, once inlined: colors.css
    text = re.sub(r"<defs>\s*</defs>\s*|<g[^>]*/>\s*", "", text)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r"<[^>]+>", lambda tag: _tag(tag[0], name, used), text)  # tags alone: a text may hold anything
    text = re.sub(r"\n\s*", "\n", text)
    start = f'<svg class="picture" role="img" aria-labelledby="{name}-title" viewBox="0 0 {_viewbox(text)}">'
    body = text[text.index(">", text.index("<svg")) + 1 :].strip()
    return f'{start}\n<title id="{name}-title">{escape(alt)}</title>\n{body}\n'


def _tag(tag: str, name: str, used: set[str]) -> str:
    """A tag of matplotlib's with names, fonts and colours as ``_svg`` wants them."""
    tag = re.sub(r' id="([^"]*)"', lambda match: f' id="{name}-{match[1]}"' if match[1] in used else "", tag)
    tag = re.sub(r"(url\(#|href=\"#)", rf"\g<1>{name}-", tag)
    tag = re.sub(r"; font-family: [^;\"]*", "", tag)  # the font is the page's own
    return re.sub(r"#0000(?:0[1-5]|1[1-6])", lambda match: f"var(--{_VARIABLES[match[0]]})", tag)


def _viewbox(text: str) -> str:
    match = re.search(r'viewBox="0 0 ([\d.]+ [\d.]+)"', text)
    assert match is not None
    return match[1]


def standalone(svg: str, width: int, style: str) -> str:
    """A picture as a file of its own: with the colours, and a width, that a page would give it."""
    start, rest = svg.split("\n", 1)
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    # A ground of its own: a page may be light where the reader's system is dark.
    ground = '<rect width="100%" height="100%" rx="6" fill="var(--paper)"/>'
    title, body = rest.split("\n", 1)
    opened = f"<svg {namespaces} width={quoteattr(str(width))} {start[5:]}"
    return "\n".join([opened, title, f"<style>{style}</style>", ground, body])


def _legend(axes: Axes, handles: Sequence[Any], labels: Sequence[str], where: Any = None) -> None:
    """A legend inside the picture, at ``where``, or without it above, in columns."""
    # A label that begins with '_' would be left out.
    shown = [f"\N{ZERO WIDTH SPACE}{label}" if label.startswith("_") else label for label in labels]
    if where is not None:
        axes.legend(handles, shown, loc=where)
        return
    axes.legend(
        handles, shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=_columns(labels), borderaxespad=0.1,
        handlelength=1.5, columnspacing=1.2,
    )  # fmt: skip


def _columns(labels: Sequence[str]) -> int:
    """Of a legend above the picture: as many as there is room for."""
    return max(1, min(len(labels), int((WIDTH - 50) // (36 + 5.8 * max(map(len, labels))))))


def _above(labels: Sequence[str], inside: int = INSIDE) -> float:
    """The height of the legend above the picture, in pixels; 0 if it has no more series than may stand ``inside``."""
    return 8 + 15 * math.ceil(len(labels) / _columns(labels)) if len(labels) > inside else 0.0


def lines(
    name: str,
    alt: str,
    curves: Sequence[Labelled],
    x_label: str,
    y_label: str,
    *,
    x_range: Point | None = None,
    y_range: Point | None = None,
    reference: Sequence[Point] = (),
    marks: bool = False,
    legend: str = "best",
    spread: Sequence[Sequence[float]] = (),
    log_x: bool = False,
    most: float | None = None,
    band: Point | None = None,
) -> str:
    """Curves.

    Args:
        curves: (label, x, y) each; a label of "" has no line in the legend.
        reference: two points of a dashed line to compare with.
        marks: draw the single points too.
        spread: of each curve, half the height of its error bars.
        log_x: the x axis is logarithmic, with a tick at each x.
        most: of y; error bars may reach beyond it.
        band: shade this part of the x axis.
    """
    named = [label for label, _, _ in curves if label]
    above = _above(named)
    with _drawing():
        figure, axes = _figure(height=HEIGHT + above, top=10 + above)
        if band is not None:
            axes.axvspan(*band, facecolor=SOFT, alpha=0.1, linewidth=0)
        if reference:
            axes.plot(*zip(*reference, strict=True), color=SOFT, linewidth=1, dashes=(3, 3))
        handles, labels = [], []
        for number, (label, x, y) in enumerate(curves):
            color = SERIES[number % len(SERIES)]
            marker = "o" if marks or len(x) == 1 else ""
            (handle,) = axes.plot(
                x, y, color=color, linestyle=_DASHES[number % len(_DASHES)], marker=marker, markersize=4.5
            )
            if spread:
                axes.errorbar(x, y, yerr=spread[number], fmt="none", ecolor=color, elinewidth=1.2, capsize=2.5)
            if label:
                handles.append(handle)
                labels.append(label)
        if log_x:
            axes.set_xscale("log")
            ticks = sorted({x for _, xs, _ in curves for x in xs})
            axes.xaxis.set_major_locator(FixedLocator(_apart(ticks)))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: compact(value)))
            axes.xaxis.set_minor_formatter(NullFormatter())
            axes.minorticks_off()
        if x_range is not None:
            axes.set_xlim(*x_range)
        if y_range is not None:
            axes.set_ylim(*y_range)
        if most is not None:
            axes.set_ylim(top=min(axes.get_ylim()[1], most + 0.02 * (most - axes.get_ylim()[0])))
        if handles:
            _legend(axes, handles, labels, None if above else legend)
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return _svg(figure, name, alt)


def _apart(ticks: Sequence[float], ratio: float = 1.45) -> list[float]:
    """Those ticks of a logarithmic axis that leave room for their labels; the last one is kept."""
    kept: list[float] = []
    for tick in reversed(ticks):
        if not kept or kept[-1] / tick >= ratio:
            kept.append(tick)
    return kept[::-1]


def bars(
    name: str,
    alt: str,
    labels: Sequence[str],
    series: Sequence[tuple[str, Sequence[float]]],
    x_label: str,
    *,
    spread: Sequence[float] | None = None,
    whole: bool = False,
) -> str:
    """Horizontal bars, the first on top; the labels stand above their bars, so that long ones fit.

    Args:
        labels: of the bars.
        series: (label, values) each.
        spread: half the length of the error bars of the first series.
        whole: the values are counts.
    """
    label_height, thickness, gap = 15, 9, 6  # of a row, in pixels, from top to bottom
    step = label_height + thickness * len(series) + gap
    above = _above([label for label, _ in series], inside=1)
    height = 46 + step * len(labels) + above
    with _drawing():
        figure, axes = _figure(height=height, left=12, top=6 + above)
        handles = []
        for number, (_, values) in enumerate(series):
            places = [row + (label_height + thickness * (number + 0.5)) / step for row in range(len(labels))]
            drawn = axes.barh(places, values, 0.86 * thickness / step, color=SERIES[number])
            handles.append(drawn[0])
            if number == 0 and spread is not None:
                axes.errorbar(values, places, xerr=spread, fmt="none", ecolor=INK, elinewidth=1, capsize=2)
        low = min(0.0, *(value for _, values in series for value in values))
        for row, label in enumerate(labels):
            beside = axes.get_yaxis_transform()  # x: 0 is the left end of the axis, whatever its numbers
            axes.text(0, row + (label_height - 1) / step, label, va="bottom", ha="left", fontsize=10, transform=beside)
        axes.set_ylim(len(labels), 0)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        if low < 0:
            axes.axvline(0, color=SOFT, linewidth=0.8)
        if whole:
            axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
        axes.set_xlabel(x_label)
        if len(series) > 1:
            _legend(axes, handles, [label for label, _ in series])
        return _svg(figure, name, alt)


def histogram(
    name: str, alt: str, edges: Sequence[float], series: Sequence[tuple[str, Sequence[float]]], x_label: str
) -> str:
    """Shares of the rows by value, each series as steps: (label, one share per bin)."""
    with _drawing():
        figure, axes = _figure(left=46)
        handles = []
        for number, (_, shares) in enumerate(series):
            axes.stairs(shares, edges, color=SERIES[number], linewidth=1.6, linestyle=_DASHES[number])
            axes.stairs(shares, edges, fill=True, facecolor=SERIES[number], alpha=0.16, linewidth=0)
            handles.append(Line2D([], [], color=SERIES[number], linestyle=_DASHES[number], linewidth=1.6))
        _legend(axes, handles, [label for label, _ in series], "best")
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.3g} %"))
        axes.set_xlabel(x_label)
        return _svg(figure, name, alt)


def cloud(
    name: str,
    alt: str,
    points: Sequence[Point],
    cells: Sequence[tuple[float, float, int]],
    size: Point,
    ranges: tuple[Point, Point],
    labels: tuple[str, str],
    *,
    reference: Sequence[Point] = (),
) -> str:
    """Rows in a plane, as points or as cells: the fuller a cell, the darker, by the root of its rows.

    Args:
        points: (x, y).
        cells: (x from, y from, rows).
        size: width and height of a cell.
        ranges: of x and y.
        labels: of x and y.
        reference: two points of a dashed line to compare with.
    """
    with _drawing():
        figure, axes = _figure()
        fullest = max((rows for _, _, rows in cells), default=1)
        for x, y, rows in cells:
            shade = round(0.12 + 0.88 * math.sqrt(rows / fullest), 2)
            axes.add_patch(Rectangle((x, y), *size, facecolor=SERIES[0], alpha=shade, linewidth=0))
        if points:
            axes.plot(*zip(*points, strict=True), "o", color=SERIES[0], markersize=4, alpha=0.55, markeredgewidth=0)
        if reference:
            axes.plot(*zip(*reference, strict=True), color=INK, linewidth=1.1, dashes=(4, 3))
        axes.set_xlim(*ranges[0])
        axes.set_ylim(*ranges[1])
        axes.set_xlabel(labels[0])
        axes.set_ylabel(labels[1])
        return _svg(figure, name, alt)


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
    with _drawing():
        figure, axes = _figure(height=bottom + row * size + 8, left=left, right=8, top=8, bottom=bottom)
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
                        color=PAPER if share > 0.7 else INK, fontsize=11 if size <= 6 else 8.5,
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
        return _svg(figure, name, alt)


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
    above = _above([label for label, _ in series])
    with _drawing():
        figure, axes = _figure(height=HEIGHT + above, top=10 + above)
        handles = []
        for number, (_, entries) in enumerate(series):
            color, x, y = SERIES[number], [entry[0] for entry in entries], [entry[1] for entry in entries]
            (handle,) = axes.plot(x, y, "o", color=color, linestyle=_DASHES[number], linewidth=1.2, markersize=4.5)
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
            _legend(axes, handles, [label for label, _ in series], None if above else "best")
        axes.set_xlabel(x_label)
        axes.set_ylabel(y_label)
        return _svg(figure, name, alt)


def dots(name: str, alt: str, rows: Sequence[tuple[str, Sequence[float]]], x_label: str) -> str:
    """Values on a line, one line per row (label, values); a bar marks the mean of several."""
    with _drawing():
        figure, axes = _figure(height=52 + 44 * len(rows), left=12, right=16)
        for number, (_, values) in enumerate(rows):
            heights = [number + 0.2 + 0.13 * _before(values, place) for place in range(len(values))]
            axes.plot(values, heights, "o", color=SERIES[number], markersize=7, alpha=0.6, markeredgewidth=0)
            if len(values) > 1:
                mean = sum(values) / len(values)
                axes.plot([mean, mean], [number, number + 0.4], color=SERIES[number], linewidth=2)
        axes.set_ylim(len(rows) - 0.4, -0.5)
        low, high = axes.get_xlim()
        for number, (label, _) in enumerate(rows):
            axes.text(low, number - 0.08, label, va="bottom", ha="left", fontsize=10)
        axes.set_xlim(low, high)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.set_xlabel(x_label)
        return _svg(figure, name, alt)


def _before(values: Sequence[float], place: int) -> int:
    """How many equal values stand before this one: dots of one value are drawn one below the other."""
    return sum(value == values[place] for value in values[:place])
