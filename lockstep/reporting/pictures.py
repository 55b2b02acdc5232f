"""Which pictures a report has, and what each says to a reader who cannot see it."""

from lockstep.diagnosing.diagnostics import Dependence
from lockstep.learning.metrics import ALL, AUTO
from lockstep.reporting.facts import Cloud, Curve, Facts
from lockstep.reporting.figures import bars, bins, cloud, dots, histogram, lines, matrix
from lockstep.reporting.wording import number, plural, score, shortened, within_sentence

PARTS = {"train": "training"}
NAME = 24
"""Characters of a class in a legend."""


def pictures_of(facts: Facts) -> dict[str, str]:
    """{name: SVG}; what the facts lack has no picture. ``dependence`` ones are numbered: dependence-1, ..."""
    found = _data(facts)
    found |= _classification(facts) if facts.task == "classification" else _regression(facts)
    return found | _training(facts) | _features(facts)


def _data(facts: Facts) -> dict[str, str]:
    if facts.classes:
        shown = facts.largest_classes
        counted = "; ".join(f"{c.name} {c.train_rows:,} training and {c.test_rows:,} test" for c in shown)
        return {
            "balance": bars(
                "balance",
                f"Rows per class: {counted}.",
                [entry.name for entry in shown],
                [
                    ("training rows", [entry.train_rows for entry in shown]),
                    ("test rows", [entry.test_rows for entry in shown]),
                ],
                "rows",
                whole=True,
            )
        }
    shape = facts.target_histogram
    assert shape is not None
    return {
        "target": histogram(
            "target",
            f"Histogram of {facts.target}, training and test rows, from {number(shape.edges[0])} to "
            f"{number(shape.edges[-1])}.",
            shape.edges,
            shape.series,
            facts.target,
        )
    }


def _classification(facts: Facts) -> dict[str, str]:
    found = {}
    if facts.matrix is not None:
        n_classes = len(facts.matrix.names) + max(0, facts.matrix.others - 1)
        found["confusion"] = matrix(
            "confusion",
            f"Confusion matrix of {plural(facts.test_rows, 'test row')} in {n_classes} classes; {facts.matrix.right:,} "
            "are given the right one.",
            facts.matrix.names,
            facts.matrix.counts,
            others=bool(facts.matrix.others),
        )
    unit = (-0.02, 1.02)
    if facts.roc:
        found["roc"] = lines(
            "roc",
            f"ROC curve. Area under it: {_areas(facts.roc)}.",
            [(_legend(curve, len(facts.roc) > 1), curve.x, curve.y) for curve in facts.roc],
            "false positive rate", "true positive rate", x_range=unit, y_range=unit, reference=[(0, 0), (1, 1)],
            legend="lower right",
        )  # fmt: skip
    if facts.precision_recall:
        curves = facts.precision_recall
        found["precision_recall"] = lines(
            "precision_recall",
            f"Precision against recall. Average precision: {_areas(curves)}.",
            [(_legend(curve, len(curves) > 1), curve.x, curve.y) for curve in curves],
            "recall", "precision", x_range=unit, y_range=unit, legend="lower left",
        )  # fmt: skip
    if facts.calibration:
        found["calibration"] = bins(
            "calibration",
            "Calibration: the predicted probability against the share of rows that are of the class, in "
            f"{plural(len(facts.calibration[0][1]), 'bin')}.",
            [(shortened(name, NAME), [entry[:4] for entry in entries]) for name, entries in facts.calibration],
            "predicted probability", "share of rows", diagonal=True, ranges=(unit, unit),
        )  # fmt: skip
    if facts.score_histogram is not None:
        found["scores"] = histogram(
            "scores",
            f"Histogram of the predicted probability of {facts.positive}, by actual class.",
            facts.score_histogram.edges, facts.score_histogram.series, f"predicted probability of {facts.positive}",
        )  # fmt: skip
    if facts.thresholds:
        x = [entry.threshold for entry in facts.thresholds]
        found["thresholds"] = lines(
            "thresholds",
            f"Precision, recall and F1 of {facts.positive} as the threshold rises from {x[0]} to {x[-1]}.",
            [
                (
                    "precision",
                    [entry.threshold for entry in facts.thresholds if entry.precision is not None],
                    [entry.precision for entry in facts.thresholds if entry.precision is not None],
                ),
                ("recall", x, [entry.recall for entry in facts.thresholds]),
                ("F1", x, [entry.f1_score for entry in facts.thresholds]),
            ],
            "threshold", "precision, recall, F1", x_range=unit, y_range=unit, legend="lower left",
        )  # fmt: skip
    return found


def _regression(facts: Facts) -> dict[str, str]:
    found = {}
    if facts.predicted is not None:
        rows = facts.predicted
        low = max(rows.x_range[0], rows.y_range[0])
        high = min(rows.x_range[1], rows.y_range[1])
        found["predicted"] = _cloud(
            "predicted",
            f"Actual {facts.target} against the predicted one, {plural(facts.test_rows, 'test row')}.",
            rows, ("predicted", "actual"), [(low, low), (high, high)] if high > low else [],
        )  # fmt: skip
    if facts.residuals is not None:
        rows = facts.residuals
        found["residuals"] = _cloud(
            "residuals",
            f"Residuals, actual minus predicted {facts.target}, against the predicted one.",
            rows, ("predicted", "actual \N{MINUS SIGN} predicted"), [(rows.x_range[0], 0.0), (rows.x_range[1], 0.0)],
        )  # fmt: skip
    if facts.error_by_size:
        first, last = facts.error_by_size[0], facts.error_by_size[-1]
        found["error_by_size"] = bins(
            "error_by_size",
            f"Mean absolute error in tenths of the test rows by {facts.target}: from {number(first.y)} around "
            f"{number(first.x)} to {number(last.y)} around {number(last.x)}.",
            [("", [entry[:4] for entry in facts.error_by_size])],
            f"actual {facts.target}", "mean absolute error",
        )  # fmt: skip
    if facts.calibration:
        entries = facts.calibration[0][1]
        found["calibration"] = bins(
            "calibration",
            f"Mean actual against mean predicted {facts.target} in {plural(len(entries), 'bin')}.",
            [("", [entry[:4] for entry in entries])],
            "mean predicted", "mean actual", diagonal=True,
        )  # fmt: skip
    return found


