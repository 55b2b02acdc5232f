"""The facts of a report: every number and sentence that the page and the model card show, computed and bounded here.

The templates put these facts into words and the pictures draw them; neither computes any. Every text that comes from
the data (names of columns, classes, levels, cells) has passed ``wording.visible`` here, so that it is one short line.
"""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple

from lockstep.diagnosing.diagnostics import (
    Dependence,
    LearningPoint,
    Operating,
    Slices,
    Worst,
    dependence_of,
    errors_of,
    learning_curve_of,
    mean_interval,
    slices_of,
    thresholds_of,
    wilson,
    worst_of,
)
from lockstep.kernel.settings import Seed, Settings, Task
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.metrics import ALL, AUTO, HEADLINE
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.reading.contract import Contract
from lockstep.reporting.wording import number, percent, plural, score, spread, visible, within_sentence
from lockstep.tables.table import Table

import msgspec
import numpy as np
import pandas as pd
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score
from sklearn.pipeline import Pipeline

MAX_COLUMNS = 150
"""Columns that the table of the data describes one by one."""
MAX_CLASSES = 30
"""Classes with a line of their own."""
MAX_MATRIX = 12
"""Classes in the confusion matrix: the most frequent ones; the others share a line."""
MAX_CURVES = 6
"""Classes with curves of their own."""
MAX_FEATURES = 15
"""Features whose importance is shown."""
MAX_SENTENCE = 600
"""Characters of a sentence of the settings."""
MAX_VALUES = 5
"""Features whose values are shown beside a single prediction."""
MAX_BARS = 12
"""Classes in the picture of their balance: the most frequent ones."""
MAX_POINTS = 400
"""Rows drawn as points; more are counted in CELLS x CELLS cells."""
CELLS = 26
"""Across and down."""
BINS = 30
"""Of the target's histogram."""
UNEVEN = 0.05
"""By so much the accuracy may exceed the balanced accuracy before the result says so."""
MIN_BIN = 10
"""Test rows that a bin of calibration has at least, where there are so many."""


class ReportSettings(Settings, frozen=True):
    """The section ``report``; what each key means stands in params.yaml."""

    title: str = ""
    intended_use: tuple[str, ...] = ()
    limits: tuple[str, ...] = ()
    licence: str = ""
    top_features: Annotated[int, msgspec.Meta(ge=0, le=12)] = 4
    slices: Annotated[int, msgspec.Meta(ge=0, le=50)] = 10
    slice_rows: Annotated[int, msgspec.Meta(ge=2)] = 20
    worst_rows: Annotated[int, msgspec.Meta(ge=0, le=100)] = 10
    learning_curve_rows: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 2000
    seed: Seed = 42


class FileFacts(NamedTuple):
    """A file, by the path that the repository gives it."""

    path: str
    size: int
    md5: str
    sha256: str


class Sources(NamedTuple):
    """What a report is made from: the settings, and everything that the stages before it have written.

    Attributes:
        train_settings: with the best trial of the search in them.
        searched: the hyperparameters that the search chose; none without one.
        intervals, folds, history, curves, importance: the small tables in metrics/plots/<problem>.
        predictions: of every test row, in the order of ``test``.
        versions: of the libraries that the numbers depend on.
    """

    problem: str
    settings: ReportSettings
    preprocess: PreprocessSettings
    train_settings: TrainSettings
    searched: Sequence[str]
    raw_file: FileFacts
    model_file: FileFacts
    contract: Contract
    profile: Mapping[str, Any]
    checks: Sequence[Mapping[str, Any]]
    train: Table
    validation_rows: int
    test: Table
    model: Pipeline
    metrics: Mapping[str, Any]
    cross_validation: Mapping[str, Any]
    intervals: pd.DataFrame
    folds: pd.DataFrame
    history: pd.DataFrame
    curves: pd.DataFrame
    importance: pd.DataFrame
    predictions: pd.DataFrame
    versions: Mapping[str, str]


class Metric(NamedTuple):
    """One metric on the test rows; ``low``, ``high``: its 95 % interval; the others: the dummy, the folds."""

    key: str
    name: str
    value: float
    low: float | None
    high: float | None
    baseline: float | None
    folds_mean: float | None
    folds_std: float | None


class ColumnFacts(NamedTuple):
    """A column of the raw data. ``role``: feature, target, group, time."""

    name: str
    role: str
    type: str
    missing: int
    distinct: int
    typical: str
    description: str


