"""What a report shows of the predictions of a classification."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lockstep.steps.diagnosing.diagnosis import Histogram, OfClasses, Scores, Threshold
from lockstep.steps.reporting.plotted import Bin, Curve, area_of, bins_of, curve_of, series_of
from lockstep.steps.reporting.sources import CurvePoint, PlotTables, Predicted
from lockstep.steps.reporting.wording import visible

_MAX_CLASSES = 30
"""Classes with a line of their own."""
MAX_MATRIX = 12
"""Classes in the confusion matrix: the most frequent ones; the others share a line."""
MAX_CURVES = 6
"""Classes with curves of their own."""
MAX_BARS = 12
"""Classes in the picture of their balance: the most frequent ones."""
MAX_CONFUSED = 10
"""Pairs of classes that are listed as taken for one another."""


class ClassFacts(NamedTuple):
    """A class: its rows, and how well they are found on the test rows (None: no test row, or never predicted)."""

    name: str
    train_rows: int
    test_rows: int
    precision: float | None
    recall: float | None
    f1_score: float | None
    roc_auc: float | None


class Matrix(NamedTuple):
    """Test rows by actual class (down) and predicted class (across).

    Attributes:
        names: of the classes; the last one may be that of several.
        counts: rows.
        others: how many classes the last line and column are for, none of them with one of its own; 0: all have.
        right: rows given their class, those of the others included.
    """

    names: list[str]
    counts: list[list[int]]
    others: int
    right: int


class Confused(NamedTuple):
    """``rows`` test rows of class ``actual`` were taken for ``predicted``, of ``of`` rows of that class."""

    actual: str
    predicted: str
    rows: int
    of: int


@dataclass(frozen=True)
class ClassificationFacts:
    """The predictions of a classification.

    Attributes:
        n_classes: of the training and the test rows.
        classes: the most frequent _MAX_CLASSES, in the order of the classes.
        confused: the most frequent confusions, the most frequent one first.
        positive: the one of two classes that is followed, see ``followed_classes``; None for more.
        roc, precision_recall: of two classes the curve of the positive one, else of the most frequent ones; empty if
            the model ranks nothing.
        calibration: (class, its bins), of the same classes; empty if the model gives no probabilities.
        probabilities: whether the model gives any.
        scores, thresholds: None and empty but for two classes and a model with probabilities.
    """

    n_classes: int
    classes: list[ClassFacts]
    matrix: Matrix
    confused: list[Confused]
    positive: str | None
    roc: list[Curve]
    precision_recall: list[Curve]
    calibration: list[tuple[str, list[Bin]]]
    probabilities: bool
    scores: Histogram | None
    thresholds: list[Threshold]

    @property
    def largest_classes(self) -> list[ClassFacts]:
        """The MAX_BARS most frequent classes, in the order of the classes."""
        ranked = sorted(self.classes, key=lambda entry: -(entry.train_rows + entry.test_rows))[:MAX_BARS]
        return [entry for entry in self.classes if entry in ranked]


class _Counts:
    """The test rows of each pair of classes.

    Attributes:
        names: of all classes of the training and the test rows, in their order.
        pairs: {(actual, predicted): rows}.
        actual, predicted: {class: rows}.
        right: rows given their class.
    """

    def __init__(self, rows: Sequence[Predicted]) -> None:
        self.names = list(dict.fromkeys(row.actual for row in rows))
        self.pairs = {(row.actual, row.predicted): row.count for row in rows}
        self.actual, self.predicted = dict.fromkeys(self.names, 0), dict.fromkeys(self.names, 0)
        for row in rows:
            self.actual[row.actual] += row.count
            self.predicted[row.predicted] += row.count
        self.right = sum(self.pairs[name, name] for name in self.names)


def classification_facts(plots: PlotTables, own: OfClasses) -> ClassificationFacts:
    """What there is to show of the predictions.

    Args:
        plots: the tables that evaluate has written.
        own: the part of the diagnosis that a classification has.
    """
    counts = _Counts(plots.predictions)
    followed = _followed(plots.curves, counts)
    scores: Scores | None = own.scores
    return ClassificationFacts(
        n_classes=len(counts.names),
        classes=_class_facts(counts, plots.curves, own),
        matrix=_matrix(counts),
        confused=_confused(counts),
        positive=None if own.positive is None else visible(own.positive, 40),
        roc=[curve_of(plots.curves, "ROC", "area under the ROC curve", name) for name in followed],
        precision_recall=[curve_of(plots.curves, "precision-recall", "average precision", name) for name in followed],
        calibration=[
            (visible(name), bins) for name in followed if (bins := bins_of(plots.curves, "calibration", name))
        ],
        probabilities=own.probabilities,
        scores=None if scores is None else scores.histogram,
        thresholds=[] if scores is None else scores.thresholds,
    )


def _most_frequent(rows: dict[str, int], most: int) -> list[str]:
    """The ``most`` classes with the most rows, in the order of the classes."""
    ranked = sorted(rows, key=lambda name: -rows[name])[:most]
    return [name for name in rows if name in set(ranked)]


def _followed(curves: Sequence[CurvePoint], counts: _Counts) -> list[str]:
    """The classes with curves of their own: the most frequent ones on the test rows."""
    return _most_frequent({name: counts.actual[name] for name in series_of(curves, "ROC")}, MAX_CURVES)


def _class_facts(counts: _Counts, curves: Sequence[CurvePoint], own: OfClasses) -> list[ClassFacts]:
    train = own.training_rows
    found = []
    for name in _most_frequent({name: train.get(name, 0) + counts.actual[name] for name in counts.names}, _MAX_CLASSES):
        right, actual, predicted = counts.pairs[name, name], counts.actual[name], counts.predicted[name]
        found.append(
            ClassFacts(
                name=visible(name, 40),
                train_rows=train.get(name, 0),
                test_rows=actual,
                precision=right / predicted if predicted else None,
                recall=right / actual if actual else None,
                f1_score=2 * right / (actual + predicted) if actual else None,
                roc_auc=area_of(curves, "area under the ROC curve", name),
            )
        )
    return found


def _matrix(counts: _Counts) -> Matrix:
    """The most frequent classes one by one, the others in one line; classes that neither are nor were predicted are
    left out."""
    rows = {name: counts.actual[name] + counts.predicted[name] for name in counts.names}
    there = {name: number for name, number in rows.items() if number}
    kept = _most_frequent(there, MAX_MATRIX - 1 if len(there) > MAX_MATRIX else MAX_MATRIX)
    others = len(there) - len(kept)
    place = {name: len(kept) for name in there} | {name: number for number, name in enumerate(kept)}
    size = len(kept) + bool(others)
    cells = [[0] * size for _ in range(size)]
    for (actual, predicted), number in counts.pairs.items():
        if number:
            cells[place[actual]][place[predicted]] += number
    shown = [visible(name) for name in kept] + ([f"{others} others"] if others else [])
    return Matrix(shown, cells, others, counts.right)


def _confused(counts: _Counts) -> list[Confused]:
    wrong = {pair: rows for pair, rows in counts.pairs.items() if rows and pair[0] != pair[1]}
    ranked = sorted(wrong.items(), key=lambda item: (-item[1], item[0]))[:MAX_CONFUSED]
    return [
        Confused(visible(actual, 40), visible(predicted, 40), rows, counts.actual[actual])
        for (actual, predicted), rows in ranked
    ]
