"""Chooses the column to predict, and whether by classification or regression, where the evidence points to one.

A column's name is evidence in points; being the last column is a little more. What a target hardly is (an identifier,
a date, one of several one-hot columns, a constant) is none, whatever it is called. One column must have ENOUGH points,
and a LEAD before every other. If no column is named as a target, the last one is taken, as most tables have it there,
provided that its cells are those of one and its name is not that of a place or a time. Else the user is asked.
"""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from lockstep.intake.detecting.column_roles import one_hot_columns, words_of
from lockstep.intake.detecting.formatted_numbers import NEARLY_ALL, Doubt
from lockstep.kernel.errors import DataError, plural, some
from lockstep.kernel.settings import Task
from lockstep.steps.splitting.data_checks import RARE_ROWS
from lockstep.steps.splitting.identifiers import are_dates, identifier_of_rows, is_named_as_identifier
from lockstep.tables.statistics import are_whole, has_more_levels, n_distinct
from lockstep.tables.table import column_type

import pandas as pd

_MAX_CLASSES = 20
"""A target of at most so many distinct values can be classes without many rows of each."""
ENOUGH = 4
LEAD = 2
"""A target has enough points, and so many more than any other column; the last place alone is worth 1."""
TARGET_NAMES = {
    "target label labels class classes outcome response dependent survived churn churned exited attrition diagnosis "
    "fraud": 6,
    "y price saleprice species left deposit cnt charges strength rings quality salary medv mpg satisfaction sentiment "
    "spam stroke canceled cancelled loan_status credit_risk fare_amount median_house_value medhouseval "
    "default_payment_next_month": 5,
    "count sales revenue profit approved purchased bought subscribed converted": 4,
    "amount value score rating grade cost income status result risk volume demand consumption yield rent disease "
    "default category type variety claims fare expenses": 3,
}
"""{names of columns that are usually what is to be predicted: their points}"""
LAST_WORDS = {
    "target label outcome price salary species survived churn churned attrition diagnosis fraud quality strength": 4,
    "class charges response amount value score rating grade sales revenue cost income result risk volume demand "
    "consumption yield rent profit disease": 3,
}
"""{the same for the last word of a longer name: "Sale Price", "wine_quality"}"""
_LITTLE = {"is", "has", "the", "my", "variable", "var", "col", "column", "name"}
"""Words beside which a name is as good as alone: "is_fraud", "target_variable"."""
_OTHER = {
    *("unit", "list", "previous", "prev", "prior", "last", "min", "max", "minimum", "maximum", "base", "original"),
    *("initial", "old", "flagged", "predicted", "estimated", "expected", "market", "competitor", "mean", "avg"),
    *("average", "std", "lag", "per"),
}
"""Words that make it another one: the unit_price helps to predict the price, and isFlaggedFraud is not isFraud."""
_CIRCUMSTANCES = {
    *(
        "year",
        "yr",
        "month",
        "week",
        "weekday",
        "day",
        "hour",
        "minute",
        "second",
        "date",
        "time",
        "timestamp",
        "period",
    ),
    *(
        "lat",
        "latitude",
        "lon",
        "lng",
        "long",
        "longitude",
        "zip",
        "zipcode",
        "fips",
        "county",
        "state",
        "country",
        "city",
    ),
    *(
        "region",
        "url",
        "link",
        "source",
        "note",
        "notes",
        "comment",
        "comments",
        "description",
        "id",
        "index",
        "unnamed",
    ),
}
"""Words of names that say where, when or whence: of no target, if nothing but the last place speaks for it."""
_CLASS_WORDS = {
    *("class", "classes", "classification", "label", "labels", "species", "type", "category", "variety", "group"),
    "cluster",
}
_ROLE_WORDS = {"target", "y", "outcome", "response", "dependent"}
"""Names that say that a column is the target, and not of which kind."""
_COUNT_WORDS = {
    *("count", "counts", "cnt", "number", "num", "nr", "n", "rings", "visits", "times", "quantity", "qty", "sales"),
    *("age", "years", "year", "days", "hours", "minutes"),
}
_NUMBER_LIKE = (
    r"(?!(?!\d{1,3}(?:\.\d{3})+$)\d+(?:\.\d+){2,}$)([A-Z]{3} ?|Rs\.? ?)?[^\w]*[\d.,'\s]*\d[^\w]*[A-Za-z]{0,4}"
)
"""Digits, marks and groups of any custom, with a currency before them or a unit behind; but no 1.2.3 or 10.0.0.1, whose
points separate no groups of three digits: it is a version, an address or a date."""
_EVEN = 1 / 3
"""Classes are even if the rarest has this share of their mean number of rows; counts tail off."""


