"""Voting: the predictions of several estimators averaged, all alike or with weights chosen on out-of-fold predictions.

With inner folds, each member predicts the rows of each fold, fitted on others. The weights are those of R. Caruana, A.
Niculescu-Mizil, G. Crew, A. Ksikes, ICML 2004: from no members, the one that makes the mean best is added, again and
again, the same one as often as it helps; its share of the steps is its weight. Then the members are fitted on all rows.

What comes out is scikit-learn's VotingClassifier or VotingRegressor, as their own ``fit`` leaves it: it predicts
without Lockstep. A member that nothing speaks for is "drop" in it. How members are built and fitted is for
estimators.py to say: this module is given functions that do.
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeAlias

from lockstep.kernel.errors import SettingsError, nearest
from lockstep.kernel.log import counting
from lockstep.kernel.settings import Settings, Task, convert
from lockstep.learning.model_types import MODELS, VOTING
from lockstep.learning.scoring import given_to_actual, log_losses
from lockstep.learning.search_result import name_of

import msgspec
import numpy as np
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import VotingClassifier, VotingRegressor
from sklearn.impute import SimpleImputer
from sklearn.preprocessing import LabelEncoder, OneHotEncoder

Vote: TypeAlias = VotingClassifier | VotingRegressor
STEPS = 50
"""Members are added to the mean so many times: weights are multiples of 0.02 at the finest."""
SMALL_STEPS = {
    "learning_rate": 0.05,
    "max_leaf_nodes": 12,
    "min_samples_leaf": 10,
    "max_features": 0.5,
    "l2_regularization": 1.0,
}
"""Histogram boosting of small trees in small steps: better than its defaults on nearly every table measured."""
DEFAULT_MEMBERS: tuple[dict[str, Any], ...] = (
    {"model": "hist_gradient_boosting", **SMALL_STEPS, "max_iter": 100, "early_stopping": False},
    {"model": "hist_gradient_boosting", **SMALL_STEPS, "max_iter": 1000, "early_stopping": False},
    {
        "model": "lightgbm",
        "extra_trees": True,
        "n_estimators": 300,
        "learning_rate": 0.05,
        "num_leaves": 31,
        "min_child_samples": 10,
        "reg_lambda": 1.0,
        "colsample_bytree": 0.5,
        "subsample": 0.8,
        "subsample_freq": 1,
    },
)
"""A boosting that learns briefly, one that learns long, and one whose splits are drawn at random: how much noise a
table has decides between them, and none sets rows aside to tell when to end. Measured in benchmarks/model_choice.md."""


class VotingSettings(Settings, frozen=True):
    """``train.hyperparameters`` of the model type voting.

    Attributes:
        members: for each the model type, as ``model``, and its hyperparameters.
        folds: that the training rows are cut into, to have predictions of rows that a member was not fitted on; 0: all
            members weigh the same, for no more than the cost of their fits.
    """

    members: tuple[dict[str, Any], ...] = DEFAULT_MEMBERS
    folds: Annotated[int, msgspec.Meta(ge=0)] = 5


class Member(NamedTuple):
    """A member as the settings have it: its model type, and the hyperparameters of that."""

    model: str
    hyperparameters: dict[str, Any]


class Standing(msgspec.Struct, frozen=True):
    """What became of a member: its share of the mean, and its loss on the out-of-fold predictions; None without."""

    member: str
    weight: float
    loss: float | None


class Tally(msgspec.Struct, frozen=True):
    """What the weights were chosen by.

    Attributes:
        metric: log_loss or mse.
        rows: how many were predicted by members that had not seen them; 0 without folds.
        members: in the order of the settings.
        loss: of the weighted mean.
    """

    metric: str
    rows: int
    members: list[Standing]
    loss: float | None


def read_voting(hyperparameters: Mapping[str, Any], where: str) -> VotingSettings:
    """Read the hyperparameters of the model type voting. Raises SettingsError as convert, and for a single fold."""
    settings = convert(dict(hyperparameters), VotingSettings, where)
    if settings.folds == 1:
        raise SettingsError(f"{where}.folds is 1. Allowed: 0, for members that all weigh the same, or 2 and more.")
    return settings


def read_members(settings: VotingSettings, task: Task, where: str) -> list[Member]:
    """What each member is; its hyperparameters are not looked at.

    Raises:
        SettingsError: fewer than two, or one whose model type is missing, unknown, or cannot do the task.
    """
    if len(settings.members) < 2:
        raise SettingsError(
            f"{where}.members has {len(settings.members)}: a mean needs two. Add one, or set train.model to its type."
        )
    able = [name for name, entry in MODELS.items() if task in entry.estimators and name != VOTING]
    found = []
    for number, member in enumerate(settings.members):
        model = member.get("model")
        if model not in able:
            what = " is missing" if model is None else f": '{model}' cannot be a member of a vote for {task}"
            near = ", ".join(nearest(str(model), able))
            raise SettingsError(f"{where}.members[{number}].model{what}. Allowed, nearest first: {near}.")
        found.append(Member(model, {key: value for key, value in member.items() if key != "model"}))
    return found


def members_with(settings: VotingSettings, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The members, with values, named as by_name names them, in place of, or beside, their hyperparameters."""
    members = {name_of(number, member["model"]): {**member} for number, member in enumerate(settings.members)}
    for name, value in values.items():
        member, _, key = name.partition(".")
        members[member][key] = value
    return list(members.values())


