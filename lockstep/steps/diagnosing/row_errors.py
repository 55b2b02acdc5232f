"""The error of each test row: of those that equal training rows and of the others, and the worst ones."""

from collections.abc import Sequence
from typing import Any

from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Predictions, given_to_actual
from lockstep.steps.diagnosing.diagnosis import MAX_TEXT, Cell, Copies, WorstRow
from lockstep.tables.dates import shown_date
from lockstep.tables.table import Table

import numpy as np
import pandas as pd


def errors_of(actual: np.ndarray, predicted: np.ndarray, task: Task) -> np.ndarray:
    """(n_rows,): the absolute error of each row, or 1 where the class is wrong and 0 where it is right."""
    wrong = actual.astype("float64") - predicted.astype("float64") if task == "regression" else actual != predicted
    errors: np.ndarray = np.abs(wrong.astype("float64"))
    return errors


def copies_of(train: Table, test: Table, errors: np.ndarray) -> Copies:
    """What the errors, (n_rows,), are without the test rows that equal training rows, which the split has found; and
    how many of the training rows equal each other: where as many do, equal rows are the nature of the table."""
    rows, others = int(np.sum(test.is_copy)), ~test.is_copy
    if not rows:
        return Copies(0, None, None)
    among_training = float(train.row_hashes.duplicated(keep=False).mean())
    if rows == len(test):
        return Copies(rows, None, among_training)
    weights = None if test.weights is None else test.weights[others]
    return Copies(rows, float(np.average(errors[others], weights=weights)), among_training)


def worst_of(test: Table, predictions: Predictions, shown: Sequence[str], most: int) -> list[WorstRow]:
    """The ``most`` test rows that the model got most wrong: the largest absolute errors, or the wrong classes, those
    first whose actual class the model gave the least probability.

    Args:
        test: the raw test rows.
        predictions: of the same rows.
        shown: the features whose values are given.
        most: rows to give.
    """
    actual, predicted = test.labels, predictions.values
    errors = errors_of(actual, predicted, test.task)
    if test.task == "regression":
        off: np.ndarray | None = actual - predicted
        order = np.lexsort((np.arange(len(errors)), -errors))
    else:
        known, classes = predictions.probabilities, predictions.classes
        off = None if known is None or classes is None else given_to_actual(actual, known, classes)
        order = np.lexsort((np.arange(len(errors)), off if off is not None else 0 * errors, -errors))
    order = order[errors[order] > 0][:most]
    values = test.features[list(shown)].iloc[order].itertuples(index=False, name=None)  # any names
    return [
        WorstRow(
            int(test.frame.index[position]),
            cell(actual[position]),
            cell(predicted[position]),
            None if off is None else float(off[position]),
            [cell(value) for value in row],
        )
        for position, row in zip(order, values, strict=True)
    ]


def cell(value: Any) -> Cell:
    """A value of a table as JSON can hold it, a date as text; a long text is cut."""
    if pd.isna(value):
        return None
    if isinstance(value, pd.Timestamp | np.datetime64):
        return shown_date(value)
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, bool | int | float) else str(value)[:MAX_TEXT]
