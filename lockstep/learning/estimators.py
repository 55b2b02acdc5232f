"""How an estimator of each model type is built from the settings, and fitted."""

import contextlib
import copy
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from lockstep.kernel.errors import DataError, Setting, SettingsError, nearest
from lockstep.kernel.log import logger
from lockstep.kernel.portable import openmp_threads
from lockstep.kernel.settings import Seed, Settings, Task
from lockstep.learning.computing.fit_progress import fit_counted
from lockstep.learning.model_file import ModelFile
from lockstep.learning.model_types import CUSTOM, KINDS, MODELS, VOTING, Arguments, model_type
from lockstep.learning.own_code import said_of
from lockstep.learning.own_estimators import WHERE, check_name, hyperparameters_of, is_near, load_estimator
from lockstep.learning.refusals import refusals_of
from lockstep.learning.sampled_bins import FROM_ROWS, with_sampled_bins
from lockstep.learning.search_result import BestTrial, name_of
from lockstep.learning.voting import (
    fit_vote,
    make_vote,
    member_of,
    members_with,
    plain_numbers,
    read_members,
    read_voting,
)
from lockstep.tables.table import Table

import msgspec
import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, clone, is_classifier, is_regressor
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.pipeline import Pipeline
from sklearn.utils.class_weight import compute_sample_weight

THREADS_PAY = 2_000_000
"""Cells from which on a boosting is fitted sooner by all processors than by one: on fewer, the threads wait for each
other at every split, up to ten times as long as one takes for all of it (benchmarks/README.md).
"""
_OWN_SETTINGS = {"random_state": "train.seed", "class_weight": "train.class_weight"}
_NOT_SETTINGS = {
    "n_jobs": "all processors are used, and it changes no result",
    "verbose": "the log says how long a fit takes",
    "warm_start": "every fit is from scratch",
}


Fold = tuple[np.ndarray, np.ndarray]
"""Positions of the rows that are fitted on, and of those that are scored."""
DEFAULT_THRESHOLD = 0.5
"""Leaves the decision to the model, which names the most probable class."""


class EncodedRows(NamedTuple):
    """Rows as an estimator takes them.

    Attributes:
        X: (n_rows, n_encoded) float64, or float32 (ModelType.precision).
        y: (n_rows,): the target; see Table.labels.
        categories: the columns of X that hold codes of categories, by number; only for model types that take them, and
            for a vote, whose other members get numbers made of them; see categories_of. None: X has neither codes nor
            missing values.
        weights: (n_rows,) how much each row counts, in any unit: an estimator is given them with a mean of 1, so that
            what its hyperparameters count in rows (a leaf's least weight, a penalty) means the same. None: all alike;
            see Table.weights.
        folds: of these rows, for a vote, see fit_vote and inner_folds; of no effect on other model types.
    """

    X: np.ndarray
    y: np.ndarray
    categories: Sequence[int] | None = None
    weights: np.ndarray | None = None
    folds: Sequence[Fold] = ()


class Costs(Settings, frozen=True):
    """What a row costs that is given the positive class wrongly, or wrongly not; in any unit."""

    false_positive: Annotated[float, msgspec.Meta(gt=0)]
    false_negative: Annotated[float, msgspec.Meta(gt=0)]


class TrainSettings(ModelFile, frozen=True):
    """The section ``train``; what each key means stands in params.yaml."""

    seed: Seed = 42
    class_weight: Literal["balanced"] | None = None
    estimator: str | None = None
    hyperparameters: dict[str, Any] = msgspec.field(default_factory=dict)
    calibrate: Literal["none", "sigmoid", "isotonic", "temperature"] = "none"
    threshold: (
        Annotated[float, msgspec.Meta(gt=0, lt=1)] | Literal["accuracy", "balanced_accuracy", "f1_score", "cost"]
    ) = DEFAULT_THRESHOLD
    costs: Costs | None = None
    interval_level: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.9


def with_best_trial(settings: TrainSettings, best: BestTrial | None) -> TrainSettings:
    """Put the best trial's hyperparameters in place of, or beside, those of the section ``train``."""
    if best is None or not best.hyperparameters:
        return settings
    logger.info("hyperparameters that the search chose: %s", best.hyperparameters)
    return with_values(settings, best.hyperparameters)


