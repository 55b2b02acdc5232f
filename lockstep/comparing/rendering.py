"""Shows a report of a command in the terminal, as GitHub's Markdown for a pull request, or in a notebook."""

import math
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lockstep.comparing.wrapping import wrapped
from lockstep.steps.reporting.wording import percent as to_decimals
from lockstep.steps.reporting.wording import visible as spelled_out

from markupsafe import Markup
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Grid

WIDE = 100
"""Columns of a terminal in which a grid whose cells are broken into several lines still reads well."""
Quote = Callable[[object], str]
"""Shows a name or a cell of the data, which can hold any character: ``visible`` or ``code``."""


@dataclass(frozen=True)
class ReportBlock:
    """A part of a report.

    Attributes:
        title: its heading.
        lines: sentences; indented ones belong to the one above.
        headings: of the table's columns.
        rows: (n_rows, n_headings) the table's cells, which can have several lines; none for no table.
        unbroken: headings of the columns whose cells stay on one line, however narrow the terminal, while those of the
            others are broken; none for a cell per line there.
        listed: a cell per line there, too, although some columns are unbroken.
    """

    title: str
    lines: Sequence[str]
    headings: Sequence[str] = ()
    rows: Sequence[Sequence[str]] = ()
    unbroken: Sequence[str] = ()
    listed: bool = False


@dataclass(frozen=True)
class Report:
    """What a command says.

    Attributes:
        title: the first line.
        lines: sentences below it.
        blocks: the parts, in order.
        note: how to read the tables, the last line; "" for none.
    """

    title: str
    lines: Sequence[str]
    blocks: Sequence[ReportBlock]
    note: str = ""


def p_value(p: float) -> str:
    """Three decimals; below 0.001 one digit and the power of ten."""
    return f"{p:.3f}" if p >= 0.001 else f"{p:.0e}" if p > 0 else "0"


def percent(share: float | None) -> str:
    """One decimal; more where that would round to nothing or to all; None is a share of no rows."""
    if share is None:
        return "no rows"
    rest = 100 * min(share, 1 - share)
    return to_decimals(share, max(1, math.ceil(-math.log10(rest))) if rest > 0 else 1)


def metric_value(value: float) -> str:
    """A metric: three decimals; a large one none, or four digits."""
    if abs(value) >= 100:
        return f"{value:.4g}".replace("e+0", "e") if abs(value) >= 1e6 else f"{value:,.0f}"
    return f"{round(value, 3) + 0.0:.3f}"  # + 0.0: no "-0.000"


def visible(value: object) -> str:
    """A name or a cell with its control characters spelled out, so that it can change nothing but its own place.

    Whole, and numbers as in a CSV file, for it is typed and searched; ``wording.visible`` is for reading alone.
    """
    if isinstance(value, float):
        return f"{value:.6g}"
    return "missing" if value is None else spelled_out(value, most=sys.maxsize)


def code(value: object) -> str:
    """The same as a code span of GitHub's Markdown (https://github.github.com/gfm/#code-spans), also inside a table,
    where '|' is escaped even so."""
    text = visible(value)
    fence = "`" * (max((len(run) for run in re.findall("`+", text)), default=0) + 1)
    space = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{space}{text}{space}{fence}".replace("|", "\\|")


def markdown(report: Report) -> str:
    """The report as GitHub's Markdown; its names and cells must have been quoted by ``code``."""
    lines = [f"### {report.title}", "", *[text for line in report.lines for text in (line, "")]]
    for block in report.blocks:
        lines += [f"#### {block.title}", ""]
        lines += [*[f"- {line.strip()}" for line in block.lines], ""] if block.lines else []
        if block.rows:
            lines += ["| " + " | ".join(block.headings) + " |", "|" + " --- |" * len(block.headings)]
            lines += ["| " + " | ".join(row).replace("\n", "<br>") + " |" for row in block.rows]
            lines.append("")
    lines.append(report.note)
    return "\n".join(lines).rstrip() + "\n"


