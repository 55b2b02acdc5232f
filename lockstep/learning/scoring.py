"""Predictions, and how each metric of them is computed."""

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

from lockstep.kernel.errors import SettingsError
from lockstep.kernel.portable import fixed_threads
from lockstep.kernel.settings import Task
from lockstep.learning.metrics import METRICS, is_lopsided
from lockstep.learning.refusals import refusals_of

import numpy as np
import pandas as pd
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    log_loss,
    mean_absolute_error,
    mean_squared_error,
    median_absolute_error,
    precision_recall_fscore_support,
    r2_score,
    recall_score,
    roc_auc_score,
)
from sklearn.pipeline import Pipeline

Average = Literal["macro", "weighted", "micro", "binary"]
"""How precision, recall and F1 are averaged over the classes (scikit-learn's ``average``)."""
WEIGHT = "weight"
"""The column of a table of predictions that says how much each row counts, where they do not all count alike."""
PROBABILITY, DECISION = "probability_", "decision_"
"""What the name of a column of probabilities, or of values of ``decision_function``, begins with; the class follows."""
_FORESTS = (
    "sklearn.RandomForestClassifier",
    "sklearn.RandomForestRegressor",
    "sklearn.ExtraTreesClassifier",
    "sklearn.ExtraTreesRegressor",
)
"""Estimators, by library and class, whose output is the mean of that of their trees."""
_LIKELIEST = (*_FORESTS, "sklearn.VotingClassifier", "sklearn.CalibratedClassifierCV", "lightgbm.LGBMClassifier")
"""Estimators whose ``predict`` is the class of the highest ``predict_proba``, the first one of equals: it need not be
computed twice."""
_ROWS_AT_ONCE, _CELLS_AT_ONCE = 20_000, 2_000_000
"""Many rows take hardly longer than a few, since the steps of a pipeline take long to begin; wide ones take memory."""


class Predictions(NamedTuple):
    """What a model says of some rows.

    Attributes:
        values: (n_rows,): classes, or numbers.
        classes: (n_classes,) in sorted order, or None for a regression.
        probabilities: (n_rows, n_classes), or None where the model has none.
        scores: (n_rows,): what ranks the rows of a problem of two classes, the higher the more likely the second class;
            else None.
        positive: the positive one of two classes; None: the second.
    """

    values: np.ndarray
    classes: np.ndarray | None
    probabilities: np.ndarray | None
    scores: np.ndarray | None
    positive: Any = None

    @property
    def positive_place(self) -> int | None:
        """Which of two classes is the positive one, 0 or 1; None where there are not two."""
        if self.classes is None or len(self.classes) != 2:
            return None
        return 1 if self.positive is None else self.classes.tolist().index(self.positive)


class Scorer(NamedTuple):
    """A metric beside the built-in ones: the higher, the better (own_metrics.py).

    Attributes:
        key: what it is called.
        compute: of (n_rows,) true targets, the predictions and the rows' weights, (n_rows,) or None; None where it
            cannot be computed.
    """

    key: str
    compute: Callable[[np.ndarray, Predictions, np.ndarray | None], float | None]


