"""Chooses a model type and its settings by what was measured on many tables (benchmarks/README.md): from the number of
rows and classes alone, never by trying models on the rows at hand."""

from typing import Any, NamedTuple

from lockstep.kernel.settings import Task
from lockstep.learning.model_types import model_type

import pandas as pd

FEW_ROWS = 300
"""Tables of fewer rows get a random forest, which was better there on most."""
MANY_ROWS = 1_000
"""Tables of so many rows have some to spare that tell boosting when to end."""
BOOSTING = "hist_gradient_boosting"
SMALL_STEPS = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 10,
    "max_features": 0.5,
    "l2_regularization": 1.0,
}
"""Small trees and small steps: better than scikit-learn's defaults on nearly every table."""
TREES, CLASS_TREES = 3_000, 200
"""Trees of a boosting that ends by itself at most, and iterations at least where each has a tree per class."""
FIXED, FIXED_FEW = 300, 100
"""Iterations of a boosting that does not end by itself, with MANY_ROWS and below."""
RAREST = 10
"""Rows of the rarest class at least, so that each fold can set some of them aside to tell when to end."""


class ModelSettings(NamedTuple):
    """What goes with a model type: ``train.hyperparameters``, and settings of the section ``preprocess``."""

    hyperparameters: dict[str, Any]
    preprocess: dict[str, str]


def choose_model(n_rows: int) -> tuple[str, str]:
    """(the model type for a table of so many rows, why)"""
    if n_rows < FEW_ROWS:
        return "random_forest", f"there are fewer than {FEW_ROWS} rows"
    steps = "small steps" + (", ended where held-out training rows say" if n_rows >= MANY_ROWS else "")
    return BOOSTING, f"there are {FEW_ROWS} rows or more, and it learns best in {steps}"


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
    return ModelSettings(_boosting(target, task, shuffled) if model == BOOSTING else {}, preprocess)


def _boosting(target: pd.Series, task: Task, shuffled: bool) -> dict[str, Any]:
    counts = target.value_counts() if task == "classification" else None
    if len(target) < MANY_ROWS:
        return {**SMALL_STEPS, "max_iter": FIXED_FEW, "early_stopping": False}
    if counts is not None and (counts.min() < RAREST or not shuffled):
        return {**SMALL_STEPS, "max_iter": FIXED, "early_stopping": False}
    trees = 1 if counts is None or len(counts) == 2 else len(counts)
    most = max(CLASS_TREES, TREES // trees)
    return {**SMALL_STEPS, "max_iter": most, "early_stopping": True, "n_iter_no_change": 40}
