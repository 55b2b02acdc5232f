"""Finds out how a data file is written, and reads it: delimiter, encoding, decimal mark, lines above the header.

What is found is proposed, shown, and written into the settings: the stages themselves guess nothing.
"""

import re
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lockstep.intake.column_roles import DATE
from lockstep.intake.csv_text import read_csv
from lockstep.kernel.errors import DataError, SettingsError, some
from lockstep.reading.column_types import MISSING, Format, typed_frame
from lockstep.reading.csvfile import Dialect, TextTable
from lockstep.reading.dataframes import normalised_frame, read_parquet
from lockstep.reading.encodings import difference, line_of_utf8, plausible_readings
from lockstep.reading.source import Source, check_file, decoded, decodes, unpacked
from lockstep.tables.table import column_type

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

DELIMITERS = (",", ";", "\t", "|")
A_FEW = 3
"""So many numbers of the form 4.067, and none of another form, leave open what the point is."""
MAX_TITLE = 3
"""Lines above the header that are looked for."""
_COMMA = r"^[-+]?[0-9]+,[0-9]+$"
_GROUPED_OR_COMMA = r"^[-+]?[0-9]+([.' ][0-9]{3})*,[0-9]+$"
_GROUPED_COMMA = r"^[-+]?[0-9]{1,3}(\.[0-9]{3})+,[0-9]+$"
_GROUPS = r"^[-+]?[1-9][0-9]{0,2}(\.[0-9]{3})+$"
_POINT = r"^[-+]?([0-9]+\.[0-9]*|\.[0-9]+)([eE][-+]?[0-9]+)?$"
_WHOLE = r"^[-+]?[0-9]*$"


class TableFacts(NamedTuple):
    """What a data file holds, and how it is written.

    Attributes:
        path: the file.
        frame: (n_rows, n_columns), typed.
        about: in words, how it is written.
        settings: those of the section load that say so, where they are not the defaults or have a reason.
        reasons: {setting: why it has its value}, where that is not plain.
        warnings: what it could be read as, too.
        missing_as: {column: {word: count}}: what is in the cells that count as missing.
    """

    path: Path
    frame: pd.DataFrame
    about: str
    settings: dict[str, Any]
    reasons: dict[str, str]
    warnings: list[str]
    missing_as: dict[str, dict[str, int]]


class CsvFormat(NamedTuple):
    """How a CSV file is written, its cells, why it is read so (see TableFacts), and what else it could be."""

    dialect: Dialect
    form: Format
    text: TextTable
    reasons: dict[str, str]
    warnings: list[str]


def look(path: Path, given: Mapping[str, Any]) -> TableFacts:
    """Read a CSV or parquet file.

    Args:
        path: the file.
        given: what the user has decided, and is not to be found out: {setting: value}.

    Raises:
        DataError: it is no table, or can be read in two ways.
        SettingsError: what is given contradicts itself or the file.
    """
    _check_is_table(path)
    defaults: dict[str, Any] = Dialect()._asdict() | Format()._asdict()
    rest = {name: given[f"load.{name}"] for name in defaults if f"load.{name}" in given}
    words: dict[str, Any] = {name: tuple(rest.pop(name)) for name in ("missing", "missing_texts") if name in rest}
    if path.suffix.lower() == ".parquet":
        if rest:
            flag = next(iter(rest)).replace("_", "-")
            raise SettingsError(f"--{flag} says how a CSV file is written, and {path} is none. Leave it out.")
        return TableFacts(path, normalised_frame(read_parquet(path)), "a parquet file", words, {}, [], {})
    for one, other in ("delimiter", "quote"), ("delimiter", "escape"), ("quote", "escape"), ("decimal", "thousands"):
        if rest.get(one) and rest[one] == rest.get(other):
            raise SettingsError(f"--{one} and --{other} are the same, {rest[one]!r}. Give different characters.")
    dialect, form, text, reasons, warnings = detect_csv(path, **rest, missing=words.get("missing", MISSING))
    form = form._replace(**words)
    typed = typed_frame(text, str(path), form)
    check_header(typed.frame, form, path)
    found: dict[str, Any] = dialect._asdict() | form._asdict()
    settings = {name: value for name, value in found.items() if value != defaults[name] or name in reasons}
    about = f"delimiter {dialect.delimiter!r}, encoding {dialect.encoding}, decimal mark {form.decimal!r}"
    return TableFacts(path, typed.frame, about, settings, reasons, warnings, typed.missing_as)


def _check_is_table(path: Path) -> None:
    """Raise DataError unless ``path`` is a file that may be a table."""
    check_file(path)
    try:
        with path.open("rb") as file:
            spreadsheet = file.read(8) == b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of Excel before 2007
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                spreadsheet = not {"xl/workbook.xml", "xl/workbook.bin", "content.xml"}.isdisjoint(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return  # the reader says it
    if spreadsheet:
        raise DataError(
            f"{path} is a spreadsheet, not CSV text. Open it, save its sheet as CSV (UTF-8), and add that file."
        )


def detect_csv(
    path: Path,
    encoding: str | None = None,
    delimiter: str | None = None,
    decimal: str | None = None,
    thousands: str | None = None,
    missing: Sequence[str] = MISSING,
    **rest: Any,
) -> CsvFormat:
    """Try encodings and delimiters until the whole file makes a table, row by row.

    Args:
        encoding: the only one to try; None for all.
        delimiter, decimal, thousands: the same.
        missing: words for a missing value among numbers.
        rest: what is not detected: other fields of Dialect.

    Raises:
        DataError: no delimiter makes one; the message is that of the likeliest. Or numbers can be read in two ways.
    """
    raw = unpacked(path)
    source, reasons = decoded(raw, encoding or "utf-8", path), dict[str, str]()
    if encoding is None:
        encoding, why = _encoding(source.text, path)
        reasons |= {"encoding": why} if why else {}
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
            "from. Say with --delimiter what is between its cells."
        )
    # Of several that fit, the one of most columns; but a comma in numbers is a decimal mark.
    delimiter = max(wide, key=lambda mark: (mark != "," or not _commas_in_numbers(wide), wide[mark].cells.num_columns))
    if len(wide) > 1:
        others = some([repr(mark) for mark in wide if mark != delimiter])
        reasons["delimiter"] = f"it fits best, though {others} would fit too"
    text = wide[delimiter]
    form, warnings = _number_format(text, delimiter, decimal, thousands, missing, path)
    return CsvFormat(Dialect(delimiter, encoding=encoding, **rest), form, text, reasons, warnings)


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
                f"columns begins in line {lines + 1}. Skip what is above it with --skip-lines {lines}."
            )


