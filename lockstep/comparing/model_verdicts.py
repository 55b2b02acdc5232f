"""Compares two models on the same test rows, and two ways of training on the same folds: better, or noise?

Works on what evaluations and cross-validations recorded; nothing is trained or predicted. docs/comparing.md says it in
prose.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from lockstep.comparing.significance import (
    MOST_EXCHANGED,
    bootstrap_p,
    corrected_t_test,
    detectable,
    exchange_p,
    mcnemar,
)
from lockstep.evaluating.resampling import LEAST_UNITS, Design, Rows, interval, labels_of, resampled, rows_of
from lockstep.kernel.settings import Task
from lockstep.learning.metrics import ALL, METRICS
from lockstep.learning.scoring import Average, Predictions
from lockstep.splitting.two_samples import holm

import numpy as np
import pandas as pd

ALPHA = 0.05
"""Family-wise error rate of the tests of a problem's metrics."""
BETTER, WORSE, NO_DIFFERENCE, NOT_COMPARABLE = "better", "worse", "no detectable difference", "not comparable"
MIXED = "mixed"
"""The verdict on a problem of which one metric is better and another worse."""
SAME_PREDICTIONS = "every prediction is the same"
SAME_TEST = {"rmse": "mse"}
"""Metrics that put any two models in the same order: one test for both."""
PROBABILITY = "probability_"


@dataclass(frozen=True)
class Folds:
    """A cross-validation as it was recorded.

    Attributes:
        scores: (n_folds * n_metrics, ...): repeat, fold, n_train, n_test, metric, value.
        made_from: what decides which rows are in which fold: the hash of the training rows, folds, repeats, seed.
        average: of precision, recall and F1.
        in_time: whether the folds are consecutive in time.
        tuned: whether a search chose the hyperparameters on these folds, so that the scores are optimistic.
    """

    scores: pd.DataFrame
    made_from: tuple[Any, ...]
    average: str
    in_time: bool
    tuned: bool


@dataclass(frozen=True)
class Evaluated:
    """An evaluation as it was recorded.

    Attributes:
        predictions: (n_test, ...): row, row_hash, actual, predicted, where there are any probability_<class> and score,
            and, where the split was by group, group.
        task, target: what was predicted.
        average: of precision, recall and F1.
        stratified: whether the split kept the classes' shares.
        grouped: whether it kept the rows of a group together.
        in_time: whether the test rows are the last ones in time.
        raw: the hash of the raw data, in which ``row`` counts; None if it is not known.
        folds: the cross-validation, or None.
    """

    predictions: pd.DataFrame
    task: Task
    target: str
    average: Average
    stratified: bool
    grouped: bool
    in_time: bool
    raw: str | None
    folds: Folds | None


class Matched(NamedTuple):
    """The test rows that two evaluations have in common: positions (n_common,) in each, in the order of the second.

    Attributes:
        before, after: the positions.
        by: "row number" (of one and the same file) or "content".
    """

    before: np.ndarray
    after: np.ndarray
    by: str


def match_rows(before: Evaluated, after: Evaluated) -> Matched:
    """Find the rows of one test set in another.

    By their number, if both come from one and the same raw file, whatever was made of its columns; else by the hash of
    their content, equal rows in the order in which they stand.
    """
    old, new = before.predictions, after.predictions
    if before.raw is not None and before.raw == after.raw:
        by, old_keys, new_keys = "row number", pd.Index(old["row"]), pd.Index(new["row"])
    else:
        by = "content"
        old_keys, new_keys = (
            pd.MultiIndex.from_arrays([frame["row_hash"], frame.groupby("row_hash").cumcount()]) for frame in (old, new)
        )
    positions = old_keys.get_indexer(new_keys)
    common = np.flatnonzero(positions >= 0)
    return Matched(positions[common], common, by)


def predictions_of(frame: pd.DataFrame, classes: np.ndarray | None) -> Predictions:
    """The recorded predictions as ``scoring.predict`` gave them; ``classes`` None for a regression."""
    values = _values(frame["predicted"])
    if classes is None:
        return Predictions(values.astype(float), None, None, None)
    names = [f"{PROBABILITY}{name}" for name in classes]
    probabilities = frame[names].to_numpy(dtype="float64") if set(names) <= set(frame) else None
    scores = None
    if len(classes) == 2 and probabilities is not None:
        scores = probabilities[:, 1]
    elif "score" in frame:
        scores = frame["score"].to_numpy(dtype="float64")
    return Predictions(values, classes, probabilities, scores)