class ClassFacts(NamedTuple):
    """A class: its rows, and how well they are found on the test rows (None: no test row, or never predicted)."""

    name: str
    train_rows: int
    test_rows: int
    precision: float | None
    recall: float | None
    f1_score: float | None
    roc_auc: float | None
    average_precision: float | None


class Bin(NamedTuple):
    """A bin of calibration or of error by size: means of x and y over ``rows`` rows, and the interval of y."""

    x: float
    y: float
    low: float | None
    high: float | None
    rows: int


class Curve(NamedTuple):
    """A curve; ``area`` under it is that of all rows, not of the thinned points (None: of no meaning)."""

    name: str
    x: list[float]
    y: list[float]
    area: float | None


class Histogram(NamedTuple):
    """Shares of the rows of each series between ``edges``; the outermost bins hold what is beyond them too."""

    edges: list[float]
    series: list[tuple[str, list[float]]]


class Cloud(NamedTuple):
    """Rows in a plane: single points (x, y), or cells (x from, y from, rows) of ``width`` x ``height``."""

    points: list[tuple[float, float]]
    cells: list[tuple[float, float, int]]
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    outside: int


class Matrix(NamedTuple):
    """Rows of each actual class (down) by predicted class (across); ``others``: how many classes the last name stands
    for, none of them with a line of its own; ``right``: rows given their class, those of the others included."""

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


class Setting(NamedTuple):
    """A setting of params.yaml: its section, key and value."""

    section: str
    key: str
    value: str


class Finding(NamedTuple):
    """A data check that found something."""

    code: str
    check: str
    severity: str
    found: int
    message: str


@dataclass(frozen=True)
class Facts:
    """Everything that a report shows. Absent things (a regression has no classes) are empty or None."""

    problem: str
    title: str
    task: Task
    target: str
    settings: ReportSettings
    intended_use: list[str]
    limits: list[str]
    result: list[str]
    metrics: list[Metric]
    average: str | None
    rows: int
    duplicate_rows: int
    train_rows: int
    validation_rows: int
    test_rows: int
    group: str | None
    time: str | None
    n_columns: int
    n_features: int
    features: list[str]
    dropped: list[str]
    columns: list[ColumnFacts]
    missing_cells: int
    columns_with_missing: int
    classes: list[ClassFacts]
    n_classes: int
    target_histogram: Histogram | None
    findings: list[Finding]
    quiet_checks: list[str]
    checks_off: list[str]
    matrix: Matrix | None
    confused: list[Confused]
    positive: str | None
    roc: list[Curve]
    precision_recall: list[Curve]
    calibration: list[tuple[str, list[Bin]]]
    score_histogram: Histogram | None
    thresholds: list[Operating]
    predicted: Cloud | None
    residuals: Cloud | None
    error_by_size: list[Bin]
    history: list[Curve]
    history_says: str
    loss: str
    folds_metric: str
    folds: list[float]
    folds_rows: int
    folds_say: str
    test_score: float
    learning: list[LearningPoint]
    importance: list[tuple[str, float, float]]
    n_importance: int
    n_without_importance: int
    dependence: list[Dependence]
    slices: Slices | None
    worst_columns: list[str]
    worst: list[Worst]
    model: str
    estimator: str
    model_file: FileFacts
    raw_file: FileFacts
    shown_settings: list[Setting]
    versions: dict[str, str]

    @property
    def largest_classes(self) -> list[ClassFacts]:
        """The MAX_BARS most frequent classes, in the order of the classes."""
        ranked = sorted(self.classes, key=lambda entry: -(entry.train_rows + entry.test_rows))[:MAX_BARS]
        return [entry for entry in self.classes if entry in ranked]

    @property
    def headline(self) -> Metric:
        """The metric of the first sentence."""
        return next(metric for metric in self.metrics if metric.key == HEADLINE[self.task])