class TargetCandidate(NamedTuple):
    """A column as a target.

    Attributes:
        name: of the column.
        points: what speaks for it.
        reasons: why, in words.
        against: why it is none at all; "" for a candidate.
    """

    name: str
    points: int
    reasons: tuple[str, ...]
    against: str


def choose_target(
    frame: pd.DataFrame, path: Path, doubts: Mapping[str, Doubt] = MappingProxyType({})
) -> tuple[str, str]:
    """(the column to predict, why).

    Args:
        frame: (n_rows, n_columns), typed; of one row or more.
        path: of the file, for the message.
        doubts: {column: why it stays text}, of those that seem to be numbers.

    Raises:
        DataError: the evidence does not point to one column, with the candidates.
    """
    columns = _columns(frame, doubts)
    candidates = sorted((one for one in columns if not one.against), key=lambda one: -one.points)  # a stable sort
    first, second = [*(one.points for one in candidates), 0, 0][:2]
    if first >= max(ENOUGH, second + LEAD):
        return candidates[0].name, ", and ".join(candidates[0].reasons)
    last, names = columns[-1], [one.name for one in columns]
    if (
        not last.against
        and not any(_points_of_name(one.name, names) for one in columns)
        and _is_like_a_target(frame[last.name], path, doubts.get(last.name))
    ):
        return last.name, "it is the last column, and no column is named as a target"
    raise DataError(_question(frame, path, columns, candidates))


def choose_task(target: pd.Series, path: Path, doubt: Doubt | None = None) -> tuple[Task, str]:
    """(the task, why).

    Args:
        target: (n_rows,), typed.
        path: of the file, for the message.
        doubt: why it stays text, if it seems to be of numbers.

    Raises:
        DataError: it is hardly classes, or can be either, with what to type.
    """
    kind, present = column_type(target), target.dropna()
    distinct = n_distinct(present)
    if kind == "date":
        raise DataError(
            f"the target '{target.name}' holds dates, which are neither classes nor numbers. If another column is the "
            f"target, --target COLUMN; if they are classes, --text {shlex.quote(str(target.name))}."
        )
    if kind != "number":
        if kind == "text" and (message := _hardly_classes(target, doubt)):
            raise DataError(message)
        return "classification", f"a {kind} column"
    if not are_whole(present):
        return "regression", plural(distinct, "distinct number")
    words = set(words_of(str(target.name)))
    if distinct <= 2:
        return "classification", plural(distinct, "distinct whole number")
    if words & _COUNT_WORDS:
        return "regression", f"{plural(distinct, 'distinct whole number')}, named as a count or a measure"
    counts = present.value_counts()
    if distinct <= _MAX_CLASSES:
        if words & _CLASS_WORDS:
            return "classification", f"{distinct} distinct whole numbers, named as classes"
        if words & _ROLE_WORDS and counts.min() >= _EVEN * counts.mean():
            return "classification", f"{distinct} distinct whole numbers, about as frequent as each other"
    elif not (words & _CLASS_WORDS and counts.mean() >= RARE_ROWS):
        return "regression", f"{distinct:,} distinct numbers"
    low, high = int(present.min()), int(present.max())
    raise DataError(
        f"the target '{target.name}' has {distinct} distinct whole numbers, {low} to {high}: a count or classes, which "
        f"the table does not show. Give the one that it is: {_command(path, target.name, 'regression')} or "
        f"{_command(path, target.name, 'classification')}."
    )


def _is_like_a_target(column: pd.Series, path: Path, doubt: Doubt | None) -> bool:
    """Whether a column's cells show a task, and its name is not that of a circumstance."""
    if _CIRCUMSTANCES & set(words_of(str(column.name))):
        return False
    try:
        choose_task(column, path, doubt)
    except DataError:
        return False
    return True


def _columns(frame: pd.DataFrame, doubts: Mapping[str, Doubt]) -> list[TargetCandidate]:
    """Every column as a target, in the table's order."""
    one_hot = one_hot_columns(frame)
    names = [str(name) for name in frame]
    found = []
    for number, name in enumerate(names):
        points, reasons = _points_of_name(name, names), []
        if points:
            reasons.append("its name")
        if number == len(names) - 1:
            reasons += ["it is the last column"] if points < ENOUGH else []
            points += 1
        found.append(TargetCandidate(name, points, tuple(reasons), _against(frame[name], one_hot, doubts.get(name))))
    return found


