"""Finds out what the columns of a table are: the target and its task, identifiers, constants, dates, leaks, groups."""

from typing import NamedTuple

from lockstep.kernel.settings import Task
from lockstep.splitting.exact_sums import exact_sums
from lockstep.splitting.identifiers import DATE, identifier_of_rows, is_group
from lockstep.tables.table import column_type

import pandas as pd

TARGET_NAMES = (
    *("target", "label", "class", "y", "outcome", "response", "price", "species", "survived", "churn", "churned"),
    *("deposit", "diagnosis", "quality", "cnt", "count", "charges", "strength", "rings"),
)
"""Names of columns that are usually what is to be predicted; else the last column is taken."""
MAX_CLASSES = 20
"""A target of at most so many distinct whole numbers is taken for classes."""
SUSPICIOUS_CORRELATION = 0.95


class ColumnRoles(NamedTuple):
    """What the columns beside the target are, by name.

    Attributes:
        identifiers: they number or name the rows, or nearly all their texts differ: {name: which of it}.
        constants: one value or none.
        dates: texts of dates.
        leaks: they give the target away exactly: {name: how}.
        suspects: numbers that correlate with the target suspiciously: (name, correlation).
        repeating: identifiers that repeat, of rows that are alike: they belong together.
    """

    identifiers: dict[str, str]
    constants: list[str]
    dates: list[str]
    leaks: dict[str, str]
    suspects: list[tuple[str, float]]
    repeating: list[str]

    def of(self, name: str) -> list[str]:
        """Say in words what a column is."""
        words = {"constant": self.constants, "dates as text": self.dates}
        found = [reasons[name] for reasons in (self.identifiers, self.leaks) if name in reasons]
        return [*found, *(what for what, names in words.items() if name in names)]


def guess_target(frame: pd.DataFrame) -> tuple[str, str]:
    """(the column to predict, why)."""
    lower = {str(name).strip().lower(): str(name) for name in frame}
    for name in TARGET_NAMES:
        if name in lower:
            return lower[name], "its name"
    return str(frame.columns[-1]), "it is the last column"


def guess_task(target: pd.Series) -> tuple[Task, str]:
    """(the task, why)."""
    kind, distinct = column_type(target), target.nunique()
    if kind != "number":
        return "classification", f"a {kind} column"
    if (target.dropna() % 1 == 0).all() and distinct <= MAX_CLASSES:
        return "classification", f"{distinct} distinct whole numbers"
    return "regression", f"{distinct:,} distinct numbers"


def find_roles(frame: pd.DataFrame, target: str, task: Task) -> ColumnRoles:
    """Look at every column but the target."""
    features = frame.drop(columns=target)
    constants = [str(name) for name in features if len(features[name].dropna().unique()) <= 1]
    repeating = [name for name in map(str, features) if is_group(features[name], frame)]
    reasons = {name: identifier_of_rows(features[name]) for name in map(str, features) if name not in constants}
    identifiers = {name: why for name, why in reasons.items() if why}
    texts = [str(name) for name in features if column_type(features[name]) == "text"]
    dates = [name for name in texts if name not in constants and _are_dates(features[name].dropna().head(50))]
    leaks, suspects = _leaks(features.drop(columns=[*identifiers, *constants]), frame[target], task)
    return ColumnRoles(identifiers, constants, dates, leaks, suspects, repeating)


def _are_dates(cells: pd.Series) -> bool:
    return len(cells) > 0 and bool(cells.map(lambda cell: DATE.search(cell) is not None).all())


def _leaks(features: pd.DataFrame, target: pd.Series, task: Task) -> tuple[dict[str, str], list[tuple[str, float]]]:
    """Columns that give the target away: (exactly, suspiciously)."""
    if task == "classification":
        exact = {
            str(name): "gives the target away exactly"
            for name in features
            if features[name].nunique() <= min(MAX_CLASSES, target.nunique())
            and target.groupby(features[name].astype(str)).nunique().max() == 1
        }
        return exact, []
    numbers = features[[name for name in features if column_type(features[name]) == "number"]]
    sums = exact_sums(features, target.to_numpy(dtype="float64"))
    exact = {name: why for one in sums for name, why in one.leaks.items()}
    correlations = numbers.corrwith(target)
    suspects = [(str(name), float(r)) for name, r in correlations.items() if abs(r) > SUSPICIOUS_CORRELATION]
    return exact, [suspect for suspect in suspects if suspect[0] not in exact]
