"""What may stand around the digits of a number: a currency, a unit, parentheses, a magnitude; declared per column.

Cells are read by exactly what is declared: a number with other marks is none. They are rewritten as a programming
language writes them, ``($1,235.81)`` as ``-1,235.81`` and ``1.2k`` as ``1.2e3``, and converted as any other number is:
correctly rounded, once.
"""

import re
from typing import Literal

from lockstep.kernel.settings import Settings
from lockstep.reading.date_formats import Epoch

import pyarrow as pa
import pyarrow.compute as pc

BLANKS = "[ \t\N{NO-BREAK SPACE}\N{THIN SPACE}\N{NARROW NO-BREAK SPACE}]*"
"""The regular expression of what may stand between a number and its marks."""
MAGNITUDES = {"k": 3, "K": 3, "M": 6, "B": 9}
"""Letters behind a number, and the power of ten that it is multiplied by."""
GroupMark = Literal["", ",", ".", " ", "'", "\N{RIGHT SINGLE QUOTATION MARK}", "\xa0", "\u202f", "\u2009"]
"""Marks between groups of digits: the last three are spaces that are not broken, narrow and thin."""
Negative = Literal["minus", "unicode minus", "parentheses", "trailing minus"]
_SIGNS: dict[Negative, tuple[str, str]] = {
    "minus": ("-", ""),
    "unicode minus": ("[-\N{MINUS SIGN}]", ""),
    "parentheses": (rf"\({BLANKS}", rf"{BLANKS}\)"),
    "trailing minus": ("", f"{BLANKS}-"),
}
"""The regular expressions before and behind a negative number."""
_BEYOND_FLOATS = r"^-?([0-9]{13,}(\.[0-9]*)?e3|[0-9]{10,}(\.[0-9]*)?e6|[0-9]{7,}(\.[0-9]*)?e9)$"


class Marks(Settings, frozen=True, omit_defaults=True):
    """How the numbers of a column are written beyond digits, groups and decimal mark.

    Attributes:
        prefix: what stands before each number, such as $; blanks may be between.
        suffix: what stands behind each number, such as kg or %; blanks may be between.
        groups: western (1,234,567) or indian (12,34,567), if digits are grouped.
        negative: how a negative number is told from others: -5, U+2212 and 5 (or -5), (5), 5-.
        magnitudes: whether k, M or B behind a number multiplies it by a thousand, a million or a billion.
        others: what a cell is that is no such number: refused, or missing.
        epoch: of a column of dates that are numbers: what they count.
        offset: of a column of times in ISO 8601: whether they say their offset from UTC. Without one, a time is taken
            as it stands; so times with and without one never stand for each other.
    """

    prefix: str = ""
    suffix: str = ""
    groups: Literal["western", "indian"] = "western"
    negative: Negative = "minus"
    magnitudes: bool = False
    others: Literal["refused", "missing"] = "refused"
    epoch: Epoch = ""
    offset: bool = False

    @property
    def unit(self) -> str:
        """What the numbers are in; "" if nothing says it."""
        return f"{self.prefix} {self.suffix}".strip()

    def around(self, digits: str) -> str:
        """A number with its marks, for a message; a negative one, if such have a sign of their own."""
        number = f"{self.prefix}{digits}{self.suffix}"
        match self.negative:
            case "unicode minus":
                return f"\N{MINUS SIGN}{number}"
            case "parentheses":
                return f"({number})"
            case "trailing minus":
                return f"{number}-"
        return number

    def number(self, digits: str) -> str:
        """The regular expression of a whole cell; ``digits``: that of its number without sign, with no named group."""
        return _any([*self._positive(digits), *self._negative(digits)])

    def plain(self, numbers: pa.Array, digits: str) -> pa.Array:
        """Numbers, texts that match ``number``, without their marks, but with a minus and an exponent; other texts as
        they are."""
        negative = self._negative(digits)
        shapes = [*self._positive(digits), *negative]
        one_of = "".join(rf"\{place}" for place in range(1, len(shapes) + 1))
        sign = pc.if_else(
            pc.match_substring_regex(numbers, _any(negative)), pa.scalar("-", numbers.type), pa.scalar("", numbers.type)
        )
        plain = pc.replace_substring_regex(numbers, _any(shapes), one_of)
        if self.magnitudes:
            for letter, power in MAGNITUDES.items():
                plain = pc.replace_substring_regex(plain, f"([0-9.,]){BLANKS}{letter}$", rf"\1e{power}")
        return pc.binary_join_element_wise(sign, plain, pa.scalar("", numbers.type))

    def may_be_inexact(self, plain: pa.Array) -> pa.Array:
        """(n,) whether each number, written plainly, is multiplied to one that a float may not hold exactly."""
        return pc.match_substring_regex(plain, _BEYOND_FLOATS)

    def _positive(self, digits: str) -> list[str]:
        return self._shapes(digits, "", "") + (self._shapes(digits, r"\+", "") if not self._behind else [])

    def _negative(self, digits: str) -> list[str]:
        return self._shapes(digits, *_SIGNS[self.negative])

    @property
    def _behind(self) -> str:
        return _SIGNS[self.negative][1]

    def _shapes(self, digits: str, before: str, behind: str) -> list[str]:
        """Regular expressions of a number with a sign next to its digits or around its marks, each with one group."""
        letters = f"(?:{BLANKS}[{''.join(MAGNITUDES)}])?" if self.magnitudes else ""
        prefix = f"{re.escape(self.prefix)}{BLANKS}" if self.prefix else ""
        suffix = f"{BLANKS}{re.escape(self.suffix)}" if self.suffix else ""
        number = f"({digits}{letters})"
        shapes = [
            before + prefix + number + suffix + behind,
            before + prefix + number + behind + suffix,
            prefix + before + number + suffix + behind,
            prefix + before + number + behind + suffix,
        ]
        return list(dict.fromkeys(shapes))


NO_MARKS = Marks()


def _any(shapes: list[str]) -> str:
    return f"^(?:{'|'.join(shapes)})$"
