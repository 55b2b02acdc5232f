"""What the stage ``diagnose`` hands to ``report``: plain numbers and texts, so that ``report`` needs no library that
fits or scores anything.

The texts of the data (names, levels, cells) are as they are in it, but cut at MAX_TEXT characters; whoever shows them
makes them visible.
"""

from pathlib import Path

from lockstep.kernel.files import read_made

import msgspec

MAX_TEXT = 200
"""Characters of a level or a cell."""

Cell = str | float | int | bool | None
"""A value of the data; None where it is missing."""


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A part of the JSON: a key that is not declared here is an error."""


class Copies(_Part, frozen=True):
    """Test rows that equal training rows, in the columns that are read, target included.

    Attributes:
        rows: how many.
        error_of_others: the mean error of the other test rows (share of wrong classes, or mean absolute error), None if
            there are none, of either.
        among_training: the share of the training rows that equal another training row; None if no test row equals one.
    """

    rows: int
    error_of_others: float | None
    among_training: float | None


class Slice(_Part, frozen=True):
    """A subgroup of the test rows and how wrong the model is in it.

    Attributes:
        column: the column that defines it.
        level: its value there, or the range of its values.
        rows: test rows in it.
        error: share of wrong classes, or mean absolute error.
        ratio: of a regression, the mean of each row's error over that of the test rows with predictions of about the
            same size; None of a classification.
        low, high: the interval of ``ratio``, or else of ``error``, simultaneous for all the subgroups that were looked
            at (Bonferroni).
        stands_out: whether the interval lies wholly above that of all test rows.
    """

    column: str
    level: str
    rows: int
    error: float
    ratio: float | None
    low: float
    high: float
    stands_out: bool


class Slices(_Part, frozen=True):
    """The worst subgroups, the worst first, of the ``looked_at`` that have at least ``least_rows`` test rows;
    ``overall``: the error of all test rows."""

    worst: list[Slice]
    looked_at: int
    least_rows: int
    overall: float


class WorstRow(_Part, frozen=True):
    """A single prediction that is far off.

    Attributes:
        row: its number in the raw data, from 1.
        actual, predicted: the target.
        off: actual minus predicted, or the probability that the model gave to the actual class (None: it gives none).
        values: of the features shown, in their order.
        reasons: the columns that moved its prediction furthest, and how far; see reasons.py.
    """

    row: int
    actual: Cell
    predicted: Cell
    off: float | None
    values: list[Cell]
    reasons: list[tuple[str, float]] = []


class Worst(_Part, frozen=True):
    """The worst single predictions, the worst first, with the values of these features."""

    features: list[str]
    rows: list[WorstRow]


class Dependence(_Part, frozen=True):
    """The mean prediction as one feature is set to each of ``grid`` in turn: {series: one mean per value}.

    Attributes:
        feature: its name.
        kind: number, date, boolean or text.
        levels: how many values it has in the training rows; of a text, ``grid`` has the most frequent ones.
        grid: the values tried; of dates, days since 1970-01-01.
        series: by class, or by "" in a regression.
        low, high: of a number or a date, the values between which 90 % of the test rows lie.
    """

    feature: str
    kind: str
    levels: int
    grid: list[Cell]
    series: dict[str, list[float]]
    low: float | None
    high: float | None


class LearningPoint(_Part, frozen=True):
    """Mean and standard deviation over ``fits`` refits on ``rows`` rows, of the score on those rows and on others."""

    rows: int
    fitted: float
    fitted_std: float
    others: float
    others_std: float
    fits: int


class Iterations(_Part, frozen=True):
    """How many iterations a fit took, of at most ``limit``: fewer, if it ended itself (early stopping, or a loss that
    no longer fell)."""

    taken: int
    limit: int


class Histogram(_Part, frozen=True):
    """Shares of the rows of each series between ``edges``; the outermost bins hold what is beyond them too."""

    edges: list[float]
    shares: dict[str, list[float]]


class Threshold(_Part, frozen=True):
    """What flagging the rows of more than this probability gives, in rows and rates (None: of no row)."""

    threshold: float
    true_positives: int
    false_positives: int
    false_negatives: int
    precision: float | None
    recall: float
    f1_score: float


class Scores(_Part, frozen=True):
    """The predicted probability of the positive one of two classes: how it is spread over the rows of that class
    ("positive") and over the others ("other"), and what thresholds on it give."""

    histogram: Histogram
    thresholds: list[Threshold]


class Cloud(_Part, frozen=True):
    """Rows in a plane: single points (x, y), or cells (x from, y from, rows) of ``width`` x ``height``; ``outside``:
    how many rows lie outside of both ranges."""

    points: list[tuple[float, float]]
    cells: list[tuple[float, float, int]]
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    outside: int


class OfClasses(_Part, frozen=True, tag="classification", tag_field="task"):
    """What a classification alone has.

    Attributes:
        training_rows: by class.
        positive: the one of two classes that is followed, see ``followed_classes``; None for more.
        probabilities: whether the model gives any.
        scores: None for more than two classes, and for a model without probabilities.
    """

    training_rows: dict[str, int]
    positive: str | None
    probabilities: bool
    scores: Scores | None


class OfNumbers(_Part, frozen=True, tag="regression", tag_field="task"):
    """What a regression alone has: the target of the "training" and of the "test" rows; the actual target, and the
    actual minus the predicted one, against the predicted one."""

    target: Histogram
    predicted: Cloud
    residuals: Cloud


class Diagnosis(_Part, frozen=True):
    """What only the model and the rows together can say.

    Attributes:
        estimator: the class of the fitted estimator.
        iterations: of a fit that may end before its limit; None of any other.
        group, time: the column by which rows were kept together, or in order, when they were split.
        weight: the column that says how much each row counts.
        copies: test rows that equal training rows.
        metric: the key of the metric of the learning curve: AUTO, or, where that says little, the area under the ROC
            curve.
        learning: the learning curve, from few rows to many; empty if it was not asked for.
        dependence: of the most important features, the most important one first.
        slices: None if they were not asked for.
        worst: None if it was not asked for: then no single row of the data is in here.
        own: what depends on the task.
    """

    estimator: str
    iterations: Iterations | None
    group: str | None
    time: str | None
    weight: str | None
    copies: Copies
    metric: str
    learning: list[LearningPoint]
    dependence: list[Dependence]
    slices: Slices | None
    worst: Worst | None
    own: OfClasses | OfNumbers


def read_diagnosis(path: Path) -> Diagnosis:
    """What the stage diagnose wrote. Raises DataError if there is no such file, IntegrityError if it is another one."""
    return read_made(path, Diagnosis)
