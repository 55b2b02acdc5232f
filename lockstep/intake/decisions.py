"""Decides what the user has not about a table's problem: each decision with its reason, and the flag to change it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

from lockstep.intake.column_roles import MAX_CLASSES, ColumnRoles, find_roles, guess_target, guess_task
from lockstep.intake.file_format import TableFacts
from lockstep.intake.formatted_numbers import formatted_number
from lockstep.intake.yaml_text import dump_yaml
from lockstep.kernel.errors import DataError, Setting, some
from lockstep.kernel.settings import Task
from lockstep.learning.estimators import TrainSettings, build_estimator
from lockstep.learning.model_types import KINDS
from lockstep.reading.column_types import MISSING
from lockstep.splitting.identifiers import NEARLY_UNIQUE
from lockstep.tables.table import column_type

import pandas as pd

MANY_ROWS = 5_000
"""Tables of so many rows get histogram boosting, which is quicker there; smaller ones a random forest."""
RARE = 0.1
"""Classes below this share are said to be rare."""
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
    "split.group": "--group COLUMN",
    "split.time": "--time COLUMN",
    "train.model": "--model TYPE",
}
"""{setting: what says it to ``add``}"""
T = TypeVar("T")


@dataclass(frozen=True)
class Decision(Generic[T]):
    """The value of a setting.

    Attributes:
        setting: its name.
        value: what was decided.
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
        """Whether the user decided it."""
        return self.reason == flag_of(self.setting)


@dataclass(frozen=True)
class Decisions:
    """What a table's problem is.

    Attributes:
        roles: what the columns are, which some decisions follow from.
        file_format: settings of the section load that say how the file is written.
        warnings: what the user should look at.
    """

    target: Decision[str]
    task: Decision[Task]
    drop: Decision[list[str]]
    group: Decision[str | None]
    time: Decision[str | None]
    model: Decision[str]
    class_weight: Decision[str | None]
    file_format: tuple[Decision[Any], ...]
    roles: ColumnRoles
    warnings: list[str]


def flag_of(setting: str) -> str:
    """The flag for a setting; the setting's own name if there is none."""
    return FLAGS.get(setting, setting).split(" ")[0]


def decide(facts: TableFacts, given: Mapping[str, Any]) -> Decisions:
    """Decide what the user has not.

    Args:
        facts: about the table.
        given: what the user has decided: {setting: value}.

    Raises:
        DataError: the table has not what was given, or its target cannot be told.
        SettingsError: the model type that was given is none, or not one for the task.
    """
    kept = [name for name in facts.unneeded if name in (given.get("load.target"), given.get("split.group"))]
    unneeded = [name for name in facts.unneeded if name not in kept]
    frame = facts.frame.drop(columns=unneeded)
    time: Decision[str | None] = _decision("split.time", given, (None, ""))
    target = _decision("load.target", given, guess_target(frame))
    if target.value not in frame:
        raise DataError(f"{facts.path} has no column '{target.value}'. It has: {column_names(frame)}.")
    labels = frame[target.value]
    _check_task(labels, given.get("load.task"))
    task = _decision("load.task", given, guess_task(labels))
    roles = find_roles(frame, target.value, task.value)
    repeating = roles.repeating[0] if roles.repeating and not time.value else None
    group = _decision("split.group", given, (repeating, "it is an identifier that repeats"))
    drop = _decision("load.drop", given, ([*unneeded, *roles.identifiers, *roles.leaks], ""))
    for column in drop.value:
        if column not in facts.frame:
            raise DataError(drop.setting, f": {facts.path} has no column '{column}'. It has: {column_names(frame)}.")
    for chosen in group, time:
        if chosen.value is not None and (chosen.value not in frame or chosen.value == target.value):
            what = f": '{chosen.value}' is no column beside the target. It has: {column_names(frame)}."
            raise DataError(chosen.setting, what)
    model = _decision("train.model", given, _model_by_rows(len(frame)))
    build_estimator(TrainSettings(model=model.value, kind=KINDS[task.value], version=1), task.value)  # type: ignore[arg-type]
    return Decisions(
        target=target,
        task=task,
        drop=replace(drop, value=[name for name in drop.value if name not in (group.value, time.value)]),
        group=group,
        time=time,
        model=model,
        class_weight=_class_weight(labels, task.value),
        file_format=_file_format(facts, target.value, given),
        roles=roles,
        warnings=[*facts.warnings, *_warnings(frame, roles)],
    )


