"""What an identifier is: a column that names the rows, or what they belong to, and says nothing else of them.

The one definition, for the checks of the data, for ``add`` and for ``data-diff``. An identifier is a text or a whole
number; what is continuous, a measurement or a sum of money, is none, however many of its values differ.
"""

import re
from collections import Counter

from lockstep.steps.splitting.two_samples import holm
from lockstep.tables.statistics import are_whole, equal_bins, has_more_levels, n_distinct
from lockstep.tables.table import column_type

import numpy as np
import pandas as pd
from scipy import stats

NEARLY_UNIQUE = 0.9
"""A column of which this share of the cells is distinct identifies rows rather than describes them."""
SEVERAL = 0.2
"""What names a thing that rows belong to has more distinct values than this share of the cells: else it is a level."""
ALIKE_LEVEL = 0.001
"""The family-wise error rate of the test whether rows of one value are alike, after Holm's correction."""
_DAY, _MONTH = r"(?:0?[1-9]|[12]\d|3[01])", r"(?:0?[1-9]|1[0-2])"
DATE = re.compile(
    r"(?<![\d.])(?:\d{4}-\d{1,2}-\d{1,2}|\d{8}T\d{6}"
    rf"|(?:{_DAY}(?P<mark>[/.]){_MONTH}|{_MONTH}(?P<other>[/.]){_DAY})(?(mark)(?P=mark)|(?P=other))(?:\d{{4}}|\d{{2}}))"
    r"(?!\d|\.\d)"
)
"""A date in a text. 10.20.30.40 is an address and 0.13.25 a version: what stands there is no day or no month, or it
goes on."""
_GROUP_NAME = re.compile(r"(?i:(^|[_ .-])(ids?|uuid|guid|pid)($|[_ .-])|(^|[_ .-])(number|no|nr)$)|[a-z]I[dD]$")
"""Words that name a thing, some of them only at the end: a number_of_views does not."""
_ROW_NAME = re.compile(
    r"(?i:(^|[_ .-])rownames?($|[_ .-])|(^|[_ .-])(row|index|idx|key|code|order|isbn|ssn|iban|vin|sku)$)"
)
"""Words that may name a row: a code or an order that repeats is a level like any other."""
_PLACE = re.compile(r"(?i:(^|[_ .-])(zip|postal|post|postcode|zipcode|plz|area|region|country|state)($|[_ .-]))")
"""Words for a place: many rows may have it, and new rows have places that are known."""
_HAS_DIGIT = re.compile(r"\d")
_NUMBER = r"([0-9]{1,3}([,.' ][0-9]{3})+|[0-9]{1,2}(,[0-9]{2})*,[0-9]{3}|[0-9]+)([.,][0-9]+)?"
_AMOUNT = re.compile(
    rf"[-+\u2212(]?\s*(?P<before>[$€£¥₹]|[A-Z]{{3}}(?=\s))?\s*[-+\u2212]?(?P<number>{_NUMBER})"
    r"\s*(?P<behind>[%$€£¥₹°]?[A-Za-z]{0,4})?\)?-?"
)
"""A number with a currency, a unit, a percent sign, groups or a decimal mark; its parts tell whether it has any."""
UNLIKE = "nearly all values differ"
"""Why texts are an identifier that are not named as one."""
PROSE = 8
"""Texts of so many words, half of them or more, say something of a row, however many of them differ."""
_TITLE_WORDS = 3
"""So do texts of so many words that recur from text to text, as those of titles do and most parts of names do not."""
_RECURRING, _IN_TEXTS, _OF_TEXTS = 0.7, 3, 0.001
"""The share of the words that are to be in so many of the texts, and in such a share of them."""
_FEW_DIGITS = 0.2
"""Where more words than this share have a digit, they are dates, codes or addresses."""
_BINS = 10
"""The numbers of a column are cut into so many bins of equally many rows, to tell whether rows are alike in it."""


def is_code(column: pd.Series) -> bool:
    """Whether a column's values could name something: texts, or whole numbers, but no sums of money, sizes, dates."""
    kind, present = column_type(column), column.dropna()
    if present.empty or kind in ("boolean", "date"):
        return False
    if kind == "number":
        return are_whole(present)
    return not are_dates(present) and not _are_amounts(present)


def identifier_of_rows(column: pd.Series) -> str:
    """Why a column tells the rows apart and says nothing of them, in words; "" if it does not.

    Nearly all its values differ, most cells have one, and they are texts, but no prose; or whole numbers that count up,
    or that are named as an identifier.
    """
    present = column.dropna()
    if column_type(column) == "number" and not are_whole(present):
        return ""
    distinct = n_distinct(present)
    if len(present) < len(column) / 2 or distinct < max(2, NEARLY_UNIQUE * len(present)):
        return ""
    named = "an identifier" if is_named_as_identifier(str(column.name)) else ""
    if column_type(column) == "text":
        words = plain_words(present)
        tells = _are_amounts(present) or words >= PROSE or (words >= _TITLE_WORDS and _words_recur(present))
        return "" if tells else named or UNLIKE
    return ("numbers the rows" if counts_up(present) else named) if is_code(column) else ""


