"""Chooses what the user has not about a table's problem: each choice with its reason, and the flag to change it."""

import re
import shlex
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from lockstep.intake.choosing.model_choice import (
    ModelSettings,
    choose_calibration,
    choose_model,
    choose_settings,
)
from lockstep.intake.choosing.target_choice import choose_target, choose_task
from lockstep.intake.detecting.column_roles import ColumnRoles, find_roles, words_of
from lockstep.intake.detecting.date_columns import formats_that_read
from lockstep.intake.detecting.file_format import TableFacts
from lockstep.intake.detecting.formatted_numbers import Doubt
from lockstep.intake.detecting.free_text import free_texts
from lockstep.intake.detecting.wording import not_beside_target
from lockstep.intake.editing.yaml_text import dump_yaml
from lockstep.kernel.errors import DataError, Setting, some
from lockstep.kernel.paths import PARAMS
from lockstep.kernel.settings import Task, convert
from lockstep.learning.estimators import TrainSettings, build_estimator, check_weights
from lockstep.learning.model_types import KINDS
from lockstep.reading.column_types import DATE_TYPE, MISSING, NUMBER_TYPE, STRING_TYPE
from lockstep.reading.loading import check_n_rows, missing_in_target
from lockstep.steps.splitting.identifiers import UNLIKE
from lockstep.tables.dates import iso_times
from lockstep.tables.table import column_type, positive_class

import numpy as np
import pandas as pd

_RARE = 0.1
"""Classes below this share are said to be rare."""
_RARER = 0.4
"""Below this share one of two classes is clearly the rarer one."""
FEW_MISSING = 0.5
"""Of more rows than this share without a target, the target is more likely another column."""
FEW_TIMES = 10
"""A column of no more different dates than this orders no rows."""
FIRST = 10
"""One of so many rows, the first in time, must have two classes for a split by time."""
YES_WORDS = {"yes", "y", "true", "t", "positive", "pos"}
"""Classes that say what is looked for; so does 1 beside one of NO_WORDS, but not beside 2."""
NO_WORDS = {"0", "-1"}
TIME_WORDS = {"time", "timestamp", "datetime", "date", "year", "epoch"}
FLAGS = {
    "load.path": "FILE",
    "load.target": "--target COLUMN",
    "load.task": f"--task {'|'.join(KINDS)}",
    "load.drop": "--drop COLUMN ...",
    "load.delimiter": "--delimiter CHARACTER",
    "load.encoding": "--encoding NAME",
    "load.decimal": "--decimal MARK",
    "load.thousands": "--thousands MARK",
    "load.quote": "--quote CHARACTER",
    "load.escape": "--escape CHARACTER",
    "load.skip_lines": "--skip-lines N",
    "load.skip_footer_lines": "--skip-footer-lines N",
    "load.quirks": "--quirks QUIRK ...",
    "load.missing": "--missing WORD ...",
    "load.missing_texts": "--missing-texts WORD ...",
    "load.missing_target": "--missing-target error|drop",
    "load.rare_classes": "--rare-classes keep|drop|merge",
    "load.class_rows": "--class-rows N",
    "load.positive": "--positive CLASS",
    "load.weight": "--weight COLUMN",
    NUMBER_TYPE: "--numbers COLUMN ...",
    STRING_TYPE: "--text COLUMN ...",
    DATE_TYPE: "--dates COLUMN=FORMAT ...",
    "split.group": "--group COLUMN, or '' for none",
    "split.time": "--time COLUMN, or '' for none",
    "split.test_size": "--test-size SHARE",
    "split.stratify": "--stratify auto|true|false",
    "cross_validate.folds": "--folds N",
    "train.model": "--model TYPE",
    "train.calibrate": "--calibrate METHOD",
}
"""{setting: what says it to ``add``}"""
T = TypeVar("T")


