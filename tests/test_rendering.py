"""A report in terminals of several widths."""

import pytest
from rich.console import Console

from lockstep import rendering
from lockstep.rendering import Block, Report, show

ROWS = [
    ["sepal_length", "number", "-3.10634 \u2026 3.06604 \u2192 -2.10634 \u2026 4.06604", "shifted"],
    ["age", "text", "", "not tested"],
]
REPORT = Report(
    "Title",
    ["A line."],
    [Block("iris: changed", ["Rows."], ("column", "type", "what changed", "verdict"), ROWS)],
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