def problem_block(decisions: Decisions, path: Path) -> dict[str, Any]:
    """The block of params.yaml, with the settings that most people change; the others keep their defaults.

    Args:
        decisions: about the table.
        path: where the file will be.

    Raises:
        DataError: DVC would take a column's name for a setting's.
    """
    load = {"path": str(path), "task": decisions.task.value, "target": decisions.target.value}
    written = {decision.key: decision.value for decision in decisions.file_format}
    written = {key: list(value) if isinstance(value, tuple) else value for key, value in written.items()}
    split = {"test_size": 0.2, "seed": 42, "group": decisions.group.value, "time": decisions.time.value}
    train = {"model": decisions.model.value, "kind": KINDS[decisions.task.value], "version": 1, "seed": 42}
    block = {
        "load": {**load, "drop": decisions.drop.value, **written},
        "split": split,
        "preprocess": {},
        "tune": {"trials": 0, "metric": "auto", "seed": 42, "space": {}},
        "cross_validate": {"folds": 5, "repeats": 1, "seed": 42},
        "train": {**train, "class_weight": decisions.class_weight.value, "hyperparameters": {}},
        "evaluate": {"average": "macro", "seed": 42},
        "diagnose": {},
        "report": {"title": "", "intended_use": [], "limits": []},
    }
    if reference := re.search(r"\$\{[^}]*\}?", dump_yaml(block)):
        raise DataError(
            f"the table has a column named with '{reference[0]}', which 'dvc exp run -S' would take for a reference to "
            "another setting in params.yaml. Rename the column in the file, without '${'."
        )
    return block


def column_names(frame: pd.DataFrame) -> str:
    """Name a table's columns, for a message."""
    return some([shown_name(name) for name in map(str, frame)], 20)


def shown_name(name: str) -> str:
    """A column's name, in quotes where spaces at its ends would be overlooked."""
    return name if name == name.strip() else repr(name)


def _decision(setting: str, given: Mapping[str, Any], found: tuple[T, str]) -> Decision[T]:
    """What the user has given, or else the (value, reason) that was found."""
    return Decision(Setting(setting), *((given[setting], flag_of(setting)) if setting in given else found))


def _check_task(target: pd.Series, task: Task | None) -> None:
    """Raise DataError if the target cannot be of the task, or its texts are hardly classes and no task is given."""
    kind, present = column_type(target), target.dropna()
    if kind == "number" or task == "classification" or present.empty:
        return
    number, distinct = formatted_number(target), present.nunique()
    example = str(number[0] if number else present.iloc[0])
    what = f"the target '{target.name}' is a {kind} column, with values such as {example[:40]!r}"
    remedy = f"If these are numbers, {number[1]}. " if number else ""
    instead = "Else leave" if number else "Leave"
    if task == "regression":
        raise DataError(
            f"--task regression: {what}, and a regression needs numbers. {remedy}{instead} --task out, or name "
            "another --target."
        )
    if kind == "text" and distinct > MAX_CLASSES and (number or distinct >= NEARLY_UNIQUE * len(target)):
        raise DataError(
            f"{what}, and {distinct:,} different ones in {len(target):,} rows: hardly classes. {remedy}If another "
            "column is the target, --target COLUMN; if they are classes, --task classification."
        )


def _model_by_rows(n_rows: int) -> tuple[str, str]:
    """(the model type for a table of so many rows, why)"""
    if n_rows >= MANY_ROWS:
        return "hist_gradient_boosting", f"there are {MANY_ROWS:,} rows or more"
    return "random_forest", f"there are fewer than {MANY_ROWS:,} rows"


def _class_weight(target: pd.Series, task: Task) -> Decision[str | None]:
    setting = Setting("train.class_weight")
    shares = target.value_counts(normalize=True) if task == "classification" else ()
    if len(shares) != 2 or min(shares) >= RARE:
        return Decision(setting, None)
    return Decision(setting, "balanced", f"the rarer class has {min(shares):.1%} of the rows")


def _file_format(facts: TableFacts, target: str, given: Mapping[str, Any]) -> tuple[Decision[Any], ...]:
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
    return tuple(Decision(Setting(f"load.{name}"), value, reasons.get(name, "")) for name, value in settings.items())


def _warnings(frame: pd.DataFrame, roles: ColumnRoles) -> list[str]:
    names = [str(name) for name in frame]
    numbers = {name: number for name in names if (number := formatted_number(frame[name]))}
    warnings = [
        f"{name!r} is text for the model, with cells such as {example!r}: if these are numbers, {remedy} (once it is "
        "added: undo that first)"
        for name, (example, remedy) in numbers.items()
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


def _has_spaces(column: pd.Series) -> bool:
    return column_type(column) == "text" and bool((column.str.strip() != column).where(column.notna(), False).any())