def classes_of(frame: pd.DataFrame, seen: np.ndarray) -> np.ndarray:
    """(n_classes,) sorted: the model's classes as the columns of its probabilities name them.

    Args:
        frame: the predictions.
        seen: (n_seen,) sorted, the classes that occur: the model's, if it has no probabilities.
    """
    names = [str(name).removeprefix(PROBABILITY) for name in frame if str(name).startswith(PROBABILITY)]
    if not names:
        return seen
    known = {str(value): value for value in seen.tolist()}
    kinds: dict[str, Callable[[str], Any]] = {"i": int, "b": lambda name: name == "True"}
    typed = kinds.get(seen.dtype.kind, str)
    return np.array([known.get(name, typed(name)) for name in names], dtype=seen.dtype)


def _values(column: pd.Series) -> np.ndarray:
    return column.to_numpy(dtype=object) if isinstance(column.dtype, pd.StringDtype) else column.to_numpy()


def compare(before: Evaluated, after: Evaluated) -> dict[str, Any]:
    """Whether the second model is better than the first, ready for JSON.

    Returns:
        ``verdict`` (of the metrics together), ``why_not`` (where it is "not comparable"), ``targets`` and ``averages``
        (before and after, where they differ), ``rows`` (the test rows of either and those compared), ``metrics`` and
        ``cross_validation`` (a mapping per metric), ``notes``. Only ``targets`` and ``averages`` hold names, which can
        have any character; the texts have none.
    """
    found: dict[str, Any] = {
        "verdict": NOT_COMPARABLE, "why_not": None, "targets": None, "averages": None, "rows": None, "metrics": [],
        "cross_validation": {"folds": 0, "why_not": None, "metrics": []}, "notes": [],
    }  # fmt: skip
    if (before.task, before.target) != (after.task, after.target):
        found["why_not"] = "another target"
        found["targets"] = [{"column": side.target, "task": side.task} for side in (before, after)]
        return found
    folds = compare_folds(before.folds, after.folds, after.task)
    found["cross_validation"] = folds
    matched = match_rows(before, after)
    frames = before.predictions.iloc[matched.before], after.predictions.iloc[matched.after]
    same = _values(frames[0]["actual"]) == _values(frames[1]["actual"])
    frames = frames[0][same], frames[1][same]
    y = _values(frames[1]["actual"])
    design = _design(before, after, frames, y)
    found["rows"] = {
        "before": len(before.predictions),
        "after": len(after.predictions),
        "common": len(same),
        "other_target": int((~same).sum()),
        "compared": len(y),
        "matched_by": matched.by,
        "units": design.kind,
        "n_units": design.n_units,
        "same": len(y) == len(before.predictions) == len(after.predictions),
    }
    if not design.enough:
        what = design.kind if design.kind == "groups" else f"test {design.kind}"
        found["why_not"] = f"{design.n_units} {what} in common are too few, at least {LEAST_UNITS} are needed"
        if design.n_units >= LEAST_UNITS:  # then the split was stratified
            classes = design.n_units - design.degrees_of_freedom
            found["why_not"] = (
                f"{design.n_units} {what} in common are too few for their {classes} classes, at least "
                f"{classes + LEAST_UNITS // 2} are needed"
            )
        return found
    if after.grouped and design.kind == "rows":
        found["notes"].append(
            "The rows of a group are not independent, but their groups were not recorded: intervals and p-values are "
            "too sure. 'dvc repro' records them."
        )
    if before.average != after.average:
        found["averages"] = [before.average, after.average]
    found["metrics"], notes = _compare_rows(frames, y, after, design)
    found["notes"] += notes
    if not any(side.folds and side.folds.tuned for side in (before, after)):
        _contradict(found["metrics"], folds["metrics"])
    verdicts = {item["verdict"] for item in found["metrics"]}
    found["verdict"] = next((one for one in (BETTER, WORSE) if one in verdicts), NO_DIFFERENCE)
    if {BETTER, WORSE} <= verdicts:
        found["verdict"] = MIXED
    return found


def _design(before: Evaluated, after: Evaluated, frames: tuple[pd.DataFrame, pd.DataFrame], y: np.ndarray) -> Design:
    groups = next((_values(frame["group"]) for frame in reversed(frames) if "group" in frame), None)
    stratified = before.stratified and after.stratified and after.task == "classification"
    return Design.of(y, stratified=stratified, groups=groups, in_time=before.in_time or after.in_time)


