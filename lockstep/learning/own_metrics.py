"""Metrics beside the built-in ones, by the names in ``evaluate.metrics``: scikit-learn's scorers, and the user's own
functions.

All of them rise as a model gets better, as scikit-learn's scorers do: what falls is negated and named so,
``neg_mean_absolute_percentage_error``. So whoever compares two values need not know more than the name.
"""

import ast
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

from lockstep.kernel.errors import DataError, Setting, SettingsError, nearest
from lockstep.kernel.settings import Task
from lockstep.learning.metrics import METRICS
from lockstep.learning.own_code import load_module, read_definitions, said_of
from lockstep.learning.scoring import Predictions, Scorer

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.utils.metaestimators import available_if

_WHERE = "evaluate.metrics"
Compute = Callable[[np.ndarray, Predictions, np.ndarray | None], float | None]
"""What Scorer.compute is."""
_REGRESSIONS = "sklearn.metrics._regression"
"""The module of the functions behind scikit-learn's scorers of regressions."""
DIRECTION = "GREATER_IS_BETTER"
"""What a file of own metrics says of them: True or False."""


def check_metrics(names: Sequence[str], task: Task) -> list[str]:
    """Look whether there are these metrics, and give their keys; nothing of the user's code is run.

    Raises:
        SettingsError: an unknown name, one that is computed anyway, or a file that does not define it.
    """
    keys: list[str] = []
    for name in names:
        key = _key_of_function(name) if ":" in name or "/" in name else name
        if key == name and key not in get_scorer_names():
            near = ", ".join(nearest(key, get_scorer_names(), 5))
            raise SettingsError(
                f"{_WHERE}: '{name}' is no scorer of scikit-learn's. Nearest: {near}. One of your own is named "
                "scorers/FILE.py:FUNCTION."
            )
        if key == name and (get_scorer(key)._score_func.__module__ == _REGRESSIONS) != (task == "regression"):
            raise SettingsError(f"{_WHERE}: '{key}' is no metric of a {task}. Remove it.")
        if key in METRICS[task]:
            raise SettingsError(f"{_WHERE}: '{key}' is among the metrics of every {task}. Remove it there.")
        if key in keys:
            raise SettingsError(f"{_WHERE}: '{key}' stands twice. Remove one.")
        keys.append(key)
    return keys


def make_scorers(names: Sequence[str], task: Task, *, weighted: bool = False) -> list[Scorer]:
    """Make the metrics of these names.

    Args:
        weighted: whether the rows have weights, which every metric must then go by.

    Raises:
        SettingsError: as check_metrics; a file cannot be run; a metric that knows no weights, of rows that have them.
    """
    keys = check_metrics(names, task)
    made = []
    for key, name in zip(keys, names, strict=True):
        is_function = key != name
        compute = (
            _of_function(name, key, weighted=weighted)
            if is_function
            else _of_scikit_learn(name, task, weighted=weighted)
        )
        made.append(Scorer(key, compute))
    return made


def _parts(name: str) -> tuple[str, str]:
    """(the file, the function) of ``scorers/cost.py:cost``."""
    path, _, function = name.partition(":")
    if not path.startswith("scorers/") or not function.isidentifier():
        raise SettingsError(f"{_WHERE}: '{name}' names no metric. Allowed: a scorer of scikit-learn's, as "
                            "average_precision, or scorers/FILE.py:FUNCTION.")  # fmt: skip
    return path, function


def _key_of_function(name: str) -> str:
    path, function = _parts(name)
    found = read_definitions(path, _WHERE)
    functions = [known for known, node in found.items() if isinstance(node, ast.FunctionDef)]
    if function not in functions:
        near = f" It defines, nearest first: {', '.join(nearest(function, functions, 5))}." if functions else ""
        raise SettingsError(f"{_WHERE}: {path} defines no function '{function}'.{near}")
    said = found.get(DIRECTION)
    value = said.value if isinstance(said, ast.Assign | ast.AnnAssign) else None
    if not isinstance(value, ast.Constant) or not isinstance(value.value, bool):
        raise SettingsError(
            f"{path} does not say which way is better. Add a line '{DIRECTION} = False' (a cost, an error) or '= True'."
        )
    return function if value.value else f"neg_{function}"


