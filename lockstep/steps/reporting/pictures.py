"""Which pictures a report has, and what each says to a reader who cannot see it."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from lockstep.kernel.errors import plural
from lockstep.kernel.log import counted
from lockstep.steps.diagnosing.diagnosis import Cell, Dependence
from lockstep.steps.reporting.classification import ClassificationFacts
from lockstep.steps.reporting.decisions import DecisionFacts
from lockstep.steps.reporting.drawing import INSIDE
from lockstep.steps.reporting.facts import Facts
from lockstep.steps.reporting.figures import Axis, Line, bars, bins, cloud, dots, histogram, lines, matrix
from lockstep.steps.reporting.metric_titles import TITLES
from lockstep.steps.reporting.plotted import Bin, Curve
from lockstep.steps.reporting.regression import RegressionFacts
from lockstep.steps.reporting.training import TrainingFacts
from lockstep.steps.reporting.wording import number, score, shortened

Drawing: TypeAlias = Callable[[], str]
"""Gives a picture, once it is drawn."""
_PARTS = {"train": "training"}
LEGEND_NAME, LEGEND_NAME_ABOVE = 24, 32
"""Characters of a class in a legend inside the picture, and in one above it."""
_SHARE_RANGE = (-0.02, 1.02)
"""The range of axes on which shares are drawn."""


FLAT, MINUTE = 0.15, 1e-6
"""A curve of dependence that spans less than the first share of the common scale is drawn on its own scale, too, unless
it spans less than the second."""


def pictures_of(facts: Facts) -> dict[str, str]:
    """{name: SVG}; what the facts lack has no picture. ``dependence`` ones are numbered: dependence-1, ..."""
    own = facts.predictions
    found = _classification(own, facts) if isinstance(own, ClassificationFacts) else _regression(own, facts)
    drawings = found | _training(facts.training) | _features(facts)
    return {name: draw() for name, draw in counted(drawings.items(), "pictures")}


def _classification(own: ClassificationFacts, facts: Facts) -> dict[str, Drawing]:
    found: dict[str, Drawing] = {"balance": _balance(own), "confusion": _confusion(own, facts.data.rows.test)}
    if own.roc:
        found["roc"] = partial(
            lines,
            "roc",
            f"ROC curve. Area under it: {_areas(own.roc)}.",
            [Line(_legend(curve, len(own.roc)), curve.x, curve.y) for curve in own.roc],
            Axis("false positive rate", _SHARE_RANGE),
            Axis("true positive rate", _SHARE_RANGE),
            reference=[(0, 0), (1, 1)],
            legend="lower right",
        )
    if own.precision_recall:
        curves = own.precision_recall
        found["precision_recall"] = partial(
            lines,
            "precision_recall",
            f"Precision against recall. Average precision: {_areas(curves)}.",
            [Line(_legend(curve, len(curves)), curve.x, curve.y) for curve in curves],
            Axis("recall", _SHARE_RANGE),
            Axis("precision", _SHARE_RANGE),
            legend="lower left",
        )
    if own.calibration:
        series = [(_name(name, len(own.calibration)), _drawn(entries)) for name, entries in own.calibration]
        if facts.decision.before:
            series = [("calibrated", series[0][1]), ("before", _drawn(facts.decision.before))]
        found["calibration"] = partial(
            bins,
            "calibration",
            "Calibration: the predicted probability against the share of rows that are of the class, in "
            f"{plural(len(own.calibration[0][1]), 'bin')}.",
            series,
            "predicted probability", "share of rows", diagonal=True, ranges=(_SHARE_RANGE, _SHARE_RANGE),
        )  # fmt: skip
    if own.scores is not None and own.positive is not None:
        shown = shortened(own.positive, LEGEND_NAME)
        found["scores"] = partial(
            histogram,
            "scores",
            f"Histogram of the predicted probability of {own.positive}, by actual class.",
            own.scores.edges,
            [(f"not {shown}", own.scores.shares["other"]), (shown, own.scores.shares["positive"])],
            f"predicted probability of {own.positive}",
        )
    if facts.decision.threshold is not None:
        found["decision"] = _decision(facts.decision)
    if own.thresholds:
        x = [entry.threshold for entry in own.thresholds]
        flagged = [(entry, entry.precision) for entry in own.thresholds if entry.precision is not None]
        found["thresholds"] = partial(
            lines,
            "thresholds",
            f"Precision, recall and F1 of {own.positive} as the threshold rises from {x[0]} to {x[-1]}.",
            [
                Line("precision", [entry.threshold for entry, _ in flagged], [precision for _, precision in flagged]),
                Line("recall", x, [entry.recall for entry in own.thresholds]),
                Line("F1", x, [entry.f1_score for entry in own.thresholds]),
            ],
            Axis("threshold", _SHARE_RANGE),
            Axis("precision, recall, F1", _SHARE_RANGE),
        )
    return found


def _decision(decision: DecisionFacts) -> Drawing:
    """What the threshold was chosen by, over all thresholds, and a line where it is."""
    chosen, judged = decision.threshold, decision.judged_by
    assert chosen is not None
    x, y = zip(*chosen.curve, strict=True)
    at = f"{score(chosen.reached)} at the threshold of {score(chosen.value)}"
    name = judged.removeprefix("the ")
    return partial(
        lines,
        "decision",
        f"On out-of-fold predictions, {judged} over the threshold: {at}, {score(chosen.reached_by_default)} at "
        f"{number(chosen.default)}.",
        [Line("", x, y)],
        Axis("threshold"),
        Axis(name),
        reference=[(chosen.value, min(y)), (chosen.value, max(y))],
    )


def _balance(own: ClassificationFacts) -> Drawing:
    shown = own.largest_classes
    counted = "; ".join(f"{c.name} {c.train_rows:,} training and {c.test_rows:,} test" for c in shown)
    return partial(
        bars,
        "balance",
        f"Rows per class: {counted}.",
        [entry.name for entry in shown],
        [
            ("training rows", [entry.train_rows for entry in shown]),
            ("test rows", [entry.test_rows for entry in shown]),
        ],
        Axis("rows", counts=True),
    )


def _confusion(own: ClassificationFacts, test_rows: int) -> Drawing:
    n_classes = len(own.matrix.names) + max(0, own.matrix.others - 1)
    return partial(
        matrix,
        "confusion",
        f"Confusion matrix of {plural(test_rows, 'test row')} in {n_classes} classes; {own.matrix.right:,} are given "
        "the right one.",
        own.matrix.names,
        own.matrix.counts,
        others=bool(own.matrix.others),
    )


def _regression(own: RegressionFacts, facts: Facts) -> dict[str, Drawing]:
    edges, target = own.target.edges, facts.target
    low = max(own.predicted.x_range[0], own.predicted.y_range[0])
    high = min(own.predicted.x_range[1], own.predicted.y_range[1])
    found: dict[str, Drawing] = {
        "target": partial(
            histogram,
            "target",
            f"Histogram of {target}, training and test rows, from {number(edges[0])} to {number(edges[-1])}.",
            edges,
            [(f"{name} rows", shares) for name, shares in own.target.shares.items()],
            target,
        ),
        "predicted": partial(
            cloud,
            "predicted",
            f"Actual {target} against the predicted one, {plural(facts.data.rows.test, 'test row')}.",
            own.predicted,
            ("predicted", "actual"),
            reference=[(low, low), (high, high)] if high > low else [],
        ),
        "residuals": partial(
            cloud,
            "residuals",
            f"Residuals, actual minus predicted {target}, against the predicted one.",
            own.residuals,
            ("predicted", "actual \N{MINUS SIGN} predicted"),
            reference=[(own.residuals.x_range[0], 0.0), (own.residuals.x_range[1], 0.0)],
        ),
    }
    if own.error_by_size:
        first, last = own.error_by_size[0], own.error_by_size[-1]
        found["error_by_size"] = partial(
            bins,
            "error_by_size",
            f"Mean absolute error in {plural(len(own.error_by_size), 'bin')} of the test rows by {target}: from "
            f"{number(first.y)} around {number(first.x)} to {number(last.y)} around {number(last.x)}.",
            [("", _drawn(own.error_by_size))],
            f"actual {target}",
            "mean absolute error",
        )
    if own.calibration:
        found["calibration"] = partial(
            bins,
            "calibration",
            f"Mean actual against mean predicted {target} in {plural(len(own.calibration), 'bin')}.",
            [("", _drawn(own.calibration))],
            "mean predicted",
            "mean actual",
            diagonal=True,
        )
    return found


def _drawn(entries: Sequence[Bin]) -> list[tuple[float, float, float | None, float | None]]:
    return [(entry.x, entry.y, entry.low, entry.high) for entry in entries]


def _training(training: TrainingFacts) -> dict[str, Drawing]:
    found: dict[str, Drawing] = {}
    metric = TITLES[training.metric]
    if any(len(curve.x) > 1 for curve in training.history):
        first = training.history[0]
        found["history"] = partial(
            lines,
            "history",
            f"Loss ({training.loss}) after each iteration: on the training rows from {number(first.y[0])} to "
            f"{number(first.y[-1])} in {first.x[-1]:,.0f} iterations.",
            [Line(f"{_PARTS.get(curve.name, curve.name)} rows", curve.x, curve.y) for curve in training.history],
            Axis("iteration"),
            Axis(training.loss),
            legend="upper right",
        )
    if training.learning:
        found["learning"] = _learning(training, metric)
    if training.folds:
        found["folds"] = partial(
            dots,
            "folds",
            f"{metric} of {plural(len(training.folds), 'fold')}, from {score(min(training.folds))} to "
            f"{score(max(training.folds))}; of the test rows, {score(training.test_score)}.",
            [(f"{len(training.folds)} folds and their mean", training.folds), ("test rows", [training.test_score])],
            metric,
        )
    return found


def _learning(training: TrainingFacts, metric: str) -> Drawing:
    """The learning curve, and as its last point what the cross-validation gave."""
    points, folds = training.learning, training.folds
    rows, others = [point.rows for point in points], [point.others for point in points]
    fitted, spread = [point.fitted for point in points], [point.fitted_std for point in points]
    curves = [
        Line("on other rows", rows, others, [point.others_std for point in points], marks=True),
        Line("on the rows fitted", rows, fitted, spread, marks=True),
    ]
    last_rows, last = rows[-1], others[-1]
    if folds and training.folds_rows > rows[-1]:
        last_rows, last = training.folds_rows, sum(folds) / len(folds)
        deviation = (sum((fold - last) ** 2 for fold in folds) / len(folds)) ** 0.5
        curves.append(Line("cross-validation", [last_rows], [last], [deviation], marks=True))
    return partial(
        lines,
        "learning",
        f"{metric} by number of training rows: from {score(others[0])} with {rows[0]:,} rows to {score(last)} with "
        f"{last_rows:,} rows, on rows that were not fitted.",
        curves,
        Axis("training rows", log=True),
        Axis(metric, most=1),
    )


def _features(facts: Facts) -> dict[str, Drawing]:
    found: dict[str, Drawing] = {}
    importance = facts.features.importance
    if importance:
        names = "; ".join(f"{row.feature} {score(row.importance)}" for row in importance[:5])
        what = f"Permutation importance of {plural(len(importance), 'feature')}"
        found["importance"] = partial(
            bars,
            "importance",
            f"{what}: {facts.features.unit}. The largest: {names}.",
            [row.feature for row in importance],
            [("", [row.importance for row in importance])],
            Axis(f"{facts.features.unit}, mean and spread of the shuffles"),
            spread=[row.std for row in importance],
        )
    all_means = [value for entry in facts.features.dependence for value in _means(entry)]
    common = _around(all_means)  # on one scale, a flat line is a feature of no effect
    for place, entry in enumerate(facts.features.dependence, 1):
        name = f"dependence-{place}"
        found[name] = _dependence(name, entry, facts, common)
        share = _span(_means(entry)) / (_span(all_means) or 1.0)
        if MINUTE < share < FLAT:
            found[f"{name}-closer"] = _dependence(f"{name}-closer", entry, facts, _around(_means(entry)), closer=True)
    return found


def _dependence(
    name: str, entry: Dependence, facts: Facts, reach: tuple[float, float], *, closer: bool = False
) -> Drawing:
    what = f"predicted {facts.target}" if facts.task == "regression" else "mean probability"
    if facts.task == "classification" and len(entry.series) == 1:
        what = f"mean probability of {next(iter(entry.series))}"
    several = len(entry.series) > 1
    curves = [(_name(series, len(entry.series)), line) for series, line in entry.series.items()]
    values = _means(entry)
    alt = f"Mean prediction as {entry.feature} changes: from {number(min(values))} to {number(max(values))}."
    if entry.kind in ("number", "date"):
        grid = _numbers(entry.grid)
        band = (entry.low, entry.high) if entry.low is not None and entry.high is not None else None
        return partial(
            lines,
            name,
            alt,
            [Line(series if several else "", grid, line, marks=len(grid) <= 8) for series, line in curves],
            Axis(entry.feature, dates=entry.kind == "date", band=band),
            Axis(what, reach),
        )
    return partial(bars, name, alt, [str(value) for value in entry.grid], curves, Axis(what, reach if closer else None))


def _numbers(grid: Sequence[Cell]) -> list[float]:
    return [value for value in grid if isinstance(value, int | float)]


def _means(entry: Dependence) -> list[float]:
    return [value for line in entry.series.values() for value in line]


def _span(values: Sequence[float]) -> float:
    return max(values, default=0.0) - min(values, default=0.0)


def _around(values: Sequence[float]) -> tuple[float, float]:
    """From the least to the greatest value, and a little beyond; of no values, anything."""
    margin = 0.05 * _span(values) or 1.0
    return min(values, default=0.0) - margin, max(values, default=0.0) + margin


def _areas(curves: list[Curve]) -> str:
    return "; ".join(f"{curve.name}: {score(curve.area)}" for curve in curves)


def _legend(curve: Curve, n_curves: int) -> str:
    area = "" if curve.area is None else score(curve.area)
    name = _name(curve.name, n_curves)
    return f"{name}: {area}" if area else name if n_curves > 1 else ""


def _name(name: str, n_curves: int) -> str:
    """The name of one of so many curves in a legend."""
    return shortened(name, LEGEND_NAME if n_curves <= INSIDE else LEGEND_NAME_ABOVE)