def facts_of(given: Sources) -> Facts:
    """All facts of a report. Pure: the same sources give the same facts."""
    task, test, train, settings = given.test.task, given.test, given.train, given.settings
    predictions = given.predictions
    actual, predicted = test.labels, _predicted(predictions, task)
    errors = errors_of(actual, predicted, task)
    metrics = _metrics(given)
    features = [str(name) for name in test.features]
    ranked = [str(name) for name in given.importance["feature"]]
    classes, probabilities = _classes_of(given.model, task), _probabilities(predictions, given.model, task)
    followed = _followed(actual, classes)
    positive = classes[1] if len(classes) == 2 else None
    scores = probabilities[:, 1] if probabilities is not None and positive is not None else None
    in_model = [name for name in ranked if name in features][: settings.top_features]
    shown = [name for name in ranked if name in features][:MAX_VALUES]
    metric = AUTO[task]
    fold_rows = given.folds[given.folds["metric"] == metric]
    folds, test_score = fold_rows["value"].tolist(), float(given.metrics[metric])
    profile_columns = given.profile["columns"]
    return Facts(
        problem=given.problem,
        title=visible(settings.title or f"{test.target} ({given.problem})", 120),
        task=task,
        target=visible(test.target),
        settings=settings,
        intended_use=[visible(sentence, MAX_SENTENCE) for sentence in settings.intended_use],
        limits=[visible(sentence, MAX_SENTENCE) for sentence in settings.limits],
        result=_result(given, metrics, errors, test.repeated_in(train)),
        metrics=metrics,
        average=given.metrics.get("average"),
        rows=given.profile["rows"],
        duplicate_rows=given.profile["duplicate_rows"],
        train_rows=len(train),
        validation_rows=given.validation_rows,
        test_rows=len(test),
        group=None if test.group is None else visible(test.group),
        time=None if test.time is None else visible(test.time),
        n_columns=len(profile_columns),
        n_features=len(features),
        features=[visible(name, 40) for name in features[:MAX_COLUMNS]],
        dropped=[visible(name, 40) for name in list(given.profile["dropped"])[:MAX_COLUMNS]],
        columns=[_column(entry, given) for entry in profile_columns[:MAX_COLUMNS]],
        missing_cells=sum(entry["missing"] for entry in profile_columns),
        columns_with_missing=sum(entry["missing"] > 0 for entry in profile_columns),
        classes=_class_facts(given, predicted, classes, probabilities) if task == "classification" else [],
        n_classes=len(np.unique(np.concatenate([train.labels, actual]))) if task == "classification" else 0,
        target_histogram=_target_histogram(train.labels, actual) if task == "regression" else None,
        findings=[_finding(check) for check in given.checks if check["found"]],
        quiet_checks=[
            check["check"].replace("_", " ")
            for check in given.checks
            if not check["found"]
            and check["severity"] != "off"
            and (task, check["check"]) != ("regression", "rare_class")
        ],
        checks_off=[check["check"].replace("_", " ") for check in given.checks if check["severity"] == "off"],
        matrix=_matrix(actual, predicted) if task == "classification" else None,
        confused=_confused(actual, predicted) if task == "classification" else [],
        positive=None if positive is None else visible(positive, 40),
        roc=_curves(given, "ROC", followed, probabilities, roc_auc_score),
        precision_recall=_curves(given, "precision-recall", followed, probabilities, average_precision_score),
        calibration=_calibration(given, followed, predicted, probabilities),
        score_histogram=None if scores is None else _score_histogram(actual, scores, positive),
        thresholds=[] if scores is None else thresholds_of(actual, scores, positive),
        predicted=_cloud(predicted, actual) if task == "regression" else None,
        residuals=_cloud(predicted, actual - predicted) if task == "regression" else None,
        error_by_size=_bins(actual, actual, errors, False) if task == "regression" else [],
        history=[
            Curve(visible(part), rows["iteration"].tolist(), rows["loss"].tolist(), None)
            for part, rows in given.history.groupby("part", sort=False)
        ],
        history_says=_history_says(given.history, given.train_settings.model),
        loss=_loss(given, probabilities),
        folds_metric=metric,
        folds=folds,
        folds_rows=round(float(fold_rows["n_train"].mean())) if len(fold_rows) else 0,
        folds_say=_folds_say(folds, test_score),
        test_score=test_score,
        learning=_learning(given, metric),
        importance=[
            (visible(feature, 40), float(mean), float(std))
            for feature, mean, std in given.importance.head(MAX_FEATURES).itertuples(index=False)
        ],
        n_importance=len(given.importance),
        n_without_importance=int((given.importance["importance"] <= 0).sum()),
        dependence=[
            entry._replace(
                feature=visible(entry.feature, 40),
                grid=[visible(value, 44) if entry.kind != "number" else value for value in entry.grid],
                series={visible(name): line for name, line in entry.series.items()},
            )
            for entry in dependence_of(given.model, train, test, in_model, followed[:4], settings.seed)
        ],
        slices=_slices(test, errors, settings),
        worst_columns=[visible(name, 30) for name in shown],
        worst=[
            entry._replace(
                actual=number(entry.actual) if task == "regression" else visible(entry.actual, 40),
                predicted=number(entry.predicted) if task == "regression" else visible(entry.predicted, 40),
                values=tuple("" if value is None else visible(value, 40) for value in entry.values),
            )
            for entry in worst_of(test, predictions, shown, settings.worst_rows)
        ],
        model=given.train_settings.model,
        estimator=type(given.model[-1]).__name__,
        model_file=given.model_file,
        raw_file=given.raw_file._replace(path=visible(given.raw_file.path, 200)),
        shown_settings=_shown_settings(given),
        versions=dict(given.versions),
    )


