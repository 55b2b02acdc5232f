"""A data file to a checked table: read as the settings say, typed, fit to be learned from."""

import codecs
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from lockstep.kernel.errors import DataError, Setting, SettingsError, some
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Settings, Task
from lockstep.reading.blocks import read_typed
from lockstep.reading.column_types import MISSING, Format
from lockstep.reading.contract import Contract, enforce, places, violations, wrong_types
from lockstep.reading.csvfile import CsvFile, Dialect
from lockstep.reading.dataframes import normalised_frame, read_parquet
from lockstep.reading.quirks import Quirk
from lockstep.reading.source import check_file
from lockstep.tables.table import Table, column_type

import msgspec
import numpy as np
import pandas as pd

MINIMUM_ROWS = 100
_TARGET, _DROP = Setting("load.target"), Setting("load.drop")
DEFAULT_TARGET: dict[Task, str] = {"classification": "target", "regression": "price"}
_Character = Annotated[str, msgspec.Meta(min_length=1, max_length=1)]
_CharacterOrNone = Annotated[str, msgspec.Meta(max_length=1)]
_Lines = Annotated[int, msgspec.Meta(ge=0, le=1000)]


class LoadSettings(Settings, frozen=True):
    """The section ``load``; params.yaml says what each key means."""

    path: Annotated[str, msgspec.Meta(min_length=1)]
    task: Task
    target: Annotated[str, msgspec.Meta(min_length=1)] | None = None
    drop: tuple[str, ...] = ()
    delimiter: _Character = ","
    quote: _CharacterOrNone = '"'
    escape: _CharacterOrNone = ""
    encoding: str = "utf-8"
    skip_lines: _Lines = 0
    skip_footer_lines: _Lines = 0
    quirks: tuple[Quirk, ...] = ()
    decimal: Literal[".", ","] = "."
    thousands: Literal["", ",", ".", " ", "'"] = ""
    missing: tuple[str, ...] = MISSING
    missing_texts: tuple[str, ...] = ()

    @property
    def dialect(self) -> Dialect:
        """How the file is cut into cells."""
        return Dialect(
            self.delimiter, self.quote, self.skip_lines, self.encoding, self.escape, self.skip_footer_lines, self.quirks
        )

    @property
    def form(self) -> Format:
        """How numbers and missing values are written in it."""
        return Format(self.decimal, self.thousands, self.missing, self.missing_texts)


class Loaded(NamedTuple):
    """A checked table, and what its missing cells hold: {column: {word: count}}."""

    table: Table
    missing_as: dict[str, dict[str, int]]


def load_file(path: Path, settings: LoadSettings, contract: Contract | None = None) -> Loaded:
    """The checked table of a CSV file, packed or not, or of a parquet file (.parquet).

    Args:
        path: the file.
        settings: the section ``load``.
        contract: what the table must look like; None: whatever it looks like.

    Raises:
        DataError: with file, column and lines.
        SettingsError: settings that contradict each other.
    """
    _check_settings(settings)
    if path.suffix.lower() == ".parquet":
        check_file(path)
        return _load_frame(read_parquet(path), settings, contract, str(path))
    file = CsvFile(path, settings.dialect)
    names = file.names
    if len(names) == 1 and any(mark in names[0] for mark in ",;\t|"):
        raise DataError(
            f"{path} has one column only, '{names[0]}'. Set ",
            Setting("load.delimiter"),
            " to the character between the cells.",
        )
    _check_columns(names, settings, str(path))
    if file.empty_rows:
        logger.info("%s: %d empty rows at the end are left out", path, file.empty_rows)
    typed = read_typed(file, settings.form, contract.types if contract else None, settings.drop)
    if contract is not None:
        enforce(violations(typed.frame, contract, without=settings.drop), str(path), typed.line_starts)
    return Loaded(checked_table(typed.frame, settings, str(path), typed.line_starts), typed.missing_as)


def load_frame(frame: pd.DataFrame, settings: LoadSettings, contract: Contract | None = None) -> Loaded:
    """The checked table of a DataFrame: the same table as load_file gives for a CSV file of the same content."""
    return _load_frame(frame, settings, contract, "the DataFrame")


def _load_frame(frame: pd.DataFrame, settings: LoadSettings, contract: Contract | None, name: str) -> Loaded:
    _check_columns([str(column) for column in frame.columns], settings, name)
    typed = normalised_frame(frame.drop(columns=list(settings.drop)))
    if contract is not None and (wrong := wrong_types(typed, contract)):
        raise DataError(
            f"{name} breaks its contract: {some(wrong, 10)}. Convert those columns, or change the contract."
        )
    if contract is not None:
        enforce(violations(typed, contract, without=settings.drop), name, None)
    missing_as = {str(column): {"": int(count)} for column, count in typed.isna().sum().items() if count}
    return Loaded(checked_table(typed, settings, name, None), missing_as)


def target_of(settings: LoadSettings) -> str:
    """The target's name: load.target, or the default of the task."""
    return settings.target or DEFAULT_TARGET[settings.task]