def make_vote(members: Sequence[tuple[str, BaseEstimator]], task: Task, where: str) -> Vote:
    """An unfitted vote of unfitted estimators, named by their model types.

    Raises:
        SettingsError: a classifier without probabilities.
    """
    for number, (model, estimator) in enumerate(members):
        if task == "classification" and not hasattr(estimator, "predict_proba"):
            raise SettingsError(
                f"{where}.members[{number}]: {model} gives no probabilities, which are what is averaged. Take another "
                "model type."
            )
    named = [(name_of(number, model), estimator) for number, (model, estimator) in enumerate(members)]
    return VotingClassifier(named, voting="soft") if task == "classification" else VotingRegressor(named)


def member_of(estimator: BaseEstimator) -> BaseEstimator:
    """The estimator that fits: ``estimator``, or the only member of the vote that numbers the classes for it."""
    if isinstance(estimator, VotingClassifier) and len(estimator.estimators) == 1:
        return estimator.estimators_[0] if hasattr(estimator, "estimators_") else estimator.estimators[0][1]
    return estimator


def plain_numbers(categories: Sequence[int], width: int) -> ColumnTransformer:
    """An unfitted transformer of encoded rows, (n_rows, width), to numbers that any estimator can take: codes of
    categories one-hot, the missing ones among them, and the mean for other missing values.

    Args:
        categories: the columns that hold codes of categories, by number.
        width: of the encoded rows.
    """
    others = [number for number in range(width) if number not in categories]
    return ColumnTransformer(
        [
            ("number", SimpleImputer(keep_empty_features=True), others),
            ("category", OneHotEncoder(handle_unknown="ignore", sparse_output=False), list(categories)),
        ]
    )