def _predicted(predictions: pd.DataFrame, task: str) -> np.ndarray:
    column = predictions["predicted"]
    if task == "regression":
        return column.to_numpy(dtype="float64")
    return column.to_numpy(dtype=object) if isinstance(column.dtype, pd.StringDtype) else column.to_numpy()


def _classes_of(model: Pipeline, task: str) -> list[Any]:
    return list(model.classes_) if task == "classification" else []


def _probabilities(predictions: pd.DataFrame, model: Pipeline, task: str) -> np.ndarray | None:
    """(n_rows, n_classes) in the order of the model's classes, or None."""
    names = [f"probability_{name}" for name in _classes_of(model, task)]
    if not names or not set(names) <= set(predictions.columns):
        return None
    return predictions[names].to_numpy(dtype="float64")


def _followed(actual: np.ndarray, classes: Sequence[Any]) -> list[Any]:
    """The classes with curves of their own: of two the second, else the most frequent ones on the test rows."""
    if len(classes) == 2:
        return [classes[1]]
    counts = np.array([np.sum(actual == name) for name in classes])
    return [classes[index] for index in sorted(np.argsort(-counts, kind="stable")[:MAX_CURVES].tolist())]


def _metrics(given: Sources) -> list[Metric]:
    folds = given.cross_validation
    return [
        Metric(
            key, ALL[key].title, value, _known(low), _known(high), _known(baseline), folds.get(f"{key}_mean"),
            folds.get(f"{key}_std"),
        )
        for key, value, low, high, baseline in given.intervals.itertuples(index=False)
    ]  # fmt: skip


def _known(value: float | None) -> float | None:
    """None for an empty cell."""
    return None if value is None or math.isnan(value) else float(value)


def _result(given: Sources, metrics: Sequence[Metric], errors: np.ndarray, repeated: np.ndarray) -> list[str]:
    """The result in sentences: how good, how sure, against what, and whether the cross-validation agrees.

    Args:
        given: the sources.
        metrics: on the test rows.
        errors: (n_test,), of errors_of.
        repeated: (n_test,) of bool: whether the row is a training row too.
    """
    found = {metric.key: metric for metric in metrics}
    rows, tested = len(errors), f"{plural(len(errors), 'test row')} kept out of the training"
    n_folds = len(given.folds[given.folds["metric"] == AUTO[given.test.task]])
    said: list[str] = []
    if given.test.task == "classification":
        main, balanced = found["accuracy"], found["balanced_accuracy"]
        right, share = rows - round(float(errors.sum())), percent(main.value)
        interval = _interval(main, percent)
        said.append(f"Of {tested}, {right:,} were given the right class: an accuracy of {share}{interval}.")
        said.append(f"A dummy that always names the most frequent class reaches {percent(main.baseline)}.")
        better = main.low is not None and main.baseline is not None and main.low > main.baseline
        if main.value - balanced.value > UNEVEN:
            said.append(
                "The classes are not found equally well: averaged over them instead of the rows, "
                f"{percent(balanced.value)} (balanced accuracy)."
            )
        folds = f"{percent(main.folds_mean)} ± {percent(main.folds_std)}"
    else:
        main, explained = found["mae"], found["r2_score"]
        off = f"were off by {number(main.value)} on average, the mean absolute error{_interval(main, number)}"
        said.append(f"On {tested}, the predictions of {visible(given.test.target)} {off}.")
        said.append(f"A dummy that always predicts the mean of the training rows is off by {number(main.baseline)}.")
        said.append(f"The model explains {percent(explained.value)} of the variance (R² {score(explained.value)}).")
        better = main.high is not None and main.baseline is not None and main.high < main.baseline
        folds = spread(main.folds_mean, main.folds_std)
    if main.low is not None:
        said.append(
            "The interval lies wholly on the better side of the dummy."
            if better
            else "The interval does not exclude the dummy: on these rows the model cannot be told from one."
        )
    said += _worse_than_the_dummy(metrics) + _copies(given.test.task, errors, repeated)
    if main.folds_mean is not None:
        said.append(
            f"Cross-validation on the training rows ({plural(n_folds, 'fold')}) gives {folds} (mean and standard "
            "deviation of the folds)"
            + ("; optimistic, since the same rows chose the hyperparameters." if given.searched else ".")
        )
    return said