def _compare_rows(
    frames: tuple[pd.DataFrame, pd.DataFrame], y: np.ndarray, after: Evaluated, design: Design
) -> tuple[list[dict[str, Any]], list[str]]:
    """The metrics of the same rows, (n_rows,) targets ``y``; and what is to be said of them."""
    notes: list[str] = []
    classes: list[np.ndarray | None] = [None, None]
    labels = None
    if after.task == "classification":
        seen = np.unique(np.concatenate([_values(frame[key]) for frame in frames for key in ("actual", "predicted")]))
        classes = [classes_of(frame, seen) for frame in frames]
    predictions = [predictions_of(frame, own) for frame, own in zip(frames, classes, strict=True)]
    if after.task == "classification":
        labels = labels_of(y, *predictions)
    rows = [rows_of(y, own, after.task, after.average, labels) for own in predictions]
    names = set.intersection(*[set(own.metrics(np.ones((1, len(y))))) for own in rows])
    if classes[0] is not None and classes[1] is not None:
        if not np.array_equal(classes[0], classes[1]):
            notes.append(
                f"The model knew {len(classes[0])} classes and knows {len(classes[1])}: roc_auc and log_loss cannot be "
                "compared."
            )
            names -= {"roc_auc", "log_loss"}
        if after.average == "binary" and {len(classes[0]), len(classes[1])} != {2}:
            names -= {"precision", "recall", "f1_score"}
    chosen = [name for name in METRICS[after.task] if name in names]
    return _test_rows(rows, predictions, y, design, chosen), notes


def _test_rows(
    rows: list[Rows], predictions: list[Predictions], y: np.ndarray, design: Design, names: Sequence[str]
) -> list[dict[str, Any]]:
    values = [own.metrics(np.ones((1, len(y)))) for own in rows]
    items: list[dict[str, Any]] = [
        {
            "metric": name,
            "lower_is_better": ALL[name].lower_is_better,
            "before": _finite(values[0][name][0]),
            "after": _finite(values[1][name][0]),
        }
        for name in names
    ]
    differing = _differing(predictions, design)
    if not any(differing.values()):
        return [
            {**item, "difference": 0.0, "low": 0.0, "high": 0.0, "p": 1.0, "p_holm": 1.0, "test": "none needed",
             "verdict": NO_DIFFERENCE, "why": SAME_PREDICTIONS, "detectable": None}
            for item in items
        ]  # fmt: skip
    samples = resampled(rows, design)
    differences = {name: samples[1][name] - samples[0][name] for name in names}
    tests: dict[str, tuple[float | None, str]] = {
        name: (bootstrap_p(differences[name], design), "bootstrap") for name in names
    }
    if len(y) <= MOST_EXCHANGED:
        exchanged = exchange_p((rows[0], rows[1]), design)
        for name, (p, _) in tests.items():
            other = exchanged[name]
            tests[name] = None if p is None or other is None else max(p, other), "bootstrap and exchange"
    if "accuracy" in tests and design.kind == "rows":
        right = [own.values == y for own in predictions]
        only = int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum())
        tests["accuracy"] = mcnemar(*only), "McNemar"
    family = _families(differences)
    for name in names:  # a metric that is another one in other words has that one's test
        tests[name] = tests[family[name]]
    distinct = [name for name in names if family[name] == name and tests[name][0] is not None]
    adjusted = dict(zip(distinct, holm([float(tests[name][0] or 0) for name in distinct]), strict=True))
    for item in items:
        name = item["metric"]
        p, test = tests[name]
        item |= {
            "difference": _difference(item), **_ends(interval(differences[name], design)), "p": p,
            "p_holm": adjusted.get(family[name]), "test": test, "detectable": None, "why": None,
        }  # fmt: skip
        _judge(item, undefined="it is undefined in too many resamples of these rows")
        if item["verdict"] == NO_DIFFERENCE:
            error = float(np.nanstd(differences[name])) * design.widening
            seen = differing["scores" if name in ("roc_auc", "log_loss") else "values"]
            item["detectable"] = _detectable(error, seen, design, ALPHA / max(1, len(distinct)))
            if not seen:
                item["why"] = "same predictions"
    return items


def _differing(predictions: list[Predictions], design: Design) -> dict[str, int]:
    """How many units have a row that the models predict differently: the value, or what metrics of ranks and
    probabilities see."""
    a, b = predictions
    values = a.values != b.values
    scores = values.copy()
    for one, other in ((a.probabilities, b.probabilities), (a.scores, b.scores)):
        if one is None or other is None:
            continue
        if one.shape == other.shape:
            scores |= np.any((one != other).reshape(len(values), -1), axis=1)
        else:  # other classes
            scores[:] = True
    return {"values": len(np.unique(design.units[values])), "scores": len(np.unique(design.units[scores]))}


def _families(differences: dict[str, np.ndarray], same: Mapping[str, str] = SAME_TEST) -> dict[str, str]:
    """Of each metric the first that it is one test with: whose difference is in every resample, or fold, the same, up
    to a constant factor (macro recall and balanced accuracy; accuracy and all micro averages), or has the same sign
    (``same``)."""
    found: dict[str, str] = {}
    for name, values in differences.items():
        own = same.get(name, name)
        scaled = _scaled(values)
        found[name] = next(
            (other for other in found if found[other] == other and np.allclose(_scaled(differences[other]), scaled,
                                                                               equal_nan=True)),
            own,
        )  # fmt: skip
    return found


