"""A data file to a checked table: read as the settings say, typed, fit to be learned from."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, NamedTuple

from lockstep.kernel.errors import DataError, Setting, SettingsError, did_you_mean, plural, some
from lockstep.kernel.log import logger
from lockstep.kernel.settings import Settings, Task
from lockstep.reading.blocks import read_typed
from lockstep.reading.column_types import EXACT_FLOAT, MISSING, NUMBER_TYPE, STRING_TYPE, Format, Typed
from lockstep.reading.contract import Contract, enforce, places, violations, wrong_types
from lockstep.reading.csvfile import CsvFile, Dialect
from lockstep.reading.dataframes import check_names, has_zone, ordered_levels, read_parquet, typed_dataframe
from lockstep.reading.encodings import NO_CHARACTER_SET, is_character_set
from lockstep.reading.quirks import OF_BLANKS, Quirk
from lockstep.reading.source import check_file
from lockstep.tables.table import Table, column_type, positive_class, with_columns

import msgspec
import numpy as np
import pandas as pd

MINIMUM_ROWS = 100
_OTHER_CLASS = "other"
"""The class that rare classes are merged into."""
LARGEST = float(np.finfo("float32").max)
"""No feature may have larger numbers than this."""
LARGEST_TARGET = 1e150
"""No target may: the sum of the squares of its errors would be infinite."""
_TARGET, _DROP, _POSITIVE = Setting("load.target"), Setting("load.drop"), Setting("load.positive")
_WEIGHT = Setting("load.weight")
DEFAULT_TARGET: dict[Task, str] = {"classification": "target", "regression": "price"}
_SHOWN = {"boolean": "true or false", "date": "dates", "text": "texts"}
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
    missing_target: Literal["error", "drop"] = "error"
    rare_classes: Literal["keep", "drop", "merge"] = "keep"
    class_rows: Annotated[int, msgspec.Meta(ge=2)] = 2
    positive: str | int | bool | None = None
    weight: Annotated[str, msgspec.Meta(min_length=1)] | None = None

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
    """A checked table, what the missing cells of the data hold: {column: {word: count}}, and how many rows the settings
    leave out: those without a target, and those of rare classes."""

    table: Table
    missing_as: dict[str, dict[str, int]]
    rows_left_out: int


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
    typed = _typed_file(path, settings, contract)
    if contract is not None:
        enforce(violations(typed.frame, contract, without=settings.drop), str(path), typed.line_starts)
    table = checked_table(typed.frame, settings, str(path), typed.line_starts)
    return Loaded(_as_declared(table, contract), typed.missing_as, len(typed.frame) - len(table))


def check_rows(path: Path, settings: LoadSettings, contract: Contract) -> None:
    """Check rows, fewer than a table must have, that are to be added to one: each cell of a CSV or parquet file.

    Raises:
        DataError: as load_file, for what can be said of these rows alone.
    """
    _check_settings(settings)
    if path.suffix.lower() == ".parquet":
        frame, lines = _typed_frame(read_parquet(path), settings, contract, str(path)).frame, None
    else:
        frame, _, lines = _typed_file(path, settings, contract)
    found = violations(frame, contract, without=settings.drop)
    enforce([one for one in found if one.rule != "rows"], str(path), lines)


def _typed_file(path: Path, settings: LoadSettings, contract: Contract | None) -> Typed:
    """The columns of a CSV file that load.drop does not leave out, of their types."""
    file = CsvFile(path, settings.dialect)
    file.check_delimiter()
    _check_columns(file.names, settings, str(path))
    if file.empty_rows:
        logger.info("%s: %d empty rows at the end are left out", path, file.empty_rows)
    types, forms = _declared(contract, settings)
    return read_typed(file, settings.form, types, settings.drop, forms)


def load_frame(frame: pd.DataFrame, settings: LoadSettings, contract: Contract | None = None) -> Loaded:
    """The checked table of a DataFrame: the same table as load_file gives for a CSV file of the same content."""
    return _load_frame(frame, settings, contract, "the DataFrame")


def _load_frame(frame: pd.DataFrame, settings: LoadSettings, contract: Contract | None, name: str) -> Loaded:
    typed, missing_as, _ = _typed_frame(frame, settings, contract, name)
    if contract is not None:
        enforce(violations(typed, contract, without=settings.drop), name, None)
    table = checked_table(typed, settings, name, None)
    return Loaded(_as_declared(table, contract, frame), missing_as, len(typed) - len(table))


def _typed_frame(frame: pd.DataFrame, settings: LoadSettings, contract: Contract | None, name: str) -> Typed:
    """The columns of a DataFrame that load.drop does not leave out, of the types that the contract declares."""
    check_names(frame, name)
    _check_columns(list(frame.columns), settings, name)
    types, forms = _declared(contract, settings)
    typed = typed_dataframe(frame.drop(columns=list(settings.drop)), name, types, forms)
    if contract is not None and (wrong := wrong_types(typed.frame, contract)):
        raise DataError(
            f"{name} breaks its contract: {some(wrong, 10)}. Convert those columns, or change the contract."
        )
    return typed


def _declared(contract: Contract | None, settings: LoadSettings) -> tuple[dict[str, str], dict[str, Format]]:
    """(the types of columns, the forms of those that are not written as the settings say) that a contract declares."""
    if contract is None:
        return {}, {}
    return {**contract.types}, contract.forms(settings.form)


def _as_declared(table: Table, contract: Contract | None, given: pd.DataFrame | None = None) -> Table:
    """The table with what a contract declares of its features beyond their types: the order of their levels, and that
    times have an offset. Without a contract, and of time zones for columns that it does not have, with what the
    DataFrame ``given``, of which the table was made, says itself."""
    orders: Mapping[str, Sequence[str]] = {}
    if contract is not None:
        orders = contract.orders
    elif given is not None:
        orders = ordered_levels(given)
    declared, zoned = (contract.types, [*contract.with_offset]) if contract else ({}, [])
    zoned += [] if given is None else [str(name) for name in given if name not in declared and has_zone(given[name])]
    features = table.features
    return replace(
        table,
        levels={name: levels for name, levels in orders.items() if name in features},
        with_offset=tuple(str(name) for name in features if name in zoned and column_type(features[name]) == "date"),
    )


def target_of(settings: LoadSettings) -> str:
    """The target's name: load.target, or the default of the task."""
    return settings.target or DEFAULT_TARGET[settings.task]