def _unweighted(name: str, why: str) -> SettingsError:
    return SettingsError(
        f"{_WHERE}: '{name}' {why}, and the rows have weights (",
        Setting("load.weight"),
        "): it would measure something else than the metrics beside it. Remove one of the two"
        f"{', or give the function that argument' if ':' in name else ''}.",
    )


def _of_function(name: str, key: str, *, weighted: bool) -> Compute:
    path, function = _parts(name)
    own = getattr(load_module(path, _WHERE), function)
    if weighted and "weights" not in inspect.signature(own).parameters:
        raise _unweighted(name, "takes no argument 'weights'")
    sign = 1 if key == function else -1

    def compute(y: np.ndarray, predictions: Predictions, weights: np.ndarray | None) -> float:
        more = {} if weights is None else {"weights": weights.copy()}
        try:
            value = own(y.copy(), predictions.values.copy(), **more)
        except Exception as error:
            called = ", ".join(["actual", "predicted", *(f"{key}={key}" for key in more)])
            said = said_of(error) or f"{name} cannot be called as {function}({called}): {error}"
            raise DataError(f"{said}. Correct the file.") from error
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError) as error:
            raise DataError(f"{name} gives {str(value)[:40]!r}, which is no number. Correct the file.") from error
        if not math.isfinite(number):
            raise DataError(f"{name} gives {number} for {len(y)} rows. It must give a finite number for any rows.")
        return sign * number

    return compute


def _of_scikit_learn(name: str, task: Task, *, weighted: bool) -> Compute:
    scorer = get_scorer(name)
    if weighted and "sample_weight" not in inspect.signature(scorer._score_func).parameters:
        raise _unweighted(name, "knows no weights of rows")

    def compute(y: np.ndarray, predictions: Predictions, weights: np.ndarray | None) -> float | None:
        """None where it cannot be computed, as where the rows lack a class."""
        if task == "classification":
            y, predictions = _numbered(y, predictions)
        model = _Classifier(predictions) if task == "classification" else _Regressor(predictions)
        try:
            value = float(scorer(model, np.zeros((len(y), 1)), y, sample_weight=weights))
        except (ValueError, AttributeError, TypeError):
            return None
        return value if math.isfinite(value) else None

    return compute


def _numbered(y: np.ndarray, predictions: Predictions) -> tuple[np.ndarray, Predictions]:
    """Two classes as 0 and 1, the positive one: scorers take no other for it."""
    classes, place = predictions.classes, predictions.positive_place
    if classes is None or place is None or not np.isin(y, classes).all():
        return y, predictions
    probabilities, scores = predictions.probabilities, predictions.scores
    if place == 0:
        probabilities = None if probabilities is None else probabilities[:, ::-1]
        scores = None if scores is None else -scores
    values = (predictions.values == classes[place]).astype(int)
    numbered = Predictions(values, np.array([0, 1]), probabilities, scores)
    return (y == classes[place]).astype(int), numbered


class _Recorded(BaseEstimator):  # type: ignore[misc]
    """A model whose predictions are known: what a scorer of scikit-learn's asks for."""

    def __init__(self, predictions: Predictions) -> None:
        self.predictions = predictions

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def predict(self, X: Any) -> np.ndarray:  # noqa: ARG002 - scikit-learn's interface
        return self.predictions.values


class _Regressor(RegressorMixin, _Recorded):  # type: ignore[misc]
    pass


class _Classifier(ClassifierMixin, _Recorded):  # type: ignore[misc]
    @property
    def classes_(self) -> np.ndarray | None:
        return self.predictions.classes

    @available_if(lambda self: self.predictions.probabilities is not None)  # type: ignore[untyped-decorator]
    def predict_proba(self, X: Any) -> np.ndarray | None:  # noqa: ARG002
        return self.predictions.probabilities

    @available_if(lambda self: self.predictions.scores is not None)  # type: ignore[untyped-decorator]
    def decision_function(self, X: Any) -> np.ndarray | None:  # noqa: ARG002
        return self.predictions.scores
