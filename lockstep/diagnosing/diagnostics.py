"""What only the model and the rows together can say: subgroups, single rows, responses, thresholds, the learning curve.

Everything here is bounded (sampled rows, binned numbers, capped levels), so that it costs seconds on a table of any
size, and gives few numbers.
"""

import itertools
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple

from lockstep.kernel.errors import DataError
from lockstep.learning.estimators import TrainSettings, build_estimator, fit_estimator
from lockstep.learning.model_types import model_type
from lockstep.learning.preprocessing import PreprocessSettings, fit_preprocessor
from lockstep.learning.scoring import Predictions, metrics_of, predict
from lockstep.tables.table import Table, column_type

import numpy as np
import pandas as pd
from scipy import stats

LEVEL = 0.95
"""Of every interval."""
QUARTERS = 4
"""Parts of (nearly) as many rows each that a column of numbers is cut into, to be looked at as subgroups."""
MAX_LEVELS = 50
"""Levels of a text column that are looked at as subgroups: the most frequent ones."""
GRID, GRID_LEVELS = 20, 12
"""Values of a number, and levels of a text, at which the partial dependence is computed."""
SAMPLE = 200
"""Test rows that the partial dependence is averaged over."""
HELD_OUT = 2000
"""Training rows, at most, that the refits of the learning curve are scored on."""
REFITS = 3
"""Fits, each on other rows, behind each point of the learning curve."""
NOTABLE = 1.1
"""A subgroup is a weak spot only if its error is so many times that of all rows."""
SMALLEST_FIT = 20
"""The least rows a refit is made on."""
MISSING = "(missing)"


class Slice(NamedTuple):
    """A subgroup of the test rows and how wrong the model is in it.

    Attributes:
        column: the column that defines it.
        level: its value there, or the range of its values.
        rows: test rows in it.
        error: share of wrong classes, or mean absolute error.
        low, high: the interval of ``error``, simultaneous for all the subgroups that were looked at (Bonferroni).
        stands_out: whether the interval lies wholly above the error of all test rows.
    """

    column: str
    level: str
    rows: int
    error: float
    low: float
    high: float
    stands_out: bool


class Slices(NamedTuple):
    """The worst subgroups, the worst first; ``looked_at`` of ``columns`` columns had enough rows to be looked at."""

    worst: list[Slice]
    looked_at: int
    columns: int
    overall: float


class Worst(NamedTuple):
    """A single prediction that is far off.

    Attributes:
        row: its number in the raw data, from 1.
        actual, predicted: the target.
        off: actual minus predicted, or the probability that the model gave to the actual class (None: it gives none).
        values: of the features shown, in their order.
    """

    row: int
    actual: Any
    predicted: Any
    off: float | None
    values: tuple[Any, ...]


class Dependence(NamedTuple):
    """The mean prediction as one feature is set to each of ``grid`` in turn: {series: (n_grid,) means}; of a text,
    ``grid`` has the most frequent of its ``levels``."""

    feature: str
    kind: str
    levels: int
    grid: list[Any]
    series: dict[str, list[float]]
    low: float | None
    high: float | None


class LearningPoint(NamedTuple):
    """Mean and standard deviation over the refits on ``rows`` rows, of the score on those rows and on others."""

    rows: int
    fitted: float
    fitted_std: float
    others: float
    others_std: float
    fits: int


class Operating(NamedTuple):
    """What a threshold on the probability of the positive class gives, in rows and rates (None: of no row)."""

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    true_negatives: int
    precision: float | None
    recall: float
    f1_score: float


def wilson(errors: int, rows: int, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a share (Wilson 1927): it keeps its level for few rows and for shares near 0 and 1."""
    interval = stats.binomtest(errors, rows).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def mean_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a mean of at least two values, by Student's t."""
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1)) / len(values) ** 0.5
    half = float(stats.t.ppf(0.5 + level / 2, len(values) - 1)) * error
    return mean - half, mean + half


def errors_of(actual: np.ndarray, predicted: np.ndarray, task: str) -> np.ndarray:
    """(n_rows,): the absolute error of each row, or 1 where the class is wrong and 0 where it is right."""
    wrong = actual.astype("float64") - predicted.astype("float64") if task == "regression" else actual != predicted
    errors: np.ndarray = np.abs(wrong.astype("float64"))
    return errors