def _check_settings(settings: LoadSettings) -> None:
    if not is_character_set(settings.encoding):
        raise SettingsError(Setting("load.encoding"), f": {settings.encoding!r} is {NO_CHARACTER_SET}.")
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
    if settings.escape and not OF_BLANKS.keys().isdisjoint(settings.quirks):
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
            f" to one of them.{did_you_mean(target, names)}",
        )
    unknown = [column for column in settings.drop if column not in names]
    if unknown:
        has = f" lists. It has: {some(list(names), 20)}.{did_you_mean(unknown[0], names)}"
        raise DataError(f"{name} has no column '{unknown[0]}', which ", _DROP, has)
    if target in settings.drop:
        raise DataError(
            _DROP, f" lists the target '{target}'. Remove it from ", _DROP, ", or set another ", _TARGET, "."
        )
    if settings.weight is not None:
        _check_weight_column(names, settings, name)
    if len(set(names) - {*settings.drop, settings.weight}) < 2:
        if not settings.drop:
            only = "is its only column" if settings.weight is None else f"and the weights '{settings.weight}' are all"
            raise DataError(f"{name} has no feature: the target '{target}' {only}. Add what predicts it.")
        raise DataError(
            f"{name} has no feature: ",
            _DROP,
            f" lists every column beside the target '{target}'. Take one off ",
            _DROP,
            ".",
        )


