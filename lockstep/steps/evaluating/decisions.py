"""What calibration, a chosen threshold and prediction intervals are worth on the test rows."""

from typing import Any

from lockstep.deciding.conformal import bounds_of, sets_of
from lockstep.deciding.decision import ChosenThreshold, ClassSets, Decision, NumberIntervals
from lockstep.kernel.portable import estimator_of
from lockstep.learning.scoring import Predictions, metrics_of, predict
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.intervals import clopper_pearson
from lockstep.steps.evaluating.resampling import MeanRows, Rows, bootstrap_interval, resampled, resampling_rows
from lockstep.tables.table import Table

import numpy as np
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline


def decision_metrics(
    model: Pipeline, test: Table, raw: Predictions, before: Predictions | None, decision: Decision, design: Design
) -> dict[str, Any]:
    """What to add to the metrics of an evaluation; nothing of what was not decided.

    Args:
        model: takes raw rows.
        test: raw rows that neither the model nor the decision has seen.
        raw: the model's predictions of them.
        before: the same without its calibration, if it has one.
        decision: what was decided.
        design: how the rows were drawn.
    """
    found: dict[str, Any] = {}
    if decision.threshold is not None:
        own = predict(without_threshold(model), test.features, test.task, raw.positive)
        found |= _threshold(test.labels, raw, own.values, decision.threshold, design)
    if before is not None:
        value = metrics_of(test.labels, before, test.task, "macro", weights=test.weights).get("log_loss")
        found |= {} if value is None else {"log_loss_uncalibrated": value}
    if decision.intervals is not None:
        found |= _coverage(test.labels, raw, decision.intervals, design)
    return found


def without_threshold(model: Pipeline) -> Pipeline:
    """The model with its own decision in place of a chosen threshold's."""
    last = model[-1]
    return _ending_in(model, last.estimator) if isinstance(last, FixedThresholdClassifier) else model


def uncalibrated(model: Pipeline, test: Table) -> Predictions:
    """What the estimator says of the test rows without its calibration."""
    return predict(_ending_in(model, estimator_of(model)), test.features, test.task, test.positive)


def _ending_in(model: Pipeline, last: Any) -> Pipeline:
    return Pipeline([*model.steps[:-1], ("model", last)])


def _threshold(
    y: np.ndarray, raw: Predictions, own: np.ndarray, chosen: ChosenThreshold, design: Design
) -> dict[str, Any]:
    """The metric, or the mean cost of a row, by the threshold and by the model's own decision, and what is gained."""
    name = chosen.metric
    rows = [_rows(y, raw._replace(values=values), chosen) for values in (raw.values, own)]
    reached, default = (float(one.metrics(design.all_rows)[name][0]) for one in rows)
    sign = -1 if name == "cost" else 1
    with_it, without = resampled(rows, design) if design.enough else ({name: np.array([np.nan])},) * 2
    low, high = bootstrap_interval(sign * (with_it[name] - without[name]), design) or (None, None)
    found = {"threshold": chosen.value, "threshold_metric": name, f"threshold_{name}": reached}
    found |= {f"default_{name}": default, "threshold_gain": sign * (reached - default)}
    return found | ({} if low is None else {"threshold_gain_low": low, "threshold_gain_high": high})


def _rows(y: np.ndarray, predictions: Predictions, chosen: ChosenThreshold) -> Rows:
    if chosen.metric != "cost":
        return resampling_rows(y, predictions, "classification", "binary", None)
    classes, place = predictions.classes, predictions.positive_place
    assert classes is not None and place is not None and chosen.false_positive is not None
    assert chosen.false_negative is not None
    actual, flagged = y == classes[place], predictions.values == classes[place]
    costs = chosen.false_positive * (flagged & ~actual) + chosen.false_negative * (actual & ~flagged)
    return MeanRows("cost", costs)


def _coverage(
    y: np.ndarray, raw: Predictions, intervals: NumberIntervals | ClassSets, design: Design
) -> dict[str, Any]:
    """In how many test rows the interval, or set, holds the actual value, and how large it is on average.

    The interval of that share is C. Clopper and E. Pearson's (Biometrika 26 (1934) 404-413), which never promises too
    much, where the rows are independent and count alike; else the bootstrap's.
    """
    weights = design.weights
    if isinstance(intervals, NumberIntervals):
        low, high = bounds_of(intervals, raw.values)
        inside, size = (low <= y) & (y <= high), {"interval_width": float(np.average(high - low, weights=weights))}
    else:
        rows, classes = sets_of(intervals, raw), raw.classes
        assert classes is not None
        inside = (rows & (y[:, None] == classes[None, :])).any(axis=1)
        size = {"set_size": float(np.average(rows.sum(axis=1), weights=weights))}
        size |= {"set_coverage_least": min(_mean(inside, weights, y == name) for name in np.unique(y))}
    found = {"interval_level": intervals.level, "coverage": _mean(inside, weights)} | size
    if design.shares:
        ends: tuple[float, float] | None = clopper_pearson(int(inside.sum()), len(y))
    elif design.enough:
        ends = bootstrap_interval(
            resampled([MeanRows("coverage", inside.astype(float))], design)[0]["coverage"], design
        )
    else:
        ends = None
    return found if ends is None else found | {"coverage_low": ends[0], "coverage_high": ends[1]}


def _mean(inside: np.ndarray, weights: np.ndarray | None, rows: np.ndarray | slice = slice(None)) -> float:
    """The share of ``rows`` in which ``inside``, (n_rows,) of bool, is true."""
    return float(np.average(inside[rows], weights=None if weights is None else weights[rows]))
