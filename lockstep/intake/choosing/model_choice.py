"""Chooses a model type and its settings by what was measured on many tables (benchmarks/model_choice.md): from the
numbers of rows and classes and whether rows are split at random, never by trying models on the rows at hand, which told
less."""

from typing import Any, NamedTuple

from lockstep.kernel.settings import Task
from lockstep.learning.model_types import VOTING, model_type
from lockstep.learning.voting import SMALL_STEPS

import pandas as pd

FEW_ROWS = 300
"""Regressions of fewer rows are learnt without the boosting."""
MANY_ROWS = 1_000
"""Tables of so many rows have some to spare that tell boosting when to end."""
BOOSTING = "hist_gradient_boosting"
TREES, CLASS_TREES = 3_000, 200
"""Trees of a boosting that ends by itself at most, and iterations at least where each has a tree per class."""
FIXED, FIXED_FEW = 300, 100
"""Iterations of a boosting that does not end by itself, with MANY_ROWS and below."""
RAREST = 10
"""Rows of the rarest class at least, so that each fold can set some of them aside to tell when to end."""


FEW_OF_ONE, UP_TO = 400, 5_000
"""Of two classes of which one has fewer rows than this, a tenth of them cannot tell when to end: FIXED_FEW iterations
were better on each table that was measured, of up to so many rows."""
LARGE_ROWS = 100_000
"""Tables of so many rows get LARGE_MODEL, which learnt them as well as the above in a third of the processor's time."""
LARGE_MODEL = "xgboost"
LARGE_STEPS = {
    "n_estimators": 120,
    "learning_rate": 0.15,
    "max_depth": 5,
    "min_child_weight": 20,
    "colsample_bynode": 0.7,
    "reg_lambda": 10.0,
}
"""With so many rows, fewer and larger steps; their number is fixed, since none of the tables measured was learnt by
heart in them."""
CLASSES_STEPS = {
    "n_estimators": 120,
    "learning_rate": 0.12,
    "max_depth": 8,
    "min_child_weight": 3,
    "colsample_bynode": 0.7,
    "reg_lambda": 10.0,
}
"""Of more than two classes and VOTE_ROWS rows, LARGE_MODEL in these told as much as the boosting, in half the time,
and a tenth more where rules are intricate."""
LARGER_ROWS = 500_000
LARGER_STEPS = {
    "n_estimators": 60,
    "learning_rate": 0.25,
    "max_depth": 6,
    "min_child_weight": 50,
    "colsample_bynode": 0.7,
    "reg_lambda": 10.0,
}
"""From so many rows on: half as many trees, each of more leaves, told about as much in three quarters of the time."""
VOTE_ROWS, VOTE_ROWS_TIMES_CLASSES = 10_000, 120_000
"""Tables of at most so many rows were learnt better by the mean of several models that differ in how intricate what
they learn may be: VOTERS beside those that _vote names. A tree for each class makes many classes too slow."""
DRAWN_ROWS = {"learning_rate": 0.05, "reg_lambda": 1.0, "subsample": 0.8, "subsample_freq": 1}
FEW_LEAVES = {"model": "lightgbm", **DRAWN_ROWS, "num_leaves": 12, "min_child_samples": 10}
LEAVES_TREES: dict[Task, dict[str, Any]] = {
    "regression": {"n_estimators": 1000, "colsample_bytree": 0.5},
    "classification": {"n_estimators": 150},
}
"""How FEW_LEAVES learns: a classification is sooner learnt by heart."""
MANY_LEAVES = {
    "model": "lightgbm",
    **DRAWN_ROWS,
    "learning_rate": 0.03,
    "num_leaves": 31,
    "min_child_samples": 10,
    "colsample_bytree": 0.6,
}
MANY_LEAVES_TREES: dict[Task, dict[str, Any]] = {
    "regression": {"n_estimators": 1000},
    "classification": {"n_estimators": 300},
}
"""In place of FEW_LEAVES in classifications of MANY_ROWS and more, and beside it in regressions of LINEAR_ROWS and
more, some of which it told more, and none less."""
SHALLOW = {
    "model": "xgboost",
    "n_estimators": 150,
    "learning_rate": 0.05,
    "max_depth": 3,
    "subsample": 0.8,
    "colsample_bytree": 0.5,
}
"""Trees of three levels, beside which a classification's other members may learn what is more intricate."""
VOTERS: tuple[dict[str, Any], ...] = (
    {"model": "extra_trees", "n_estimators": 50, "max_features": 1.0},
    {
        "model": "lightgbm",
        **DRAWN_ROWS,
        "extra_trees": True,
        "num_leaves": 64,
        "min_child_samples": 5,
        "n_estimators": 250,
    },
)
"""What is averaged beside boostings that choose their splits: trees, and a boosting, whose splits are drawn."""
LINEAR: dict[Task, dict[str, Any]] = {
    "regression": {"model": "ridge"},
    "classification": {"model": "logistic_regression", "C": 10.0, "max_iter": 1000},
}
LINEAR_ROWS = 2_500
"""Regressions of fewer rows have LINEAR; in larger ones a value far off was seen to carry it away. With FEW_ROWS or
more, regressions below so many rows have the boosting as well, which told as much or more on all that were measured."""
FOUR_ROWS = 30_000
"""Regressions, and tables of two classes, of more than VOTE_ROWS rows that are split at random, where weights would
cost too much, get the plain mean of three boostings: the one that they would have alone, MANY_LEAVES, and FIVE_LEVELS
for classes, EIGHT_LEVELS for numbers. Regressions of at most so many rows get four, with one that differs in
MORE_FEATURES and FEW_LEAVES in place of MANY_LEAVES. Of later rows these tell less than the one alone."""
MORE_FEATURES = {"max_features": 0.8}
EIGHT_LEVELS = {
    "model": "xgboost",
    "n_estimators": 300,
    "learning_rate": 0.05,
    "max_depth": 8,
    "min_child_weight": 5,
    "subsample": 0.8,
    "colsample_bynode": 0.7,
}
"""Deep trees, which learn a target that follows closely from the features better than any other member, and one that
does not, worse."""
FIVE_LEVELS = {**SHALLOW, "n_estimators": 300, "max_depth": 5, "min_child_weight": 10}
VOTE_FOLDS = 2
"""Of a vote's weights: more of them gave little more, at the cost of another fit of all members each."""
CALIBRATE_RAREST = 10
"""Rows of the rarest class at least, so that out-of-fold predictions are by models that know all classes."""