def _check_weight_column(names: Sequence[str], settings: LoadSettings, name: str) -> None:
    """Raise DataError unless load.weight is a column beside the target that is not left out."""
    weight = settings.weight
    assert weight is not None
    if weight not in names:
        has = f" names. It has: {some(list(names), 20)}.{did_you_mean(weight, names)}"
        raise DataError(f"{name} has no column '{weight}', which ", _WEIGHT, has)
    if weight == target_of(settings):
        raise DataError(_WEIGHT, f" is the target '{weight}'. Set it to another column, or leave it empty.")
    if weight in settings.drop:
        raise DataError(_DROP, f" lists '{weight}', which ", _WEIGHT, " names: the weights are no feature anyway. "
                        "Remove it from ", _DROP, ".")  # fmt: skip


def _check_weights(column: pd.Series, name: str, line_starts: np.ndarray | None) -> None:
    """Raise DataError unless every row's weight is a positive number."""
    must = f"{name}: the weights in '{column.name}' must be positive numbers, but "
    if column_type(column) != "number":
        raise DataError(must, f"the column is read as {_SHOWN[column_type(column)]}. Correct it, or leave ", _WEIGHT,
                        " empty.")  # fmt: skip
    wrong = np.flatnonzero(~(column.to_numpy(dtype="float64") > 0))
    if len(wrong):
        value = column.iloc[wrong[0]]
        what = "missing" if pd.isna(value) else f"{value:g}"
        where = places(column.index[wrong].to_numpy() - 1, line_starts)
        raise DataError(must, f"{len(wrong)} of {len(column)} are not, the first being {what}: {where}. Correct them, "
                        "or remove those rows; or leave ", _WEIGHT, " empty.")  # fmt: skip


def missing_in_target(labels: pd.Series, missing: Collection[str]) -> np.ndarray:
    """(n_rows,) of bool: where there is no value. Of a text target, the words ``missing`` are none either: a word that
    really is a class can be taken off the settings."""
    is_missing = labels.isna()
    if column_type(labels) == "text":
        is_missing |= labels.str.strip().isin(["", *missing])
    return is_missing.to_numpy(dtype=bool)


def check_n_rows(n_rows: int, name: str) -> None:
    """Raise DataError if there are fewer rows than any model is trained on."""
    if n_rows < MINIMUM_ROWS:
        raise DataError(f"{name} has {plural(n_rows, 'row')}; at least {MINIMUM_ROWS} are needed. Add rows to it.")


def too_large(frame: pd.DataFrame, name: str, line_starts: np.ndarray | None, largest: float = LARGEST) -> str:
    """What to say of the first column with numbers beyond ``largest``, by default single precision, in which forests
    compute; other models square them. "" if there is none. Other arguments as of checked_table."""
    for column, cells in frame.items():
        if cells.dtype.kind not in "if":
            continue
        beyond = np.flatnonzero(np.abs(cells.to_numpy()) > largest)
        if len(beyond):
            where = _places(frame, beyond, line_starts)
            value = cells.iloc[beyond[0]]
            return f"{name} column '{column}': {value:g} in {where} is beyond {largest:.2g}, too large to compute with."
    return ""