def with_values(settings: TrainSettings, values: Mapping[str, Any]) -> TrainSettings:
    """Put values in place of, or beside, the given hyperparameters; those of a vote's members are named
    "<member>.<hyperparameter>"."""
    if settings.model == VOTING:
        vote = read_voting(settings.hyperparameters, "train.hyperparameters")
        values = {"members": members_with(vote, values)}
    return msgspec.structs.replace(settings, hyperparameters={**settings.hyperparameters, **values})


def check_train(settings: TrainSettings, task: Task) -> None:
    """Check what can be checked without running code of the user's.

    Raises:
        SettingsError: an unknown model type, one that cannot do the task, a kind that contradicts the task, an
            estimator that is not there.
        MachineError: see check_name.
    """
    kinds = model_type(settings.model).estimators
    if settings.model != CUSTOM and task not in kinds:
        able = [name for name, entry in MODELS.items() if task in entry.estimators]
        raise SettingsError(
            Setting("train.model"), f": '{settings.model}' cannot do {task}. Those that can: {', '.join(able)}."
        )
    if settings.kind != KINDS[task]:
        raise SettingsError(f"train.kind is {settings.kind}, but load.task is {task}. Set train.kind to {KINDS[task]}.")
    if settings.class_weight is not None and task == "regression":
        raise SettingsError("train.class_weight is for classification. Set it to null.")
    _check_decision(settings, task)
    if settings.model == CUSTOM:
        check_name(settings.estimator)
    elif settings.estimator is not None:
        raise SettingsError(
            f"{WHERE} is {settings.estimator}, and train.model {settings.model}. Set train.model to {CUSTOM} to have "
            "it used, or remove it."
        )


def build_estimator(settings: TrainSettings, task: Task, where: str = "train.hyperparameters") -> BaseEstimator:
    """Build the unfitted estimator that the settings describe.

    Args:
        settings: the section ``train``.
        task: of the problem.
        where: the setting that the hyperparameters come from, for messages.

    Raises:
        SettingsError: see check_train and load_estimator; an unknown or illegal hyperparameter.
    """
    check_train(settings, task)
    if settings.model == VOTING:
        for number, member in enumerate(members_of(settings, where)):
            build_estimator(member, task, f"{where}.members[{number}]")
        return make_estimator(settings, task, where)
    kind, is_custom = model_type(settings.model), settings.model == CUSTOM
    estimator = _class_of(settings, task)
    names, takes_all = _hyperparameters(settings, estimator)
    known = names - set(_NOT_SETTINGS) - set(kind.fixed)
    for name in settings.hyperparameters:
        if name in _OWN_SETTINGS and name in known:
            raise SettingsError(f"{where}.{name} has a setting of its own: set {_OWN_SETTINGS[name]}.")
        if name in _NOT_SETTINGS:
            raise SettingsError(f"{where}.{name} cannot be set: {_NOT_SETTINGS[name]}. Remove it.")
        if name in kind.fixed:
            raise SettingsError(
                f"{where}.{name} cannot be set: Lockstep has it at {kind.fixed[name]}, for the same model everywhere. "
                "Remove it."
            )
        if name not in known and not (takes_all and not is_near(name, known)):
            near = nearest(name, sorted(known - set(_OWN_SETTINGS)))
            raise SettingsError(
                f"{where}.{name} is not a hyperparameter of {estimator.__name__}. Allowed, nearest "
                f"first: {', '.join(near)}."
            )
    if is_custom:
        _check_custom(estimator, settings, task, where)
    elif (error := _error_of_values(settings, task)) is not None:
        raise SettingsError(f"{where}{_wrong_alone(settings, task, error)}: {error}")
    return make_estimator(settings, task)