def slices_of(features: pd.DataFrame, errors: np.ndarray, task: str, least: int, most: int) -> Slices:
    """The subgroups in which the model errs most: levels of texts and booleans, quarters of numbers.

    The worst of many subgroups looks bad by chance alone; so the intervals are widened until they hold for all of the
    subgroups at once (Bonferroni), and a subgroup stands out only if its interval excludes the error of all rows.

    Args:
        features: (n_rows, n_features) raw.
        errors: (n_rows,), of errors_of.
        task: classification or regression.
        least: rows that a subgroup must have.
        most: subgroups to give.
    """
    groups: list[tuple[str, str, np.ndarray]] = []
    known: set[bytes] = set()
    for name in features.columns:
        for level, rows in _levels(features[name]):
            # The same rows by another column's name are no other subgroup.
            if least <= len(rows) < len(errors) and rows.tobytes() not in known:
                known.add(rows.tobytes())
                groups.append((str(name), level, rows))
    overall = float(np.mean(errors)) if len(errors) else 0.0
    simultaneous = 1 - (1 - LEVEL) / max(1, len(groups))
    found = []
    for column, value, rows in groups:
        inside = errors[rows]
        error = float(np.mean(inside))
        low, high = (
            mean_interval(inside, simultaneous)
            if task == "regression"
            else wilson(round(float(inside.sum())), len(inside), simultaneous)
        )
        found.append(Slice(column, value, len(rows), error, max(0.0, low), high, low > overall))
    # By what is known to be bad rather than by what looks bad: the lower end of the interval, then the error itself.
    found.sort(key=lambda entry: (-entry.low, -entry.error, entry.column, entry.level))
    worse = [entry for entry in found if entry.error > NOTABLE * overall][:most]
    return Slices(worse, len(groups), len({column for column, _, _ in groups}), overall)


def _levels(column: pd.Series) -> list[tuple[str, np.ndarray]]:
    """(level, positions of its rows); rows without a value are a level of their own."""
    missing = column.isna().to_numpy()
    found = [(MISSING, np.flatnonzero(missing))]
    if column_type(column) == "number" and column.nunique() > QUARTERS:
        values = column.to_numpy(dtype="float64", na_value=np.nan)
        edges = np.unique(np.nanquantile(values, np.linspace(0, 1, QUARTERS + 1)))
        for number, (low, high) in enumerate(itertools.pairwise(edges)):
            last = number == len(edges) - 2
            inside = (values >= low) & ((values <= high) if last else (values < high))
            found.append((f"{low:.6g} to {'' if last else 'below '}{high:.6g}", np.flatnonzero(inside)))
        return found
    codes, levels = pd.factorize(column, sort=False)
    counts = np.bincount(codes[codes >= 0], minlength=len(levels))
    for index in np.argsort(-counts, kind="stable")[:MAX_LEVELS]:
        value = levels[index]
        text = f"{value:.6g}" if column_type(column) == "number" else str(value)
        found.append((text, np.flatnonzero(codes == index)))
    return found


def worst_of(test: Table, predictions: pd.DataFrame, shown: Sequence[str], most: int) -> list[Worst]:
    """The ``most`` test rows that the model got most wrong: the largest absolute errors, or the wrong classes, those
    first whose actual class the model gave the least probability.

    Args:
        test: the raw test rows.
        predictions: of the same rows, in the same order: row, actual, predicted, probability_<class>.
        shown: the features whose values are given.
        most: rows to give.
    """
    actual, predicted = predictions["actual"].to_numpy(dtype=object), predictions["predicted"].to_numpy(dtype=object)
    errors = errors_of(actual, predicted, test.task)
    given: np.ndarray | None = None
    if test.task == "regression":
        order = np.lexsort((np.arange(len(errors)), -errors))
    else:
        given = _given_to_actual(predictions)
        order = np.lexsort((np.arange(len(errors)), given if given is not None else 0 * errors, -errors))
    order = order[errors[order] > 0][:most]
    rows = test.features[list(shown)].iloc[order]
    values = [tuple(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False)]
    return [
        Worst(
            int(predictions["row"].iloc[position]),
            actual[position],
            predicted[position],
            float(actual[position] - predicted[position])
            if test.task == "regression"
            else (float(given[position]) if given is not None else None),
            value,
        )
        for position, value in zip(order, values, strict=True)
    ]


