"""The errors of single rows: of those that equal training rows, and the worst ones."""

from lockstep.learning.scoring import Predictions
from lockstep.steps.diagnosing.diagnosis import Copies
from lockstep.steps.diagnosing.row_errors import cell, copies_of, errors_of, worst_of
from reports import table_of

import numpy as np
import pandas as pd
import pytest


def test_errors_are_absolute_or_wrong_classes():
    assert errors_of(np.array([1.0, 2.0]), np.array([3.0, 1.5]), "regression").tolist() == [2.0, 0.5]
    wrong = errors_of(np.array(["a", "b"], dtype=object), np.array(["a", "a"], dtype=object), "classification")
    assert wrong.tolist() == [0.0, 1.0]


AB = np.array(["a", "b"], dtype=object)


def predicted(values, probabilities=None):
    """Predictions of the classes a and b."""
    given = None if probabilities is None else np.array(probabilities)
    return Predictions(np.array(values, dtype=object), AB, given, None)


def test_the_worst_rows_of_a_classification_are_the_most_confident_mistakes():
    test = table_of(pd.DataFrame({"x": [1.0, 2.0, np.nan, 4.0], "y": ["a", "a", "b", "b"]}))
    given = predicted(["a", "b", "a", "a"], [[0.9, 0.1], [0.4, 0.6], [0.95, 0.05], [0.6, 0.4]])
    found = worst_of(test, given, ["x"], 2)
    assert [(entry.row, entry.actual, entry.predicted, entry.off, entry.values) for entry in found] == [
        (3, "b", "a", 0.05, [None]),
        (2, "a", "b", 0.4, [2.0]),
    ]


def test_the_worst_rows_without_probabilities_and_of_an_unknown_class():
    test = table_of(pd.DataFrame({"x": [1, 2, 3], "y": ["a", "z", "b"]}))
    plain = worst_of(test, predicted(["b", "a", "b"]), ["x"], 5)
    assert [(entry.row, entry.off) for entry in plain] == [(1, None), (2, None)]
    known = predicted(["b", "a", "b"], [[0.3, 0.7], [1, 0], [0, 1]])
    assert [(entry.row, entry.off) for entry in worst_of(test, known, ["x"], 5)] == [(2, 0.0), (1, 0.3)]


def test_the_worst_rows_of_a_regression_are_the_largest_errors():
    test = table_of(pd.DataFrame({"x": [1, 2, 3], "y": [1.0, 2.0, 3.0]}), "regression")
    found = worst_of(test, Predictions(np.array([1.0, 5.0, 2.0]), None, None, None), ["x"], 5)
    assert [(entry.row, entry.off) for entry in found] == [(2, -3.0), (3, 1.0)]


def test_columns_whose_names_are_equal_once_they_are_normalised_keep_their_values():
    test = table_of(pd.DataFrame({"\u00b5": [1, 2], "\u03bc": [3, 4], "class": [5, 6], "y": [1.0, 2.0]}), "regression")
    found = worst_of(test, Predictions(np.array([1.0, 5.0]), None, None, None), ["\u00b5", "\u03bc", "class"], 1)
    assert found[0].values == [2, 4, 6]


@pytest.mark.parametrize(
    ("copies", "found"),
    [((), Copies(0, None, None)), ((2, 4), Copies(2, 2.0, 0.4)), ((1, 2, 3, 4), Copies(4, None, 0.4))],
)
def test_what_the_test_rows_give_that_are_no_copies(copies, found):
    test = table_of(pd.DataFrame({"x": [1, 2, 3, 4], "y": [1.0, 2.0, 3.0, 4.0]}), "regression", copies=copies)
    train = table_of(pd.DataFrame({"x": [2, 2, 4, 1, 3], "y": [2.0, 2.0, 4.0, 7.0, 7.0]}), "regression")
    assert copies_of(train, test, np.array([1.0, 0.0, 3.0, 0.0])) == found


def test_cells_are_what_json_can_hold():
    values = [np.int64(3), np.float64(2.5), np.bool_(True), None, np.nan, "text", "x" * 5000]
    assert [cell(value) for value in values] == [3, 2.5, True, None, None, "text", "x" * 200]
    assert type(cell(np.int64(3))) is int
