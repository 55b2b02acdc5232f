"""The tables behind the plots."""

from lockstep.learning.scoring import Predictions
from lockstep.steps.evaluating import curves
from lockstep.steps.evaluating.curves import CURVES_COLUMNS, PREDICTIONS_COLUMNS, curve_rows, prediction_rows
from lockstep.steps.evaluating.intervals import mean_interval, wilson

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

RNG = np.random.default_rng(0)


def of(rows, curve, series=None):
    """(x, y, count) of a curve, as lists."""
    found = [row[2:5] for row in rows if row[0] == curve and series in (None, row[1])]
    return [list(values) for values in zip(*found, strict=True)] if found else None


def classified(classes, rows=1000, probabilities=True):
    """(true classes, predictions that are calibrated)."""
    names = np.array([f"c{number:02d}" for number in range(classes)], dtype=object)
    shares = RNG.dirichlet(np.ones(classes), rows)
    y = names[(shares.cumsum(axis=1) < RNG.random((rows, 1))).sum(axis=1)]
    scores = shares[:, 1] if classes == 2 else None
    return y, Predictions(names[shares.argmax(axis=1)], names, shares if probabilities else None, scores)


@pytest.mark.parametrize(
    ("names", "shown"), [(["a", "b"], ["a", "b"]), ([10, 9], ["9", "10"]), ([True, False], ["False", "True"])]
)
def test_a_confusion_matrix_has_every_pair(names, shown):
    dtype = object if isinstance(names[0], str) else None
    low, high = sorted(names)
    y, values = np.array([low, low, low, high], dtype=dtype), np.array([low, low, high, high], dtype=dtype)
    rows = prediction_rows(y, Predictions(values, np.unique(y), None, None))
    assert rows == [(shown[0], shown[0], 2), (shown[0], shown[1], 1), (shown[1], shown[0], 0), (shown[1], shown[1], 1)]
    assert {tuple(map(type, row)) for row in rows} == {(str, str, int)}
    assert len(PREDICTIONS_COLUMNS) == 3


def test_a_confusion_matrix_has_unseen_classes_too():
    y, classes = np.array(["a", "z"], dtype=object), np.array(["a", "b"], dtype=object)
    rows = prediction_rows(y, Predictions(np.array(["b", "b"], dtype=object), classes, None, None))
    assert {row for row in rows if row[2]} == {("a", "b", 1), ("z", "b", 1)}
    assert len(rows) == 9


def test_single_rows_of_a_regression_are_thinned_evenly(monkeypatch):
    y = np.arange(9.0)
    assert prediction_rows(y, Predictions(y + 0.5, None, None, None))[3] == (3.0, 3.5, 1)
    monkeypatch.setattr(curves, "_MAX_ROWS", 3)
    assert prediction_rows(y, Predictions(y, None, None, None)) == [(0, 0, 1), (4, 4, 1), (8, 8, 1)]


@pytest.mark.parametrize("classes", [2, 3])
def test_roc_and_precision_recall_of_each_class_against_the_rest(classes):
    y, predictions = classified(classes)
    rows = curve_rows(y, predictions, "classification")
    assert all(len(row) == len(CURVES_COLUMNS) for row in rows)
    drawn = {row[1] for row in rows if row[2] is not None}
    assert sorted(drawn) == (["c01"] if classes == 2 else ["c00", "c01", "c02"])
    for number, name in [(1, "c01")] if classes == 2 else enumerate(["c00", "c01", "c02"]):
        x, height, counts = of(rows, "ROC", name)
        assert (x[0], height[0], x[-1], height[-1]) == (0, 0, 1, 1)
        assert auc(x, height) == pytest.approx(roc_auc_score(y == name, predictions.probabilities[:, number]), abs=0.01)
        assert len(x) <= curves.MAX_POINTS
        assert set(counts) == {None}
        recall, precision, _ = of(rows, "precision-recall", name)
        assert (recall[0], recall[-1]) == (0, 1)
        assert recall == sorted(recall)
        assert precision[-1] == pytest.approx(np.mean(y == name), abs=0.01)


def test_a_rare_first_class_has_its_areas_too():
    y, predictions = classified(2)
    rows = curve_rows(y, predictions, "classification")
    for number, name in enumerate(["c00", "c01"]):
        ((_, area, _),) = zip(*of(rows, "average precision", name), strict=True)
        assert area == average_precision_score(y == name, predictions.probabilities[:, number])


@pytest.mark.parametrize(("first", "followed"), [(10, "c00"), (70, "c01"), (20, "c01")])
def test_of_two_classes_the_rare_one_is_followed(first, followed):
    y = np.array(["c00"] * first + ["c01"] * (80 - first), dtype=object)
    share = np.random.default_rng(0).random(80)
    predictions = Predictions(y, np.array(["c00", "c01"], dtype=object), np.column_stack([1 - share, share]), share)
    rows = curve_rows(y, predictions, "classification")
    assert {row[1] for row in rows if row[0] in ("ROC", "precision-recall", "calibration")} == {followed}


