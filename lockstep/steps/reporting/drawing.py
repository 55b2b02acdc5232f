"""How every picture is drawn: SVG text that takes its colours from the page around it.

The same table gives the same bytes on every machine: matplotlib's object interface (no
pyplot, no backend of the user's), its own defaults instead of the user's matplotlibrc, its bundled DejaVu font for the
layout, a fixed salt for the names of clip paths, no date. Texts stay texts, to be selected, searched and read aloud.

matplotlib knows no CSS, so colours that mean a role (INK, LINE, SERIES) are drawn as placeholders, which ``svg_of``
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

from lockstep.steps.reporting.wording import compact

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.rcsetup import cycler
from matplotlib.ticker import FuncFormatter, MaxNLocator

WIDTH, HEIGHT = 360, 250
"""Of a picture, in CSS pixels: two stand side by side on a page, one on a phone."""
INK, SOFT, LINE, PAPER, WASH = "#000001", "#000002", "#000003", "#000004", "#000005"
SERIES = ("#000011", "#000012", "#000013", "#000014", "#000015", "#000016")
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", PAPER: "paper", WASH: "wash"} | {
    color: f"c{number}" for number, color in enumerate(SERIES, 1)
}
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)), (0, (3, 1)), (0, (8, 3)))
"""Series differ in their dashes too, for readers who do not tell the colours apart."""
SMALLEST = 11.2
"""Pixels of the letters of a picture; a phone shows it a little smaller than it is drawn."""
INSIDE = 3
"""Series, at most, whose legend is inside the picture; that of more is above it."""
_STYLE: dict[Any, Any] = {
    "font.family": ["DejaVu Sans"],
    "font.size": SMALLEST,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": SOFT,
    "axes.labelsize": SMALLEST,
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
    "xtick.labelsize": SMALLEST,
    "ytick.labelsize": SMALLEST,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": SMALLEST,
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


@contextmanager
def drawing() -> Iterator[None]:
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


def new_figure(
    *, height: float = HEIGHT, left: float = 60, right: float = 12, top: float = 10, bottom: float = 42
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


def svg_of(figure: Figure, name: str, alt: str) -> str:
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
    """A tag of matplotlib's with names, fonts and colours as ``svg_of`` wants them."""
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


def draw_legend(axes: Axes, handles: Sequence[Any], labels: Sequence[str], where: Any = None) -> None:
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
    return max(1, min(len(labels), int((WIDTH - 50) // (36 + 6.4 * max(map(len, labels))))))


def height_above(labels: Sequence[str], inside: int = INSIDE) -> float:
    """The height of the legend above the picture, in pixels; 0 if it has no more series than may stand ``inside``."""
    return 8 + 17 * math.ceil(len(labels) / _columns(labels)) if len(labels) > inside else 0.0
