"""Contributions of columns to a prediction: against values that are known, and what they add up to."""

from lockstep.kernel.log import heartbeat
from lockstep.learning import scoring
from lockstep.steps.diagnosing.reasons import drawn, reasons_of, strongest

import numpy as np
import pandas as pd
import pytest


class Known:
    """A model that is a function of its rows; with ``classes``, of the probability of the last one."""

    def __init__(self, function, classes=None):
        self.function = function
        if classes is not None:
            self.classes_ = np.array(classes, dtype=object)
            self.predict_proba = lambda rows: np.column_stack([1 - function(rows), function(rows)])

    def predict(self, rows):
        found = self.function(rows)
        return np.where(found > 0.5, *self.classes_[::-1]) if hasattr(self, "classes_") else found


ROWS = pd.DataFrame({"x": [1.0, 2.0], "y": [3.0, 0.0], "text": ["a", None], "flag": [True, False]}).astype(
    {"text": "str"}
)
BACKGROUND = ROWS.iloc[[1]].reset_index(drop=True)


def test_of_a_sum_each_column_has_its_own_term():
    model = Known(lambda rows: (3 * rows["x"] - rows["y"] + 5 * (rows["text"] == "a")).to_numpy(dtype=float))
    found = reasons_of(model, ROWS, drawn(BACKGROUND), "regression")
    np.testing.assert_allclose(found, [[-3, -3, 5, 0], [0, 0, 0, 0]])


def test_of_a_product_the_columns_share():
    model = Known(lambda rows: rows["x"].to_numpy() * rows["flag"].to_numpy(dtype=float))
    found = reasons_of(model, ROWS, drawn(BACKGROUND), "regression")
    # From x = 2, flag = 0 to x = 1, flag = 1: x first changes nothing, then flag 1; flag first 2, then x -1.
    np.testing.assert_allclose(found[0], [-0.5, 0, 0, 1.5])


@pytest.mark.parametrize("at_once", [1, 100, 200_000])
def test_contributions_add_up_and_do_not_depend_on_the_other_rows(at_once, monkeypatch):
    monkeypatch.setattr(scoring, "_ROWS_AT_ONCE", at_once)
    random = np.random.default_rng(1)
    background = pd.DataFrame(random.normal(size=(50, 4)), columns=list("abcd"))
    model = Known(lambda rows: np.prod(rows.to_numpy() + 1, axis=1))
    found = reasons_of(model, background.head(6), drawn(background), "regression")
    alone = reasons_of(model, background.iloc[[4]], drawn(background), "regression")
    np.testing.assert_array_equal(found[4:5], alone)
    rest = model.predict(background.head(6)) - found.sum(axis=1)
    np.testing.assert_allclose(rest, rest[0])  # the mean prediction of the training rows taken


def test_what_is_explained_of_two_classes_is_the_positive_one():
    model = Known(lambda rows: 0.1 * rows["x"].to_numpy(), ["no", "yes"])
    of_yes = reasons_of(model, ROWS, drawn(BACKGROUND, "yes"), "classification")
    of_no = reasons_of(model, ROWS, drawn(BACKGROUND, "no"), "classification")
    np.testing.assert_allclose(of_yes[0], [-0.1, 0, 0, 0], atol=1e-12)
    np.testing.assert_allclose(of_no, -of_yes, atol=1e-12)


def test_the_strongest_come_first_whatever_their_sign():
    assert strongest(np.array([[0.1, -3.0, 2.0]]), ["a", "b", "c"], 2) == [[("b", -3.0), ("c", 2.0)]]


@pytest.mark.parametrize(("at_once", "said"), [(20, "50 of 50 orders of the columns"), (1, "2 of 2 blocks of rows")])
def test_what_is_computed_is_counted(at_once, said, monkeypatch):
    monkeypatch.setattr(scoring, "_ROWS_AT_ONCE", at_once)
    with heartbeat("reasons") as progress:
        reasons_of(Known(lambda rows: rows["x"].to_numpy()), ROWS, drawn(BACKGROUND), "regression")
    assert str(progress).startswith(f"{said}, ")