def rows_at_once(n_columns: int) -> int:
    """How many rows of so many columns to make and predict at a time, where many variants of some rows are."""
    return min(_ROWS_AT_ONCE, _CELLS_AT_ONCE // n_columns)


def predict(model: Any, X: np.ndarray | pd.DataFrame, task: Task, positive: Any = None) -> Predictions:
    """Let the fitted ``model`` predict the rows of ``X``, (n_rows, n_features); ``positive``: see Predictions.

    Raises:
        DataError: what scikit-learn says of a model that was fitted and cannot predict, as with more neighbours than
            rows.
    """
    with fixed_threads(model), refusals_of(model, "predict by"):
        return _predict(model, X, task)._replace(positive=positive)


def _predict(model: Any, X: np.ndarray | pd.DataFrame, task: Task) -> Predictions:
    estimator, rows = model, X
    if type(model) is Pipeline:
        estimator = model.steps[-1][1]
        for _, step in model.steps[:-1]:  # once, for classes and probabilities
            rows = rows if step in (None, "passthrough") else step.transform(rows)
    if task == "regression":
        return Predictions(_as_float64(_numbers(estimator, rows)), None, None, None)
    classes = estimator.classes_
    found = _forest(estimator, "predict_proba", rows) if _is_one_of(estimator, _FORESTS) else None
    if found is None and hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(rows)
    if found is not None and _is_one_of(estimator, _LIKELIEST):
        values = classes.take(np.argmax(found, axis=1))
    else:  # some break ties, or decide, in another way
        values = estimator.predict(rows)
    probabilities = None if found is None else _probabilities(found)
    if len(classes) != 2:
        scores = None
    elif probabilities is not None:
        scores = probabilities[:, 1]
    else:  # a class of the user's own may do without
        scores = estimator.decision_function(rows) if hasattr(estimator, "decision_function") else None
    return Predictions(values, classes, probabilities, scores)


def _numbers(estimator: Any, X: np.ndarray | pd.DataFrame) -> np.ndarray:
    found: np.ndarray = _forest(estimator, "predict", X) if _is_one_of(estimator, _FORESTS) else estimator.predict(X)
    return found


def _is_one_of(estimator: Any, names: Sequence[str]) -> bool:
    """Whether it is of one of these classes itself, not of one that is derived from it."""
    kind = type(estimator)
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}" in names


def _forest(forest: Any, method: str, X: np.ndarray | pd.DataFrame) -> np.ndarray:
    """(n_rows, ...): what ``method`` of a fitted forest gives, the same sums in the same order, without the thread pool
    through which scikit-learn sends each tree: of few rows, that takes most of the time."""
    first, *others = forest.estimators_
    rows = np.asarray(X, dtype=np.float32)  # what trees compare
    total: np.ndarray = np.array(getattr(first, method)(rows))  # it alone looks whether the rows can be taken
    for tree in others:
        total += getattr(tree, method)(rows, check_input=False)
    total /= len(forest.estimators_)
    return total


def _as_float64(values: np.ndarray) -> np.ndarray:
    """The same numbers in double precision: XGBoost's are of single precision."""
    double: np.ndarray = values.astype("float64", copy=False)
    return double


def _probabilities(found: np.ndarray) -> np.ndarray:
    """Probabilities, (n_rows, n_classes), in double precision, in which those of a row add up to one."""
    if not (np.isfinite(found).all() and found.min(initial=0) >= 0 and found.max(initial=0) <= 1 + 1e-6):
        raise ValueError("predict_proba gives what are no probabilities: numbers from 0 to 1, none missing")
    if found.dtype == np.float64:
        return found
    double: np.ndarray = _as_float64(found) / _as_float64(found).sum(axis=1, keepdims=True)
    return double


def at(predictions: Predictions, positions: np.ndarray) -> Predictions:
    """The predictions of the rows at ``positions`` (0-based)."""
    probabilities, scores = predictions.probabilities, predictions.scores
    return predictions._replace(
        values=predictions.values[positions],
        probabilities=None if probabilities is None else probabilities[positions],
        scores=None if scores is None else scores[positions],
    )


def prediction_columns(predictions: Predictions) -> dict[str, np.ndarray]:
    """Name the columns of a table of predictions, (n_rows,) each: ``predicted``, then one ``probability_<class>`` per
    class or, where two classes have scores alone, ``score``."""
    columns = {"predicted": predictions.values}
    if predictions.probabilities is not None and predictions.classes is not None:
        for name, column in zip(predictions.classes, predictions.probabilities.T, strict=True):
            columns[f"{PROBABILITY}{name}"] = column
    elif predictions.scores is not None:
        columns["score"] = predictions.scores
    return columns


def decision_columns(estimator: Any, X: np.ndarray) -> dict[str, np.ndarray]:
    """Name the columns of what scikit-learn calibrates, (n_rows,) each: one of each class, or of the second of two;
    none where that are the probabilities."""
    if not hasattr(estimator, "decision_function"):
        return {}
    with fixed_threads(estimator):
        values = estimator.decision_function(X)
    names, columns = (estimator.classes_, values.T) if values.ndim == 2 else (estimator.classes_[1:], values[None, :])
    return {f"{DECISION}{name}": column for name, column in zip(names, columns, strict=True)}


