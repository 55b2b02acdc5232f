"""Finds out how a data file is written and what its columns are, for ``python -m lockstep add``.

Everything found here is a proposal that is shown, written down in the settings, and can be changed there; the stages
themselves guess nothing.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pyarrow as pa

from lockstep.checks import NEARLY_UNIQUE, numbers_that_add_up
from lockstep.columns import Format
from lockstep.csvfile import Dialect, TextTable, read_csv
from lockstep.encodings import difference, line_of_utf8, natural_readings
from lockstep.errors import DataError, some
from lockstep.profile import column_type
from lockstep.source import decoded, decodes, unpacked
from lockstep.table import Task

DELIMITERS = (",", ";", "\t", "|")
TARGET_NAMES = (
    *("target", "label", "class", "y", "outcome", "response", "price", "species", "survived", "churn", "churned"),
    *("deposit", "diagnosis", "quality", "cnt", "count", "charges", "strength", "rings"),
)
"""Names of columns that are usually what is to be predicted; else the last column is taken."""
MAX_CLASSES = 20
"""A target of at most so many distinct whole numbers is taken for classes."""
SUSPICIOUS_CORRELATION = 0.95
_ID_WORDS = "id|ids|rownames?|row|index|idx|key|uuid|guid|order|pid|number|no"
_ID_NAME = re.compile(rf"(?i:(^|[_ .-])({_ID_WORDS})($|[_ .-]))|[a-z]I[dD]$")
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{8}T\d{6}")


class Written(NamedTuple):
    """How a CSV file is written, what stands in it, and what else it could be."""

    dialect: Dialect
    form: Format
    text: TextTable
    notes: list[str]


def detect_csv(path: Path) -> Written:
    """Try encodings and delimiters until the whole file makes a table, row by row.

    Raises:
        DataError: no delimiter makes one; the message is that of the likeliest.
    """
    raw = unpacked(path)
    source = decoded(raw, "utf-8", path)
    encoding, notes = _encoding(source.text, path)
    if encoding != "utf-8":
        source = decoded(raw, encoding, path)
    tables: dict[str, TextTable] = {}
    errors: dict[str, DataError] = {}
    for delimiter in DELIMITERS:
        try:
            tables[delimiter] = read_csv(path, Dialect(delimiter, encoding=encoding), source)
        except DataError as error:
            errors[delimiter] = error
    wide = {mark: table for mark, table in tables.items() if table.cells.num_columns > 1}
    if not wide:
        beginning = source.text.slice(0, min(len(source.text), 1 << 16)).to_pybytes()
        likeliest = max(DELIMITERS, key=lambda mark: beginning.count(mark.encode()))
        raise errors.get(likeliest) or DataError(
            f"{path} has one column only: there is nothing to predict from. Its delimiter must be one of , ; tab |, "
            "or be given with --delimiter."
        )
    # Of several that fit, the one of most columns; but a comma in numbers is a decimal mark.
    delimiter = max(wide, key=lambda mark: (mark != "," or not _commas_in_numbers(wide), wide[mark].cells.num_columns))
    if len(wide) > 1:
        notes.append(f"delimiter {delimiter!r}, though {some([repr(m) for m in wide if m != delimiter])} would fit too")
    text = wide[delimiter]
    return Written(Dialect(delimiter, encoding=encoding), _number_format(text, delimiter), text, notes)


def _encoding(data: pa.Buffer, path: Path) -> tuple[str, list[str]]:
    """(the encoding of the file's bytes, what is to be said of it)

    Raises:
        DataError: it cannot be told, with what the candidates make of the text.
    """
    if decodes(data, "utf-8"):
        return "utf-8", []
    readings = natural_readings(data)
    if len(readings) == 1:
        return readings[0].encodings[0], [f"encoding {readings[0].encodings[0]}, the only one it looks natural in"]
    if readings:
        raise DataError(
            f"{path} is not UTF-8, and can be read in {len(readings)} ways: {difference(data, readings)}. Give the one "
            f"that reads right, for instance --encoding {readings[0].encodings[0]}."
        )
    line = line_of_utf8(data)
    if line is not None:
        raise DataError(
            f"{path} mixes encodings: line {line} is UTF-8, others are not. Convert it to UTF-8 first, or give the "
            "encoding that all of it is to be read in with --encoding."
        )
    raise DataError(
        f"{path} is not UTF-8, and in none of the usual encodings it looks natural. Give its encoding with --encoding, "
        "or save it as UTF-8."
    )


def _commas_in_numbers(tables: dict[str, TextTable]) -> bool:
    """Whether, cut at another delimiter, most cells of a column are numbers with a decimal comma."""
    number = re.compile(r"[-+]?[0-9]+,[0-9]+")
    samples = [
        cells.slice(0, 100).to_pylist()
        for mark, table in tables.items()
        if mark != ","
        for cells in table.cells.columns
    ]
    return any(cells and sum(map(bool, map(number.fullmatch, cells))) > len(cells) / 2 for cells in samples)


def _number_format(text: TextTable, delimiter: str) -> Format:
    """A decimal comma where texts of that form are frequent, the delimiter is no comma, and no cell has a point."""
    comma, point, grouped = 0, 0, 0
    for cells in text.cells.columns if delimiter != "," else ():
        sample = cells.slice(0, 1000).to_pylist()
        comma += sum(bool(re.fullmatch(r"[-+]?[0-9]+(\.[0-9]{3})*,[0-9]+", cell)) for cell in sample)
        grouped += sum(bool(re.fullmatch(r"[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+", cell)) for cell in sample)
        point += sum(bool(re.fullmatch(r"[-+]?[0-9]+\.[0-9]+", cell)) for cell in sample)
    if not comma or point:
        return Format()
    return Format(decimal=",", thousands="." if grouped else "")


class Columns(NamedTuple):
    """What the columns are, by name.

    Attributes:
        identifiers: they number or name the rows.
        constants: one value or none.
        dates: texts of dates.
        leaks: they give the target away exactly.
        suspects: numbers that correlate with the target suspiciously: (name, correlation).
        repeating: identifiers that repeat: rows that belong together.
    """

    identifiers: list[str]
    constants: list[str]
    dates: list[str]
    leaks: list[str]
    suspects: list[tuple[str, float]]
    repeating: list[str]


def guess_target(frame: pd.DataFrame) -> tuple[str, str]:
    """(the column to predict, why)."""
    lower = {str(name).lower(): str(name) for name in frame}
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


def inspect_columns(frame: pd.DataFrame, target: str, task: Task) -> Columns:
    """Look at every column but the target."""
    features = frame.drop(columns=target)
    constants = [str(name) for name in features if len(features[name].dropna().unique()) <= 1]
    identifiers = [name for name in _identifiers(features) if name not in constants]
    repeating = [name for name in map(str, features) if _repeats(features[name]) and name not in constants]
    identifiers = [name for name in identifiers if name not in repeating]
    texts = [str(name) for name in features if column_type(features[name]) == "text"]
    dates = [name for name in texts if name not in constants and _are_dates(features[name].dropna().head(50))]
    leaks, suspects = _leaks(features.drop(columns=identifiers + constants), frame[target], task)
    return Columns(identifiers, constants, dates, leaks, suspects, repeating)


def _are_dates(cells: pd.Series) -> bool:
    return len(cells) > 0 and bool(cells.map(lambda cell: _DATE.search(cell) is not None).all())


def _identifiers(features: pd.DataFrame) -> Iterator[str]:
    for name in map(str, features):
        column = features[name].dropna()
        kind, distinct = column_type(column), column.nunique()
        if kind == "text" and distinct >= NEARLY_UNIQUE * len(features):
            yield name
        elif kind == "number" and distinct == len(features) and (column % 1 == 0).all():
            numbered = (column.diff().dropna() == 1).all()
            if numbered or _ID_NAME.search(name):
                yield name


def _repeats(column: pd.Series) -> bool:
    """Whether it is named as an identifier, but some of its values, mostly different ones, stand in several rows."""
    whole = column_type(column) == "text" or bool((column.dropna() % 1 == 0).all())
    return bool(_ID_NAME.search(str(column.name))) and whole and 0.2 < column.nunique() / len(column) < 1


def _leaks(features: pd.DataFrame, target: pd.Series, task: Task) -> tuple[list[str], list[tuple[str, float]]]:
    """Columns that give the target away: (exactly, suspiciously)."""
    if task == "classification":
        exact = [
            str(name)
            for name in features
            if features[name].nunique() <= min(MAX_CLASSES, target.nunique())
            and target.groupby(features[name].astype(str)).nunique().max() == 1
        ]
        return exact, []
    numbers = features[[name for name in features if column_type(features[name]) == "number"]]
    exact = numbers_that_add_up(features, target.to_numpy(dtype="float64"))
    correlations = numbers.corrwith(target)
    suspects = [(str(name), float(r)) for name, r in correlations.items() if abs(r) > SUSPICIOUS_CORRELATION]
    return exact, [suspect for suspect in suspects if suspect[0] not in exact]