def _against(column: pd.Series, one_hot: Sequence[str], doubt: Doubt | None) -> str:
    """Why a column is no target, unless the user says so; "" if nothing speaks against it."""
    name, present = str(column.name), column.dropna()
    if not has_more_levels(present, 1):
        return "constant" if len(present) else "empty"
    if column_type(column) == "date" or (column_type(column) == "text" and are_dates(present)):
        return "dates"
    if name in one_hot:
        return "one of several one-hot columns"
    if column_type(column) == "text" and _are_numbers(column, doubt):
        return ""  # a price is a target, once it is read as a number
    return identifier_of_rows(column) or ("named as an identifier" if is_named_as_identifier(name) else "")


def _points_of_name(name: str, names: Sequence[str]) -> int:
    words = words_of(name)
    own = [word for word in words if word not in _LITTLE]
    if not own:
        return 0
    found = next((points for listed, points in TARGET_NAMES.items() if "_".join(own) in listed.split()), 0)
    if not found and len(own) > 1:
        found = next((points for listed, points in LAST_WORDS.items() if own[-1] in listed.split()), 0)
        found = found or (ENOUGH if own[0] == "target" else 0)
    if own == ["y"] and {"x", "z"} & {other.strip().lower() for other in names}:
        found = ENOUGH - 1  # a coordinate or a size, unless it is the last column
    return found if not _OTHER & set(own) else max(found - 3, 0)


def _are_numbers(target: pd.Series, doubt: Doubt | None) -> bool:
    """Whether nearly all cells of a text column are numbers in another form than the reader takes."""
    cells = target.dropna().str.strip()
    return doubt is not None or cells.str.fullmatch(_NUMBER_LIKE).mean() >= NEARLY_ALL


def _hardly_classes(target: pd.Series, doubt: Doubt | None) -> str:
    """What to say of a text column that is hardly classes; "" if it may be."""
    present = target.dropna()
    distinct = present.nunique()
    if distinct <= _MAX_CLASSES:
        return ""
    dates, numbers = are_dates(present), _are_numbers(target, doubt)
    if not (dates or numbers or distinct * RARE_ROWS > len(present)):
        return ""
    example = doubt.example if doubt else str(present.iloc[0])
    what = "dates" if dates else f"{distinct:,} different ones in {len(target):,} rows"
    remedy = "If these are numbers, write them as plain numbers in the file. " if numbers else ""
    if doubt:
        remedy = f"They seem to be numbers, but {doubt.why}: {doubt.remedy}. "
    return (
        f"the target '{target.name}' is a text column, with values such as {example[:40]!r}, and {what}: hardly "
        f"classes. {remedy}If another column is the target, --target COLUMN; if they are classes, --task "
        "classification."
    )


def _question(
    frame: pd.DataFrame, path: Path, columns: Sequence[TargetCandidate], candidates: Sequence[TargetCandidate]
) -> str:
    """Which columns it could be, why, and what to type."""
    ranked = sorted(candidates, key=lambda one: -_points_to_ask(one, one.name == columns[-1].name, frame, path))
    shown = [f"'{one.name}' ({'; '.join([*one.reasons, _content(frame[one.name])])})" for one in ranked]
    refused = [f"'{one.name}' ({'; '.join([*one.reasons, one.against])})" for one in columns if one.against]
    listed = f"It could be {some(shown)}. " if shown else ""
    unlikely = f"Hardly {some(refused)}. " if refused else ""
    first = ranked[0].name if ranked else "COLUMN"
    return (
        f"{path} does not show which column is to be predicted. {listed}{unlikely}Give it with --target, for "
        f"instance: {_command(path, first)}"
    )


def _points_to_ask(column: TargetCandidate, is_last: bool, frame: pd.DataFrame, path: Path) -> float:
    """What speaks for a candidate as the first one to ask for: the last column is that of two that are even, and
    before one that is only perhaps named as a target, if its cells are classes."""
    if not is_last:
        return column.points
    cells, bonus = frame[column.name], 0.5
    if _is_like_a_target(cells, path, None) and choose_task(cells, path)[0] == "classification":
        bonus += ENOUGH - 1
    return column.points + bonus


def _content(column: pd.Series) -> str:
    kind, distinct = column_type(column), n_distinct(column)
    if kind == "number":
        return plural(distinct, f"distinct {'whole ' if (column.dropna() % 1 == 0).all() else ''}number")
    if kind == "date":
        return plural(distinct, "distinct date")
    return f"{kind} of {plural(distinct, 'level')}"


def _command(path: Path, target: object, task: str = "") -> str:
    words = ["python", "-m", "lockstep", "add", str(path), "--target", str(target), *(["--task", task] if task else [])]
    return shlex.join(words)
