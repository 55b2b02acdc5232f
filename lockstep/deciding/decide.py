"""Everything that is decided on the out-of-fold predictions of a fitted model, in its order: calibrate, then choose the
threshold, then take intervals."""

import math
from typing import Any

from lockstep.deciding.calibration import calibrated, calibrated_probabilities
from lockstep.deciding.conformal import conformal_intervals
from lockstep.deciding.decision import ChosenThreshold, Decision
from lockstep.deciding.out_of_fold import OutOfFold, out_of_fold_of
from lockstep.deciding.threshold import choose_threshold
from lockstep.kernel.log import logger
from lockstep.learning.estimators import DEFAULT_THRESHOLD, TrainSettings
from lockstep.tables.table import positive_class

import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import FixedThresholdClassifier
from sklearn.pipeline import Pipeline

ISOTONIC_ROWS = 1_000
"""Isotonic calibration of fewer rows overfits
(https://scikit-learn.org/stable/modules/calibration.html#isotonic)."""


def decide(
    model: Pipeline, out_of_fold: pd.DataFrame, settings: TrainSettings, positive: Any = None
) -> tuple[Pipeline, Decision]:
    """Calibrate the model's probabilities and choose its threshold, as the settings ask, and take its intervals.

    Args:
        model: fitted; its last step is the estimator.
        out_of_fold: what the cross-validation of the same settings predicted, see ``cross_validation.out_of_fold``.
        settings: the section ``train``.
        positive: see Predictions.

    Returns:
        The model, itself where nothing is to be calibrated and no threshold chosen; else a pipeline whose last step is
        scikit-learn's CalibratedClassifierCV or FixedThresholdClassifier around the estimator, which predicts without
        Lockstep. And what its sidecar says of it.

    Raises:
        DataError: too few rows to calibrate.
        SettingsError: see choose_threshold.
    """
    estimator = model[-1]
    classes = getattr(estimator, "classes_", None)
    positive = None if classes is None else positive_class(classes, positive)
    given, threshold = out_of_fold_of(out_of_fold, classes, positive), None
    found = None if settings.calibrate == "none" else calibrated(estimator, given, settings.calibrate)
    if found is not None:
        if settings.calibrate == "isotonic" and len(given.y) < ISOTONIC_ROWS:
            few = "isotonic calibration follows chance in few rows: there are %d, and from %d on it is advised"
            logger.warning(few, len(given.y), ISOTONIC_ROWS)
        estimator, given = found, _calibrated_predictions(found, given)
        logger.info("calibrated (%s) on %d out-of-fold predictions", settings.calibrate, len(given.y))
    elif settings.calibrate != "none":
        right = "not calibrated: all %d out-of-fold predictions are right, so that every temperature is too high"
        logger.warning(right, len(given.y))
    if settings.threshold != DEFAULT_THRESHOLD:
        threshold = choose_threshold(given, settings.threshold, settings.costs)
        estimator = _with_threshold(estimator, threshold, positive, scored=given.predictions.probabilities is None)
        said = "threshold %.6g of '%s' by %s: %.6g instead of %.6g on %d out-of-fold predictions"
        logger.info(said, *_said(threshold))
    if settings.costs is not None and settings.threshold != "cost":
        logger.warning("train.costs is not used: train.threshold is %s, not cost", settings.threshold)
    intervals = conformal_intervals(given, settings.interval_level) if settings.interval_level else None
    if settings.interval_level and intervals is None:
        if given.predictions.classes is not None and given.predictions.probabilities is None:
            logger.info("no sets of classes: the model gives no probabilities")
        else:
            needed = math.ceil(round(settings.interval_level / (1 - settings.interval_level), 9))
            few = "no intervals, or sets, at the level %g: they need %d out-of-fold predictions, and there are %d"
            logger.info(few, settings.interval_level, needed, len(given.y))
    decision = Decision("none" if found is None else settings.calibrate, threshold, intervals)
    return model if estimator is model[-1] else Pipeline([*model.steps[:-1], ("model", estimator)]), decision


def _calibrated_predictions(model: CalibratedClassifierCV, given: OutOfFold) -> OutOfFold:
    """The out-of-fold predictions with the probabilities that the calibrators of ``model`` make of them."""
    probabilities = calibrated_probabilities(model, given)
    scores = probabilities[:, 1] if probabilities.shape[1] == 2 else None
    return given._replace(predictions=given.predictions._replace(probabilities=probabilities, scores=scores))


def _said(chosen: ChosenThreshold) -> tuple[Any, ...]:
    return chosen.value, chosen.positive, chosen.metric, chosen.reached, chosen.reached_by_default, chosen.rows


def _with_threshold(
    estimator: Any, chosen: ChosenThreshold, positive: Any, *, scored: bool
) -> FixedThresholdClassifier:
    model = FixedThresholdClassifier(
        FrozenEstimator(estimator),
        threshold=chosen.value,
        pos_label=positive,
        response_method="decision_function" if scored else "predict_proba",
    )
    model.estimator_ = model.estimator  # as ``fit`` would, for which a frozen estimator needs no rows
    return model