@dataclass(frozen=True)
class Choice(Generic[T]):
    """The value of a setting.

    Attributes:
        setting: its name.
        value: what was chosen.
        reason: why, in words, or the flag that the user gave; "" if it needs none.
    """

    setting: Setting
    value: T
    reason: str = ""

    @property
    def key(self) -> str:
        """The setting's name in its section."""
        return self.setting.split(".")[1]

    @property
    def is_given(self) -> bool:
        """Whether the user chose it."""
        return self.reason == flag_of(self.setting)


@dataclass(frozen=True)
class Choices:
    """What a table's problem is.

    Attributes:
        roles: what the columns are, which some choices follow from.
        model_settings: what goes with the model type.
        calibrate: how probabilities are calibrated; None: not.
        text_columns: columns of free text.
        positive: the positive one of two classes; None: the last in sorted order, or there are not two.
        weight: the column that says how much each row counts, which only the user can know; None: all alike.
        target_rows: settings of the section load that say what becomes of rows that have no target, or a rare class.
        has_target: (n_rows,) of bool: which rows have a value in the target.
        file_format: settings of the section load that say how the file is written.
        parts: settings that say how rows are cut into parts and folds, which are given or not the usual ones.
        warnings: what the user should look at.
        proposals: what was not chosen, since it is a trade: what to set, and what it costs.
    """

    target: Choice[str]
    task: Choice[Task]
    drop: Choice[list[str]]
    group: Choice[str | None]
    time: Choice[str | None]
    model: Choice[str]
    model_settings: ModelSettings
    calibrate: Choice[str | None]
    text_columns: Choice[list[str]]
    positive: Choice[str | int | bool | None]
    weight: Choice[str | None]
    target_rows: tuple[Choice[Any], ...]
    has_target: np.ndarray
    file_format: tuple[Choice[Any], ...]
    parts: tuple[Choice[Any], ...]
    roles: ColumnRoles
    warnings: list[str]
    proposals: list[str]


def flag_of(setting: str) -> str:
    """The flag for a setting; the setting's own name if there is none."""
    return FLAGS.get(setting, setting).split(" ")[0]