def _worse_than_the_dummy(metrics: Sequence[Metric]) -> list[str]:
    worse = []
    for metric in metrics:
        signed = -1 if ALL[metric.key].lower_is_better else 1
        if metric.baseline is not None and signed * metric.value < signed * metric.baseline:
            worse.append(f"{within_sentence(metric.name)} ({score(metric.value)} against {score(metric.baseline)})")
    return [f"It is worse than the dummy by {', '.join(worse)}."] if worse else []


def _copies(task: str, errors: np.ndarray, repeated: np.ndarray) -> list[str]:
    """That some test rows are training rows too, and what the others give."""
    copies, rows = int(np.sum(repeated)), len(errors)
    if not copies:
        return []
    if copies == rows:
        return ["All test rows are copies of training rows, so nothing here says how good it is on new ones."]
    others = float(np.mean(errors[~repeated]))
    alone = f"an accuracy of {percent(1 - others)}" if task == "classification" else f"an error of {number(others)}"
    which = f"{copies:,} of the test rows ({percent(copies / rows)}) {'is a copy' if copies == 1 else 'are copies'}"
    return [f"{which} of training rows, target included; without them: {alone}."]


def _history_says(history: pd.DataFrame, model: str) -> str:
    """What to see in the training loss, in a sentence."""
    losses = history.loc[history["part"] == "train", "loss"].tolist()
    if len(losses) < 2:
        return ""
    if losses[-1] > losses[0]:
        ends = f"It ends above where it began ({number(losses[0])}, then {number(losses[-1])})"
        return f"{ends}: the fitting has not converged. A smaller learning rate may help."
    if model in ("random_forest", "extra_trees"):
        return "Each tree is grown on its own; once the mean of them is flat, more trees change nothing."
    return "Still falling at the end: more iterations may help."


def _folds_say(folds: Sequence[float], test: float) -> str:
    """Where the test rows lie among the folds. Were they one more of n + 1 exchangeable folds, they would lie outside
    the others with a probability of 2 / (n + 1)."""
    if len(folds) < 2:
        return ""
    if min(folds) <= test <= max(folds):
        return "The test rows lie among them."
    where, chance = "below" if test < min(folds) else "above", percent(2 / (len(folds) + 1), 0)
    return f"The test rows lie {where} all of them; by chance alone, one more fold lies outside in {chance} of cases."


def _interval(metric: Metric, form: Callable[[Any], str]) -> str:
    if metric.low is None:
        return ""
    return f" (95\N{NO-BREAK SPACE}% interval {form(metric.low)} to {form(metric.high)})"


def _column(entry: Mapping[str, Any], given: Sources) -> ColumnFacts:
    name = entry["column"]
    roles = {given.test.target: "target", given.test.group: "group", given.test.time: "time"}
    described = {field.name: field.description or "" for field in given.contract.fields}
    if entry["min"] is not None:
        typical = f"{number(entry['min'])} to {number(entry['max'])}, mean {number(entry['mean'])}"
    elif entry["most_frequent"] is not None:
        share = entry["most_frequent_count"] / max(1, given.profile["rows"])
        typical = f"{visible(entry['most_frequent'], 40)} ({percent(share)})"
    else:
        typical = ""
    return ColumnFacts(
        visible(name), roles.get(name, "feature"), entry["type"], entry["missing"], entry["distinct"], typical,
        visible(described.get(name, ""), 200),
    )  # fmt: skip


def _finding(check: Mapping[str, Any]) -> Finding:
    return Finding(
        check["code"], check["check"].replace("_", " "), check["severity"], check["found"],
        visible(check["message"], 600),
    )  # fmt: skip


