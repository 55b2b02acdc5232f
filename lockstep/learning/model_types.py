"""The model types, and in what they differ. To add one, add an entry to MODELS and its name to params.yaml's comment.

An estimator is named by its import path, and imported only where it is built: a problem pays for its own library alone.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Literal, NamedTuple

from lockstep.kernel.errors import MachineError, Setting, SettingsError, nearest
from lockstep.kernel.settings import Settings, Task

from sklearn.base import BaseEstimator


class Arguments(NamedTuple):
    """Arguments for an estimator: those of its constructor, and those of its ``fit``."""

    own: dict[str, Any]
    fit: dict[str, Any]


@dataclass(frozen=True)
class ModelType:
    """A model type.

    Attributes:
        estimators: the import path of the class for each task it can do, ``package.module:Class``.
        scale_free: whether it looks at the order of values only, so that it needs no scaling.
        numbered_classes: whether its classifier takes no classes but 0, 1, 2, ...
        threaded: whether a fit uses all processors by itself, unless OpenMP is told to use fewer.
        by_columns: whether a fit reads its rows faster column by column.
        precision: the type of number that its rows are given in: float32 where it rounds them to that itself.
        native_missing: whether it learns from missing values as they are.
        native_categories: how it is told which of the encoded columns hold codes of categories, from their numbers and
            the number of all columns; None if it cannot be told.
        fixed: arguments of the constructor that are no settings: the same bytes on every machine depend on them.
        more: hyperparameters that the constructor takes without naming them.
        space: what a search chooses its hyperparameters from where tune.space is empty.
    """

    estimators: Mapping[Task, str]
    scale_free: bool
    numbered_classes: bool = False
    threaded: bool = False
    by_columns: bool = False
    precision: Literal["float32", "float64"] = "float64"
    native_missing: bool = False
    native_categories: Callable[[Sequence[int], int], Arguments] | None = None
    fixed: Mapping[str, Any] = field(default_factory=dict)
    more: Sequence[str] = ()
    space: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_native(self) -> bool:
        """Whether it learns from missing values and from codes of categories as they are."""
        return self.native_missing and self.native_categories is not None

    def estimator(self, task: Task) -> type[BaseEstimator]:
        """Import the class for a task that it can do. Raises MachineError where its library cannot be loaded."""
        module, _, name = self.estimators[task].partition(":")
        try:
            found: type[BaseEstimator] = getattr(import_module(module), name)
        except (ImportError, OSError) as error:
            raise MachineError(
                f"{self.library} cannot be loaded: {error}. Type 'make venv', which installs it; if a shared library "
                "is missing, install that (Debian: 'apt-get install libgomp1')."
            ) from None
        return found

    @property
    def library(self) -> str:
        """The library that its estimators are from, by the name that it is imported under."""
        return re.split(r"[.:]", next(iter(self.estimators.values())))[0]


def _both(path: str) -> dict[Task, str]:
    """The import paths of a class for each task; ``path`` lacks what they end in."""
    return {"classification": f"{path}Classifier", "regression": f"{path}Regressor"}


def _range(low: float, high: float, *, log: bool = False) -> dict[str, Any]:
    """A range as tune.space has it."""
    return {"low": low, "high": high, "log": log}


# Forests cut the codes of categories by their order.
_FOREST_NATIVE: dict[str, Any] = {"native_missing": True, "native_categories": lambda *_: Arguments({}, {})}
_FOREST = {"max_features": _range(0.2, 1.0), "min_samples_leaf": _range(1, 20, log=True)}
MODELS = {
    "random_forest": ModelType(
        _both("sklearn.ensemble:RandomForest"),
        scale_free=True,
        precision="float32",
        space=_FOREST,
        **_FOREST_NATIVE,
    ),
    "extra_trees": ModelType(
        _both("sklearn.ensemble:ExtraTrees"), scale_free=True, precision="float32", space=_FOREST, **_FOREST_NATIVE
    ),
    "gradient_boosting": ModelType(
        _both("sklearn.ensemble:GradientBoosting"),
        scale_free=True,
        precision="float32",
        space={
            "n_estimators": _range(50, 500, log=True),
            "learning_rate": _range(0.02, 0.3, log=True),
            "max_depth": _range(2, 8),
            "subsample": _range(0.5, 1.0),
        },
    ),
    "hist_gradient_boosting": ModelType(
        _both("sklearn.ensemble:HistGradientBoosting"),
        scale_free=True,
        threaded=True,
        native_missing=True,
        native_categories=lambda columns, _: Arguments({"categorical_features": list(columns)}, {}),
        space={
            "max_iter": _range(50, 1000, log=True),
            "learning_rate": _range(0.02, 0.3, log=True),
            "max_leaf_nodes": _range(4, 64, log=True),
            "min_samples_leaf": _range(5, 100, log=True),
            "l2_regularization": _range(0.001, 10.0, log=True),
            "max_features": _range(0.3, 1.0),
        },
    ),
    "lightgbm": ModelType(
        _both("lightgbm:LGBM"),
        scale_free=True,
        threaded=True,
        native_missing=True,
        native_categories=lambda columns, _: Arguments({}, {"categorical_feature": list(columns)}),
        # As many threads as OpenMP has: a number given here would be written into the model.
        fixed={"n_jobs": 0, "deterministic": True, "force_row_wise": True, "verbosity": -1, "importance_type": "split"},
        more=("cat_l2", "cat_smooth", "extra_trees", "max_bin", "max_cat_threshold", "path_smooth"),
        space={
            "n_estimators": _range(50, 1000, log=True),
            "learning_rate": _range(0.02, 0.3, log=True),
            "num_leaves": _range(4, 64, log=True),
            "min_child_samples": _range(5, 100, log=True),
            "reg_lambda": _range(0.001, 10.0, log=True),
            "colsample_bytree": _range(0.3, 1.0),
        },
    ),
    "xgboost": ModelType(
        _both("xgboost:XGB"),
        scale_free=True,
        numbered_classes=True,
        threaded=True,
        by_columns=True,
        precision="float32",
        native_missing=True,
        native_categories=lambda columns, width: Arguments(
            {"feature_types": ["c" if number in columns else "q" for number in range(width)]}, {}
        ),
        fixed={
            "n_jobs": None,
            "device": "cpu",
            "tree_method": "hist",
            "enable_categorical": True,
            "verbosity": 0,
            "callbacks": None,
            "early_stopping_rounds": None,
            "feature_types": None,
        },
        space={
            "n_estimators": _range(50, 1000, log=True),
            "learning_rate": _range(0.02, 0.3, log=True),
            "max_depth": _range(2, 10),
            "min_child_weight": _range(1, 100, log=True),
            "reg_lambda": _range(0.001, 10.0, log=True),
            "colsample_bytree": _range(0.3, 1.0),
            "subsample": _range(0.5, 1.0),
        },
    ),
    "logistic_regression": ModelType(
        {"classification": "sklearn.linear_model:LogisticRegression"},
        scale_free=False,
        fixed={"n_jobs": None},
        space={"C": _range(0.001, 1000.0, log=True)},
    ),
    "linear_regression": ModelType({"regression": "sklearn.linear_model:LinearRegression"}, scale_free=False),
    "ridge": ModelType(
        {"regression": "sklearn.linear_model:Ridge"},
        scale_free=False,
        space={"alpha": _range(0.001, 1000.0, log=True)},
    ),
    "k_neighbors": ModelType(
        _both("sklearn.neighbors:KNeighbors"),
        scale_free=False,
        space={"n_neighbors": _range(1, 50, log=True), "weights": ["uniform", "distance"], "p": [1, 2]},
    ),
    "svm": ModelType(
        {"classification": "sklearn.svm:SVC", "regression": "sklearn.svm:SVR"},
        scale_free=False,
        space={"C": _range(0.01, 1000.0, log=True), "gamma": _range(0.0001, 1.0, log=True)},
    ),
    "mlp": ModelType(
        _both("sklearn.neural_network:MLP"),
        scale_free=False,
        space={
            "hidden_layer_sizes": [[50], [100], [200], [100, 50]],
            "alpha": _range(0.000001, 0.1, log=True),
            "learning_rate_init": _range(0.0001, 0.01, log=True),
        },
    ),
    # Scaled and one-hot encoded where nothing else is set, which all members take; what one cannot take as it is, is
    # refused for that member.
    "voting": ModelType(
        _both("sklearn.ensemble:Voting"),
        scale_free=False,
        native_missing=True,
        native_categories=lambda *_: Arguments({}, {}),
    ),
}
VOTING = "voting"
"""The model type whose estimator averages those of other types (voting.py)."""
CUSTOM = "custom"
"""The model type of any other estimator, which train.estimator names (own_estimators.py)."""
KINDS: dict[Task, str] = {"classification": "classifier", "regression": "regressor"}


class ModelName(Settings, frozen=True):
    """The one key of ``train`` that the stage preprocess needs."""

    model: str


def model_type(name: str) -> ModelType:
    """Find the entry of MODELS; of a custom one nothing is known, so that it is given scaled numbers, and missing ones
    where the settings say so. Raises SettingsError with the supported names, the nearest first."""
    if name == CUSTOM:
        return ModelType({}, scale_free=False, native_missing=True)
    if name not in MODELS:
        raise SettingsError(
            Setting("train.model"),
            f": '{name}' is not a model type. Supported, nearest first: {', '.join(nearest(name, [*MODELS, CUSTOM]))}.",
        )
    return MODELS[name]
