"""The table of ``summary`` on a terminal."""

import io

from lockstep.commands.pipeline.results import MetricResult, Results
from lockstep.commands.pipeline.summary import _table

import pytest
from rich.console import Console


@pytest.mark.parametrize("width", [80, 160])
def test_no_number_is_cut(width):
    found = MetricResult(495_600_000.0, 3_475_000_000.0, (392_100_000.0, 642_700_000.0), 447_600_000.0, 54_270_000.0)
    console = Console(file=io.StringIO(), width=width)
    console.print(_table(Results({"mse": found, "median_absolute_error": found}, None, "USD", 9)))
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= width
    numbers = ["4.956e8", "3.475e9", "3.921e8", "6.427e8", "4.476e8", "5.427e7"]
    assert all(text.count(number) == 2 for number in numbers)