def _scaled(values: np.ndarray) -> np.ndarray:
    largest = float(np.nanmax(np.abs(values), initial=0.0))
    return values / largest if largest > 0 else values


def _detectable(error: float, differing: int, design: Design, level: float) -> float | None:
    """The smallest difference that these rows could have shown; None if the models say nothing different.

    No test on fewer differing units than 1 - log2(level) can reach the level, even if all speak for one model (each is
    a toss of a coin): the standard error is then scaled up to so many.
    """
    if not differing or error == 0:
        return None
    least = np.ceil(1 - np.log2(level))
    return detectable(error * max(1.0, np.sqrt(least / differing)), design.degrees_of_freedom, level)


def compare_folds(before: Folds | None, after: Folds | None, task: Task) -> dict[str, Any]:
    """The corrected resampled t-test of every metric of two cross-validations, where their folds are the same."""
    found: dict[str, Any] = {"folds": 0, "why_not": None, "metrics": []}
    if before is None or after is None:
        found["why_not"] = "there is none on one side" if before is not after else "there is none"
        return found
    scores = [
        own.scores.pivot_table(index=["repeat", "fold", "n_train", "n_test"], columns="metric", values="value")
        for own in (before, after)
    ]
    if before.made_from != after.made_from or not scores[0].index.equals(scores[1].index):
        found["why_not"] = "the folds differ: other training rows, folds, repeats or seed"
        return found
    found["folds"] = len(scores[0])
    averaged = {"precision", "recall", "f1_score"} if before.average != after.average else set()
    names = [
        name
        for name in METRICS[task]
        if name not in averaged and all(name in own and own[name].notna().all() for own in scores)
    ]
    n_train, n_test = (scores[0].index.get_level_values(level).to_numpy() for level in ("n_train", "n_test"))
    differences = {name: (scores[1][name] - scores[0][name]).to_numpy() for name in names}
    family = _families(differences, {})  # a mean over folds of roots is not the root of a mean
    tests = {name: corrected_t_test(differences[name], n_train, n_test) for name in names}
    in_time = before.in_time or after.in_time
    distinct = [name for name in names if family[name] == name and tests[name].p is not None]
    adjusted = dict(zip(distinct, holm([float(tests[name].p or 0) for name in distinct]), strict=True))
    for name in names:
        test = tests[family[name]]
        item = {
            "metric": name,
            "lower_is_better": ALL[name].lower_is_better,
            "before": float(scores[0][name].mean()),
            "after": float(scores[1][name].mean()),
            "before_std": float(scores[0][name].std()),
            "after_std": float(scores[1][name].std()),
            "difference": tests[name].difference,
            **_ends(None if in_time else tests[name].interval),
            "p": None if in_time else test.p,
            "p_holm": None if in_time else adjusted.get(family[name]),
            "test": "corrected resampled t",
            "why": None,
        }
        undefined = "folds in time are not tested" if in_time else "all folds differ by the same amount"
        _judge(item, undefined=undefined)
        found["metrics"].append(item)
    return found


def _judge(item: dict[str, Any], *, undefined: str) -> None:
    """Set the ``verdict`` of one metric, by its Holm-adjusted p-value."""
    p, difference = item["p_holm"], item["difference"]
    if p is None or difference is None:
        item |= {"verdict": NOT_COMPARABLE, "why": undefined}
    elif p > ALPHA or difference == 0:
        item["verdict"] = NO_DIFFERENCE
    else:
        item["verdict"] = BETTER if (difference < 0) == item["lower_is_better"] else WORSE


def _contradict(metrics: list[dict[str, Any]], folds: list[dict[str, Any]]) -> None:
    """The rule where the two disagree: the test rows decide, but not against the cross-validation.

    A metric that is better on the test rows and worse in cross-validation, or the reverse, both beyond chance, has no
    detectable difference. Cross-validation alone never makes a difference: it compares ways of training, the test rows
    the two models that are there. Folds on which a search chose the hyperparameters have no say: they flatter them.
    """
    opposite = {BETTER: WORSE, WORSE: BETTER}
    verdicts = {item["metric"]: item["verdict"] for item in folds}
    for item in metrics:
        other = verdicts.get(item["metric"])
        if item["verdict"] in opposite and other == opposite[item["verdict"]]:
            item |= {"verdict": NO_DIFFERENCE, "why": f"{item['verdict']} here, {other} in cross-validation"}


def _difference(item: dict[str, Any]) -> float | None:
    return None if item["before"] is None or item["after"] is None else item["after"] - item["before"]


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _ends(interval_: tuple[float, float] | None) -> dict[str, Any]:
    """``low`` and ``high``, null where there is no interval."""
    low, high = interval_ or (None, None)
    return {"low": low, "high": high}