def make_choices(facts: TableFacts, given: Mapping[str, Any]) -> Choices:
    """Choose what the user has not.

    Args:
        facts: about the table.
        given: what the user has chosen: {setting: value}; its target and what it drops are there.

    Raises:
        DataError: the table has not what was given, or its target cannot be told.
        SettingsError: the model type that was given is none, or not one for the task.
    """
    ours = [given.get(setting) for setting in ("load.target", "load.weight", "split.group", "split.time")]
    unneeded = [name for name in facts.unneeded if name not in ours]
    frame = facts.frame.drop(columns=unneeded)
    check_n_rows(len(frame), str(facts.path))
    target: Choice[str] = _choose("load.target", given, lambda: choose_target(frame, facts.path, facts.doubts))
    weight: Choice[str | None] = _choose("load.weight", given, lambda: (None, ""))
    if weight.value is not None:
        frame = _without_weights(frame, target.value, weight)
    labels = frame[target.value]
    doubt = facts.doubts.get(target.value)
    _check_regression(labels, given.get("load.task"), doubt)
    task: Choice[Task] = _choose("load.task", given, lambda: choose_task(labels, facts.path, doubt))
    file_format = _file_format(facts, target.value, given)
    words = _missing_words(file_format)
    roles = find_roles(frame, target.value, task.value)
    repeating = roles.repeating[0] if roles.repeating and "split.time" not in given else None
    group = _choose("split.group", given, lambda: (repeating, "it is an identifier that repeats"))
    ordering = _ordering_dates(frame, roles.dates, labels, task.value) if group.value is None else None
    time = _choose("split.time", given, lambda: (ordering, "the rows are in its order, and later ones are to be told"))
    drop = _choose("load.drop", given, lambda: ([*unneeded, *roles.identifiers, *roles.leaks], ""))
    beside = frame.drop(columns=target.value)
    for chosen in group, time:
        if chosen.value is not None and chosen.value not in beside:
            raise not_beside_target(chosen.setting, chosen.value, [*map(str, beside)])
    shuffled = group.value is None and time.value is None
    model = _choose("train.model", given, lambda: choose_model(labels, task.value, shuffled=shuffled))
    _check_positive(labels, given.get("load.positive"), task.value)
    present = labels.dropna()
    calibrate = _choose(
        "train.calibrate", given, lambda: choose_calibration(model.value, present, task.value, shuffled=shuffled)
    )
    train = {"model": model.value, "kind": KINDS[task.value], "version": 1, "calibrate": calibrate.value or "none"}
    estimator = build_estimator(convert(train, TrainSettings, "train"), task.value)
    if weight.value is not None:
        check_weights(estimator)
    parts = _given(("split.test_size", "split.stratify", "cross_validate.folds"), given)
    left = [name for name in map(str, beside) if name not in (group.value, *drop.value)]
    if time.value is not None and left == [time.value] and column_type(frame[time.value]) == "date":
        reason = f"there is no feature beside '{time.value}', whose month, weekday, hour, ... the model gets"
        parts = (*parts, Choice(Setting("split.time_is_feature"), True, reason))
    return Choices(
        target=target,
        task=task,
        drop=replace(drop, value=[name for name in drop.value if name not in (group.value, time.value)]),
        group=group,
        time=time,
        model=model,
        model_settings=choose_settings(model.value, present, task.value, shuffled=shuffled),
        calibrate=calibrate,
        text_columns=Choice(
            Setting("preprocess.text_columns"),
            free_texts(frame, roles, [target.value, *drop.value, group.value, time.value]),
            "their words tell something",
        ),
        positive=_choose(
            "load.positive", given, lambda: _positive(labels[~missing_in_target(labels, words)], task.value)
        ),
        weight=weight,
        target_rows=_target_rows(labels, words, given),
        has_target=~missing_in_target(labels, words),
        file_format=file_format,
        parts=parts,
        roles=roles,
        warnings=[
            *facts.warnings,
            *_warnings(frame, roles, facts.doubts),
            *([] if drop.is_given else _dropped_texts(roles, given.get(STRING_TYPE, ()), drop.value)),
        ],
        proposals=[
            *_by_time(frame, roles, group, time, given.get(STRING_TYPE, ())),
            *_time_as_feature(frame, time.value if left != [time.value] else None),
            *_rare_class(labels, task.value),
        ],
    )


def problem_block(choices: Choices, path: Path) -> dict[str, Any]:
    """The block of params.yaml, with the settings that most people change; the others keep their defaults.

    Args:
        choices: about the table.
        path: where the file will be.

    Raises:
        DataError: DVC would take a column's name for a setting's.
    """
    load = {"path": str(path), "task": choices.task.value, "target": choices.target.value}
    written = {choice.key: choice.value for choice in (*choices.file_format, *choices.target_rows)}
    written = {key: list(value) if isinstance(value, tuple) else value for key, value in written.items()}
    named = {one.key: one.value for one in (choices.positive, choices.weight) if one.value is not None}
    split = {"test_size": 0.2, "seed": 42, "group": choices.group.value, "time": choices.time.value}
    train = {"model": choices.model.value, "kind": KINDS[choices.task.value], "version": 1, "seed": 42}
    settings = choices.model_settings
    calibrate = {} if choices.calibrate.value is None else {"calibrate": choices.calibrate.value}
    texts = {"text_columns": choices.text_columns.value} if choices.text_columns.value else {}
    block: dict[str, dict[str, Any]] = {
        "load": {**load, "drop": choices.drop.value, **written, **named},
        "split": split,
        "preprocess": {**settings.preprocess, **texts},
        "tune": {"trials": 0, "metric": "auto", "seed": 42, "space": {}},
        "cross_validate": {"folds": 5, "repeats": 1, "seed": 42},
        "train": {**train, "class_weight": None, **calibrate, "hyperparameters": settings.hyperparameters},
        "evaluate": {"average": "macro", "metrics": [], "seed": 42},
        "diagnose": {},
        "report": {"title": "", "intended_use": [], "limits": []},
    }
    for choice in choices.parts:
        block[choice.setting.split(".")[0]][choice.key] = choice.value
    if reference := re.search(r"\$\{[^}]*\}?", dump_yaml(block)):
        raise DataError(
            f"the table has a column named with '{reference[0]}', which 'dvc exp run -S' would take for a reference to "
            "another setting in params.yaml. Rename the column in the file, without '${'."
        )
    return block


