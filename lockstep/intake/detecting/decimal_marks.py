"""Finds out what points and commas are in the numbers of a file: decimal marks, or marks between groups of digits.

10,100 can be either, which is a factor of 1000. A cell such as 1,5 or 0,123 can be read in one way only, and so can
1,100,200 and 1.100,5. Such cells decide for the other columns of the file too, as a file mostly has one convention;
without them the user is asked.
"""

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import Format, is_in

import pyarrow as pa
import pyarrow.compute as pc

OTHER_MARK = {".": ",", ",": "."}
"""{mark: the other one}"""
MARK_NAMES = {".": "point", ",": "comma"}
SAMPLE = 1000
"""The first cells of a column, which mostly decide already."""
PER_TYPO = 50
"""One cell in so many that shows a decimal mark does not settle what it is in the others: it may be mistyped."""
_SIGN = r"[-+\x{2212}]?"
_DECIMAL = (
    r"(?:[0-9]+#(?:[0-9]{1,2}|[0-9]{4,})|0[0-9]*#[0-9]+|[0-9]{4,}#[0-9]+|#[0-9]+|[0-9]+#[0-9]*[eE][-+]?[0-9]+"
    "|[0-9]{1,3}(?:[~' \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}][0-9]{3})+#[0-9]+)"
)
"""A number in which the mark # can only be the decimal mark; ~ is the other mark."""
_GROUPS = r"(?:[1-9][0-9]{0,2}(?:(?:#[0-9]{3}){2,}|(?:#[0-9]{3})+~[0-9]+))"
"""A number in which # can only stand between groups of digits."""
_INDIAN = r"(?:[1-9][0-9]?(?:,[0-9]{2})+,[0-9]{3}(?:\.[0-9]+)?)"
_OPEN = r"(?:[1-9][0-9]{0,2}#[0-9]{3})"
"""A number in which # can be either."""
_WHOLE = "(?:[0-9]*)"


class Evidence(NamedTuple):
    """What points and commas are in the plain numbers of a file.

    Attributes:
        decimals: the marks that some cell shows to be decimal marks.
        groups: the marks that some cell shows to stand between groups of digits.
        open: {mark: {column: a cell}}, of the columns whose cells leave open what it is: all are whole numbers, or have
            the mark once, before three digits.
    """

    decimals: set[str]
    groups: set[str]
    open: dict[str, dict[str, str]]

    @property
    def decimal_marks(self) -> set[str]:
        """What the decimal mark is by the evidence: none, one or both of point and comma."""
        return self.decimals | {OTHER_MARK[mark] for mark in self.groups}


def find_evidence(columns: Mapping[str, pa.Array | pa.ChunkedArray], missing: Sequence[str]) -> Evidence:
    """Look at every cell of the ``columns``, {name: (n_rows,) texts}; ``missing``: words for a missing value."""
    decimals, groups, open_in = set[str](), set[str](), {mark: dict[str, str]() for mark in OTHER_MARK}
    for name, column in columns.items():
        for mark, other in OTHER_MARK.items():
            marked = column.filter(pc.match_substring(column, mark))
            if not len(marked):
                continue
            marked = pc.utf8_trim_whitespace(marked)
            patterns = {
                pattern: pattern.replace("#", re.escape(mark)).replace("~", re.escape(other))
                for pattern in (_DECIMAL, _GROUPS, _OPEN)
            }
            patterns[_GROUPS] += f"|{_INDIAN}" if mark == "," else ""
            numbers = "|".join(patterns.values())
            shown = next((one for one in (_DECIMAL, _GROUPS) if _occurs(marked, rf"^{_SIGN}(?:{patterns[one]})$")), "")
            if shown and _are_mostly(column, rf"^{_SIGN}(?:{numbers}|{_WHOLE})$", missing):
                (decimals if shown == _DECIMAL else groups).add(mark)
            elif not shown and _are_open(marked, column, rf"^{_SIGN}{patterns[_OPEN]}$", missing):
                open_in[mark][name] = marked[0].as_py()
    return Evidence(decimals, groups, open_in)


def usual_format(
    columns: Mapping[str, pa.ChunkedArray],
    path: Path,
    delimiter: str,
    missing: Sequence[str],
    *,
    decimal: str | None = None,
    thousands: str | None = None,
    texts: Collection[str] = (),
) -> Format:
    """How numbers are written in a file as a whole.

    Args:
        columns: {name: (n_rows,) its cells}.
        path, delimiter: the file, and the character between its cells.
        missing: words for a missing value among numbers.
        decimal, thousands: the marks that the user gave.
        texts: columns that the user declares to be texts.

    Raises:
        DataError: points or commas may separate thousands or decimals, and nothing in the file shows which.
    """
    found = find_evidence({name: cells for name, cells in columns.items() if name not in texts}, missing)
    is_comma = "," in found.decimal_marks or bool(found.open[","])
    if decimal is not None or thousands is not None:
        own = decimal or OTHER_MARK.get(thousands or "") or ("," if is_comma and "." not in found.decimals else ".")
        mark = OTHER_MARK[own]
        is_group = (mark in found.groups or found.open[mark]) and mark not in found.decimals
        return Format(own, (mark if is_group else "") if thousands is None else thousands)
    if "." in found.decimal_marks:
        return Format()
    if "," not in found.decimal_marks and found.open[","] and delimiter != ",":
        raise _question(found, ",", path)
    if found.open["."] and "." not in found.groups and (delimiter == ";" or is_comma):
        raise _question(found, ".", path)
    if "," in found.decimal_marks:
        return Format(",", "." if "." in found.groups else "")
    return Format()