def is_named_as_identifier(name: str) -> bool:
    """Whether a column's name has a word for an identifier."""
    name = name.strip()
    return bool(_GROUP_NAME.search(name) or _ROW_NAME.search(name)) and not _PLACE.search(name)


def counts_up(present: pd.Series) -> bool:
    """Whether whole numbers grow from row to row, by the same step at least every second time: the numbers of rows, of
    which some may be gone, and not a size that the rows are sorted by."""
    steps = np.diff(present.to_numpy())
    return len(steps) > 0 and bool(steps.min() > 0 and np.mean(steps == steps.min()) >= 0.5)


def is_group(column: pd.Series, frame: pd.DataFrame) -> bool:
    """Whether a column names what rows belong to, as a customer's number does, and rows of one value are alike in some
    other column of ``frame`` (n_rows, n_columns)."""
    name = str(column.name).strip()
    if not _GROUP_NAME.search(name) or _PLACE.search(name):
        return False
    share = n_distinct(column) / max(1, column.notna().sum())
    return SEVERAL < share < NEARLY_UNIQUE and is_code(column) and bool(alike_in(column, frame))


def alike_in(column: pd.Series, frame: pd.DataFrame) -> list[str]:
    """The columns of ``frame``, (n_rows, n_columns), in which rows with the same value of ``column`` are more alike
    than any two rows are.

    Rows of one value are paired, each with the next one. The binomial test asks whether more pairs agree than would if
    rows were paired at random; numbers agree that are in the same tenth of all. Holm's correction is for the number of
    columns.
    """
    codes = pd.factorize(column)[0]
    order = np.argsort(codes, kind="stable")
    ordered = codes[order]
    is_pair = (ordered[1:] == ordered[:-1]) & (ordered[1:] >= 0)
    first, second = order[:-1][is_pair], order[1:][is_pair]
    others = [str(name) for name in frame if name != column.name]
    if not len(first) or not others:
        return []
    p_values = []
    for name in others:
        levels = _levels(frame[name])
        expected = float(np.sum((np.bincount(levels) / len(levels)) ** 2))
        agreeing = int((levels[first] == levels[second]).sum())
        p_values.append(float(stats.binom.sf(agreeing - 1, len(first), min(1.0, expected))))
    return [name for name, p in zip(others, holm(p_values), strict=True) if p < ALIKE_LEVEL]


def _levels(column: pd.Series) -> np.ndarray:
    """(n_rows,) the number, from 0, of each cell's value, of many numbers or dates that of its bin; missing cells have
    one."""
    if column_type(column) in ("number", "date") and has_more_levels(column, _BINS):
        return equal_bins(column, _BINS)
    return np.asarray(pd.factorize(column)[0]) + 1


def are_dates(present: pd.Series) -> bool:
    """Whether the first texts of a column, without missing ones, have a date in them."""
    return len(present) > 0 and bool(present.head(50).map(lambda cell: DATE.search(cell) is not None).all())


def plain_words(present: pd.Series) -> int:
    """How many words without a digit half of a column's different texts have, or more; 0 where many words have one, as
    those of dates, codes and addresses do."""
    levels = present.unique()
    words = [text.split() for text in levels[:: 1 + len(levels) // 10_000]]
    plain = [sum(_HAS_DIGIT.search(word) is None for word in found) for found in words]
    total = sum(map(len, words))
    return int(np.median(plain)) if total and sum(plain) >= (1 - _FEW_DIGITS) * total else 0


def _words_recur(present: pd.Series) -> bool:
    """Whether most words of a column's different texts are in several of them."""
    levels = present.unique()
    levels = levels[:: 1 + len(levels) // 10_000]
    texts = [set(text.lower().split()) for text in levels]
    counts = Counter(word for words in texts for word in words)
    least = max(_IN_TEXTS, _OF_TEXTS * len(texts))
    recurring = sum(count for count in counts.values() if count >= least)
    return recurring >= _RECURRING * sum(counts.values())


def _are_amounts(present: pd.Series) -> bool:
    """Whether nearly all texts are numbers that are written with a currency, one unit, groups or a decimal mark."""
    sample = present.iloc[:: 1 + len(present) // 10_000]
    amounts = [match for cell in sample if (match := _AMOUNT.fullmatch(cell.strip()))]
    if len(amounts) < NEARLY_UNIQUE * len(sample):
        return False
    signs = {(match["before"], match["behind"]) for match in amounts} - {(None, "")}
    return len(signs) == 1 or (not signs and any(not match["number"].isdigit() for match in amounts))