class ModelSettings(NamedTuple):
    """What goes with a model type: ``train.hyperparameters``, and settings of the section ``preprocess``."""

    hyperparameters: dict[str, Any]
    preprocess: dict[str, str]


def choose_model(target: pd.Series, task: Task, *, shuffled: bool) -> tuple[str, str]:
    """(the model type for a table with this target, why); arguments as of choose_settings."""
    n_rows = len(target)
    n_classes = _n_classes(target, task)
    if n_rows <= VOTE_ROWS and n_rows * n_classes <= VOTE_ROWS_TIMES_CLASSES:
        return VOTING, f"up to {VOTE_ROWS:,} rows the mean of several models tells more than one of them"
    if n_rows < LARGE_ROWS and n_classes <= 2 and shuffled:
        return VOTING, f"below {LARGE_ROWS:,} rows the mean of several boostings tells more than one of them"
    if VOTE_ROWS < n_rows < LARGE_ROWS and n_classes > 2:
        why = f"which it learns as well as {BOOSTING} or better"
        return LARGE_MODEL, f"there are more than {VOTE_ROWS:,} rows of more than two classes, {why}"
    if n_rows >= LARGE_ROWS:
        why = f"it learns about as well as {BOOSTING} in a third of the time, on the median of the tables measured"
        return LARGE_MODEL, f"there are {LARGE_ROWS:,} rows or more, where {why}"
    return BOOSTING, "it learns best in small steps"


