"""How far a fit has come: trees, iterations or epochs, for the step that goes on (kernel/log.py). The fitted estimator
keeps no trace of it, and the same bytes.

Of what is fitted in one piece, as a linear model is, nothing can be told.
"""

import contextlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from lockstep.kernel.log import Progress, counting
from lockstep.learning.voting import member_of

from joblib import effective_n_jobs, parallel_config
from joblib.parallel import ThreadingBackend
from sklearn.base import BaseEstimator
from sklearn.ensemble import (
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
)
from sklearn.ensemble._forest import BaseForest
from sklearn.neural_network import MLPClassifier, MLPRegressor

EARLY_ROWS = 10_000
"""Histogram boosting left to itself stops early on more rows than this."""


@contextlib.contextmanager
def fit_counted(estimator: BaseEstimator, rows: int) -> Iterator[dict[str, Any]]:
    """In the block, count how far the fit of ``estimator`` on so many rows has come; gives arguments for it."""
    estimator, vote = member_of(estimator), estimator
    library = type(estimator).__module__.split(".")[0]
    # Of scikit-learn's own alone: a class derived from it may do other things in processes of joblib's, too.
    if library == "sklearn" and isinstance(estimator, BaseForest) and effective_n_jobs(estimator.n_jobs) > 1:
        with counting(estimator.n_estimators, "trees") as progress, parallel_config(_CountedThreads(progress)):
            yield {}
    elif isinstance(estimator, HistGradientBoostingClassifier | HistGradientBoostingRegressor):
        stops = estimator.early_stopping if estimator.early_stopping != "auto" else rows > EARLY_ROWS
        with counting(estimator.max_iter, "iterations", at_most=stops, ask=partial(_iterations, estimator)):
            yield {}
    elif isinstance(estimator, GradientBoostingClassifier | GradientBoostingRegressor):
        stops = estimator.n_iter_no_change is not None
        with counting(estimator.n_estimators, "iterations", at_most=stops, ask=partial(_stages, estimator)):
            yield {}
    elif isinstance(estimator, MLPClassifier | MLPRegressor) and estimator.solver != "lbfgs":
        with counting(estimator.max_iter, "epochs", at_most=True, ask=lambda: getattr(estimator, "n_iter_", 0)):
            yield {}
    elif library == "lightgbm" and hasattr(estimator, "n_estimators"):
        with counting(estimator.n_estimators, "iterations") as progress:
            yield {"callbacks": [lambda _: progress.advance()]}
    elif library == "xgboost" and estimator.get_num_boosting_rounds() > 1:  # its forests have one, and refuse callbacks
        with counting(estimator.get_num_boosting_rounds(), "iterations") as progress:
            before = estimator.callbacks
            estimator.callbacks = [*(before or []), _xgboost_callback(progress)]
            try:
                yield {}
            finally:
                estimator.callbacks = member_of(vote).callbacks = before
    else:
        yield {}


def _iterations(boosting: Any) -> int:
    """How many iterations of histogram boosting are done; its list has the one that goes on, too."""
    grown = getattr(boosting, "_predictors", [])
    return len(grown) - bool(grown and len(grown[-1]) < boosting.n_trees_per_iteration_)


def _stages(boosting: Any) -> int:
    return sum(tree is not None for tree in boosting.estimators_[:, -1]) if hasattr(boosting, "estimators_") else 0


class _CountedThreads(ThreadingBackend):  # type: ignore[misc]
    """joblib's threads, in which the trees of a forest grow, counting those that have. One thread is not told of them.

    Args:
        progress: to count in.
    """

    def __init__(self, progress: Progress) -> None:
        super().__init__()
        self._progress = progress

    def submit(self, func: Any, callback: Callable[[Any], object]) -> Any:
        def grown(outcome: Any) -> None:
            self._progress.advance(len(func))
            callback(outcome)

        return super().submit(func, grown)


def _xgboost_callback(progress: Progress) -> Any:
    from xgboost.callback import TrainingCallback  # its library is loaded already

    class Counter(TrainingCallback):
        def after_iteration(self, *_: Any) -> bool:
            progress.advance()
            return False

        def __deepcopy__(self, _: Any) -> "Counter":
            """Itself: the vote that numbers classes fits a copy of its estimator."""
            return self

    return Counter()