def predictions_of(frame: pd.DataFrame, seen: np.ndarray | None, positive: Any = None) -> Predictions:
    """Read the columns of ``prediction_columns`` back.

    Args:
        seen: (n_seen,) sorted, the classes that occur: the model's, if it has no probabilities. None for a regression.
        positive: see Predictions.
    """
    values = values_of(frame["predicted"])
    if seen is None:
        return Predictions(values.astype(float), None, None, None)
    columns = [str(name) for name in frame if str(name).startswith(PROBABILITY)]
    probabilities = frame[columns].to_numpy(dtype="float64") if columns else None
    classes = _typed([name.removeprefix(PROBABILITY) for name in columns], seen) if columns else seen
    return Predictions(values, classes, probabilities, scores_in(frame, classes, probabilities), positive)


def scores_in(frame: pd.DataFrame, classes: np.ndarray, probabilities: np.ndarray | None) -> np.ndarray | None:
    """(n_rows,) the scores of Predictions, from the columns of ``prediction_columns`` and the ``probabilities`` in
    them."""
    if len(classes) == 2 and probabilities is not None:
        return probabilities[:, 1]
    return frame["score"].to_numpy(dtype="float64") if "score" in frame else None


def _typed(names: list[str], seen: np.ndarray) -> np.ndarray:
    """(n_names,) the classes of these names, of the type of those in ``seen``."""
    known = {str(value): value for value in seen.tolist()}
    kinds: dict[str, Callable[[str], Any]] = {"i": int, "b": lambda name: name == "True"}
    typed = kinds.get(seen.dtype.kind, str)
    return np.array([known.get(name, typed(name)) for name in names], dtype=seen.dtype)


def values_of(column: pd.Series) -> np.ndarray:
    """(n_rows,) the cells of a column, texts as Python's."""
    return column.to_numpy(dtype=object) if isinstance(column.dtype, pd.StringDtype) else column.to_numpy()


