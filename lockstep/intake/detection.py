"""Finds out how a data file is written and what its columns are, for ``python -m lockstep add``.

Everything found here is a proposal that is shown, written down in the settings, and can be changed there; the stages
themselves guess nothing.
"""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.csv_text import read_csv
from lockstep.kernel.errors import DataError, some
from lockstep.kernel.settings import Task
from lockstep.reading.column_types import MISSING, Format
from lockstep.reading.csvfile import Dialect, TextTable
from lockstep.reading.encodings import difference, line_of_utf8, natural_readings
from lockstep.reading.source import Source, decoded, decodes, unpacked
from lockstep.splitting.data_checks import NEARLY_UNIQUE, numbers_that_add_up
from lockstep.tables.table import column_type

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

DELIMITERS = (",", ";", "\t", "|")
TARGET_NAMES = (
    *("target", "label", "class", "y", "outcome", "response", "price", "species", "survived", "churn", "churned"),
    *("deposit", "diagnosis", "quality", "cnt", "count", "charges", "strength", "rings"),
)
"""Names of columns that are usually what is to be predicted; else the last column is taken."""
MAX_CLASSES = 20
"""A target of at most so many distinct whole numbers is taken for classes."""
SUSPICIOUS_CORRELATION = 0.95
NEARLY_ALL = 0.9
"""A text column of which this share of the cells are numbers in another dress is said to be one."""
A_FEW = 3
"""So many numbers of the form 4.067, and none of another form, leave open what the point is."""
MAX_TITLE = 3
"""Lines above the header that are looked for."""
_ID_NAME = re.compile(
    r"(?i:(^|[_ .-])(ids?|uuid|guid|pid|rownames?)($|[_ .-])|(^|[_ .-])(row|index|idx|key|code|order|number|no|nr)$)"
    r"|[a-z]I[dD]$"
)
"""Words that name an identifier, some of them only at the end: an order_value and a number_of_views do not."""
_GROUPS = r"^[-+]?[1-9][0-9]{0,2}(\.[0-9]{3})+$"
_POINT = r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_WHOLE = r"^[-+]?[0-9]*$"
_SPACES = " \N{NO-BREAK SPACE}\N{NARROW NO-BREAK SPACE}"
_DRESSED = (
    rf"\(?[-+]?[$€£¥]?[{_SPACES}]?[-+]?([0-9]{{1,3}}([,.'{_SPACES}][0-9]{{3}})+([.,][0-9]+)?|[0-9]+([.,][0-9]+)?)"
    rf"[{_SPACES}]?[%$€£¥]?\)?"
)
"""A number with a sign of percent or money, groups of digits, a decimal comma or in parentheses; or a plain one."""
_DRESS = rf"[%$€£¥(,'{_SPACES}]|\.[0-9]{{3}}\."
_DATE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}|\d{8}T\d{6}")


class Written(NamedTuple):
    """How a CSV file is written, what stands in it, and what else it could be."""

    dialect: Dialect
    form: Format
    text: TextTable
    notes: list[str]
    warnings: list[str]


def detect_csv(
    path: Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    missing: Sequence[str] = MISSING,
    **rest: Any,
) -> Written:
    """Try encodings and delimiters until the whole file makes a table, row by row.

    Args:
        encoding: the only one to try; None for all.
        delimiter, decimal, thousands: the same.
        missing: words for a gap among numbers.
        rest: what is not detected: other fields of Dialect.

    Raises:
        DataError: no delimiter makes one; the message is that of the likeliest. Or numbers can be read in two ways.
    """
    raw = unpacked(path)
    source, notes = decoded(raw, encoding or "utf-8", path), list[str]()
    if encoding is None:
        encoding, notes = _encoding(source.text, path)
        if encoding != "utf-8":
            source = decoded(raw, encoding, path)
    beginning = _beginning(source.text)
    if not rest.get("skip_lines") and (excel := re.match(rb"sep=[^\r\n](?=[\r\n])", beginning, re.IGNORECASE)):
        raise DataError(
            f"{path} line 1 is {excel[0].decode()!r}, which tells Excel the delimiter; the header comes after it. Skip "
            "it with --skip-lines 1."
        )
    marks = (delimiter,) if delimiter else [mark for mark in DELIMITERS if mark not in rest.values()]
    tables: dict[str, TextTable] = {}
    errors: dict[str, DataError] = {}
    for mark in marks:
        try:
            tables[mark] = read_csv(path, Dialect(mark, encoding=encoding, **rest), source)
        except DataError as error:
            errors[mark] = error
    wide = {mark: table for mark, table in tables.items() if table.cells.num_columns > 1}
    if not wide:
        likeliest = max(marks, key=lambda mark: beginning.count(mark.encode()))
        _check_title(path, Dialect(likeliest, encoding=encoding, **rest), source)
        raise errors.get(likeliest) or DataError(
            f"{path} has one column only, cut at {some([repr(mark) for mark in marks])}: there is nothing to predict "
            "from. Say with --delimiter what stands between its cells."
        )
    # Of several that fit, the one of most columns; but a comma in numbers is a decimal mark.
    delimiter = max(wide, key=lambda mark: (mark != "," or not _commas_in_numbers(wide), wide[mark].cells.num_columns))
    if len(wide) > 1:
        notes.append(f"delimiter {delimiter!r}, though {some([repr(m) for m in wide if m != delimiter])} would fit too")
    text = wide[delimiter]
    form, warnings = _number_format(text, delimiter, decimal, thousands, missing, path)
    return Written(Dialect(delimiter, encoding=encoding, **rest), form, text, notes, warnings)