def _encoding(data: pa.Buffer, path: Path) -> tuple[str, str]:
    """(the encoding of the file's bytes, why if it is not UTF-8)

    Raises:
        DataError: it cannot be told, with what the candidates make of the text.
    """
    beginning = _beginning(data)
    zeros = [beginning[start::2].count(0) for start in (0, 1)]
    for name, own, other in (("utf-16-le", zeros[1], zeros[0]), ("utf-16-be", zeros[0], zeros[1])):
        if own > len(beginning) / 20 and not other and decodes(data, name):  # a half of each ASCII character
            return name, "its bytes are in that order, though no byte-order mark says so"
    if decodes(data, "utf-8"):
        return "utf-8", ""
    readings = plausible_readings(data)
    if len(readings) == 1:
        return readings[0].encodings[0], "the text is plausible in no other one"
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
        f"{path} is not UTF-8, and plausible in none of the usual encodings. Give its encoding with --encoding, "
        "or save it as UTF-8."
    )


def _commas_in_numbers(tables: dict[str, TextTable]) -> bool:
    """Whether, cut at another delimiter, most cells of a column are numbers with a decimal comma."""
    others = [table for mark, table in tables.items() if mark != ","]
    samples = [cells.slice(0, 100) for table in others for cells in table.cells.columns]
    return any(
        2 * pc.sum(pc.match_substring_regex(cells, _COMMA), min_count=0).as_py() > len(cells) for cells in samples
    )


def _number_format(
    text: TextTable, delimiter: str, decimal: str | None, thousands: str | None, missing: Sequence[str], path: Path
) -> tuple[Format, list[str]]:
    """How numbers are written, and what to warn of.

    A decimal comma where texts of that form are frequent, the delimiter is no comma, and no cell has a point, unless
    between thousands; or what is given.

    Raises:
        DataError: points may separate thousands or decimals, and the file looks as if it were the former.
    """
    samples = [cells.slice(0, 1000) for cells in text.cells.columns if delimiter != ","]
    comma, grouped = (any(_has(cells, form) for cells in samples) for form in (_GROUPED_OR_COMMA, _GROUPED_COMMA))
    found = [_points(pc.utf8_trim_whitespace(cells), missing) for cells in text.cells.columns]
    point, groups = any(one.decimal for one in found), any(one.groups for one in found)
    doubtful = {name: one.doubtful for name, one in zip(text.cells.column_names, found, strict=True) if one.doubtful}
    if decimal is not None or thousands is not None:
        own = decimal or {",": ".", ".": ","}.get(thousands or "") or ("," if comma and not point else ".")
        mark = "." if own == "," and (grouped or groups) and not point else ""
        return Format(own, mark if thousands is None else thousands), []
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
        f"'{name}' is read with decimal points, but all of them are before three digits, such as {cell}: if that is "
        f"{cell.replace('.', '')}, add the table with --decimal , --thousands ."
        for name, cell in doubtful.items()
    ]
    return Format("," if comma and not (point or groups) else "."), warnings


class _Points(NamedTuple):
    """What the points in a column are: whether one is a decimal mark for sure; whether a cell has the form 4.067; such
    a cell, if there are a few, and beside them whole numbers only, so that the points may separate thousands."""

    decimal: bool
    groups: bool
    doubtful: str | None


def _points(cells: pa.ChunkedArray, missing: Sequence[str]) -> _Points:
    is_group = pc.match_substring_regex(cells, _GROUPS)
    groups, others = cells.filter(is_group), cells.filter(pc.invert(is_group))
    decimal = _has(others, _POINT)
    doubtful = None
    if len(groups) >= A_FEW and not decimal:
        plain = pc.or_(pc.match_substring_regex(others, _WHOLE), pc.is_in(others, pa.array(missing, others.type)))
        doubtful = groups[0].as_py() if pc.all(plain, min_count=0).as_py() else None
    return _Points(decimal, len(groups) > 0, doubtful)


def _has(cells: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.any(pc.match_substring_regex(cells, pattern), min_count=0).as_py())


def check_header(frame: pd.DataFrame, form: Format, path: Path) -> None:
    """Raise DataError if the column names are a row: the header is missing, and the row is lost.

    Numbers are names in wide tables (a column per year): there they go up or down, and other columns have names.
    """
    names = [str(name) for name in frame]
    kinds = {name: column_type(frame[name]) for name in names}
    numbers = [name for name in names if kinds[name] == "number"]
    hits = [name for name in numbers if re.match(form.number, name.strip())]
    echoes = [name for name in names if kinds[name] == "text" and (frame[name] == name).any()]
    clear = [name for name in names if name[:1].isalpha() and name not in echoes and not DATE.search(name)]
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