def checked_table(frame: pd.DataFrame, settings: LoadSettings, name: str, line_starts: np.ndarray | None) -> Table:
    """Check the rows and the target; leave out, or merge into one class, what the settings say.

    Args:
        frame: (n_rows, n_columns), typed, indexed by row number.
        settings: the section ``load``.
        name: what messages call the data.
        line_starts: (n_rows,) the line of the file on which each row begins, or None for a DataFrame.

    Raises:
        DataError: fewer than 100 rows, a target with a missing value, of one class only, or unfit for the task.
        SettingsError: rare classes, or a positive one, of a regression; a positive class that is none of two.
    """
    target = target_of(settings)
    if settings.rare_classes != "keep" and settings.task == "regression":
        raise SettingsError(Setting("load.rare_classes"), " is for classification. Set it to keep.")
    if settings.positive is not None and settings.task == "regression":
        raise SettingsError(_POSITIVE, " is for classification. Leave it empty.")
    check_n_rows(len(frame), name)
    is_missing = missing_in_target(frame[target], (*settings.missing, *settings.missing_texts))
    if is_missing.any():
        _allow_missing(is_missing, settings, name, line_starts)
        frame = frame[~is_missing]
        check_n_rows(len(frame), f"{name}, without the rows that have no target,")
        if column_type(frame[target]) == "boolean":
            # objects are no classes to scikit-learn
            frame = with_columns(frame, {target: frame[target].astype("bool")})
    labels = frame[target]
    if column_type(labels) == "date":
        raise DataError(
            f"{name}: the target '{target}' holds dates, which are neither classes nor numbers. Add a column to the "
            "file that is one of them, such as the number of days from another date, and set ",
            _TARGET,
            " to it; or, if these dates are classes, keep them as texts (",
            STRING_TYPE,
            ").",
        )
    if column_type(labels) == "text" and (stripped := labels.str.strip()).nunique() < labels.nunique():
        odd = np.flatnonzero(labels != stripped)
        raise DataError(
            f"{name}: the target '{target}' has classes that differ in white space only, such as "
            f"{labels.iloc[odd[0]]!r} in {_places(frame, odd, line_starts)}. Make them one class each."
        )
    if settings.task == "regression" and column_type(labels) != "number":
        numbers = pd.to_numeric(labels.astype("str"), errors="coerce")
        wrong = np.flatnonzero(numbers.isna())
        must = f"{name}: the target '{target}' of a regression must hold numbers, but "
        if not len(wrong):
            why = f"the contract declares it a string, or there are whole numbers beyond {EXACT_FLOAT:,} in it"
            remedy = "Declare it a number; or round those, or write them in a larger unit; or set "
            raise DataError(f"{must}is read as texts: {why}. {remedy}", _TARGET, " to another column.")
        first = f"the first {labels.astype(object).iloc[wrong[0]]!r} in {_places(frame, wrong[:1], line_starts)}"
        raise DataError(
            f"{must}{len(wrong)} of {len(frame)} cells do not, {first}. Correct them; or set how they are written (",
            Setting("load.decimal"),
            ", ",
            Setting("load.thousands"),
            "), and ",
            NUMBER_TYPE,
            "; or set ",
            Setting("load.task"),
            " to classification.",
        )
    if settings.task == "classification" and labels.dtype.kind == "f":
        values = labels.to_numpy()
        # Farther from 0, numbers are not read exactly: two classes might become one.
        wrong = np.flatnonzero((values % 1 != 0) | (np.abs(values) > EXACT_FLOAT))
        if len(wrong):
            what = "fractions" if values[wrong[0]] % 1 else f"numbers beyond {EXACT_FLOAT:,}"
            raise DataError(
                f"{name}: the target '{target}' holds {what}, such as {values[wrong[0]]} in "
                f"{_places(frame, wrong[:1], line_starts)}, which are not classes. Set ",
                Setting("load.task"),
                " to regression, or ",
                _TARGET,
                " to another column.",
            )
        frame = with_columns(frame, {target: labels.astype("int64")})
    if settings.rare_classes != "keep":
        frame = _without_rare_classes(frame, settings, name)
        labels = frame[target]
    if (labels == labels.iloc[0]).all():
        what = "class" if settings.task == "classification" else "value"
        raise DataError(
            f"{name}: the target '{target}' has only one {what}, {labels.astype(object).iloc[0]!r}: there is nothing "
            "to learn. Add rows of another one, or set ",
            _TARGET,
            " to another column.",
        )
    if settings.task == "regression" and (found := too_large(frame[[target]], name, line_starts, LARGEST_TARGET)):
        raise DataError(found, " Correct those cells, or write the target in a larger unit.")
    if found := too_large(frame.drop(columns=target), name, line_starts):
        remedy = " Correct those cells, or write the column in a larger unit; if these are codes, "
        raise DataError(found, remedy, STRING_TYPE, " keeps them as they are; or leave it out with ", _DROP, ".")
    if settings.weight is not None:
        _check_weights(frame[settings.weight], name, line_starts)
    table = Table(frame, target, settings.task, weight=settings.weight)
    return table if settings.positive is None else _with_positive(table, settings.positive, name)