def fit_vote(
    vote: Vote,
    X: np.ndarray,
    y: np.ndarray,
    folds: Sequence[tuple[np.ndarray, np.ndarray]],
    fit: Callable[[int, BaseEstimator, np.ndarray, np.ndarray], BaseEstimator],
    sample_weight: np.ndarray | None = None,
) -> None:
    """Choose the weights, and fit the members on all rows, in place.

    Args:
        vote: as make_vote made it.
        X: (n_rows, n_encoded).
        y: (n_rows,).
        folds: positions of the rows that members are fitted on, and of those that they predict; without any, all
            members weigh the same.
        fit: fits the member of this number, in place, on the rows at these positions, with these targets: (n_rows,), of
            all rows, the numbers of the classes in place of the classes; gives what predicts.
        sample_weight: (n_rows,): what each row counts in the loss; None: all the same.
    """
    classifies = isinstance(vote, VotingClassifier)
    if classifies:
        vote.le_ = LabelEncoder().fit(y)
        vote.classes_ = vote.le_.classes_
        y = vote.le_.transform(y)
    names, members = zip(*vote.estimators, strict=True)

    def fitted(number: int, rows: np.ndarray) -> BaseEstimator:
        return fit(number, copy.deepcopy(members[number]), rows, y)

    usable = [fold for fold in folds if not classifies or len(np.unique(y[fold[0]])) > 1]
    scored = np.concatenate([rows for _, rows in usable]) if usable else np.zeros(0, dtype=np.int64)
    outputs, start = np.zeros((len(members), len(scored))), 0
    loss = _loss(y[scored], None if sample_weight is None else sample_weight[scored], classifies=classifies)
    with counting((len(usable) + 1) * len(members), "fits", at_most=bool(usable)) as progress:
        # Fold by fold, each of which takes as long: that tells how long the others take.
        for rows, other in usable:
            for number in range(len(members)):
                outputs[number, start : start + len(other)] = _output(fitted(number, rows), X[other], y[other])
                progress.advance()
            start += len(other)
        weights = choose_weights(outputs, loss) if usable else np.full(len(members), 1 / len(members))
        vote.weights = weights.tolist()
        chosen = np.flatnonzero(weights).tolist()
        progress.expect(progress.done + len(chosen), "fits")
        vote.estimators_, everything = [], np.arange(len(y))
        for number in chosen:
            vote.estimators_.append(fitted(number, everything))
            progress.advance()
    vote.estimators = [
        (name, member if weight else "drop") for name, member, weight in zip(names, members, weights, strict=True)
    ]
    # Not scikit-learn's: what the weights were chosen by travels with them, to the log and the sidecar.
    vote.tally_ = {
        "members": list(names),
        "rows": len(scored),
        "losses": [loss(output) for output in outputs] if usable else [],
        "loss": loss(weights @ outputs) if usable else None,
    }


def _output(member: BaseEstimator, X: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(n_rows,): the numbers predicted, or the probabilities given to the rows' own classes."""
    if hasattr(member, "classes_"):
        return given_to_actual(y, member.predict_proba(X), member.classes_)
    found: np.ndarray = np.asarray(member.predict(X), dtype=np.float64)
    return found


def _loss(y: np.ndarray, sample_weight: np.ndarray | None, *, classifies: bool) -> Callable[[np.ndarray], float]:
    """The log loss, or the mean squared error, of what _output gives."""

    def loss(output: np.ndarray) -> float:
        each = log_losses(output) if classifies else (output - y) ** 2
        return float(np.average(each, weights=sample_weight))

    return loss


def choose_weights(outputs: np.ndarray, loss: Callable[[np.ndarray], float]) -> np.ndarray:
    """Choose members greedily, with replacement; see the module.

    Args:
        outputs: (n_members, n_rows).
        loss: of (n_rows,), the mean of some members' outputs.

    Returns:
        (n_members,) with sum 1: of the number of steps after which the loss was least, the fewest.
    """
    total, counts = np.zeros(outputs.shape[1]), np.zeros(len(outputs))
    best, weights = np.inf, counts
    for step in range(1, STEPS + 1):
        losses = [loss((total + output) / step) for output in outputs]
        chosen = int(np.argmin(losses))
        total, counts[chosen] = total + outputs[chosen], counts[chosen] + 1
        if losses[chosen] < best:
            best, weights = losses[chosen], counts / step
    return weights


def tally_of(estimator: Any) -> Tally | None:
    """What the weights of a fitted vote were chosen by; None of any other estimator."""
    found = getattr(estimator, "tally_", None)
    if found is None:
        return None
    losses = found["losses"] or [None] * len(estimator.weights)
    members = [Standing(*entry) for entry in zip(found["members"], estimator.weights, losses, strict=True)]
    metric = "log_loss" if isinstance(estimator, VotingClassifier) else "mse"
    return Tally(metric, found["rows"], members, found["loss"])