def _given_to_actual(predictions: pd.DataFrame) -> np.ndarray | None:
    """(n_rows,): the probability that the model gave to each row's actual class; None if it gives none."""
    columns = [name for name in predictions if str(name).startswith("probability_")]
    if not columns:
        return None
    places = {str(name).removeprefix("probability_"): number for number, name in enumerate(columns)}
    index = predictions["actual"].astype(str).map(places)
    table = predictions[columns].to_numpy(dtype="float64")
    known = index.notna().to_numpy()
    found = np.zeros(len(predictions))  # a class that the training rows lacked
    found[known] = table[np.flatnonzero(known), index[known].to_numpy(dtype=int)]
    return found


def dependence_of(
    model: Any, train: Table, test: Table, features: Sequence[str], series: Sequence[Any], seed: int
) -> list[Dependence]:
    """The partial dependence of the prediction on each of ``features`` (Friedman 2001, section 8.2).

    The feature is set to one value in all of a sample of the test rows, the predictions are averaged, and the next
    value is tried. scikit-learn's ``partial_dependence`` does so too, but not for columns of texts with gaps, of
    booleans with gaps, or of whole numbers. The values tried are quantiles of the test rows, each a value that occurs;
    of texts, the levels that are most frequent in the training rows. A model without probabilities is asked for the
    share of rows that it gives the class.

    Args:
        model: takes raw rows.
        train, test: the raw rows.
        features: names.
        series: the classes to follow; of no meaning for a regression.
        seed: of the sample.
    """
    sample = np.sort(np.random.default_rng(seed).permutation(len(test))[:SAMPLE])
    rows = test.features.iloc[sample]
    found = []
    for feature in features:
        column = test.features[feature]
        kind, present = column_type(column), column.dropna()
        if not len(present) or not train.features[feature].count():
            continue
        if kind == "number" and present.nunique() > QUARTERS:
            marks = np.linspace(0.02, 0.98, GRID)
            grid = np.unique(np.quantile(present.to_numpy(), marks, method="inverted_cdf")).tolist()
        else:
            counts = train.features[feature].value_counts()
            ranked = sorted(counts.index, key=lambda value: (-counts[value], str(value)))
            grid = sorted(ranked[: GRID_LEVELS if kind == "text" else GRID])
        stacked = pd.concat([rows] * len(grid), ignore_index=True)
        stacked[feature] = pd.Series(np.repeat(np.array(grid, dtype=object), len(rows))).astype(column.dtype)
        predictions = predict(model, stacked, test.task)
        values = {name: line.reshape(len(grid), len(rows)).mean(axis=1).tolist() for name, line in _responses(
            predictions, series)}  # fmt: skip
        low, high = (float(present.quantile(0.05)), float(present.quantile(0.95))) if kind == "number" else (None, None)
        found.append(Dependence(feature, kind, train.features[feature].nunique(), grid, values, low, high))
    return found


def _responses(predictions: Predictions, series: Sequence[Any]) -> list[tuple[str, np.ndarray]]:
    if predictions.classes is None:
        return [("", predictions.values)]
    found = []
    for name in series:
        if predictions.probabilities is not None:
            (place,) = np.flatnonzero(predictions.classes == name)
            found.append((str(name), predictions.probabilities[:, place]))
        else:
            found.append((str(name), (predictions.values == name).astype("float64")))
    return found


def learning_sizes(rows: int, most: int) -> list[int]:
    """Halves of the largest number of rows to refit on, four of them at most, none below SMALLEST_FIT."""
    sizes: list[int] = []
    size = min(most, rows)
    while size >= SMALLEST_FIT and len(sizes) < 4:
        sizes.append(size)
        size //= 2
    return sizes[::-1]