def _cloud(name: str, alt: str, rows: Cloud, labels: tuple[str, str], reference: list[tuple[float, float]]) -> str:
    size, ranges = (rows.width, rows.height), (rows.x_range, rows.y_range)
    return cloud(name, alt, rows.points, rows.cells, size, ranges, labels, reference=reference)


def _training(facts: Facts) -> dict[str, str]:
    found, metric = {}, ALL[facts.folds_metric].title
    if any(len(curve.x) > 1 for curve in facts.history):
        first = facts.history[0]
        found["history"] = lines(
            "history",
            f"Loss ({facts.loss}) after each iteration: on the training rows from {number(first.y[0])} to "
            f"{number(first.y[-1])} in {first.x[-1]:,.0f} iterations.",
            [(f"{PARTS.get(curve.name, curve.name)} rows", curve.x, curve.y) for curve in facts.history],
            "iteration", facts.loss, legend="upper right",
        )  # fmt: skip
    if facts.learning:
        rows = [point.rows for point in facts.learning]
        others = ("on other rows", rows, [point.others for point in facts.learning])
        fitted = ("on the rows fitted", rows, [point.fitted for point in facts.learning])
        spread = [[point.others_std for point in facts.learning], [point.fitted_std for point in facts.learning]]
        curves = [others, fitted]
        if facts.folds and facts.folds_rows > rows[-1]:
            mean = sum(facts.folds) / len(facts.folds)
            curves.append(("cross-validation", [facts.folds_rows], [mean]))
            spread.append([(sum((fold - mean) ** 2 for fold in facts.folds) / len(facts.folds)) ** 0.5])
        found["learning"] = lines(
            "learning",
            f"{metric} by number of training rows: from {score(others[2][0])} with {rows[0]:,} rows to "
            f"{score(curves[-1][2][-1] if len(curves) == 3 else others[2][-1])} with "
            f"{curves[-1][1][-1]:,} rows, on rows that were not fitted.",
            curves, "training rows", metric, marks=True, spread=spread, log_x=True, most=1,
        )  # fmt: skip
    if facts.folds:
        found["folds"] = dots(
            "folds",
            f"{metric} of {plural(len(facts.folds), 'fold')}, from {score(min(facts.folds))} to "
            f"{score(max(facts.folds))}; of the test rows, {score(facts.test_score)}.",
            [(f"{len(facts.folds)} folds and their mean", facts.folds), ("test rows", [facts.test_score])],
            metric,
        )  # fmt: skip
    return found


def _features(facts: Facts) -> dict[str, str]:
    found = {}
    if facts.importance:
        names = "; ".join(f"{name} {score(mean)}" for name, mean, _ in facts.importance[:5])
        found["importance"] = bars(
            "importance",
            f"Permutation importance of {plural(len(facts.importance), 'feature')}. The most important: {names}.",
            [name for name, _, _ in facts.importance],
            [("", [mean for _, mean, _ in facts.importance])],
            f"loss of {within_sentence(ALL[AUTO[facts.task]].title)}, mean and spread of the shuffles",
            spread=[std for _, _, std in facts.importance],
        )
    for place, entry in enumerate(facts.dependence, 1):
        found[f"dependence-{place}"] = _dependence(f"dependence-{place}", entry, facts)
    return found


def _dependence(name: str, entry: Dependence, facts: Facts) -> str:
    what = f"predicted {facts.target}" if facts.task == "regression" else "mean probability"
    if facts.task == "classification" and len(entry.series) == 1:
        what = f"mean probability of {next(iter(entry.series))}"
    several = len(entry.series) > 1
    curves = [(shortened(series, NAME), line) for series, line in entry.series.items()]
    values = [value for line in entry.series.values() for value in line]
    alt = f"Mean prediction as {entry.feature} changes: from {number(min(values))} to {number(max(values))}."
    if entry.kind == "number":
        band = (entry.low, entry.high) if entry.low is not None and entry.high is not None else None
        return lines(
            name, alt, [(series if several else "", entry.grid, line) for series, line in curves],
            entry.feature, what, band=band, marks=len(entry.grid) <= 8, y_range=_reach(facts),
        )  # fmt: skip
    return bars(name, alt, entry.grid, curves, what)


def _reach(facts: Facts) -> tuple[float, float]:
    """Of the mean predictions in all pictures of dependence: on one scale, a flat line is a feature of no effect."""
    values = [value for entry in facts.dependence for line in entry.series.values() for value in line]
    margin = 0.05 * (max(values) - min(values)) or 1.0
    return min(values) - margin, max(values) + margin


def _areas(curves: list[Curve]) -> str:
    return "; ".join(f"{curve.name}: {score(curve.area)}" for curve in curves)


def _legend(curve: Curve, several: bool) -> str:
    area = "" if curve.area is None else score(curve.area)
    name = shortened(curve.name, NAME)
    return f"{name}: {area}" if area else name if several else ""