def test_calibration_is_in_bins_of_as_many_rows():
    y, predictions = classified(2)
    predicted, actual, counts = of(curve_rows(y, predictions, "classification"), "calibration", "c01")
    assert counts == [100] * 10
    assert predicted == sorted(predicted)
    assert np.allclose(predicted, actual, atol=0.15)
    assert np.average(predicted, weights=counts) == pytest.approx(predictions.probabilities[:, 1].mean())
    assert np.average(actual, weights=counts) == pytest.approx(np.mean(y == "c01"))


def test_bins_have_the_interval_of_their_mean_and_enough_rows_each():
    y, predictions = classified(2, rows=35)
    bins = [row for row in curve_rows(y, predictions, "classification") if row[0] == "calibration"]
    assert [count for _, _, _, _, count, _, _ in bins] == [12, 12, 11]
    assert [(low, high) for *_, low, high in bins] == [
        wilson(round(share * count), count) for _, _, _, share, count, _, _ in bins
    ]
    y = RNG.normal(size=35)
    bins = [row for row in curve_rows(y, Predictions(y + 1, None, None, None), "regression") if row[0] == "calibration"]
    assert all(low < mean < high for _, _, _, mean, _, low, high in bins)
    assert bins[0][-2:] == mean_interval(np.sort(y)[:12])


def test_areas_are_those_of_all_rows():
    y, predictions = classified(3)
    rows = curve_rows(y, predictions, "classification")
    for number, name in enumerate(["c00", "c01", "c02"]):
        ((_, area, count),) = zip(*of(rows, "area under the ROC curve", name), strict=True)
        assert area == roc_auc_score(y == name, predictions.probabilities[:, number])
        assert count == np.sum(y == name)
        ((_, average, _),) = zip(*of(rows, "average precision", name), strict=True)
        assert average == average_precision_score(y == name, predictions.probabilities[:, number])


def test_either_of_two_classes_has_the_area_of_the_scores():
    y, predictions = classified(2)
    only_scores = predictions._replace(probabilities=None)
    areas = [row[3] for row in curve_rows(y, only_scores, "classification") if row[0] == "area under the ROC curve"]
    assert areas == pytest.approx([roc_auc_score(y == "c01", predictions.scores)] * 2)


@pytest.mark.parametrize(("classes", "expected"), [(2, {"ROC", "precision-recall"}), (3, set())])
def test_a_model_without_probabilities(classes, expected):
    rows = curve_rows(*classified(classes, probabilities=False), "classification")
    assert {row[0] for row in rows if row[2] is not None} == expected


def test_the_most_frequent_classes_are_drawn(monkeypatch):
    monkeypatch.setattr(curves, "_MAX_CLASSES", 2)
    y, predictions = classified(4)
    y[:] = np.array(["c00", "c01", "c01", "c02", "c03", "c03"] * 167, dtype=object)[:1000]
    rows = curve_rows(y, predictions, "classification")
    assert sorted({row[1] for row in rows if row[0] == "ROC"}) == ["c01", "c03"]
    assert [row[1] for row in rows if row[0] == "area under the ROC curve"] == ["c00", "c01", "c02", "c03"]


@pytest.mark.parametrize("y", [["c00"] * 1000, ["c01"] * 1000])
def test_a_class_that_all_rows_or_none_have_has_no_curve(y):
    assert curve_rows(np.array(y, dtype=object), classified(2)[1], "classification") == []


def test_the_diagnostics_of_a_regression():
    y = RNG.normal(size=95)
    predicted = y + 0.5
    rows = curve_rows(y, Predictions(predicted, None, None, None), "regression")
    x, residuals, counts = of(rows, "residuals", "rows")
    assert (x, set(counts)) == (predicted.tolist(), {1})
    assert residuals == pytest.approx([-0.5] * 95)
    x, actual, counts = of(rows, "calibration", "tenths of the rows")
    assert counts == [11] * 5 + [10] * 4
    assert np.allclose(np.array(x) - actual, 0.5)
    assert x == sorted(x)
    x, errors, counts = of(rows, "absolute error by size of the target", "tenths of the rows")
    assert np.allclose(errors, 0.5)
    assert x[0] == pytest.approx(np.sort(y)[:11].mean())


def test_fewer_rows_than_bins():
    y = np.array([2.0, 1.0])
    rows = curve_rows(y, Predictions(y, None, None, None), "regression")
    assert of(rows, "calibration") == [[1, 2], [1, 2], [1, 1]]


def test_the_curves_of_two_classes_are_of_the_positive_one():
    y = np.array(["no", "yes", "no", "yes"], dtype=object)
    given = np.array([[0.9, 0.1], [0.2, 0.8], [0.4, 0.6], [0.3, 0.7]])
    for positive, drawn in ((None, "yes"), ("yes", "yes"), ("no", "no")):
        predictions = Predictions(y, np.array(["no", "yes"], dtype=object), given, given[:, 1], positive)
        rows = curve_rows(y, predictions, "classification")
        assert {row[1] for row in rows if row[0] in ("ROC", "precision-recall", "calibration")} == {drawn}
