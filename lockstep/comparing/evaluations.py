"""What two revisions recorded of their models, ready to be compared; and which test rows they have in common."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from lockstep.comparing.verdicts import AnotherTarget, Target
from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Average

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Folds:
    """A cross-validation as it was recorded.

    Attributes:
        scores: (n_folds * n_metrics, ...): repeat, fold, n_train, n_test, metric, value.
        made_from: what decides which rows are in which fold: the hash of the training rows, folds, repeats, seed.
        average: of precision, recall and F1.
        current: whether it was run with the settings, code and libraries that the model was trained with.
    """

    scores: pd.DataFrame
    made_from: tuple[Any, ...]
    average: str
    current: bool = True


@dataclass(frozen=True)
class Evaluated:
    """An evaluation as it was recorded.

    Attributes:
        shown: the revision, as messages show it.
        predictions: (n_test, ...) as ``stages.evaluate`` writes them.
        task, target: what was predicted.
        average: of precision, recall and F1.
        positive: the class that load.positive names, or None.
        stratified: whether the split kept the classes' shares.
        grouped: whether it kept the rows of a group together.
        in_time: whether the test rows are the last ones in time, and the folds consecutive.
        raw: the hash of the raw data, in which ``row`` counts; None if it is not known.
        folds: the cross-validation, or None.
        current: whether the evaluation was run with the revision's settings, for its model.
        found: the hyperparameters that a search chose on the folds, whose scores are then optimistic; empty without a
            search, or where it found none better than the given ones.
        metrics: the names of metrics beside the built-in ones that can be computed here from predictions.
    """

    shown: str
    predictions: pd.DataFrame
    task: Task
    target: str
    average: Average
    stratified: bool
    grouped: bool
    in_time: bool
    raw: str | None
    folds: Folds | None
    current: bool = True
    found: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[str, ...] = ()
    positive: str | int | bool | None = None


def name_of_raw(md5: str | None, skip_lines: int) -> str | None:
    """``Evaluated.raw`` of a data file with this MD5, of which so many lines are skipped; None if that is not known."""
    return None if md5 is None else f"{md5} from line {skip_lines}"


def average_of_folds(average: str, positive: str | int | bool | None) -> str:
    """``Folds.average``: what it is an average of depends on the class that load.positive names."""
    return average if positive is None or average != "binary" else f"binary of {positive}"


def another_target(before: Evaluated, after: Evaluated) -> AnotherTarget | None:
    """Say what the two predict, where it is not the same."""
    targets = Target(before.target, before.task), Target(after.target, after.task)
    return None if targets[0] == targets[1] else AnotherTarget(*targets)


class CommonRows(NamedTuple):
    """The test rows that two evaluations have in common: positions (n_common,) in each, in the order of the second.

    Attributes:
        before, after: the positions.
        by: "row number" (of one and the same file) or "content".
    """

    before: np.ndarray
    after: np.ndarray
    by: str


def match_test_rows(before: Evaluated, after: Evaluated) -> CommonRows:
    """Find the rows of one test set in another.

    By their number, if both come from one and the same raw file, whatever was made of its columns; else by the hash of
    their content, equal rows in their order in the file.
    """
    old, new = before.predictions, after.predictions
    if before.raw is not None and before.raw == after.raw:
        by, old_keys, new_keys = "row number", pd.Index(old["row"]), pd.Index(new["row"])
    else:
        by = "content"
        old_keys, new_keys = (
            pd.MultiIndex.from_arrays([frame["row_hash"], frame.groupby("row_hash").cumcount()]) for frame in (old, new)
        )
    positions = old_keys.get_indexer(new_keys)
    common = np.flatnonzero(positions >= 0)
    return CommonRows(positions[common], common, by)
