"""Finds codes that look like numbers: a lot number 53E39, a telephone number +4917612345678, a postal code 62236.0."""

import re
from collections.abc import Mapping, Sequence

from lockstep.intake.detecting.column_roles import words_of
from lockstep.intake.detecting.decimal_marks import SAMPLE
from lockstep.intake.detecting.formatted_numbers import NEARLY_ALL
from lockstep.reading.column_types import is_in

import pyarrow as pa
import pyarrow.compute as pc

_DIGITS = r"^[0-9]+([eE][0-9]+)?$"
_NOT_NORMALISED = r"^[0-9]{2,}[eE][0-9]+$"
"""Who writes a number in scientific notation writes one digit before the point, or a point."""
_TELEPHONE = r"^\+[0-9]{8,15}$"
"""An international telephone number: numbers are rarely written with a plus, and so many digits."""
_POSTAL = r"^[1-9][0-9]{2,4}(\.0)?$"
"""A postal code of five digits whose zeros in front are lost, with the .0 that a missing cell in the column leaves."""
_FIVE = r"^[1-9][0-9]{4}(\.0)?$"
_POSTAL_WORDS = {"zip", "zipcode", "zipcodes", "postal", "postalcode", "postcode", "plz", "postleitzahl"}


def codes_like_numbers(columns: Mapping[str, pa.Array | pa.ChunkedArray], missing: Sequence[str]) -> dict[str, str]:
    """The columns whose cells read as numbers, but are hardly any: {column: why}.

    Args:
        columns: {name: (n_rows,) its cells, texts}.
        missing: words for a missing value among numbers.
    """
    found = {name: _why(name, column, missing) for name, column in columns.items()}
    return {name: why for name, why in found.items() if why}


def _why(name: str, column: pa.Array | pa.ChunkedArray, missing: Sequence[str]) -> str:
    """Why the cells of a column are codes; "" if they are none."""
    cells = pc.utf8_trim_whitespace(column)
    cells = cells.filter(pc.invert(is_in(cells, ("", *missing))))

    def share(pattern: str, part: pa.Array | pa.ChunkedArray = cells) -> float:
        return float(pc.mean(pc.match_substring_regex(part, pattern)).as_py() or 0)

    if is_named_postal(name):
        if share(_FIVE) >= 1 / 2 and share(_POSTAL) == 1:
            return f"cells such as {_first(cells, _FIVE)}, and the column's name, are rather those of postal codes"
    elif pc.mean(pc.starts_with(cells, "+")).as_py() and share(_TELEPHONE) >= NEARLY_ALL:
        return f"cells such as {_first(cells, _TELEPHONE)} are rather telephone numbers or other codes"
    if share(_DIGITS, cells[:SAMPLE]) == 1 and share(_NOT_NORMALISED) > 0 and share(_DIGITS) == 1:
        return f"cells such as {_first(cells, _NOT_NORMALISED)} are rather codes than numbers"
    return ""


def is_named_postal(name: str) -> bool:
    """Whether a column is named as one of postal codes."""
    return bool(_POSTAL_WORDS & {re.sub("[0-9]+$", "", word) for word in words_of(name)})


def _first(cells: pa.Array | pa.ChunkedArray, pattern: str) -> str:
    return str(cells.filter(pc.match_substring_regex(cells, pattern))[0].as_py())