def learning_curve_of(
    train: Table,
    preprocess: PreprocessSettings,
    settings: TrainSettings,
    most: int,
    seed: int,
    average: Any,
    metric: str,
) -> list[LearningPoint]:
    """The score on other rows, and on the fitted ones, as the model is refitted on fewer training rows.

    Held-out rows are cut off the training rows once per refit, as the split does it: later rows by time, whole groups
    by group, else at random. The preprocessor is refitted too. A size that cannot be fitted is left out.

    Args:
        train: the raw training rows.
        preprocess, settings: the sections ``preprocess`` and ``train``.
        most: rows of the largest refit.
        seed: of the choice of rows.
        average: of the metric, for a classification.
        metric: of metrics_of.
    """
    folds = [_held_out(train, seed + number) for number in range(1 if train.time else REFITS)]
    sizes = learning_sizes(min((len(rest) for rest, _ in folds), default=0), most)
    points = []
    for size in sizes:
        scores = []
        for rest, held in folds:
            # With time, the rows nearest to the held-out ones: they come last.
            fitted_on = np.sort(rest[-size:] if train.time else rest[:size])
            try:
                scores.append(_fit_and_score(train, fitted_on, held, preprocess, settings, average, metric))
            except (ValueError, KeyError):
                continue
        if scores:
            means, spread = np.mean(scores, axis=0), np.std(scores, axis=0)
            points.append(LearningPoint(size, means[0], spread[0], means[1], spread[1], len(scores)))
    return points


def _held_out(train: Table, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(rows to fit on, rows to score on), both shuffled, but by time in order."""
    order = np.random.default_rng(seed % 2**32).permutation(len(train))
    held = min(HELD_OUT, len(train) // 5)
    if train.time is not None:
        order = np.argsort(train.time_stamps, kind="stable")
        return order[: len(train) - held], order[len(train) - held :]
    if train.group is None:
        return order[held:], order[:held]
    groups, _ = pd.factorize(train.frame[train.group].astype(object))
    first = np.random.default_rng(seed % 2**32).permutation(groups.max() + 1)
    rank = first[groups]  # whole groups, in random order, until there are enough rows
    counts = np.bincount(rank)
    inside = rank < np.searchsorted(np.cumsum(counts), held) + 1
    return order[~inside[order]], order[inside[order]][:HELD_OUT]


def _fit_and_score(
    train: Table,
    fitted_on: np.ndarray,
    held: np.ndarray,
    preprocess: PreprocessSettings,
    settings: TrainSettings,
    average: Any,
    metric: str,
) -> tuple[float, float]:
    inside, outside = train.rows(fitted_on), train.rows(held)
    if train.task == "classification" and len(np.unique(inside.labels)) < 2:
        raise DataError("one class only")
    with warnings.catch_warnings():
        # A fit on few rows may not converge, or meet rare classes: that is what the curve shows.
        warnings.simplefilter("ignore", UserWarning)
        preprocessor, encoded = fit_preprocessor(inside, preprocess, model_type(settings.model).scale_free, log=False)
        estimator = build_estimator(settings, train.task)
        fit_estimator(estimator, encoded.to_numpy(), inside.labels, settings, n_jobs=-1)
        scores = [
            metrics_of(
                part.labels, predict(estimator, preprocessor.transform(part.features), train.task), train.task, average
            )[metric]
            for part in (inside, outside)
        ]
    return scores[0], scores[1]


def thresholds_of(actual: np.ndarray, scores: np.ndarray, positive: Any) -> list[Operating]:
    """What each threshold from 0.05 to 0.95 gives: rows of more than that probability of ``positive`` are flagged, so
    that 0.5 flags what the model does: of two equally likely classes it names the first."""
    truth = actual == positive
    found = []
    for threshold in np.round(np.arange(0.05, 0.96, 0.05), 2):
        flagged = scores > threshold
        tp, fp = int(np.sum(flagged & truth)), int(np.sum(flagged & ~truth))
        fn, tn = int(np.sum(~flagged & truth)), int(np.sum(~flagged & ~truth))
        found.append(
            Operating(
                float(threshold),
                tp,
                fp,
                fn,
                tn,
                tp / (tp + fp) if tp + fp else None,
                tp / (tp + fn) if tp + fn else 0.0,
                2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
            )
        )
    return found