def _beginning(data: pa.Buffer) -> bytes:
    return bytes(data.slice(0, min(len(data), 1 << 16)).to_pybytes())


def _check_title(path: Path, dialect: Dialect, source: Source) -> None:
    """Raise DataError if the file, which is no table as it is, is one without a title of a few lines."""
    for lines in range(1, MAX_TITLE + 1) if not dialect.skip_lines else ():
        try:
            width = read_csv(path, dialect._replace(skip_lines=lines), source).cells.num_columns
        except DataError:
            continue
        beginning = _beginning(source.text).decode("utf-8", "replace")
        title = [line.split(dialect.delimiter) for line in beginning.splitlines()[:lines]]
        if width > 1 and all(2 * sum(bool(cell.strip()) for cell in cells) <= width for cells in title):
            raise DataError(
                f"{path} line 1, {dialect.delimiter.join(title[0])[:40]!r}, seems to be a title: the table of {width} "
                f"columns begins in line {lines + 1}. Skip what stands above it with --skip-lines {lines}."
            )


def _encoding(data: pa.Buffer, path: Path) -> tuple[str, list[str]]:
    """(the encoding of the file's bytes, what is to be said of it)

    Raises:
        DataError: it cannot be told, with what the candidates make of the text.
    """
    beginning = _beginning(data)
    zeros = [beginning[start::2].count(0) for start in (0, 1)]
    for name, own, other in (("utf-16-le", zeros[1], zeros[0]), ("utf-16-be", zeros[0], zeros[1])):
        if own > len(beginning) / 20 and not other and decodes(data, name):  # a half of each ASCII character
            return name, [f"encoding {name}, though no byte-order mark says so"]
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


def _number_format(
    text: TextTable, delimiter: str, decimal: str | None, thousands: str | None, missing: Sequence[str], path: Path
) -> tuple[Format, list[str]]:
    """How numbers are written, and what to warn of.

    A decimal comma where texts of that form are frequent, the delimiter is no comma, and no cell has a point, unless
    between thousands; or what is given.

    Raises:
        DataError: points may stand between thousands or before decimals, and the file looks as if it were the former.
    """
    comma, point, grouped, groups = False, False, False, False
    doubtful: dict[str, str] = {}
    for name, cells in zip(text.cells.column_names, text.cells.columns, strict=True):
        if delimiter != ",":
            sample = cells.slice(0, 1000).to_pylist()
            comma |= any(re.fullmatch(r"[-+]?[0-9]+([.' ][0-9]{3})*,[0-9]+", cell) for cell in sample)
            grouped |= any(re.fullmatch(r"[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+", cell) for cell in sample)
        trimmed = pc.utf8_trim_whitespace(cells)
        in_groups = pc.match_substring_regex(trimmed, _GROUPS)
        count = pc.sum(in_groups).as_py() or 0
        pointed = pc.any(pc.and_not(pc.match_substring_regex(trimmed, _POINT), in_groups)).as_py()
        point, groups = point or bool(pointed), groups or count > 0
        if count >= A_FEW and not pointed:
            others = trimmed.filter(pc.invert(in_groups))
            plain = pc.or_(pc.match_substring_regex(others, _WHOLE), pc.is_in(others, pa.array(missing, others.type)))
            if pc.all(plain, min_count=0).as_py():
                doubtful[name] = trimmed.filter(in_groups)[0].as_py()
    if decimal is not None or thousands is not None:
        own = decimal or {",": ".", ".": ","}.get(thousands or "") or ("," if comma and not point else ".")
        found = "." if own == "," and (grouped or groups) and not point else ""
        return Format(own, found if thousands is None else thousands), []
    if grouped and not point:
        return Format(",", "."), []
    if doubtful and not point and (delimiter == ";" or comma):
        name, cell = next(iter(doubtful.items()))
        raise DataError(
            f"{path} column {name!r}: {cell} can be read in two ways, and every number with a point in it is of that "
            f"form. Give --decimal , --thousands . if it is {cell.replace('.', '')}, or --decimal . if the point is "
            "the decimal mark."
        )
    warnings = [
        f"'{name}' is read with decimal points, but all of them stand before three digits, such as {cell}: if that is "
        f"{cell.replace('.', '')}, add the table with --decimal , --thousands ."
        for name, cell in doubtful.items()
    ]
    return Format("," if comma and not (point or groups) else "."), warnings