def _without_weights(frame: pd.DataFrame, target: str, weight: Choice[str | None]) -> pd.DataFrame:
    """The columns that may be features, or the target."""
    if weight.value not in frame or weight.value == target:
        raise not_beside_target(weight.setting, str(weight.value), [*map(str, frame.drop(columns=target))])
    return frame.drop(columns=weight.value)


def _choose(setting: str, given: Mapping[str, Any], find: Callable[[], tuple[T, str]]) -> Choice[T]:
    """What the user has given, or else the (value, reason) that ``find`` gives."""
    return Choice(Setting(setting), *((given[setting], flag_of(setting)) if setting in given else find()))


def _given(settings: Sequence[str], given: Mapping[str, Any]) -> tuple[Choice[Any], ...]:
    """Those of the settings that the user has given."""
    return tuple(Choice(Setting(name), given[name], flag_of(name)) for name in settings if name in given)


def _check_regression(target: pd.Series, task: Task | None, doubt: Doubt | None) -> None:
    """Raise DataError if a regression is wanted of a column that holds no numbers."""
    kind, present = column_type(target), target.dropna()
    if task != "regression" or kind == "number" or present.empty:
        return
    example = doubt.example if doubt else str(present.iloc[0])
    remedy = f"They seem to be numbers, but {doubt.why}: {doubt.remedy}. Else leave" if doubt else "Leave"
    raise DataError(
        f"--task regression: the target '{target.name}' is a {kind} column, with values such as {example[:40]!r}, and "
        f"a regression needs numbers. {remedy} --task out, or name another --target."
    )


def _times(column: pd.Series) -> pd.Series | None:
    """What ``split.time`` makes of a column of dates, or of texts: times; None if it would refuse it."""
    stamps = column if column_type(column) == "date" else iso_times(column)
    return None if stamps.isna().any() else stamps