def given_to_actual(y: np.ndarray, probabilities: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(n_rows,): the probability that a model gave to the actual class of each row; 0 for a class that it does not
    know.

    Args:
        y: (n_rows,) the actual classes.
        probabilities: (n_rows, n_classes).
        classes: (n_classes,) in the order of the columns.
    """
    places = pd.Index(classes).get_indexer(pd.Index(y))
    found: np.ndarray = np.where(places < 0, 0.0, probabilities[np.arange(len(y)), places])
    return found.astype("float64", copy=False)


def log_losses(given: np.ndarray) -> np.ndarray:
    """(n_rows,): what each row adds to the log loss; ``given``, (n_rows,), is the probability of its actual class. Of 0
    and 1 it is that of the nearest that is told from them, as of scikit-learn's log_loss."""
    least = np.finfo(given.dtype).eps
    found: np.ndarray = -np.log(np.clip(given, least, 1 - least))
    return found


def rare_class(y: np.ndarray, classes: np.ndarray) -> int | None:
    """The place of the rare one of two classes, both of which occur in ``y``, (n_rows,), and no other; None where
    neither is rare, or there are not two. Rows are counted, whatever they weigh: few of them say little of a class."""
    counts = [int(np.sum(y == name)) for name in classes]
    if len(classes) != 2 or min(counts) == 0 or sum(counts) < len(y) or not is_lopsided(max(counts) / len(y)):
        return None
    return counts.index(min(counts))


def metrics_of(
    y: np.ndarray,
    predictions: Predictions,
    task: Task,
    average: Average,
    own: Sequence[Scorer] = (),
    weights: np.ndarray | None = None,
) -> dict[str, float]:
    """Compute the metrics of ``predictions`` for the true targets ``y``, (n_rows,), in the order of METRICS, then those
    of ``own`` that can be computed.

    Classification: accuracy, precision, recall and f1_score (averaged over the classes as ``average`` says; 0 where a
    class is never predicted), balanced_accuracy, and, where the model gives scores, roc_auc (of several classes: the
    mean of each against the rest) and log_loss. roc_auc and log_loss are left out if ``y`` lacks a class or has an
    unknown one. Where one of two classes is rare in ``y``: rare_class_average_precision (where the model gives scores),
    rare_class_precision and rare_class_recall, of that class.
    Regression: mse, mae, r2_score, rmse, median_absolute_error, in the target's unit or its square.

    Each row counts as ``weights``, (n_rows,), say: one that weighs 2 as two equal rows. None: all alike.

    Raises:
        SettingsError: ``average`` is binary, but there are not two classes.
    """
    if task == "regression":
        found = _of_numbers(y, predictions.values, weights)
    else:
        found = _of_classes(y, predictions, average, weights) | _of_probabilities(y, predictions, weights)
        found |= _of_the_rare_class(y, predictions, weights)
    computed = {scorer.key: scorer.compute(y, predictions, weights) for scorer in own}
    built_in = {name: float(found[name]) for name in METRICS[task] if name in found}
    return built_in | {name: value for name, value in computed.items() if value is not None}


def _of_numbers(y: np.ndarray, values: np.ndarray, weights: np.ndarray | None) -> dict[str, float]:
    mse = mean_squared_error(y, values, sample_weight=weights)
    return {
        "mse": mse,
        "mae": mean_absolute_error(y, values, sample_weight=weights),
        "r2_score": r2_score(y, values, sample_weight=weights),
        "rmse": np.sqrt(mse),
        "median_absolute_error": median_absolute_error(y, values, sample_weight=weights),
    }


def _of_classes(
    y: np.ndarray, predictions: Predictions, average: Average, weights: np.ndarray | None
) -> dict[str, float]:
    classes = predictions.classes
    assert classes is not None
    place = predictions.positive_place
    if average == "binary" and place is None:
        raise SettingsError(
            f"evaluate.average is binary, but there are {len(classes)} classes. Set it to macro, weighted or micro."
        )
    truth, values = y, predictions.values
    if average == "binary":  # as booleans, so that a class that only y has does no harm
        truth, values = truth == classes[place], values == classes[place]
    precision, recall, f1, _ = precision_recall_fscore_support(
        truth, values, average=average, zero_division=0, sample_weight=weights
    )
    return {
        "accuracy": accuracy_score(y, predictions.values, sample_weight=weights),
        "precision": precision,
        "recall": recall,
        "f1_score": f1,
        # The recall averaged over the classes that occur in y.
        "balanced_accuracy": recall_score(
            y, predictions.values, labels=np.unique(y), average="macro", sample_weight=weights
        ),
    }


def _of_probabilities(y: np.ndarray, predictions: Predictions, weights: np.ndarray | None) -> dict[str, float]:
    """roc_auc and log_loss, as far as they can be computed."""
    classes, scores, probabilities = predictions.classes, predictions.scores, predictions.probabilities
    found: dict[str, float] = {}
    if classes is None or len(classes) == 1 or set(np.unique(y)) != set(classes):
        return found
    if scores is not None:
        found["roc_auc"] = roc_auc_score(y == classes[1], scores, sample_weight=weights)
    elif probabilities is not None:
        found["roc_auc"] = roc_auc_score(y, probabilities, multi_class="ovr", labels=classes, sample_weight=weights)
    if probabilities is not None:
        found["log_loss"] = log_loss(y, probabilities, labels=classes, sample_weight=weights)
    return found


def _of_the_rare_class(y: np.ndarray, predictions: Predictions, weights: np.ndarray | None) -> dict[str, float]:
    """The metrics of RARE_CLASS_METRICS, as far as they can be computed."""
    classes, scores = predictions.classes, predictions.scores
    place = None if classes is None else rare_class(y, classes)
    if classes is None or place is None:
        return {}
    truth, named = y == classes[place], predictions.values == classes[place]
    precision, recall, _, _ = precision_recall_fscore_support(
        truth, named, average="binary", zero_division=0, sample_weight=weights
    )
    found = {"rare_class_precision": precision, "rare_class_recall": recall}
    if scores is not None:
        found["rare_class_average_precision"] = average_precision_score(
            truth, scores if place else -scores, sample_weight=weights
        )
    return found