def make_estimator(settings: TrainSettings, task: Task, where: str = "train.hyperparameters") -> BaseEstimator:
    """Make the unfitted estimator of settings that build_estimator has checked; of a vote, raises as make_vote."""
    if settings.model == VOTING:
        voters = [(member.model, make_estimator(member, task)) for member in members_of(settings, where)]
        return make_vote(voters, task, where)
    kind, estimator = model_type(settings.model), _class_of(settings, task)
    known = _hyperparameters(settings, estimator)[0] - set(_NOT_SETTINGS) - set(kind.fixed)
    own: dict[str, Any] = {}
    if "random_state" in known:
        own["random_state"] = settings.seed
    if settings.class_weight is not None and "class_weight" in known:
        own["class_weight"] = settings.class_weight
    # A copy, since an estimator may keep, and change, what it is given.
    made = estimator(**copy.deepcopy(settings.hyperparameters), **own, **kind.fixed)
    if kind.numbered_classes and task == "classification":
        return VotingClassifier([("numbered", made)], voting="soft")
    return made


def _class_of(settings: TrainSettings, task: Task) -> type[BaseEstimator]:
    if settings.model == CUSTOM:
        return load_estimator(settings.estimator)
    return model_type(settings.model).estimator(task)


def _hyperparameters(settings: TrainSettings, estimator: type[BaseEstimator]) -> tuple[set[str], bool]:
    """(the names of an estimator's hyperparameters, whether it takes others too)"""
    if settings.model == CUSTOM:
        return hyperparameters_of(estimator)
    return {*estimator().get_params(deep=False), *model_type(settings.model).more}, False


def members_of(settings: TrainSettings, where: str = "train.hyperparameters") -> list[TrainSettings]:
    """The section ``train`` of each member of a vote, as if it were the only model; the settings themselves where they
    are of another model type. Raises SettingsError as read_voting and read_members."""
    if settings.model != VOTING:
        return [settings]
    task = next(task for task, kind in KINDS.items() if kind == settings.kind)
    members = read_members(read_voting(settings.hyperparameters, where), task, where)
    return [
        msgspec.structs.replace(settings, model=member.model, hyperparameters=member.hyperparameters)
        for member in members
    ]


def named_members(settings: TrainSettings) -> dict[str, TrainSettings]:
    """members_of by the members' names; a model that is no vote is called "". Raises as members_of."""
    if settings.model != VOTING:
        return {"": settings}
    return {name_of(number, member.model): member for number, member in enumerate(members_of(settings))}


_OF_CLASSES = ("binary", "multi", "softmax", "ova", "ovr", "cross_entropy", "xentropy")
"""How the objectives of LightGBM and XGBoost begin that give probabilities of classes."""


_PLACE = re.compile(r" at /\S+, line [0-9]+ ?\.?$")
"""Where in its own source LightGBM found a value wrong."""


def _error_of_values(settings: TrainSettings, task: Task) -> str | None:
    """What the library says of hyperparameters whose values are not legal; None if they are."""
    try:
        _check_values(member_of(make_estimator(settings, task)), task)
    except Exception as error:
        return _PLACE.sub("", " ".join(str(error).split()))
    return None


def _wrong_alone(settings: TrainSettings, task: Task, error: str) -> str:
    """Which hyperparameter the library means by ``error``, and its value, if it does not say; "" where it does, or
    where none is wrong by itself."""
    for name, value in settings.hyperparameters.items():
        alone = msgspec.structs.replace(settings, hyperparameters={name: value})
        if name not in error and _error_of_values(alone, task) == error:
            return f".{name} is {value!r}"
    return ""


def _check_values(estimator: BaseEstimator, task: Task) -> None:
    """Raise what the library raises of hyperparameters that are no legal values: some say so only when they fit."""
    if hasattr(estimator, "_parameter_constraints"):
        estimator._validate_params()
        return
    X, y = np.arange(8.0)[:, None], np.arange(8) % 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        clone(estimator).fit(X, y if task == "classification" else y.astype(float))
    objective = estimator.get_params(deep=False).get("objective")
    if task == "classification" and objective is not None and not str(objective).startswith(_OF_CLASSES):
        raise ValueError(f"objective is {objective}, which is none of classes. Remove it: the library chooses one")


