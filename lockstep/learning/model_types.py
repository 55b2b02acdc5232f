"""The model types. To add one, add an entry to MODELS and its name to params.yaml's comment."""

from dataclasses import dataclass

from lockstep.kernel.errors import Setting, SettingsError, nearest
from lockstep.kernel.settings import Settings, Task

from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    ExtraTreesClassifier,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.svm import SVC, SVR


@dataclass(frozen=True)
class ModelType:
    """A model type.

    Attributes:
        scale_free: whether it looks at the order of values only, so that it needs no scaling.
        estimators: the scikit-learn class for each task it can do.
    """

    scale_free: bool
    estimators: dict[Task, type[BaseEstimator]]


MODELS = {
    "random_forest": ModelType(True, {"classification": RandomForestClassifier, "regression": RandomForestRegressor}),
    "extra_trees": ModelType(True, {"classification": ExtraTreesClassifier, "regression": ExtraTreesRegressor}),
    "gradient_boosting": ModelType(
        True, {"classification": GradientBoostingClassifier, "regression": GradientBoostingRegressor}
    ),
    "hist_gradient_boosting": ModelType(
        True, {"classification": HistGradientBoostingClassifier, "regression": HistGradientBoostingRegressor}
    ),
    "logistic_regression": ModelType(False, {"classification": LogisticRegression}),
    "linear_regression": ModelType(False, {"regression": LinearRegression}),
    "ridge": ModelType(False, {"regression": Ridge}),
    "k_neighbors": ModelType(False, {"classification": KNeighborsClassifier, "regression": KNeighborsRegressor}),
    "svm": ModelType(False, {"classification": SVC, "regression": SVR}),
    "mlp": ModelType(False, {"classification": MLPClassifier, "regression": MLPRegressor}),
}
CUSTOM = "custom"
"""The model type of any other estimator, which train.estimator names (own_estimators.py)."""
KINDS: dict[Task, str] = {"classification": "classifier", "regression": "regressor"}


class ModelName(Settings, frozen=True):
    """The one key of ``train`` that the stage preprocess needs."""

    model: str


def model_type(name: str) -> ModelType:
    """Find the entry of MODELS; of a custom one nothing is known, so that it is given scaled numbers. Raises
    SettingsError with the supported names, the nearest first."""
    if name == CUSTOM:
        return ModelType(False, {})
    if name not in MODELS:
        raise SettingsError(
            Setting("train.model"),
            f": '{name}' is not a model type. Supported, nearest first: {', '.join(nearest(name, [*MODELS, CUSTOM]))}.",
        )
    return MODELS[name]