def choose_settings(model: str, target: pd.Series, task: Task, *, shuffled: bool) -> ModelSettings:
    """Choose what goes with a model type.

    Args:
        model: the model type.
        target: of all rows.
        task: of the problem.
        shuffled: whether the rows are split at random, so that each part has rows of all classes.
    """
    kind = model_type(model)
    preprocess = {"numeric_impute": "native"} if kind.native_missing else {}
    preprocess |= {"encode": "native"} if kind.native_categories is not None else {}
    if model == LARGE_MODEL and (steps := _large_steps(target, task)):
        return ModelSettings({**steps}, preprocess)
    if model not in (BOOSTING, VOTING):
        return ModelSettings({}, preprocess)
    boosting = _boosting(target, task, shuffled)
    return ModelSettings(boosting if model == BOOSTING else _vote(boosting, target, task), preprocess)


def choose_calibration(model: str, target: pd.Series, task: Task, *, shuffled: bool) -> tuple[str | None, str]:
    """(``train.calibrate``, why); None where nothing measured speaks for one. Arguments as of choose_settings."""
    n_rows = len(target)
    if task == "regression" or not shuffled or target.value_counts().min() < CALIBRATE_RAREST:
        return None, ""
    votes = model == VOTING and MANY_ROWS <= n_rows <= VOTE_ROWS
    if votes or (model == LARGE_MODEL and n_rows > VOTE_ROWS and target.nunique() > 2):
        where = f"from {MANY_ROWS:,} rows on" if votes else f"above {VOTE_ROWS:,} rows"
        return "temperature", f"{where} it lowered the log loss of such models, or hardly changed it"
    return None, ""


def _large_steps(target: pd.Series, task: Task) -> dict[str, Any]:
    """Hyperparameters of LARGE_MODEL; none where there is nothing measured."""
    if len(target) >= LARGE_ROWS:
        return LARGER_STEPS if len(target) >= LARGER_ROWS else LARGE_STEPS
    return CLASSES_STEPS if _n_classes(target, task) > 2 and len(target) > VOTE_ROWS else {}


def _n_classes(target: pd.Series, task: Task) -> int:
    """How many classes there are; 1 in a regression."""
    return int(target.nunique()) if task == "classification" else 1


def _vote(boosting: dict[str, Any], target: pd.Series, task: Task) -> dict[str, Any]:
    boost = {"model": BOOSTING, **boosting}
    leaves = {**FEW_LEAVES, **LEAVES_TREES[task]}
    many_leaves = {**MANY_LEAVES, **MANY_LEAVES_TREES[task]}
    if len(target) > VOTE_ROWS:
        few = task == "regression" and len(target) <= FOUR_ROWS
        others = [{**boost, **MORE_FEATURES}, leaves] if few else [many_leaves]
        deep = EIGHT_LEVELS if task == "regression" else FIVE_LEVELS
        return {"members": [boost, *others, {**deep}], "folds": 0}
    if task == "classification":
        first = [LINEAR[task], SHALLOW, many_leaves if len(target) >= MANY_ROWS else leaves]
    elif len(target) < FEW_ROWS:
        first = [LINEAR[task], leaves]
    elif len(target) < LINEAR_ROWS:
        first = [LINEAR[task], boost, leaves]
    else:
        first = [boost, leaves, many_leaves]
    return {"members": [{**member} for member in (*first, *VOTERS)], "folds": VOTE_FOLDS}


def _boosting(target: pd.Series, task: Task, shuffled: bool) -> dict[str, Any]:
    counts = target.value_counts() if task == "classification" else None
    few = counts is not None and len(counts) == 2 and counts.min() < FEW_OF_ONE and len(target) < UP_TO
    if len(target) < MANY_ROWS or few:
        return {**SMALL_STEPS, "max_iter": FIXED_FEW, "early_stopping": False}
    if counts is not None and (counts.min() < RAREST or not shuffled):
        return {**SMALL_STEPS, "max_iter": FIXED, "early_stopping": False}
    trees = 1 if counts is None or len(counts) == 2 else len(counts)
    most = max(CLASS_TREES, TREES // trees)
    return {**SMALL_STEPS, "max_iter": most, "early_stopping": True, "n_iter_no_change": 40}