def _check_custom(estimator: type[BaseEstimator], settings: TrainSettings, task: Task, where: str) -> None:
    """Raise SettingsError for what is wrong with an estimator of a class that anybody wrote."""
    try:
        built = make_estimator(settings, task)
        if hasattr(built, "_parameter_constraints"):
            built._validate_params()
        clone(built)  # in each fold: a constructor must name what it takes, and keep it
        fits = is_classifier(built) if task == "classification" else is_regressor(built)
    except Exception as error:
        said = str(error) if isinstance(error, ValueError) else f"{type(error).__name__}: {error}"
        raise SettingsError(f"{where}: {said_of(error) or said}") from error
    if not fits:
        mixin = "ClassifierMixin" if task == "classification" else "RegressorMixin"
        raise SettingsError(
            f"{WHERE}: {estimator.__name__} is no {KINDS[task]}, and load.task is {task}. One of your own is it by "
            f"deriving from sklearn.base.{mixin}, ahead of BaseEstimator."
        )


def _check_decision(settings: TrainSettings, task: Task) -> None:
    """Raise SettingsError for settings of what is decided after the fit that contradict the task, or each other."""
    if task == "regression":
        for name, value in {"calibrate": "none", "threshold": DEFAULT_THRESHOLD, "costs": None}.items():
            if getattr(settings, name) != value:
                raise SettingsError(Setting(f"train.{name}"), f" is for classification. Set it to {value or 'null'}.")
    if settings.threshold == "cost" and settings.costs is None:
        raise SettingsError(
            "train.threshold is cost, but train.costs says none. Set it, for instance to {false_positive: 1, "
            "false_negative: 12}."
        )


def check_weights(estimator: BaseEstimator) -> None:
    """Raise SettingsError if the ``fit`` of the estimator, or of a member of a vote, takes no weights of rows."""
    voters = estimator.estimators if isinstance(estimator, VotingClassifier | VotingRegressor) else [("", estimator)]
    unable = [number for number, (_, voter) in enumerate(voters) if not _takes_weights(voter)]
    if unable:
        name = type(member_of(voters[unable[0]][1])).__name__
        is_vote = isinstance(estimator, VotingClassifier | VotingRegressor) and len(voters) > 1
        of = f", members[{unable[0]}] of the vote," if is_vote else ""
        raise SettingsError(
            Setting("load.weight"),
            f" is set, and {name}{of} knows no weights of rows. Set ",
            Setting("train.hyperparameters" if is_vote else "train.model"),
            f" to another {'member' if is_vote else 'model type'}, or leave ",
            Setting("load.weight"),
            " empty: then all rows count alike.",
        )


def _takes_weights(estimator: BaseEstimator) -> bool:
    return "sample_weight" in inspect.signature(member_of(estimator).fit).parameters


def check_classes(table: Table, what: str) -> None:
    """Raise DataError if ``what``, the rows of ``table``, are of one class only."""
    if table.task == "classification" and len(np.unique(table.labels)) == 1:
        raise DataError(
            f"{what} are all of the class {table.labels.tolist()[0]!r}: there is nothing to learn from them. Set ",
            Setting("split.time"),
            " or ",
            Setting("split.group"),
            " to another column or to none, or lower ",
            Setting("cross_validate.folds"),
            ".",
        )