def _class_facts(
    given: Sources, predicted: np.ndarray, classes: Sequence[Any], probabilities: np.ndarray | None
) -> list[ClassFacts]:
    """The most frequent classes, in the order of the classes."""
    actual = given.test.labels
    names, counts = np.unique(np.concatenate([given.train.labels, actual]), return_counts=True)
    kept = [names[index] for index in sorted(np.argsort(-counts, kind="stable")[:MAX_CLASSES].tolist())]
    precision, recall, f1, support = precision_recall_fscore_support(actual, predicted, labels=kept, zero_division=0)
    found = []
    for index, name in enumerate(kept):
        area = average = None
        if probabilities is not None and name in classes and 0 < support[index] < len(actual):
            given_to = probabilities[:, list(classes).index(name)]
            area = float(roc_auc_score(actual == name, given_to))
            average = float(average_precision_score(actual == name, given_to))
        found.append(
            ClassFacts(
                visible(name, 40),
                int(np.sum(given.train.labels == name)),
                int(support[index]),
                float(precision[index]) if np.any(predicted == name) else None,
                float(recall[index]) if support[index] else None,
                float(f1[index]) if support[index] else None,
                area,
                average,
            )
        )
    return found


def _target_histogram(train: np.ndarray, test: np.ndarray) -> Histogram:
    low, high = np.quantile(train, [0.005, 0.995])
    edges = np.linspace(low, high if high > low else low + max(1.0, abs(low)), BINS + 1)
    return Histogram(
        edges.tolist(),
        [(f"{name} rows", _shares(values, edges)) for name, values in (("training", train), ("test", test))],
    )


def _score_histogram(actual: np.ndarray, scores: np.ndarray, positive: Any) -> Histogram:
    edges = np.linspace(0, 1, 21)
    truth = actual == positive
    shown = visible(positive, 24)
    return Histogram(
        edges.tolist(), [(f"not {shown}", _shares(scores[~truth], edges)), (shown, _shares(scores[truth], edges))]
    )


def _shares(values: np.ndarray, edges: np.ndarray) -> list[float]:
    counts, _ = np.histogram(np.clip(values, edges[0], edges[-1]), edges)
    return [float(count) / max(1, len(values)) for count in counts]


def _matrix(actual: np.ndarray, predicted: np.ndarray) -> Matrix:
    names, counts = np.unique(np.concatenate([actual, predicted]), return_counts=True)
    most = MAX_MATRIX - 1 if len(names) > MAX_MATRIX else MAX_MATRIX
    kept = sorted(np.argsort(-counts, kind="stable")[:most].tolist())
    place = np.full(len(names), len(kept))
    place[kept] = np.arange(len(kept))
    others = len(names) - len(kept)
    size = len(kept) + bool(others)
    cells = np.zeros((size, size), dtype=int)
    np.add.at(cells, (place[np.searchsorted(names, actual)], place[np.searchsorted(names, predicted)]), 1)
    shown = [visible(names[index]) for index in kept] + ([f"{others} others"] if others else [])
    return Matrix(shown, cells.tolist(), others, int(np.sum(actual == predicted)))


def _confused(actual: np.ndarray, predicted: np.ndarray) -> list[Confused]:
    """The ten most frequent confusions."""
    wrong = actual != predicted
    pairs = Counter(zip(actual[wrong].tolist(), predicted[wrong].tolist(), strict=True))
    ranked = sorted(pairs.items(), key=lambda item: (-item[1], str(item[0])))[:10]
    return [Confused(visible(a, 40), visible(p, 40), rows, int(np.sum(actual == a))) for (a, p), rows in ranked]


def _curves(
    given: Sources, kind: str, followed: Sequence[Any], probabilities: np.ndarray | None, area_under: Any
) -> list[Curve]:
    """The curves that evaluate has written, with the area under each from all rows."""
    found = []
    for name in followed:
        rows = given.curves[(given.curves["curve"] == kind) & (given.curves["series"] == str(name))]
        if not len(rows):
            continue
        truth = given.test.labels == name
        if probabilities is not None:
            ranking = probabilities[:, list(given.model.classes_).index(name)]
        else:
            ranking = given.predictions["score"].to_numpy()  # evaluate has no curve of a model that ranks nothing
        found.append(Curve(visible(name), rows["x"].tolist(), rows["y"].tolist(), float(area_under(truth, ranking))))
    return found