def html(report: Report) -> str:
    """The report for a notebook, all of it escaped; its names and cells must have been quoted by ``visible``.

    It has no colours of its own, so that it reads on a light notebook as on a dark one; what else could be the
    notebook's own (Jupyter aligns cells to the right) stands at each element, for a page has only one style sheet.
    """
    parts = [_paragraph(report.title, "font-weight: 600"), *map(_paragraph, report.lines)]
    for block in report.blocks:
        parts.append(_paragraph(block.title, "font-weight: 600; margin-top: 1em"))
        parts += [_paragraph(line.strip()) for line in block.lines]
        if block.rows:
            unbroken = [heading in block.unbroken for heading in block.headings]
            rows = [_row("th", block.headings, unbroken), *(_row("td", row, unbroken) for row in block.rows)]
            table = Markup("<table style='border-collapse: collapse; margin: .5em 0'>\n{}\n</table>")
            parts.append(Markup("<div style='overflow-x: auto'>{}</div>").format(table.format(_lines(rows))))
    if report.note:
        parts.append(_paragraph(report.note, "opacity: .75"))
    return str(Markup("<div style='max-width: 70em'>\n{}\n</div>").format(_lines(parts)))


def _paragraph(text: str, style: str = "") -> Markup:
    return Markup("<p style='margin: .3em 0; {}'>{}</p>").format(style, text)


def _row(kind: str, cells: Sequence[str], unbroken: Sequence[bool]) -> Markup:
    style = "text-align: left; vertical-align: top; padding: .2em 1em .2em 0; border-bottom: 1px solid #8888"
    cell = Markup(f"<{kind} style='{style}{{}}'><bdi>{{}}</bdi></{kind}>")  # noqa: S704 - of this module alone
    shown = [
        cell.format("; white-space: nowrap" if whole else "", Markup("<br>").join(text.split("\n")))
        for text, whole in zip(cells, unbroken, strict=True)
    ]
    return Markup("<tr>{}</tr>").format(Markup().join(shown))


def _lines(parts: Sequence[Markup]) -> Markup:
    return Markup("\n").join(parts)


def console_of(width: int, **options: bool) -> Console:
    """A console that highlights nothing; where it is no terminal, which has a width of its own, it has this one."""
    console = Console(highlight=False, **options)  # type: ignore[arg-type] # of what is a bool in rich
    if not console.is_terminal:
        console.width = width
    return console


def show(report: Report) -> None:
    """Print the report; its names and cells must have been quoted by ``visible``."""
    console = console_of(160, markup=False, emoji=False)
    say = partial(print_wrapped, console)
    say(report.title, *report.lines)
    for block in report.blocks:
        say("", block.title, *[f"  {line}" for line in block.lines])
        narrow = console.width < WIDE and _natural_width(block) > console.width
        if block.rows and narrow and (block.listed or not block.unbroken):
            say(*_listed(block))
        elif block.rows:
            console.print(_grid(block))
    if report.note:
        say(report.note)


def print_wrapped(console: Console, *lines: str) -> None:
    """Print sentences: on a terminal broken between words, elsewhere as they are."""
    shown = (wrapped(line, console.width) if console.is_terminal else line for line in lines)
    console.print(*shown, sep="\n", soft_wrap=True, markup=False)


def _grid(block: ReportBlock) -> Grid:
    grid = Grid(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in block.headings:
        grid.add_column(
            heading,
            justify="right" if heading.split(" ")[0] == "p" else "left",
            overflow="fold",
            no_wrap=heading in block.unbroken,
        )
    for row in block.rows:
        grid.add_row(*row)
    return grid


def _natural_width(block: ReportBlock) -> int:
    """The characters that the grid takes if no cell is broken."""
    columns = zip(block.headings, *block.rows, strict=True)
    return sum(3 + max(cell_len(line) for cell in cells for line in cell.split("\n")) for cells in columns)


def _listed(block: ReportBlock) -> list[str]:
    """The table as lines, each row below its first cell: for a terminal that is too narrow for the grid."""
    widest = max(map(len, block.headings))
    lines = []
    for first, *others in block.rows:
        head, *more = first.split("\n")
        lines += ["", f"  {head}", *(f"    {line}" for line in more)]
        named = zip(block.headings[1:], others, strict=True)
        lines += [f"    {heading:<{widest}}  {cell}".replace("\n", " ") for heading, cell in named if cell]
    return [*lines, ""]
