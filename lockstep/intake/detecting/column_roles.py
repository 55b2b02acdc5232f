"""Finds out what the columns of a table are: identifiers, constants, dates, one-hot columns, leaks, groups."""

import re
from typing import NamedTuple

from lockstep.kernel.log import counted
from lockstep.kernel.settings import Task
from lockstep.steps.splitting.exact_sums import exact_sums
from lockstep.steps.splitting.identifiers import are_dates, identifier_of_rows, is_group
from lockstep.tables.statistics import has_more_levels, n_distinct
from lockstep.tables.table import column_type

import pandas as pd

MAX_LEAK_LEVELS = 20
"""A feature of at most so many levels, each of one class only, gives the class away."""
SUSPICIOUS_CORRELATION = 0.95


class ColumnRoles(NamedTuple):
    """What the columns beside the target are, by name.

    Attributes:
        identifiers: they number or name the rows, or nearly all their texts differ: {name: which of it}.
        constants: one value or none: {name: constant or empty}.
        dates: dates, or texts of dates.
        text_dates: the latter.
        leaks: they give the target away exactly: {name: how}.
        suspects: numbers that correlate suspiciously with a target of numbers or of two classes: (name, correlation).
        repeating: identifiers that repeat, of rows that are alike: they belong together.
    """

    identifiers: dict[str, str]
    constants: dict[str, str]
    dates: list[str]
    text_dates: list[str]
    leaks: dict[str, str]
    suspects: list[tuple[str, float]]
    repeating: list[str]

    def of(self, name: str) -> list[str]:
        """Say in words what a column is."""
        found = [reasons[name] for reasons in (self.identifiers, self.leaks, self.constants) if name in reasons]
        return [*found, *["dates as text"] * (name in self.text_dates)]


def find_roles(frame: pd.DataFrame, target: str, task: Task) -> ColumnRoles:
    """Look at every column but the target."""
    features = frame.drop(columns=target)
    alike = [str(name) for name in features if not has_more_levels(features[name], 1)]
    constants = {name: "constant" if features[name].notna().any() else "empty" for name in alike}
    repeating = [name for name in map(str, features) if is_group(features[name], frame)]
    varying = [name for name in map(str, features) if name not in constants]
    reasons = {name: identifier_of_rows(features[name]) for name in counted(varying, "columns")}
    identifiers = {name: why for name, why in reasons.items() if why}
    kinds = {name: column_type(features[name]) for name in varying}
    text_dates = [name for name, kind in kinds.items() if kind == "text" and are_dates(features[name].dropna())]
    dates = [name for name, kind in kinds.items() if kind == "date" or name in text_dates]
    leaks, suspects = _leaks(features.drop(columns=[*identifiers, *constants]), frame[target], task)
    return ColumnRoles(identifiers, constants, dates, text_dates, leaks, suspects, repeating)


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


def _leaks(features: pd.DataFrame, target: pd.Series, task: Task) -> tuple[dict[str, str], list[tuple[str, float]]]:
    """Columns that give the target away: (exactly, suspiciously)."""
    if task == "classification":
        most = min(MAX_LEAK_LEVELS, n_distinct(target))
        exact = {
            str(name): "gives the target away exactly"
            for name in features
            if not has_more_levels(features[name], most)
            and target.groupby(features[name].astype(str)).nunique().max() == 1
        }
        if n_distinct(target.dropna()) != 2:
            return exact, []
        codes = pd.Series(pd.factorize(target, sort=True)[0], target.index)
        target = codes.where(target.notna())
    else:
        sums = exact_sums(features, target.to_numpy(dtype="float64"))
        exact = {name: why for one in sums for name, why in one.leaks.items()}
    numbers = features[[name for name in features if column_type(features[name]) == "number"]]
    correlations = numbers.corrwith(target)
    suspects = [(str(name), float(r)) for name, r in correlations.items() if abs(r) > SUSPICIOUS_CORRELATION]
    return exact, [suspect for suspect in suspects if suspect[0] not in exact]
