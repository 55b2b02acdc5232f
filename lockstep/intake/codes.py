"""Finds codes that look like numbers in scientific notation, such as the lot number 53E39."""

from collections.abc import Sequence

from lockstep.reading.csvfile import TextTable

import pyarrow as pa
import pyarrow.compute as pc

_DIGITS = r"^[0-9]+([eE][0-9]+)?$"
_NOT_NORMALISED = r"^[0-9]{2,}[eE][0-9]+$"
"""Who writes a number in scientific notation writes one digit before the point, or a point."""


def codes_like_numbers(text: TextTable, missing: Sequence[str]) -> dict[str, str]:
    """The columns of digits, some of them with an E amid, that are hardly numbers: {column: an example}.

    Args:
        text: the cells of a file.
        missing: words for a missing value among numbers.
    """
    found = {}
    for name, column in zip(text.cells.column_names, text.cells.columns, strict=True):
        cells = pc.utf8_trim_whitespace(column)
        cells = cells.filter(pc.invert(pc.is_in(cells, pa.array(["", *missing], cells.type))))
        codes = cells.filter(pc.match_substring_regex(cells, _NOT_NORMALISED))
        if len(codes) and pc.all(pc.match_substring_regex(cells, _DIGITS)).as_py():
            found[name] = codes[0].as_py()
    return found