def _ordering_dates(frame: pd.DataFrame, dates: Sequence[str], labels: pd.Series, task: Task) -> str | None:
    """The first column of dates in whose order, or its reverse, the rows stand; None if there is none, or if its first
    rows are of one class, from which no fold could learn."""
    for name in dates:
        found = _times(frame[name]) if frame[name].nunique() > FEW_TIMES else None
        if found is None or not (found.is_monotonic_increasing or found.is_monotonic_decreasing):
            continue
        first = labels[found.sort_values(kind="stable").index[: len(frame) // FIRST]].dropna()
        if task == "regression" or len(first.unique()) > 1:
            return name
    return None


def _by_time(
    frame: pd.DataFrame,
    roles: ColumnRoles,
    group: Choice[str | None],
    time: Choice[str | None],
    texts: Collection[str],
) -> list[str]:
    """That rows have a time, and the split does not go by it."""
    numbers = [name for name in map(str, frame) if _is_named_time(frame[name])]
    timed = [*roles.dates, *numbers]
    if not timed or time.value is not None:
        return []
    split = f"keeps rows of one '{group.value}' together" if group.value is not None else "is at random"
    what = f"{some([repr(name) for name in timed])} {'tell' if len(timed) > 1 else 'tells'} when"
    able = [name for name in timed if name in numbers or _times(frame[name]) is not None]
    flags = f"--time {shlex.quote(able[0])}" if able else _flags_for_time(frame, timed, texts)
    instead = (
        f"{flags} takes the last rows for the test"
        if flags
        else "--time takes the last rows for the test, once no date is missing"
        if all(column_type(frame[name]) == "date" or frame[name].isna().any() for name in timed)
        else "--time takes the last rows for the test, once all dates of the column are written in one way, which "
        "--dates COLUMN=FORMAT says"
    )
    return [f"the split {split}, though {what}: if the model is to predict later rows, that flatters it; {instead}"]


def _flags_for_time(frame: pd.DataFrame, names: Sequence[str], texts: Collection[str]) -> str:
    """The flags by which texts are read as dates that order the rows; "" if there are none."""
    for name in names:
        if column_type(frame[name]) == "text" and not frame[name].isna().any():
            forms = formats_that_read(frame[name])
            ways = [f"--dates {shlex.quote(f'{name}={form}')} --time {shlex.quote(name)}" for form in forms]
            if ways:
                return " or ".join(ways) + (", in place of --text," if name in texts else "")
    return ""


def _time_as_feature(frame: pd.DataFrame, time: str | None) -> list[str]:
    """That the dates that order the rows could be a feature, too."""
    if time is None or column_type(frame[time]) != "date":
        return []
    setting = f"split.time_is_feature: true in {PARAMS} gives them to the model as month, weekday, hour, ..."
    return [f"the dates of '{time}' order the rows, and the model does not see them; {setting}"]


def _is_named_time(column: pd.Series) -> bool:
    """Whether a column of numbers that only go up, or down, is named as a time."""
    named = TIME_WORDS & set(words_of(str(column.name)))
    ordered = column.is_monotonic_increasing or column.is_monotonic_decreasing
    return bool(named) and column_type(column) == "number" and ordered and column.nunique() > FEW_TIMES


def _rare_class(target: pd.Series, task: Task) -> list[str]:
    """That classes could be weighted, where one of two is rare."""
    shares = target.value_counts(normalize=True) if task == "classification" else ()
    if len(shares) != 2 or min(shares) >= _RARE:
        return []
    trade = "more of its rows are found, and more of the others are taken for it"
    price = "probabilities are then those of equally frequent classes, not of the data"
    setting = f"train.class_weight: balanced in {PARAMS} makes it weigh as much as the other"
    return [f"the rarer class has {min(shares):.1%} of the rows. {setting}: {trade}; {price}"]


def _positive(target: pd.Series, task: Task) -> tuple[str | int | bool | None, str]:
    """(the positive class, why), where it is not the last in sorted order: the one that is named so, else the rarer."""
    classes = _classes(target) if task == "classification" else []
    if len(classes) != 2:
        return None, ""
    words = [str(name).strip().lower() for name in classes]
    yes = YES_WORDS | ({"1"} if NO_WORDS & set(words) else set())
    first, last = (word in yes for word in words)
    share = float((target.dropna() == classes[0]).mean())
    if last or (not first and share >= _RARER):
        return None, ""
    return classes[0], "it is named so" if first else f"it is the rarer class, with {share:.1%} of the rows"


def _classes(target: pd.Series) -> list[Any]:
    """The classes in sorted order, as load makes them: whole numbers, also beside a missing value."""
    found = sorted(target.dropna().unique().tolist())
    return [int(name) if isinstance(name, float) and name.is_integer() else name for name in found]


def _check_positive(target: pd.Series, named: str | None, task: Task) -> None:
    """Refuse a --positive that is none of two classes."""
    classes = _classes(target) if task == "classification" else []
    if named is not None and positive_class(np.array(classes, dtype=object), named) is None:
        has = some([repr(name) for name in classes]) or "none: its task is regression"
        raise DataError(
            Setting("load.positive"),
            f" {named}: the target '{target.name}' has no two classes of which one is named so. Its classes: {has}.",
        )


def _missing_words(file_format: Sequence[Choice[Any]]) -> tuple[str, ...]:
    """What is no value in the target, besides an empty cell."""
    found = {choice.key: choice.value for choice in file_format}
    return (*found.get("missing", MISSING), *found.get("missing_texts", ()))


def _target_rows(target: pd.Series, words: Sequence[str], given: Mapping[str, Any]) -> tuple[Choice[Any], ...]:
    """What becomes of rows that have no target, or a rare class. Rows without one are left out where they are few and
    their cells are empty, or words among numbers; a word among texts may be a class, which the user is asked."""
    found = list(_given(("load.missing_target", "load.rare_classes", "load.class_rows"), given))
    empty, all_missing = int(target.isna().sum()), int(missing_in_target(target, words).sum())
    if empty and empty == all_missing <= FEW_MISSING * len(target) and "load.missing_target" not in given:
        have = "has" if empty == 1 else "have"
        reason = (
            f"{empty:,} of {len(target):,} rows {have} no value in '{target.name}', and nothing to learn or test by"
        )
        found.append(Choice(Setting("load.missing_target"), "drop", reason))
    return tuple(found)


def _file_format(facts: TableFacts, target: str, given: Mapping[str, Any]) -> tuple[Choice[Any], ...]:
    """How the file is written. Words such as None are classes of a text target, and no missing values, if they are as
    frequent as a class is on average, and no other column has them among numbers."""
    settings, reasons, labels = {**facts.settings}, {**facts.reasons}, facts.frame[target].dropna()
    if "load.missing" not in given and column_type(labels) == "text":
        counts = labels.str.strip().value_counts()
        words = [word for word in MISSING if counts.get(word, 0) * len(counts) >= len(labels)]
        if words and not any(set(words) & set(missing) for missing in facts.missing_as.values()):
            settings["missing"] = tuple(word for word in MISSING if word not in words)
            shown = some([repr(word) for word in words])
            reasons["missing"] = f"{shown} is a class of '{target}', as frequent as one"
    return tuple(Choice(Setting(f"load.{name}"), value, reasons.get(name, "")) for name, value in settings.items())


def _warnings(frame: pd.DataFrame, roles: ColumnRoles, doubts: Mapping[str, Doubt]) -> list[str]:
    names = [str(name) for name in frame]
    warnings = [
        f"{name!r} is text for the model, though most of its cells seem to be numbers, such as {doubt.example!r}: "
        f"{doubt.why}. If they are numbers, {doubt.remedy}; if not, add it with --text {shlex.quote(name)}"
        for name, doubt in doubts.items()
    ]
    warnings += [
        f"'{name}' correlates {correlation:.3f} with the target: if it is known only afterwards, --drop it"
        for name, correlation in roles.suspects
    ]
    for where, found in (
        ("the names of", [name for name in names if name != name.strip()]),
        ("cells of", [name for name in names if _has_spaces(frame[name])]),
    ):
        if found:
            warnings.append(
                f"spaces are around {where} {some([repr(name) for name in found], 20)}, and are read as a part of "
                "them: if they mean nothing, remove them from the file first"
            )
    return warnings


def _dropped_texts(roles: ColumnRoles, texts: Sequence[str], dropped: Sequence[str]) -> list[str]:
    """That columns are left out for what they are as texts, which the user says that they are."""
    found = []
    for name in texts:
        if name in dropped and roles.identifiers.get(name) == UNLIKE:
            dates = f"As dates, by --dates {shlex.quote(f'{name}=FORMAT')} in place of --text"
            found.append(
                f"'{name}' is dropped: as texts, which --text keeps its cells, {UNLIKE}. "
                f"{dates if name in roles.text_dates else 'Without it'}, it could tell the model something; --drop, "
                "with what is to be left out instead, keeps it as it is"
            )
    return found


def _has_spaces(column: pd.Series) -> bool:
    return column_type(column) == "text" and bool((column.str.strip() != column).where(column.notna(), False).any())
