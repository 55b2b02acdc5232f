"""How numbers and other people's texts are written for a reader."""

import math
from typing import Any

EN_DASH, MULTIPLY, ELLIPSIS, OPEN_BOX = (
    "\N{EN DASH}",
    "\N{MULTIPLICATION SIGN}",
    "\N{HORIZONTAL ELLIPSIS}",
    "\N{OPEN BOX}",
)
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
_JOINER = "\N{ZERO WIDTH JOINER}"
"""Holds the parts of an emoji together; every other invisible character is written out."""


def number(value: Any, digits: int = 4) -> str:
    """A number to ``digits`` significant digits: 1998; 13,988; 0.857; 4.956 by ten to the 8; a dash for none."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return EN_DASH
    if isinstance(value, int) and abs(value) < 10**9:
        return _signed(f"{value:,}" if abs(value) >= 10_000 else str(value))  # a year stays as it is
    value = float(value)
    if math.isinf(value):
        return str(value)
    if value == 0:
        return "0"
    size = math.floor(math.log10(abs(value)))
    if size >= 7 or size < -4:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        power = f"10{str(int(exponent)).translate(_SUPERSCRIPT)}"
        return f"{_signed(_trimmed(mantissa))}\N{NO-BREAK SPACE}{MULTIPLY}\N{NO-BREAK SPACE}{power}"
    text = _trimmed(f"{abs(value):{',' if size > 3 else ''}.{max(0, digits - 1 - size)}f}")
    return _signed(f"-{text}" if value < 0 else text)


def count(value: int) -> str:
    """A number of things: 5,072."""
    return f"{value:,}"


def _trimmed(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text else text


def score(value: Any) -> str:
    """A metric: three decimals, or where that is too few or too many, three or four significant digits: 19.60; 2,820.

    Unlike a value of the data, which may be a year, it has marks between thousands, and zeros at its end.
    """
    if value is None or math.isnan(value) or not 0.1 <= abs(value) < 1e7:
        return number(value, 3 if value is not None and abs(value) < 0.1 else 4)
    return _signed(f"{value:,.{_decimals(value)}f}")


def _decimals(value: float) -> int:
    """So many decimals show three of a number below 10, four digits of one below 1,000, and all others whole."""
    return 3 if abs(value) < 10 else 2 if abs(value) < 100 else 1 if abs(value) < 1000 else 0


def ratio(value: Any) -> str:
    """A metric whose best value is 1, to three decimals: 0.857; 0.000, not its sixth decimal."""
    return score(value) if value is None or abs(value) >= 10 else _signed(f"{round(value, 3) + 0.0:.3f}")


def spread(mean: Any, deviation: Any) -> str:
    """A mean and its standard deviation, to the same decimals: 0.950 and 0.035."""
    if mean is None or deviation is None:
        return ""
    if mean == 0 or 0.1 <= abs(mean) < 1e7:
        shown = f"{mean:,.{_decimals(mean)}f} \N{PLUS-MINUS SIGN} {deviation:,.{_decimals(mean)}f}"
        return _signed(shown)
    return f"{number(mean)} \N{PLUS-MINUS SIGN} {number(deviation, 2)}"


def percent(share: Any, decimals: int = 1) -> str:
    """A share in percent: 93.3 %."""
    if share is None or math.isnan(share):
        return EN_DASH
    return _signed(f"{100 * share:.{decimals}f}\N{NO-BREAK SPACE}%")


def size(n_bytes: int) -> str:
    """A file's size: 451 kB."""
    if n_bytes < 1000:
        return f"{n_bytes} bytes"
    return f"{n_bytes / 1e6:.1f} MB" if n_bytes >= 1e6 else f"{n_bytes / 1e3:.1f} kB"


def visible(value: Any, most: int = 60) -> str:
    """Another person's text on one line: invisible characters written out, outer spaces marked, cut at ``most``.

    Two texts that differ look different, and one that turns the writing direction around cannot reach its neighbours.
    """
    if isinstance(value, float):
        return number(value, 6)
    text = str(value)
    cut = len(text) > most
    text = text[: most - 1].rstrip(" ") if cut else text
    inner = text.strip(" ")
    before, after = len(text) - len(text.lstrip(" ")), len(text) - len(text.rstrip(" ")) if inner else 0
    shown = "".join(
        char if char.isprintable() or char == _JOINER else char.encode("unicode_escape").decode() for char in inner
    )
    return OPEN_BOX * before + shown + OPEN_BOX * after + (ELLIPSIS if cut else "")


def within_sentence(name: str) -> str:
    """The name of a metric within a sentence: log loss, but F1."""
    return name if name[1:2].isupper() or not name[1:2].isalpha() else name[0].lower() + name[1:]


def with_article(name: str) -> str:
    """The name of a metric within a sentence, with its article where it is words: the log loss, but R²."""
    inside = within_sentence(name)
    return f"the {inside}" if inside[0].islower() else inside


def shortened(text: str, most: int) -> str:
    """A text of at most ``most`` characters: the middle left out, since names often differ at their ends only."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end].rstrip()}{ELLIPSIS}{text[-end:].lstrip()}"


def _signed(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


def compact(value: float) -> str:
    """A number as short as a tick of an axis: 0.25; 1998; 100k; 1.5M."""
    if abs(value) >= 1e12:
        return number(value, 2)
    for step, unit, suffix in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if abs(value) >= step * 0.99995:
            return _signed(f"{value / unit:.3g}{suffix}")
    return _signed(_trimmed(f"{value:.0f}" if abs(value) >= 1000 else f"{value:.4g}"))
