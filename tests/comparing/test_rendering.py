"""A report in terminals of several widths, and in a notebook."""

import re

from lockstep.comparing import rendering
from lockstep.comparing.rendering import Report, ReportBlock, html, percent, show, visible

import pytest
from rich.console import Console

ROWS = [
    ["sepal_length", "number", "-3.10634 \u2026 3.06604 \u2192 -2.10634 \u2026 4.06604", "shifted"],
    ["age", "text", "", "not tested"],
]
REPORT = Report(
    "Title",
    ["A line."],
    [ReportBlock("iris: changed", ["Rows."], ("column", "type", "what changed", "verdict"), ROWS)],
    "Note.",
)


@pytest.fixture
def shown(monkeypatch, capsys):
    """A function: what a terminal of some columns shows of REPORT."""

    def run(columns):
        terminal = lambda **own: Console(**own, force_terminal=True, no_color=True, width=columns)  # noqa: E731
        monkeypatch.setattr(rendering, "Console", terminal)
        show(REPORT)
        return [
            line.rstrip() for line in capsys.readouterr().out.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
        ]

    return run


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0, "0.0 %"), (1, "100.0 %"), (0.0003, "0.03 %"), (0.9997, "99.97 %"), (0.0005, "0.05 %"), (0.9995, "99.95 %"),
        (1e-6, "0.0001 %"), (1 - 1e-6, "99.9999 %"), (0.04, "4.0 %"), (0.001, "0.1 %"),
        (0.5, "50.0 %"), (None, "no rows"),
    ],
)  # fmt: skip
def test_a_share_that_is_neither_none_nor_all_does_not_look_like_it(share, text):
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == text


def test_names_are_whole_and_numbers_as_in_a_file():
    assert visible("a\x1b[31m\nb" + 100 * "c") == r"a\x1b[31m\nb" + 100 * "c"
    assert [visible(value) for value in (-3.106341, -12345, None, True)] == ["-3.10634", "-12345", "missing", "True"]


def test_a_wide_terminal_has_a_row_per_line(shown):
    lines = shown(120)
    assert lines[:2] == ["Title", "A line."]
    assert lines[-1] == "Note."
    assert " sepal_length   number   -3.10634 \u2026 3.06604 \u2192 -2.10634 \u2026 4.06604   shifted" in lines


def test_a_narrow_terminal_has_a_cell_per_line_and_breaks_no_word(shown):
    lines = shown(70)
    start = lines.index("  sepal_length")
    assert lines[start : start + 8] == [
        "  sepal_length",
        "    type          number",
        "    what changed  -3.10634 \u2026 3.06604 \u2192 -2.10634 \u2026 4.06604",
        "    verdict       shifted",
        "",
        "  age",
        "    type          text",
        "    verdict       not tested",
    ]


def test_a_notebook_gets_tables_with_all_of_it_escaped():
    block = ReportBlock("<i>", ["  & more"], ("column", "p"), [["<script>\nsecond", "0.1"]], ("p",))
    page = html(Report("<b>", ["1 < 2"], [block], "a & b"))
    assert "&lt;script&gt;<br>second" in page
    assert "white-space: nowrap'><bdi>0.1</bdi>" in page
    assert not re.search("<b>|<i>|<script|& ", page)
    assert "color:" not in page  # the notebook's own, light or dark