def _with_positive(table: Table, named: str | int | bool, name: str) -> Table:
    """The table with the class that load.positive names."""
    classes = np.unique(table.labels)
    found = positive_class(classes, named)
    if found is None:
        has = f": the target '{table.target}' of {name} has the classes {some([repr(own) for own in classes.tolist()])}"
        if len(classes) != 2:
            raise SettingsError(_POSITIVE, has, ", and only one of two is the positive one. Leave it empty.")
        raise SettingsError(_POSITIVE, f" is {named!r}", has.replace(":", ", but", 1), ". Set it to one of them.")
    return replace(table, positive=found)


def _places(frame: pd.DataFrame, rows: np.ndarray, line_starts: np.ndarray | None) -> str:
    """In words, rows of ``frame`` (0-based), of whose data some rows may be gone, by their lines or numbers there."""
    return places(frame.index[rows].to_numpy() - 1, line_starts)


def _allow_missing(is_missing: np.ndarray, settings: LoadSettings, name: str, line_starts: np.ndarray | None) -> None:
    """Raise DataError unless rows without a value in the target are to be left out, which is logged."""
    missing = np.flatnonzero(is_missing)
    what = f"in {len(missing)} of {plural(len(is_missing), 'row')}, {places(missing, line_starts)}"
    if settings.missing_target == "drop":
        logger.info("%s has no value in the target '%s' %s: left out", name, target_of(settings), what)
        return
    if len(missing) == len(is_missing):
        no_value = f"{name} has no value in the target '{target_of(settings)}' in any row. Fill it, or set "
        raise DataError(no_value, _TARGET, " to another column.")
    raise DataError(
        f"{name} has no value in the target '{target_of(settings)}' {what}. Fill those cells or remove those rows: a "
        "target is never imputed; or set ",
        Setting("load.missing_target"),
        " to drop, which leaves the rows out. If a word in them is a class, set ",
        Setting("load.missing"),
        " to the other words that mean a missing value.",
    )


def _without_rare_classes(frame: pd.DataFrame, settings: LoadSettings, name: str) -> pd.DataFrame:
    """The rows, without those of classes of fewer than load.class_rows rows, or with these classes merged into one."""
    target = target_of(settings)
    counts = frame[target].value_counts()
    rare = counts.index[counts < settings.class_rows]
    is_rare = frame[target].isin(rare)
    if not len(rare):
        return frame
    listed = some([repr(label) for label in sorted(rare.tolist())])
    if settings.rare_classes == "drop":
        logger.info("%s: %d rows of rare classes are left out: %s", name, is_rare.sum(), listed)
        check_n_rows(len(frame) - is_rare.sum(), f"{name}, without the rows of rare classes,")
        return frame[~is_rare]
    together = int((is_rare | (frame[target] == _OTHER_CLASS)).sum())
    if column_type(frame[target]) != "text" or together < settings.class_rows:
        why = f"have {plural(together, 'row')} together" if column_type(frame[target]) == "text" else "are no texts"
        raise DataError(
            f"{name}: the rare classes of the target '{target}' ({listed}) {why}, so they cannot be merged into a "
            f"class '{_OTHER_CLASS}'. Set ",
            Setting("load.rare_classes"),
            " to drop, which leaves their rows out.",
        )
    logger.info("%s: rare classes are merged into '%s', of %d rows: %s", name, _OTHER_CLASS, together, listed)
    return with_columns(frame, {target: frame[target].mask(is_rare, _OTHER_CLASS)})
