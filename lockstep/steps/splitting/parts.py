"""Cuts a table into training, validation and test rows."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal, NamedTuple

from lockstep.kernel.errors import DataError, Setting, SettingsError, did_you_mean, plural, some
from lockstep.kernel.settings import Seed, Settings
from lockstep.steps.splitting.data_checks import CheckSettings
from lockstep.steps.splitting.kept_rows import KeptRows, read_kept_rows
from lockstep.tables.table import Table, class_counts, column_type

import msgspec
import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit, StratifiedShuffleSplit

_TEST, _VALIDATION = Setting("split.test_size"), Setting("split.validation_size")
_STRATIFY, _GROUP, _TIME = Setting("split.stratify"), Setting("split.group"), Setting("split.time")
_TIME_IS_FEATURE, _KEPT = Setting("split.time_is_feature"), Setting("split.kept")


class SplitSettings(Settings, frozen=True):
    """The section ``split``; what each key means stands in params.yaml."""

    test_size: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2
    validation_size: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.0
    seed: Seed = 42
    stratify: bool | Literal["auto"] = "auto"
    group: str | None = None
    time: str | None = None
    time_is_feature: bool = False
    kept: KeptRows | None = None
    checks: CheckSettings = CheckSettings()


class Parts(NamedTuple):
    """The rows of a table, each row in one of the three, in the order of the table (by time: in the order of time)."""

    train: Table
    validation: Table
    test: Table


def split_table(table: Table, settings: SplitSettings, md5: str | None = None) -> Parts:
    """Cut the test rows off the table, or those that ``split.kept`` lists, then the validation rows off the rest.

    Args:
        table: the rows.
        settings: the section ``split``.
        md5: of the raw data, for ``split.kept``.

    Raises:
        SettingsError: settings that contradict each other or the table.
        DataError: too few rows, groups or time stamps, a class too rare to stratify; ``split.kept`` is of other data.
        IntegrityError: the file of ``split.kept`` was altered.
    """
    check_settings(settings)
    _check_columns(table, settings)
    stratified = table.task == "classification" and settings.group is None and settings.time is None
    stratified &= settings.stratify is not False
    table = replace(
        table,
        group=settings.group,
        time=settings.time,
        stratified=stratified,
        time_is_feature=settings.time_is_feature,
    )
    if not len(table.features.columns):
        raise DataError(
            "no feature is left: the group and time columns are not features. Leave ", _GROUP, " or ", _TIME, " empty."
        )
    positions = _positions(table, settings, md5)
    cells, index = {str(name): table.frame[name].array for name in table.frame}, table.frame.index
    empty = replace(table, frame=pd.DataFrame())
    del table  # of which, if nobody else has it, each column is let go of as soon as it is cut
    train, validation, test = (replace(empty, frame=part) for part in _taken(cells, index, positions))
    return Parts(train, validation, test.with_copies(train))


def _positions(table: Table, settings: SplitSettings, md5: str | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The positions (0-based) of the training, validation and test rows, each in the order that the part has."""
    names = dict.fromkeys(name for name in (table.target, settings.group, settings.time) if name is not None)
    table = replace(table, frame=table.frame[list(names)])  # what rows are cut by
    order = np.arange(len(table))
    if settings.time is not None:
        order = np.argsort(table.time_stamps, kind="stable")
        table = table.rows(order)
    if settings.kept is None:
        rest, test = _cut(table, settings.test_size, settings, _TEST)
    else:
        is_test = table.frame.index.isin(read_kept_rows(settings.kept, md5))
        rest, test = np.flatnonzero(~is_test), np.flatnonzero(is_test)
        if not len(rest) or not len(test):
            raise DataError(
                _KEPT,
                f" leaves {plural(len(rest), 'training row')} and {plural(len(test), 'test row')}. Leave it empty.",
            )
    kept, cut = np.arange(len(rest)), np.array([], dtype=np.intp)
    if settings.validation_size != 0:
        # Of all rows; the test rows that are kept need not be test_size of them.
        others = 1 - settings.test_size if settings.kept is None else len(rest) / len(table)
        share = settings.validation_size / others
        if share >= 1:
            raise SettingsError(
                _VALIDATION,
                f" {settings.validation_size:g} leaves no training rows beside the test rows of ",
                _KEPT,
                f", {1 - others:.1%} of all. Lower it.",
            )
        kept, cut = _cut(table.rows(rest), share, settings, _VALIDATION)
    return order[rest[kept]], order[rest[cut]], order[test]


def _taken(cells: dict[str, Any], index: pd.Index, positions: Sequence[np.ndarray]) -> list[pd.DataFrame]:
    """The rows at each of the ``positions`` of a table of these columns, {name: (n_rows,) cells}, which are let go of
    one after another."""
    columns: list[dict[str, Any]] = [{} for _ in positions]
    for name in list(cells):
        taken = cells.pop(name)
        for part, rows in zip(columns, positions, strict=True):
            part[name] = taken.take(rows)
    indexes = [index.take(rows) for rows in positions]
    return [pd.DataFrame(part, index=own, copy=False) for part, own in zip(columns, indexes, strict=True)]


