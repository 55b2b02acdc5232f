"""Finds out what the columns of a table are: identifiers, constants, dates, one-hot columns, leaks, groups."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from lockstep.kernel.settings import Task
from lockstep.splitting.data_checks import NEARLY_UNIQUE, numbers_that_add_up
from lockstep.tables.table import column_type

import pandas as pd

MAX_LEAK_LEVELS = 20
"""A feature of at most so many levels, each of one class only, gives the class away."""
SUSPICIOUS_CORRELATION = 0.95
DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{8}T\d{6}")
_ID_NAME = re.compile(
    r"(?i:(^|[_ .-])(ids?|uuid|guid|pid|rownames?)($|[_ .-])|(^|[_ .-])(row|index|idx|key|code|order|number|no|nr)$)"
    r"|[a-z]I[dD]$"
)
"""Words that name an identifier, some of them only at the end: an order_value and a number_of_views do not."""


class ColumnRoles(NamedTuple):
    """What the columns beside the target are, by name.

    Attributes:
        identifiers: they number or name the rows, or nearly all their texts differ: {name: which of it}.
        constants: one value or none.
        dates: texts of dates.
        leaks: they give the target away exactly.
        suspects: numbers that correlate with the target suspiciously: (name, correlation).
        repeating: identifiers that repeat: rows that belong together.
    """

    identifiers: dict[str, str]
    constants: list[str]
    dates: list[str]
    leaks: list[str]
    suspects: list[tuple[str, float]]
    repeating: list[str]

    def of(self, name: str) -> list[str]:
        """Say in words what a column is."""
        words = {"constant": self.constants, "dates as text": self.dates, "gives the target away exactly": self.leaks}
        named = [self.identifiers[name]] if name in self.identifiers else []
        return [*named, *(what for what, names in words.items() if name in names)]


def find_roles(frame: pd.DataFrame, target: str, task: Task) -> ColumnRoles:
    """Look at every column but the target."""
    features = frame.drop(columns=target)
    constants = [str(name) for name in features if len(features[name].dropna().unique()) <= 1]
    repeating = [name for name in map(str, features) if _repeats(features[name]) and name not in constants]
    identifiers = {name: why for name, why in find_identifiers(features) if name not in [*constants, *repeating]}
    texts = [str(name) for name in features if column_type(features[name]) == "text"]
    dates = [name for name in texts if name not in constants and are_dates(features[name].dropna())]
    leaks, suspects = _leaks(features.drop(columns=[*identifiers, *constants]), frame[target], task)
    return ColumnRoles(identifiers, constants, dates, leaks, suspects, repeating)


def are_dates(cells: pd.Series) -> bool:
    """Whether the first texts of a column, without missing ones, have a date in them."""
    return len(cells) > 0 and bool(cells.head(50).map(lambda cell: DATE.search(cell) is not None).all())


def is_named_identifier(name: str) -> bool:
    """Whether a column's name says that it is an identifier."""
    return _ID_NAME.search(name.strip()) is not None


def one_hot_columns(frame: pd.DataFrame) -> list[str]:
    """Columns of 0 and 1, or booleans, whose names begin with the same words, and of which one is 1 in each row."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in map(str, frame):
        if column_type(frame[name]) != "text" and frame[name].isin([0, 1]).all():
            words = words_of(name)
            for length in range(1, len(words)):
                groups.setdefault(tuple(words[:length]), []).append(name)
    found = [
        names for names in groups.values() if len(names) > 1 and (frame[names].astype("int64").sum(axis=1) == 1).all()
    ]
    return list(dict.fromkeys(name for names in found for name in names))


def words_of(name: str) -> list[str]:
    """The words of a column's name, in lower case, without what is in parentheses, which is a unit."""
    plain = re.sub(r"\(.*?\)|\[.*?\]", " ", name)
    return [word.lower() for word in re.split(r"[\W_]+|(?<=[a-z0-9])(?=[A-Z])", plain) if word]


def find_identifiers(features: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(column, why it tells rows apart and says nothing of them)"""
    for name in map(str, features):
        column = features[name].dropna()
        kind, distinct = column_type(column), column.nunique()
        named = "an identifier" if is_named_identifier(name) else ""
        if kind == "text" and distinct >= NEARLY_UNIQUE * len(features):
            yield name, named or "nearly all values differ"
        elif column.dtype.kind in "iu" and distinct == len(features):
            why = "numbers the rows" if (column.diff().dropna() == 1).all() else named
            if why:
                yield name, why


def _repeats(column: pd.Series) -> bool:
    """Whether it is named as an identifier, and some of its values, mostly different ones, occur in several rows."""
    whole = column_type(column) == "text" or bool((column.dropna() % 1 == 0).all())
    return is_named_identifier(str(column.name)) and whole and 0.2 < column.nunique() / len(column) < 1


def _leaks(features: pd.DataFrame, target: pd.Series, task: Task) -> tuple[list[str], list[tuple[str, float]]]:
    """Columns that give the target away: (exactly, suspiciously)."""
    if task == "classification":
        exact = [
            str(name)
            for name in features
            if features[name].nunique() <= min(MAX_LEAK_LEVELS, target.nunique())
            and target.groupby(features[name].astype(str)).nunique().max() == 1
        ]
        return exact, []
    numbers = features[[name for name in features if column_type(features[name]) == "number"]]
    exact = numbers_that_add_up(features, target.to_numpy(dtype="float64"))
    correlations = numbers.corrwith(target)
    suspects = [(str(name), float(r)) for name, r in correlations.items() if abs(r) > SUSPICIOUS_CORRELATION]
    return exact, [suspect for suspect in suspects if suspect[0] not in exact]
