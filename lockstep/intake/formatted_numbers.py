"""Finds text columns that hold formatted numbers, such as ``12,345.67``, ``62.9%``, ``€5`` and ``(5)``."""

import re
import shlex

from lockstep.reading.column_types import MISSING
from lockstep.tables.table import column_type

import pandas as pd

NEARLY_ALL = 0.9
"""A text column of which this share of the cells are numbers, formatted or plain, is said to be one of numbers."""
PLAIN = "write them as plain numbers in the file"
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_NUMBER = (
    rf"\(?[-+]?[$€£¥]?[{_SPACES}]?[-+]?([0-9]{{1,3}}([,.'{_SPACES}][0-9]{{3}})+([.,][0-9]+)?|[0-9]+([.,][0-9]+)?)"
    rf"[{_SPACES}]?[%$€£¥]?\)?"
)
"""A number with a sign of percent or money, groups of digits, a decimal comma or in parentheses; or a plain one."""
_FORMATTING = rf"[%$€£¥(,'{_SPACES}]|\.[0-9]{{3}}\."


def formatted_number(column: pd.Series) -> tuple[str, str] | None:
    """(an example, what to do) of a text column whose cells nearly all are numbers, but some of them formatted, so that
    they are texts for the model; None for any other column."""
    if column_type(column) != "text":
        return None
    cells = column.dropna().str.strip()
    cells = cells[~cells.isin(["", *MISSING])]
    numbers = cells.str.fullmatch(_NUMBER)
    if len(cells) == 0 or numbers.mean() < NEARLY_ALL:
        return None
    formatted = cells[numbers & cells.str.contains(_FORMATTING)].drop_duplicates().tolist()
    if not formatted:
        return None
    ways = [(cell, _flags(cell)) for cell in formatted[:1000]]
    cell, flags = next((way for way in ways if way[1] != _flags("1,000")), ways[0])
    return cell, PLAIN if flags is None else f"add the table with {flags}"


def _flags(cell: str) -> str | None:
    """The flags with which a number is read; None if there are none."""
    marks = re.findall(rf"[,.'{_SPACES}]", cell)
    if re.search("[%$€£¥(]", cell) or not marks or any(mark in _SPACES[1:] for mark in marks):
        return None
    if marks == [","]:
        return "--thousands , or --decimal ," if re.search(r"^[-+]?[0-9]{1,3},[0-9]{3}$", cell) else "--decimal ,"
    comma = " --decimal ," if marks[-1] == "," != marks[0] else ""
    return f"--thousands {shlex.quote(marks[0])}{comma}"