def check_header(frame: pd.DataFrame, form: Format, path: Path) -> None:
    """Raise DataError if the column names are a row: the header is missing, and the row is lost.

    Numbers are names in wide tables (a column per year): there they go up or down, and other columns have names.
    """
    names = [str(name) for name in frame]
    kinds = {name: column_type(frame[name]) for name in names}
    numbers = [name for name in names if kinds[name] == "number"]
    hits = [name for name in numbers if re.match(form.number, name.strip())]
    echoes = [name for name in names if kinds[name] == "text" and (frame[name] == name).any()]
    clear = [name for name in names if name[:1].isalpha() and name not in echoes and not _DATE.search(name)]
    values = pd.Series(
        [float(name.strip().replace(form.thousands or " ", "").replace(form.decimal, ".")) for name in hits]
    )
    scale = values.is_monotonic_increasing or values.is_monotonic_decreasing
    if (hits and (echoes or not clear or (not scale and 2 * len(hits) > len(numbers)))) or (
        len(echoes) > 1 and 2 * len(echoes) > len(names)
    ):
        raise DataError(
            f"{path}: the first line looks like a row, not like column names: {some([*map(repr, [*hits, *echoes])])} "
            "are like the cells below them. Put a line with the names above it; if they are names, rename them."
        )


def number_in_text(column: pd.Series) -> tuple[str, str] | None:
    """(an example, what to do) of a text column whose cells nearly all are numbers in a dress, such as ``12,345.67``,
    ``62.9%``, ``€5`` and ``(5)``, so that they are texts for the model; None for any other column."""
    if column_type(column) != "text":
        return None
    cells = column.dropna().str.strip()
    cells = cells[~cells.isin(["", *MISSING])]
    fits = cells.str.fullmatch(_DRESSED)
    if len(cells) == 0 or fits.mean() < NEARLY_ALL:
        return None
    dressed = cells[fits & cells.str.contains(_DRESS)].drop_duplicates().tolist()
    if not dressed:
        return None
    ways = [(cell, _marks(cell)) for cell in dressed[:1000]]
    cell, marks = next((way for way in ways if way[1] != _marks("1,000")), ways[0])
    if marks is None:
        return cell, "write them as plain numbers in the file"
    return cell, f"add the table with {marks}"


def _marks(cell: str) -> str | None:
    """The flags with which a number is read; None if there are none."""
    marks = re.findall(rf"[,.'{_SPACES}]", cell)
    if re.search("[%$€£¥(]", cell) or not marks or any(mark in _SPACES[1:] for mark in marks):
        return None
    if marks == [","]:
        return "--thousands , or --decimal ," if re.search(r"^[-+]?[0-9]{1,3},[0-9]{3}$", cell) else "--decimal ,"
    comma = " --decimal ," if marks[-1] == "," != marks[0] else ""
    return f"--thousands {shlex.quote(marks[0])}{comma}"


class Columns(NamedTuple):
    """What the columns are, by name.

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


def inspect_columns(frame: pd.DataFrame, target: str, task: Task) -> Columns:
    """Look at every column but the target."""
    features = frame.drop(columns=target)
    constants = [str(name) for name in features if len(features[name].dropna().unique()) <= 1]
    repeating = [name for name in map(str, features) if _repeats(features[name]) and name not in constants]
    identifiers = {name: why for name, why in _identifiers(features) if name not in [*constants, *repeating]}
    texts = [str(name) for name in features if column_type(features[name]) == "text"]
    dates = [name for name in texts if name not in constants and _are_dates(features[name].dropna().head(50))]
    leaks, suspects = _leaks(features.drop(columns=[*identifiers, *constants]), frame[target], task)
    return Columns(identifiers, constants, dates, leaks, suspects, repeating)


def _are_dates(cells: pd.Series) -> bool:
    return len(cells) > 0 and bool(cells.map(lambda cell: _DATE.search(cell) is not None).all())


def _identifiers(features: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """(column, why it tells rows apart and says nothing of them)"""
    for name in map(str, features):
        column = features[name].dropna()
        kind, distinct = column_type(column), column.nunique()
        named = "an identifier" if _ID_NAME.search(name.strip()) else ""
        if kind == "text" and distinct >= NEARLY_UNIQUE * len(features):
            yield name, named or "nearly all values differ"
        elif column.dtype.kind in "iu" and distinct == len(features):
            why = "numbers the rows" if (column.diff().dropna() == 1).all() else named
            if why:
                yield name, why


def _repeats(column: pd.Series) -> bool:
    """Whether it is named as an identifier, but some of its values, mostly different ones, stand in several rows."""
    whole = column_type(column) == "text" or bool((column.dropna() % 1 == 0).all())
    return bool(_ID_NAME.search(str(column.name).strip())) and whole and 0.2 < column.nunique() / len(column) < 1


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
