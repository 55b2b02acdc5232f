"""How far a metric of test rows can be trusted: the metrics of ``scoring.metrics_of`` for many resamples of the rows.

Rows are resampled as they were drawn (B. Efron, R. Tibshirani, "An Introduction to the Bootstrap" (1993), ch. 8):
within each class where the split was stratified, by whole groups where rows belong together, by blocks of consecutive
rows where the test rows are the last ones in time. A resample is a vector of weights, how often each row is in it; all
metrics of thousands of resamples are then sums of weights, and no model or metric function is called again.

Of many rows the resamples are drawn from random subsets, each resample as large as all rows together: the bag of little
bootstraps (A. Kleiner, A. Talwalkar, P. Sarkar, M. Jordan, Journal of the Royal Statistical Society B 76 (2014)
795-816). It finds the same spread at the cost of the subsets.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial

from lockstep.kernel.log import counted, counting
from lockstep.kernel.settings import Task
from lockstep.learning.scoring import Average, Predictions, Scorer, at, log_losses, rare_class
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.intervals import CONFIDENCE, wilson

import numpy as np
from scipy import special, stats

MOST_RESAMPLES, LEAST_RESAMPLES, BUDGET = 9_999, 999, 20_000_000
"""Resamples: so many that rows times curves times resamples are within the budget, but within these bounds."""
_MANY_UNITS = 50_000
"""Units beyond which resamples are drawn from subsets."""
SEED = 42
OWN_RESAMPLES = 999
"""Of a metric beside the built-in ones, whose function is called for each of them."""
LEAST_DEFINED = 0.9
"""The share of resamples in which a metric must be defined to have an interval."""


@dataclass(frozen=True)
class ClassRows:
    """Rows and a classifier's predictions of them, ready to be weighted.

    Attributes:
        actual, predicted: (n_rows,) numbers of the labels, from 0.
        n_labels: how many there are.
        average: of precision, recall and F1.
        positive: the label that an average of "binary" is about: the positive class's; the last class's of more.
        rare: the label of the rare one of two classes, or None.
        losses: (n_rows,) minus the logarithm of the probability of the true class, or None.
        ranks: (n_curves, n_rows) what ranks the rows for the area under each ROC curve, or None.
        curves: (n_curves,) the label that is the positive one of each curve.
    """

    actual: np.ndarray
    predicted: np.ndarray
    n_labels: int
    average: Average
    positive: int
    rare: int | None
    losses: np.ndarray | None
    ranks: np.ndarray | None
    curves: np.ndarray

    @classmethod
    def of(cls, y: np.ndarray, predictions: Predictions, average: Average, labels: np.ndarray) -> "ClassRows":
        """``labels``: (n_labels,) sorted, every class that occurs in ``y``, in the predictions, or in the model."""
        classes = predictions.classes
        assert classes is not None
        losses = ranks = None
        curves = np.searchsorted(labels, classes)
        if len(classes) > 1 and set(np.unique(y)) == set(classes):
            scores = predictions.scores
            if scores is not None:
                scores, curves = scores[None, :], curves[1:]
            elif predictions.probabilities is not None:
                scores = predictions.probabilities.T
            if scores is not None:
                ranks = stats.rankdata(scores, axis=1)
            if predictions.probabilities is not None:
                own = predictions.probabilities[np.arange(len(y)), np.searchsorted(classes, y)]
                losses = log_losses(own)
        place = predictions.positive_place
        positive = int(np.searchsorted(labels, classes[-1 if place is None else place]))
        numbers = np.searchsorted(labels, y), np.searchsorted(labels, predictions.values)
        place = rare_class(y, classes)
        rare = None if place is None else int(np.searchsorted(labels, classes[place]))
        return cls(*numbers, len(labels), average, positive, rare, losses, ranks, curves)

    def at(self, rows: np.ndarray) -> "ClassRows":
        """Some of the rows, by their positions."""
        return replace(
            self,
            actual=self.actual[rows],
            predicted=self.predicted[rows],
            losses=None if self.losses is None else self.losses[rows],
            ranks=None if self.ranks is None else self.ranks[:, rows],
        )

    @property
    def n_curves(self) -> int:
        return 0 if self.ranks is None else len(self.ranks)

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric of ``scoring.metrics_of``, (n_resamples,), for weights of (n_resamples, n_rows); NaN where a
        resample leaves it undefined."""
        right = self.actual == self.predicted
        support = self._by_label(weights, self.actual)  # (n_resamples, n_labels) rows of each label, and so on
        guessed = self._by_label(weights, self.predicted)
        hits = self._by_label(weights[:, right], self.actual[right])
        total = support.sum(axis=1)
        precision, recall = _share(hits, guessed), _share(hits, support)
        f1 = _share(2 * hits, support + guessed)
        accuracy = hits.sum(axis=1) / total
        if self.average == "micro":
            found = [accuracy, accuracy, accuracy]
        elif self.average == "binary":
            found = [values[:, self.positive] for values in (precision, recall, f1)]
        else:
            share = support if self.average == "weighted" else (support + guessed > 0).astype(float)
            found = [_mean(values, share) for values in (precision, recall, f1)]
        metrics = dict(zip(("accuracy", "precision", "recall", "f1_score"), (accuracy, *found), strict=True))
        metrics["balanced_accuracy"] = _mean(recall, (support > 0).astype(float))
        if self.ranks is not None:
            metrics["roc_auc"] = np.mean([self._area(weights, curve) for curve in range(self.n_curves)], axis=0)
        if self.rare is not None:
            metrics["rare_class_precision"] = precision[:, self.rare]
            metrics["rare_class_recall"] = np.where(support[:, self.rare] > 0, recall[:, self.rare], np.nan)
            if self.ranks is not None:
                metrics["rare_class_average_precision"] = self._average_precision(weights, self.rare)
        if self.losses is not None:
            metrics["log_loss"] = _sums(weights, self.losses) / total
        return metrics

    def _by_label(self, weights: np.ndarray, label: np.ndarray) -> np.ndarray:
        """(n_resamples, n_labels) the weight of each label."""
        places = (label + self.n_labels * np.arange(len(weights))[:, None]).ravel()
        counts = np.bincount(places, weights.ravel(), minlength=len(weights) * self.n_labels)
        return counts.reshape(len(weights), self.n_labels)

    def _area(self, weights: np.ndarray, curve: int) -> np.ndarray:
        """(n_resamples,) the area under a ROC curve, as the share of pairs of a positive and a negative row that are
        ranked right, ties counting half (J. Hanley, B. McNeil, Radiology 143 (1982) 29-36)."""
        order, starts = self._orders[curve]
        positive = self.actual[order] == self.curves[curve]
        sorted_ = weights[:, order]
        above = np.add.reduceat(sorted_ * positive, starts, axis=1)  # (n_resamples, n_distinct ranks)
        below = np.add.reduceat(sorted_ * ~positive, starts, axis=1)
        pairs = above.sum(axis=1) * below.sum(axis=1)
        right = (above * (np.cumsum(below, axis=1) - below / 2)).sum(axis=1)
        area: np.ndarray = np.divide(right, pairs, out=np.full(len(weights), np.nan), where=pairs > 0)
        return area

    def _average_precision(self, weights: np.ndarray, label: int) -> np.ndarray:
        """(n_resamples,) the mean, over the rows of one of two classes, of the precision among all rows that are ranked
        as high as it or higher: scikit-learn's average_precision_score."""
        order, starts = self._orders[0]
        sorted_ = weights[:, order]
        hits = np.add.reduceat(sorted_ * (self.actual[order] == label), starts, axis=1)  # (n_resamples, n_distinct)
        rows = np.add.reduceat(sorted_, starts, axis=1)
        if label == self.curves[0]:  # the highest rank first
            hits, rows = hits[:, ::-1], rows[:, ::-1]
        precision = _share(np.cumsum(hits, axis=1), np.cumsum(rows, axis=1))
        total = hits.sum(axis=1)
        mean: np.ndarray = np.divide(
            (hits * precision).sum(axis=1), total, out=np.full(len(weights), np.nan), where=total > 0
        )
        return mean

    @cached_property
    def _orders(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Of each curve, the rows in the order of their ranks and where in it each distinct rank starts."""
        assert self.ranks is not None
        orders = [np.argsort(ranks, kind="stable") for ranks in self.ranks]
        return [
            (order, np.flatnonzero(np.diff(ranks[order], prepend=-1.0)))
            for order, ranks in zip(orders, self.ranks, strict=True)
        ]


@dataclass(frozen=True)
class NumberRows:
    """Rows and a regression model's predictions of them, ready to be weighted.

    Attributes:
        actual: (n_rows,) the target less its mean.
        errors: (n_rows,) actual less predicted.
    """

    actual: np.ndarray
    errors: np.ndarray
    n_curves = 0

    @classmethod
    def of(cls, y: np.ndarray, predictions: Predictions) -> "NumberRows":
        return cls(y - y.mean(), y - predictions.values)

    def at(self, rows: np.ndarray) -> "NumberRows":
        """Some of the rows, by their positions."""
        return NumberRows(self.actual[rows], self.errors[rows])

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Each metric of ``scoring.metrics_of``, (n_resamples,), for weights of (n_resamples, n_rows); NaN where a
        resample leaves it undefined."""
        total = weights.sum(axis=1)
        squared = _sums(weights, self.errors**2)
        squares = _sums(weights, self.actual**2)
        spread = squares - _sums(weights, self.actual) ** 2 / total
        varied = spread > 1e-12 * squares
        return {
            "mse": squared / total,
            "mae": _sums(weights, np.abs(self.errors)) / total,
            "r2_score": 1 - np.divide(squared, spread, out=np.full(len(weights), np.nan), where=varied),
            "rmse": np.sqrt(squared / total),
            "median_absolute_error": self._median(weights),
        }

    def _median(self, weights: np.ndarray) -> np.ndarray:
        """(n_resamples,) the median of the absolute errors, each as often as its weight says."""
        sizes, order = self._sorted
        upto = np.cumsum(weights[:, order], axis=1)
        total = upto[:, -1:]
        lower, upper = np.argmax(upto >= total / 2, axis=1), np.argmax(upto > total / 2, axis=1)
        middle: np.ndarray = (sizes[lower] + sizes[upper]) / 2
        return middle

    @cached_property
    def _sorted(self) -> tuple[np.ndarray, np.ndarray]:
        sizes = np.abs(self.errors)
        order = np.argsort(sizes, kind="stable")
        return sizes[order], order


@dataclass(frozen=True)
class MeanRows:
    """Rows with a number each, (n_rows,), such as what a row costs; the one metric is their mean."""

    name: str
    values: np.ndarray
    n_curves = 0

    def at(self, rows: np.ndarray) -> "MeanRows":
        """Some of the rows, by their positions."""
        return MeanRows(self.name, self.values[rows])

    def metrics(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """{name: (n_resamples,)} for weights of (n_resamples, n_rows)."""
        return {self.name: _sums(weights, self.values) / weights.sum(axis=1)}


Rows = ClassRows | NumberRows | MeanRows


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    share: np.ndarray = np.divide(part, whole, out=np.zeros_like(part, dtype=float), where=whole > 0)
    return share


def _mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(n_resamples,) the weighted mean over the labels."""
    mean: np.ndarray = (values * weights).sum(axis=1) / weights.sum(axis=1)
    return mean


def _sums(weights: np.ndarray, values: np.ndarray) -> np.ndarray:
    """(n_resamples,) sums over the rows, not by BLAS, whose order of summation may depend on the number of threads."""
    sums: np.ndarray = np.einsum("rn,n->r", weights, values, optimize=False)
    return sums


def resampling_rows(
    y: np.ndarray, predictions: Predictions, task: Task, average: Average, labels: np.ndarray | None
) -> Rows:
    """The rows ready to be weighted; ``labels`` as in ClassRows.of, None for those of ``y`` and the model."""
    if task == "regression":
        return NumberRows.of(y, predictions)
    if labels is None:
        labels = labels_of(y, predictions)
    return ClassRows.of(y, predictions, average, labels)


def labels_of(y: np.ndarray, *predictions: Predictions) -> np.ndarray:
    """(n_labels,) sorted: every class that occurs in ``y``, in the predictions, or in a model."""
    known = [own.classes for own in predictions if own.classes is not None]
    return np.unique(np.concatenate([y, *known, *(own.values for own in predictions)]))


def resample_count(n_rows: int, n_curves: int) -> int:
    """How many resamples are drawn."""
    return int(np.clip(BUDGET // (max(1, n_rows) * max(1, n_curves)), LEAST_RESAMPLES, MOST_RESAMPLES))


def resampled(rows: list[Rows], design: Design, seed: int = SEED) -> list[dict[str, np.ndarray]]:
    """The metrics of each model in the same resamples: of each, by name, (n_resamples,)."""
    random, n_curves = np.random.default_rng(seed), max(own.n_curves for own in rows)
    if design.n_units <= _MANY_UNITS:
        found = _resampled(rows, design, resample_count(len(design.units), n_curves), random)
        return [_joined(chunks) for chunks in found]
    of_all = [own.metrics(design.all_rows) for own in rows]
    moved: list[list[dict[str, np.ndarray]]] = [[] for _ in rows]
    subsets = list(design.subsets(random))
    for positions, part in counted(subsets, "subsets"):
        inside = [own.at(positions) for own in rows]
        found = _resampled(inside, part, -(-LEAST_RESAMPLES // len(subsets)), random)
        for model, chunks in enumerate(found):
            # What a resample of a subset says is how far it is off the subset.
            centre = inside[model].metrics(part.all_rows)
            moved[model] += [
                {name: of_all[model][name] + values - centre[name] for name, values in chunk.items()}
                for chunk in chunks
            ]
    return [_joined(chunks) for chunks in moved]


def _resampled(
    rows: Sequence[Rows], design: Design, count: int, random: np.random.Generator
) -> list[list[dict[str, np.ndarray]]]:
    """The metrics of each model in the same ``count`` resamples, in chunks."""
    found = []
    with counting(count, "resamples") as progress:
        for weights in design.resamples(count, random):
            found.append([own.metrics(weights) for own in rows])
            progress.advance(len(weights))
    return [[chunk[model] for chunk in found] for model in range(len(rows))]


def _joined(chunks: Sequence[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def resampled_own(
    own: Sequence[Scorer], y: np.ndarray, models: Sequence[Predictions], design: Design, seed: int = SEED
) -> list[dict[str, np.ndarray]]:
    """The metrics beside the built-in ones in the same resamples: of each model, by name, (OWN_RESAMPLES,); NaN where
    one cannot be computed. A row stands in a resample as often as it was drawn, with its weight."""
    found: list[dict[str, list[float]]] = [{scorer.key: [] for scorer in own} for _ in models]
    if not own:
        return [{} for _ in models]
    with counting(OWN_RESAMPLES, "resamples") as progress:
        for drawn_chunk in design.draws(OWN_RESAMPLES, np.random.default_rng(seed)):
            for counts in drawn_chunk:
                progress.advance()
                rows = np.repeat(np.arange(len(y)), counts.astype(int))
                weights = None if design.weights is None else design.weights[rows]
                for values, predictions in zip(found, models, strict=True):
                    drawn = at(predictions, rows)
                    for scorer in own:
                        value = scorer.compute(y[rows], drawn, weights)
                        values[scorer.key].append(np.nan if value is None else value)
    return [{key: np.array(numbers) for key, numbers in values.items()} for values in found]


def bootstrap_interval(values: np.ndarray, design: Design, level: float = CONFIDENCE) -> tuple[float, float] | None:
    """The bootstrap's interval of a metric, or of a difference: the expanded percentile interval.

    The percentiles are those that make the interval of a mean as wide as Student's, since the plain ones are too
    narrow for few rows (T. Hesterberg, "What teachers should know about the bootstrap", The American Statistician 69
    (2015) 371-386, section 5.2).

    Args:
        values: (n_resamples,) NaN where undefined.

    Returns:
        (low, high), or None: too few units, undefined in too many resamples, or the same in all (then the resamples
        show nothing: of 30 rows all predicted right, no resample has a wrong one).
    """
    defined = values[~np.isnan(values)]
    if not design.enough or len(defined) < LEAST_DEFINED * len(values) or np.ptp(defined) == 0:
        return None
    tail = special.ndtr(design.widening * special.stdtrit(design.degrees_of_freedom, (1 - level) / 2))
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def intervals_of(
    y: np.ndarray,
    predictions: Predictions,
    task: Task,
    average: Average,
    design: Design,
    own: Sequence[Scorer] = (),
) -> dict[str, tuple[float, float] | None]:
    """The 95 % interval of each metric of a model on its test rows, those of ``own`` among them.

    Of independent rows that count alike, the accuracy and the recall of a rare class, shares of a known number of rows,
    have Wilson's interval; every other metric has the bootstrap's.
    """
    rows = resampling_rows(y, predictions, task, average, None)
    if not design.enough:
        return dict.fromkeys(rows.metrics(design.all_rows))
    kinds = [partial(resampled, [rows], design)]
    if own:
        kinds.append(partial(resampled_own, own, y, [predictions], design))
    samples: dict[str, np.ndarray] = {}
    for compute in counted(kinds, "kinds of metrics"):
        samples |= compute()[0]
    found = {name: bootstrap_interval(values, design) for name, values in samples.items()}
    if "accuracy" in found and design.shares:
        right = y == predictions.values
        found["accuracy"] = wilson(int(right.sum()), len(y))
        if "rare_class_recall" in found:
            assert isinstance(rows, ClassRows)
            is_rare = rows.actual == rows.rare
            found["rare_class_recall"] = wilson(int(right[is_rare].sum()), int(is_rare.sum()))
    return found