def _calibration(
    given: Sources, followed: Sequence[Any], predicted: np.ndarray, probabilities: np.ndarray | None
) -> list[tuple[str, list[Bin]]]:
    """Mean predicted probability and share of the class (regression: mean prediction and mean target), in bins of as
    many test rows each."""
    actual = given.test.labels
    if given.test.task == "regression":
        return [("", _bins(predicted, predicted, actual, False))]
    if probabilities is None:
        return []
    found = []
    for name in followed:
        given_to = probabilities[:, list(given.model.classes_).index(name)]
        found.append((visible(name), _bins(given_to, given_to, (actual == name).astype("float64"), True)))
    return found


def _bins(by: np.ndarray, x: np.ndarray, y: np.ndarray, share: bool) -> list[Bin]:
    """The means of x and y in ten bins of (nearly) as many rows each, sorted by ``by``; fewer, so that each has MIN_BIN
    rows. ``share``: y is 0 or 1."""
    order = np.argsort(by, kind="stable")
    found = []
    for rows in np.array_split(order, min(10, max(2, len(order) // MIN_BIN), len(order))):
        low: float | None = None
        high: float | None = None
        if share:
            low, high = wilson(round(float(y[rows].sum())), len(rows))
        elif len(rows) > 1:
            low, high = mean_interval(y[rows])
        found.append(Bin(float(np.mean(x[rows])), float(np.mean(y[rows])), low, high, len(rows)))
    return found


def _cloud(x: np.ndarray, y: np.ndarray) -> Cloud:
    """Points, or counts of cells; the extreme half percent on each side may lie outside."""
    ranges = []
    for values in (x, y):
        low, high = np.quantile(values, [0.005, 0.995]) if len(values) > MAX_POINTS else (values.min(), values.max())
        margin = 0.04 * (high - low) or max(1.0, abs(float(low)) * 0.1)
        ranges.append((float(low - margin), float(high + margin)))
    (left, right), (bottom, top) = ranges
    inside = (x >= left) & (x <= right) & (y >= bottom) & (y <= top)
    outside = int(np.sum(~inside))
    width, height = (right - left) / CELLS, (top - bottom) / CELLS
    if len(x) <= MAX_POINTS:
        points = list(zip(x[inside].tolist(), y[inside].tolist(), strict=True))
        return Cloud(points, [], width, height, ranges[0], ranges[1], outside)
    counts, x_edges, y_edges = np.histogram2d(x[inside], y[inside], CELLS, ranges)
    cells = [(float(x_edges[i]), float(y_edges[j]), int(counts[i, j])) for i, j in np.argwhere(counts > 0).tolist()]
    return Cloud([], cells, width, height, ranges[0], ranges[1], outside)


def _loss(given: Sources, probabilities: np.ndarray | None) -> str:
    if given.train_settings.model == "mlp":
        return "loss, penalty included"
    if given.test.task == "regression":
        return "mean squared error"
    return "log loss" if probabilities is not None else "share of wrong classes"


def _learning(given: Sources, metric: str) -> list[LearningPoint]:
    settings, average = given.settings, given.metrics.get("average")
    if not settings.learning_curve_rows:
        return []
    return learning_curve_of(
        given.train,
        given.preprocess,
        given.train_settings,
        settings.learning_curve_rows,
        settings.seed,
        average,
        metric,
    )


def _slices(test: Table, errors: np.ndarray, settings: ReportSettings) -> Slices | None:
    if not settings.slices:
        return None
    found = slices_of(test.features, errors, test.task, settings.slice_rows, settings.slices)
    worst = [entry._replace(column=visible(entry.column, 40), level=visible(entry.level, 40)) for entry in found.worst]
    return found._replace(worst=worst)


def _shown_settings(given: Sources) -> list[Setting]:
    found = []
    for section, settings in (("preprocess", given.preprocess), ("train", given.train_settings)):
        for key, value in msgspec.to_builtins(settings).items():
            if isinstance(value, dict):
                found += [
                    Setting(
                        section,
                        f"{key}.{name}",
                        _value(entry) + (" (chosen by the search)" if name in given.searched else ""),
                    )
                    for name, entry in sorted(value.items())
                ]
            else:
                found.append(Setting(section, key, _value(value)))
    return found


def _value(value: Any) -> str:
    return "none" if value is None else visible(str(value), 80)