def fit_estimator(estimator: BaseEstimator, rows: EncodedRows, settings: TrainSettings, n_jobs: int) -> None:
    """Fit ``estimator`` in place with ``n_jobs`` threads (-1: as many as there are processors); it keeps no trace of
    them.

    ``class_weight: balanced`` weighs each row by n_rows / (n_classes * rows of its class) (King and Zeng 2001, as in
    scikit-learn's ``compute_class_weight``): through the estimator's own argument, else as weights of the rows, else,
    for k_neighbors, which knows no weights, by drawing the rows of rarer classes anew until all classes have as many.
    It multiplies the weights that rows have of their own.

    Args:
        rows: to learn from.
        settings: the section ``train``, which the estimator was built from.
        n_jobs: threads.

    Raises:
        DataError: what scikit-learn says of rows that it cannot fit.
        SettingsError: see check_weights.
    """
    X, y, categories, weights, folds = rows
    if settings.model == VOTING:
        members = members_of(settings)

        def fit_member(number: int, member: BaseEstimator, places: np.ndarray, targets: np.ndarray) -> BaseEstimator:
            numbers, codes, encoder = X[places], categories, None
            if categories is not None and not model_type(members[number].model).is_native:
                encoder, codes = plain_numbers(categories, X.shape[1]), None
                numbers = encoder.fit_transform(numbers)
            given = None if weights is None else weights[places]
            fit_estimator(member, EncodedRows(numbers, targets[places], codes, given), members[number], n_jobs)
            return member if encoder is None else Pipeline([("encode", encoder), ("model", member)])

        fit_vote(estimator, X, y, folds, fit_member, weights)
        return
    kind, given = model_type(settings.model), Arguments({}, {})
    if categories:
        assert kind.native_categories is not None
        given = kind.native_categories(categories, X.shape[1])
        member_of(estimator).set_params(**given.own)
    fit: dict[str, Any] = {**given.fit}
    if weights is not None:
        check_weights(estimator)
        fit["sample_weight"] = weights / np.mean(weights)
    if settings.class_weight is not None and "class_weight" not in estimator.get_params(deep=False):
        if _takes_weights(estimator):
            fit["sample_weight"] = compute_sample_weight(settings.class_weight, y) * fit.get("sample_weight", 1.0)
        else:
            drawn = _oversampled(y, settings.seed)
            X, y = X[drawn], y[drawn]
    parallel = "n_jobs" in estimator.get_params(deep=False) and "n_jobs" not in kind.fixed
    before = estimator.get_params(deep=False)["n_jobs"] if parallel else None
    if parallel:
        estimator.set_params(n_jobs=n_jobs)
    sampled = kind.by_columns and not categories and len(X) >= FROM_ROWS
    threads = -1 if not kind.threaded else 1 if X.size < THREADS_PAY else n_jobs  # of no effect on the bits
    try:
        with (
            refusals_of(estimator, "fit"),
            openmp_threads(threads),
            _bins_of_a_sample(estimator, wanted=sampled),
            fit_counted(estimator, len(X)) as counter,
        ):
            estimator.fit(pd.DataFrame(X, copy=False) if kind.by_columns else X, y, **fit, **counter)
    finally:
        if parallel:
            estimator.set_params(n_jobs=before)
    if kind.by_columns:
        _forget_columns(estimator)
    if is_classifier(estimator) and not hasattr(estimator, "classes_"):
        raise DataError(
            f"{type(estimator).__name__} has no classes_ once it is fitted. A classifier sets it in fit: "
            "self.classes_ = numpy.unique(y)."
        )
    # Histogram boosting remembers how many threads fitted it: of no effect on what it predicts, but on its bytes.
    if hasattr(estimator, "_bin_mapper"):
        estimator._bin_mapper.n_threads = 1


@contextlib.contextmanager
def _bins_of_a_sample(estimator: BaseEstimator, *, wanted: bool) -> Iterator[None]:
    """While the block runs, have a fit of XGBoost's cut its bins by a sample, if that is wanted. It is of XGBoost's own
    class afterwards, and so is the copy of it that a vote has fitted."""
    if not wanted:
        yield
        return
    member = member_of(estimator)
    own_class = type(member)
    member.__class__ = with_sampled_bins(own_class)
    try:
        yield
    finally:
        member.__class__ = member_of(estimator).__class__ = own_class


def _forget_columns(estimator: BaseEstimator) -> None:
    """Take the names of the columns, which are their numbers, and their types out of a fitted estimator of XGBoost's,
    where an array would have left none: of the types, unless it was told which columns are categories."""
    member = member_of(estimator)
    booster = member.get_booster()
    booster.feature_names = None
    booster.feature_types = member.feature_types
    if estimator is not member:
        del estimator.feature_names_in_


def _oversampled(y: np.ndarray, seed: int) -> np.ndarray:
    """Row numbers, (n_classes * largest class,), in which every class stands as often as the largest one."""
    random = np.random.default_rng(seed)
    classes, counts = np.unique(y, return_counts=True)
    extra = [
        random.choice(np.flatnonzero(y == name), size=counts.max() - count)
        for name, count in zip(classes, counts, strict=True)
    ]
    return np.sort(np.concatenate([np.arange(len(y)), *extra]))