def _question(found: Evidence, mark: str, path: Path) -> DataError:
    name, cell = next(iter(found.open[mark].items()))
    other, shown = OTHER_MARK[mark], cell.lstrip("+")
    return DataError(
        f"{path} column {name!r}: {cell} can be read in two ways, and every number with a {MARK_NAMES[mark]} in it is "
        f"of that form. Give --decimal {other} --thousands {mark} if it is {shown.replace(mark, '')}, or "
        f"--decimal {mark} if it is {shown.replace(mark, '.')}; or --text {shlex.quote(name)} if it is no number."
    )


class OtherReading(NamedTuple):
    """How the numbers of a column can be read as well, with another value.

    Attributes:
        form: the other form.
        cell: one with a mark that can be either.
        exceptions: cells in which the mark can only be a decimal mark, few among the others.
    """

    form: Format
    cell: str
    exceptions: int


def other_reading(cells: pa.Array | pa.ChunkedArray, form: Format) -> OtherReading | None:
    """How the numbers of a column can be read as well; None if its cells leave one reading.

    Args:
        cells: (n_rows,) texts.
        form: how they are read; cells that are no numbers of this form do not count.
    """
    rival = _rival(form)
    for part in (cells[:SAMPLE], cells):
        numbers, either = _open_numbers(part, form, rival)
        exceptions = len(numbers) - len(either)
        if exceptions * PER_TYPO > len(numbers):
            return None
    tells = either.filter(pc.match_substring_regex(either, "[0-9][.,]"))  # not the point of a unit, as of Rs.918
    if not len(tells) or (exceptions and form.decimal not in str(tells[0].as_py())):
        return None  # a cell such as 1,234,567 is no slip
    return OtherReading(rival, str(tells[0].as_py()), exceptions)


def n_certain(cells: pa.Array | pa.ChunkedArray, form: Format) -> tuple[int, int]:
    """(how many of the numbers with a mark among the cells can only be read in this form, how many there are)."""
    numbers, either = _open_numbers(cells, form, _rival(form))
    return len(numbers) - len(either), len(numbers)


def _rival(form: Format) -> Format:
    """The form in which the marks have changed places."""
    return form._replace(decimal=OTHER_MARK[form.decimal], thousands=form.decimal)


def _open_numbers(
    cells: pa.Array | pa.ChunkedArray, form: Format, rival: Format
) -> tuple[pa.Array | pa.ChunkedArray, pa.Array | pa.ChunkedArray]:
    """(the numbers with a mark among the cells, those of them that are numbers of the other form, too)"""
    trimmed = pc.utf8_trim_whitespace(cells.filter(pc.match_substring_regex(cells, f"[.,{re.escape(form.thousands)}]")))
    numbers = trimmed.filter(pc.match_substring_regex(trimmed, form.number))
    return numbers, numbers.filter(pc.match_substring_regex(numbers, rival.number))


def _occurs(cells: pa.Array | pa.ChunkedArray, pattern: str) -> bool:
    return any(pc.any(pc.match_substring_regex(part, pattern), min_count=0).as_py() for part in (cells[:SAMPLE], cells))


def _are_mostly(cells: pa.Array | pa.ChunkedArray, pattern: str, missing: Sequence[str]) -> bool:
    """Whether half of the first cells that hold something match: texts with a number in them show nothing."""
    first = pc.utf8_trim_whitespace(cells[:SAMPLE])
    present = first.filter(pc.invert(is_in(first, ("", *missing))))
    return bool(2 * pc.sum(pc.match_substring_regex(present, pattern), min_count=0).as_py() >= len(present))


def _are_open(
    marked: pa.Array | pa.ChunkedArray, cells: pa.Array | pa.ChunkedArray, pattern: str, missing: Sequence[str]
) -> bool:
    """Whether all cells with a mark, ``marked``, match the pattern, and the others are whole numbers or missing."""
    if not pc.all(pc.match_substring_regex(marked, pattern)).as_py():
        return False
    trimmed = pc.utf8_trim_whitespace(cells)
    whole = pc.match_substring_regex(trimmed, f"{pattern}|^{_SIGN}{_WHOLE}$")
    return bool(pc.all(pc.or_(whole, is_in(trimmed, missing))).as_py())
