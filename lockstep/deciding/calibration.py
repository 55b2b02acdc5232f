"""Calibration of probabilities on out-of-fold predictions, as a part of the model that scikit-learn alone can load."""

import warnings
from typing import Any, Literal

from lockstep.deciding.out_of_fold import OutOfFold
from lockstep.kernel.errors import DataError

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

_LEAST_ROWS = 10
"""Of each class: a calibration of fewer rows is chance. A temperature, one for all classes, needs one of each."""


class _Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose rows are the outputs of another one: lets scikit-learn fit calibrators on known outputs."""

    def __init__(self, classes: np.ndarray) -> None:
        self.classes = classes
        self.classes_ = classes

    def fit(self) -> None:
        raise NotImplementedError  # frozen

    def predict(self) -> None:
        raise NotImplementedError  # scikit-learn asks whether there is one, and calls it not


class _GivenScores(_Given):
    def decision_function(self, X: np.ndarray) -> np.ndarray:
        return X[:, 0] if X.shape[1] == 1 else X


class _GivenProbabilities(_Given):
    """Of probabilities, whose logarithm a temperature divides: of two classes those of the second."""

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return np.column_stack([1 - X, X]) if X.shape[1] == 1 else X


def calibrated(
    estimator: Any, given: OutOfFold, method: Literal["sigmoid", "isotonic", "temperature"]
) -> CalibratedClassifierCV | None:
    """The fitted ``estimator`` with calibrators that were fitted on its out-of-fold outputs.

    scikit-learn fits them (one against the rest where there are several classes, the probabilities then scaled to one;
    a temperature for all classes); its own cross-validation is left out, since ours has taken place, with the
    preprocessing in it. sigmoid: J. Platt, "Probabilistic outputs for support vector machines" (1999); isotonic: B.
    Zadrozny, C. Elkan, KDD (2002); temperature: C. Guo, G. Pleiss, Y. Sun, K. Weinberger, ICML (2017).

    Args:
        estimator: fitted; takes encoded rows. It is kept as it is.
        given: of the same pipeline.

    Returns:
        None where no temperature is the best: all out-of-fold predictions are right, and the lower it is, the better; a
        mistake on a later row would then cost without limit.

    Raises:
        DataError: too few out-of-fold predictions of a class.
    """
    classes = estimator.classes_
    least = 1 if method == "temperature" else _LEAST_ROWS
    counts = {name: 0 if given.response is None else int(np.sum(given.y == name)) for name in classes.tolist()}
    rarest = min(counts, key=lambda name: counts[name])
    if counts[rarest] < least:
        raise DataError(
            f"train.calibrate: class {rarest!r} has {counts[rarest]} out-of-fold predictions by models that know all "
            f"classes; at least {least} {'is' if least == 1 else 'are'} needed. Set it to none, or lower "
            "cross_validate.folds."
        )
    rows = np.arange(len(given.y))
    places = np.searchsorted(classes, given.y)  # a temperature is fitted right on whole numbers from 0 on alone
    known = _given(estimator, np.arange(len(classes)))
    whole = CalibratedClassifierCV(FrozenEstimator(known), method=method, cv=[(rows, rows)])
    with warnings.catch_warnings():
        # That what is frozen takes no weights: it is fitted no more.
        warnings.filterwarnings("ignore", "Since FrozenEstimator does not appear to accept sample_weight")
        fitted = whole.fit(given.response, places, sample_weight=given.weights).calibrated_classifiers_[0]
    if method == "temperature" and _are_right(fitted.predict_proba(given.response), places):
        return None
    frozen = FrozenEstimator(estimator)
    fitted.estimator, fitted.classes = frozen, classes
    model = CalibratedClassifierCV(frozen, method=method)
    model.classes_, model.calibrated_classifiers_ = classes, [fitted]
    return model


def _are_right(probabilities: np.ndarray, places: np.ndarray) -> bool:
    """Whether each row's own class is its most probable one.

    Args:
        probabilities: (n_rows, n_classes).
        places: (n_rows,) the numbers of the rows' classes.
    """
    return bool((probabilities[np.arange(len(places)), places] == probabilities.max(axis=1)).all())


def calibrated_probabilities(model: CalibratedClassifierCV, given: OutOfFold) -> np.ndarray:
    """(n_rows, n_classes) what the calibrators of ``model`` make of the out-of-fold outputs."""
    (fitted,) = model.calibrated_classifiers_
    estimator, fitted.estimator = fitted.estimator, _given(fitted.estimator, model.classes_)
    try:
        probabilities: np.ndarray = model.predict_proba(given.response)
    finally:
        fitted.estimator = estimator
    return probabilities


def _given(estimator: Any, classes: np.ndarray) -> _Given:
    """What stands for ``estimator``: scikit-learn calibrates its scores where it has some, else its probabilities."""
    return _GivenScores(classes) if hasattr(estimator, "decision_function") else _GivenProbabilities(classes)