def check_settings(settings: SplitSettings) -> None:
    """Raise SettingsError for settings that contradict each other, whatever the table."""
    if settings.test_size + settings.validation_size >= 1:
        raise SettingsError(
            _TEST,
            f" {settings.test_size} and ",
            _VALIDATION,
            f" {settings.validation_size} leave no training rows. Their sum must be below 1.",
        )
    if settings.group is not None and settings.time is not None:
        raise SettingsError(_GROUP, " and ", _TIME, " cannot both be set. Leave one of them empty.")
    if settings.kept is not None and settings.time is not None:
        raise SettingsError(_KEPT, " and ", _TIME, " cannot both be set. Leave one of them empty.")
    if settings.time_is_feature and settings.time is None:
        raise SettingsError(
            _TIME_IS_FEATURE, " is true, but there is no ", _TIME, ". Set that to the column, or this to false."
        )
    if settings.stratify is True and (settings.group is not None or settings.time is not None):
        raise SettingsError(
            _STRATIFY,
            " cannot be true with ",
            _GROUP,
            " or ",
            _TIME,
            ". Set it to auto or false, or leave those empty.",
        )


def _check_columns(table: Table, settings: SplitSettings) -> None:
    for key, column in (_GROUP, settings.group), (_TIME, settings.time):
        if column is None:
            continue
        if column == table.target:
            raise SettingsError(key, f" is the target '{column}'. Set it to another column, or leave it empty.")
        if column == table.weight:
            raise SettingsError(key, f" is '{column}', which holds the weights of the rows (", Setting("load.weight"),
                                "). Set it to another column, or leave it empty.")  # fmt: skip
        if column not in table.frame:
            names = list(map(str, table.frame))
            raise SettingsError(
                key,
                f": there is no column '{column}'. The table has: {some(names, 20)}. Columns listed in ",
                Setting("load.drop"),
                " are gone; a group or time column need not be dropped to be no feature." + did_you_mean(column, names),
            )
        missing = table.frame.index[table.frame[column].isna()]
        if len(missing):
            raise DataError(
                key,
                f": the column '{column}' is empty in {plural(len(missing), 'row')}, the first being data row "
                f"{missing[0]}. Fill every empty cell or remove its row, or leave ",
                key,
                " empty.",
            )
    if settings.time_is_feature and column_type(table.frame[settings.time]) == "text":
        raise SettingsError(
            _TIME_IS_FEATURE,
            f" is true, but '{settings.time}' is a column of texts, of which later rows have others than the training "
            "rows. Declare how its dates are written (",
            Setting("type: date in the contract"),
            "), or set this to false.",
        )
    if settings.stratify is True and table.task == "regression":
        raise SettingsError(_STRATIFY, " is true, but only classes can be stratified. Set it to auto or false.")


def _cut(table: Table, share: float, settings: SplitSettings, key: Setting) -> tuple[np.ndarray, np.ndarray]:
    """(positions of the rows kept, of those cut off); ``share`` of the rows, or of the groups, are cut off."""
    n_rows = len(table)
    if settings.time is not None:
        first = table.first_of_its_time(n_rows - max(1, round(n_rows * share)))
        if first == 0:
            what = f": '{settings.time}' has the same value in too many rows for "
            raise DataError(_TIME, what, key, f" {share:g}. Lower it, or leave ", _TIME, " empty.")
        return np.arange(first), np.arange(first, n_rows)
    if settings.group is not None:
        groups = table.frame[settings.group]
        if groups.nunique() < 3:
            what = f": '{settings.group}' has {groups.nunique()} groups; at least 3 are needed. Leave "
            raise DataError(_GROUP, what, _GROUP, " empty.")
        splitter = GroupShuffleSplit(n_splits=1, test_size=share, random_state=settings.seed)
        kept, cut = next(splitter.split(table.frame, groups=groups))
    elif table.stratified:
        _check_classes(table, share, key)
        splitter = StratifiedShuffleSplit(n_splits=1, test_size=share, random_state=settings.seed)
        kept, cut = next(splitter.split(table.frame, table.labels))
    else:
        kept, cut = next(ShuffleSplit(n_splits=1, test_size=share, random_state=settings.seed).split(table.frame))
    return np.sort(kept), np.sort(cut)


def _check_classes(table: Table, share: float, key: Setting) -> None:
    counts = class_counts(table.labels)
    rare = {name: count for name, count in counts.items() if count < 2}
    if rare:
        alone = (
            f"the target '{table.target}' has only one row of class {some(list(rare))}: one row cannot be in two parts"
        )
        if len(counts) == 2 and len(rare) == 1:  # without that row there is one class
            raise DataError(alone, ". Add rows of that class, or set ", Setting("load.target"), " to another column.")
        raise DataError(
            alone,
            ". Add rows of that class; or set ",
            Setting("load.rare_classes"),
            f" to drop, which leaves {'the row out' if len(rare) == 1 else 'these rows out, or to merge'}; or set ",
            _STRATIFY,
            " to false.",
        )
    smaller = min(share, 1 - share) * len(table)
    if smaller < len(counts):
        raise DataError(
            key,
            f" leaves a part of {plural(round(smaller), 'row')} for the {len(counts)} classes of the target "
            f"'{table.target}'. Change it, set ",
            _STRATIFY,
            " to false, or have fewer classes: ",
            Setting("load.rare_classes"),
            " leaves out or merges those of fewer than ",
            Setting("load.class_rows"),
            " rows.",
        )