def _check_settings(settings: LoadSettings) -> None:
    try:
        codecs.lookup(settings.encoding)
    except LookupError:
        raise SettingsError(
            Setting("load.encoding"),
            f": '{settings.encoding}' is not an encoding that Python knows. For instance utf-8, cp1252, utf-16.",
        ) from None
    marks = [mark for mark in (settings.delimiter, settings.quote, settings.escape) if mark]
    if not all(mark.isascii() and mark not in "\r\n\0" for mark in marks) or len(set(marks)) < len(marks):
        raise SettingsError(
            Setting("load.delimiter"),
            ", ",
            Setting("load.quote"),
            " and ",
            Setting("load.escape"),
            " must be different ASCII characters that end no line; the last two may be empty.",
        )
    if settings.escape and not {"spaced_cells", "spaced_quotes", "aligned"}.isdisjoint(settings.quirks):
        raise SettingsError(
            Setting("load.escape"), " and the quirks of blanks do not go together. Empty it, or remove the quirk."
        )
    if settings.decimal == settings.thousands:
        same = " are the same. Set one of them to another mark."
        raise SettingsError(Setting("load.decimal"), " and ", Setting("load.thousands"), same)


def _check_columns(names: Sequence[str], settings: LoadSettings, name: str) -> None:
    target = target_of(settings)
    if target not in names:
        raise DataError(
            f"{name} has no column '{target}', which ",
            _TARGET,
            f" declares to be the target. It has: {some(list(names), 20)}. Set ",
            _TARGET,
            " to one of them.",
        )
    unknown = [column for column in settings.drop if column not in names]
    if unknown:
        raise DataError(
            f"{name} has no column '{unknown[0]}', which ", _DROP, f" lists. It has: {some(list(names), 20)}."
        )
    if target in settings.drop:
        raise DataError(
            _DROP, f" lists the target '{target}'. Remove it from ", _DROP, ", or set another ", _TARGET, "."
        )
    if len(set(names) - set(settings.drop)) < 2:
        if not settings.drop:
            raise DataError(f"{name} has no feature: the target '{target}' is its only column. Add what predicts it.")
        raise DataError(
            f"{name} has no feature: ",
            _DROP,
            f" lists every column beside the target '{target}'. Take one off ",
            _DROP,
            ".",
        )


def checked_table(frame: pd.DataFrame, settings: LoadSettings, name: str, line_starts: np.ndarray | None) -> Table:
    """Check the rows and the target.

    Args:
        frame: (n_rows, n_columns), typed, indexed by row number.
        settings: the section ``load``.
        name: what messages call the data.
        line_starts: (n_rows,) the line of the file on which each row begins, or None for a DataFrame.

    Raises:
        DataError: fewer than 100 rows, a target with a missing value, of one class only, or unfit for the task.
    """
    target = target_of(settings)
    labels = frame[target]

    if len(frame) < MINIMUM_ROWS:
        raise DataError(f"{name} has {len(frame)} rows; at least {MINIMUM_ROWS} are needed. Add rows to it.")
    is_missing = labels.isna()
    if column_type(labels) == "text":
        # A word for a missing value is no class; one that really is can be taken off the settings.
        is_missing |= labels.str.strip().isin(["", *settings.missing, *settings.missing_texts])
        stripped = labels.str.strip()
        if stripped.nunique() < labels.nunique():
            odd = np.flatnonzero(labels != stripped)
            raise DataError(
                f"{name}: the target '{target}' has classes that differ in white space only, such as "
                f"{labels.iloc[odd[0]]!r} in {places(odd, line_starts)}. Make them one class each."
            )
    missing = np.flatnonzero(is_missing)
    if len(missing):
        raise DataError(
            f"{name} has no value in the target '{target}' in {len(missing)} of {len(frame)} rows, "
            f"{places(missing, line_starts)}. Fill those cells or remove those rows: a target is never imputed. If a "
            "word in them is a class, set ",
            Setting("load.missing"),
            " to the other words that mean a missing value.",
        )
    if settings.task == "regression" and column_type(labels) != "number":
        numbers = pd.to_numeric(labels.astype("str"), errors="coerce")
        wrong = np.flatnonzero(numbers.isna())
        first = f", the first {labels.iloc[wrong[0]]!r} in {places(wrong[:1], line_starts)}" if len(wrong) else ""
        raise DataError(
            f"{name}: the target '{target}' of a regression must hold numbers, but {len(wrong)} of {len(frame)} cells "
            f"do not{first}. Correct them; or set how they are written (",
            Setting("load.decimal"),
            ", ",
            Setting("load.thousands"),
            "), and the type in the contract to number; or set ",
            Setting("load.task"),
            " to classification.",
        )
    if settings.task == "classification" and labels.dtype.kind == "f":
        fractions = np.flatnonzero(labels.to_numpy() % 1 != 0)
        if len(fractions):
            raise DataError(
                f"{name}: the target '{target}' holds fractions, such as {labels.iloc[fractions[0]]} in "
                f"{places(fractions[:1], line_starts)}, which are not classes. Set ",
                Setting("load.task"),
                " to regression, or ",
                _TARGET,
                " to another column.",
            )
        frame = frame.assign(**{target: labels.astype("int64")})
    if (labels == labels.iloc[0]).all():
        what = "class" if settings.task == "classification" else "value"
        raise DataError(
            f"{name}: the target '{target}' has only one {what}, {labels.astype(object).iloc[0]!r}: there is nothing "
            "to learn. Add rows of another one, or set ",
            _TARGET,
            " to another column.",
        )
    return Table(frame, target, settings.task)
