"""Compares two models on the same test rows, and their ways of training on the same folds: better, or noise?

Works on what evaluations and cross-validations recorded; nothing is trained or predicted. docs/comparing.md says it in
prose.
"""

from collections.abc import Sequence
from typing import NamedTuple

from lockstep.comparing.evaluations import Evaluated, another_target, match_test_rows
from lockstep.comparing.fold_verdicts import FoldsComparison, compare_folds
from lockstep.comparing.significance import MOST_EXCHANGED, bootstrap_p, detectable, exchange_p, mcnemar
from lockstep.comparing.verdicts import (
    ALPHA,
    BETTER,
    NO_DIFFERENCE,
    NOT_COMPARABLE,
    WORSE,
    MetricComparison,
    NotComparable,
    Verdict,
    correct_by_holm,
    find_families,
    overall_verdict,
    verdict_of,
)
from lockstep.kernel.log import heartbeat
from lockstep.learning.metrics import in_order, metric_of
from lockstep.learning.own_metrics import make_scorers
from lockstep.learning.scoring import WEIGHT, Predictions, Scorer, predictions_of, values_of
from lockstep.steps.evaluating.design import LEAST_UNITS, Design
from lockstep.steps.evaluating.resampling import (
    Rows,
    bootstrap_interval,
    labels_of,
    resampled,
    resampled_own,
    resampling_rows,
)
from lockstep.tables.table import positive_class

import msgspec
import numpy as np
import pandas as pd

SAME_PREDICTIONS = "every prediction is the same"
SAME_TEST = {"rmse": "mse"}
"""Metrics that put any two models in the same order: one test for both."""


class RowsMetric(MetricComparison, frozen=True, kw_only=True):
    """One metric on the test rows; ``detectable`` is the smallest difference that these rows could have shown, where
    they show none."""

    detectable: float | None = None


class RowCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The test rows of either side, and those compared.

    Attributes:
        before, after: rows of each side.
        common: rows that both have.
        other_target: of these, rows whose target differs.
        compared: the other rows of these.
        matched_by: "row number" or "content".
        units, n_units: what is independent of each other: "rows", "groups" or "blocks", and their number.
        same: whether both sides have the same rows, with the same target.
    """

    before: int
    after: int
    common: int
    other_target: int
    compared: int
    matched_by: str
    units: str
    n_units: int
    same: bool


class RowsComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two models on the same test rows.

    Attributes:
        averages: of precision, recall and F1, before and after, where they differ.
        notes: what else must be known to read the metrics; no name in them can have any character.
    """

    rows: RowCounts
    metrics: tuple[RowsMetric, ...]
    averages: tuple[str, str] | None
    notes: tuple[str, ...]


class NotEvaluated(NotComparable, frozen=True, tag="not evaluated"):
    """The evaluation of these revisions was run with other settings than theirs, or for another model."""

    revisions: tuple[str, ...]


class TooFewRows(NotComparable, frozen=True, tag="too few rows"):
    """The two sides have too few test rows in common; ``why_not`` says how many are needed."""

    rows: RowCounts
    why_not: str


class ModelComparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two models: the verdict of the metrics on the test rows together, these metrics, and those of the folds."""

    verdict: Verdict
    test_rows: RowsComparison | NotComparable
    cross_validation: FoldsComparison | NotComparable


def compare_models(before: Evaluated, after: Evaluated) -> ModelComparison:
    """Compare two models: is the second one better than the first?

    The test rows decide, but not against the cross-validation. A metric that is better on the test rows and worse in
    cross-validation, or the reverse, both beyond chance, has no detectable difference. Cross-validation alone never
    makes a difference: it compares ways of training, the test rows the two models themselves. Folds on which a search
    chose the hyperparameters have no say, since their scores are optimistic.
    """
    folds, rows = compare_folds(before, after), compare_test_rows(before, after)
    if isinstance(rows, NotComparable):
        return ModelComparison(verdict=NOT_COMPARABLE, test_rows=rows, cross_validation=folds)
    if isinstance(folds, FoldsComparison) and not folds.tuned:
        contrary = {item.metric: item.verdict for item in folds.metrics}
        metrics = tuple(unless_contradicted(item, contrary.get(item.metric)) for item in rows.metrics)
        rows = msgspec.structs.replace(rows, metrics=metrics)
    return ModelComparison(verdict=overall_verdict(rows.metrics), test_rows=rows, cross_validation=folds)


def unless_contradicted(item: RowsMetric, folds: Verdict | None) -> RowsMetric:
    """Take back a verdict on the test rows where the one of the cross-validation, ``folds``, is the reverse."""
    if {item.verdict, folds} != {BETTER, WORSE}:
        return item
    why = f"{item.verdict} here, {folds} in cross-validation"
    return msgspec.structs.replace(item, verdict=NO_DIFFERENCE, why=why)


def compare_test_rows(before: Evaluated, after: Evaluated) -> RowsComparison | NotComparable:
    """Compare two models on the test rows that both evaluations have, with the same target."""
    if not_evaluated := tuple(side.shown for side in (before, after) if not side.current):
        return NotEvaluated(not_evaluated)
    if targets := another_target(before, after):
        return targets
    matched = match_test_rows(before, after)
    if before.in_time and not after.in_time:  # blocks of time are cut in the order of the side that has one
        order = np.argsort(matched.before)
        matched = matched._replace(before=matched.before[order], after=matched.after[order])
    old, new = before.predictions.iloc[matched.before], after.predictions.iloc[matched.after]
    same = values_of(old["actual"]) == values_of(new["actual"])
    old, new = old[same], new[same]
    y = values_of(new["actual"])
    groups = next((values_of(frame["group"]) for frame in (new, old) if "group" in frame), None)
    stratified = before.stratified and after.stratified and after.task == "classification"
    weights = values_of(new[WEIGHT]) if WEIGHT in new else None
    design = Design.of(
        y, stratified=stratified, groups=groups, in_time=before.in_time or after.in_time, weights=weights
    )
    rows = RowCounts(
        before=len(before.predictions),
        after=len(after.predictions),
        common=len(same),
        other_target=int((~same).sum()),
        compared=len(y),
        matched_by=matched.by,
        units=design.kind,
        n_units=design.n_units,
        same=len(y) == len(before.predictions) == len(after.predictions),
    )
    if not design.enough:
        return TooFewRows(rows, _too_few(design))
    predictions = _predictions(old, new, after)
    return RowsComparison(
        rows=rows,
        metrics=_test(predictions, y, design, after, list(dict.fromkeys([*after.metrics, *before.metrics]))),
        averages=None if before.average == after.average else (before.average, after.average),
        notes=_notes(
            predictions,
            ungrouped=after.grouped and design.kind == "rows",
            other_weights=not _weighted_alike(old, new),
            other_positive=after.average == "binary"
            and _with_positive(predictions[0], before).positive != predictions[0].positive,
        ),
    )


def _too_few(design: Design) -> str:
    what = design.kind if design.kind == "groups" else f"test {design.kind}"
    classes = design.n_units - design.degrees_of_freedom  # more than one only where the split was stratified
    many = f" for their {classes} classes" if design.needed > LEAST_UNITS else ""
    return f"{design.n_units} {what} in common are too few{many}, at least {design.needed} are needed"


def _predictions(old: pd.DataFrame, new: pd.DataFrame, after: Evaluated) -> tuple[Predictions, Predictions]:
    """Read the two models' predictions of the same rows."""
    seen = None
    if after.task == "classification":
        columns = [frame[name] for frame in (old, new) for name in ("actual", "predicted")]
        seen = np.unique(np.concatenate([values_of(column) for column in columns]))
    # As the average, the positive class is that of the second revision for both.
    one, other = (predictions_of(frame, seen) for frame in (old, new))
    return _with_positive(one, after), _with_positive(other, after)


def _with_positive(predictions: Predictions, of: Evaluated) -> Predictions:
    if predictions.classes is None:
        return predictions
    return predictions._replace(positive=positive_class(predictions.classes, of.positive))


def _weighted_alike(old: pd.DataFrame, new: pd.DataFrame) -> bool:
    one, other = (frame[WEIGHT].to_numpy() if WEIGHT in frame else np.ones(len(frame)) for frame in (old, new))
    return bool(np.allclose(one * np.mean(other), other * np.mean(one)))


def _notes(
    predictions: tuple[Predictions, Predictions], *, ungrouped: bool, other_weights: bool, other_positive: bool
) -> tuple[str, ...]:
    notes = []
    if other_weights:
        notes.append("The rows had other weights before; both models are measured by those of now.")
    if other_positive:
        notes.append(
            "The positive class was another one before; precision, recall and F1 of both are of the one of now."
        )
    if ungrouped:
        notes.append(
            "The rows of a group are not independent, but their groups were not recorded: intervals and p-values are "
            "too sure. 'dvc repro' records them."
        )
    old, new = (model.classes for model in predictions)
    if old is not None and new is not None and not np.array_equal(old, new):
        notes.append(
            f"The model knew {len(old)} classes and knows {len(new)}: roc_auc and log_loss cannot be compared."
        )
    return tuple(notes)


def _comparable(values: list[dict[str, np.ndarray]], classes: list[np.ndarray | None], after: Evaluated) -> list[str]:
    """The metrics that both models have and that mean the same of both, in the order in which they are shown."""
    names = set(values[0]) & set(values[1])
    old, new = classes
    if old is not None and new is not None:
        if not np.array_equal(old, new):
            names = {name for name in names if not metric_of(name).of_scores}
        if after.average == "binary" and {len(old), len(new)} != {2}:
            names -= {"precision", "recall", "f1_score"}
    return in_order(names, after.task)


class _Test(NamedTuple):
    """The test of a metric: its name, and the p-value, None where it is undefined."""

    name: str
    p: float | None


def _test(
    predictions: tuple[Predictions, Predictions],
    y: np.ndarray,
    design: Design,
    after: Evaluated,
    more: Sequence[str],
) -> tuple[RowsMetric, ...]:
    """Test every metric of two models' predictions of the same rows, whose targets are ``y``, (n_rows,); ``more`` are
    the names of those beside the built-in ones."""
    own = make_scorers(more, after.task, weighted=design.weights is not None)
    labels = labels_of(y, *predictions) if after.task == "classification" else None
    rows = [resampling_rows(y, model, after.task, after.average, labels) for model in predictions]
    values = [
        model.metrics(design.all_rows) | {scorer.key: _computed(scorer, y, found, design) for scorer in own}
        for model, found in zip(rows, predictions, strict=True)
    ]
    names = _comparable(values, [model.classes for model in predictions], after)
    differing = _differing(predictions, design)
    if not any(differing.values()):
        return tuple(
            RowsMetric(
                metric=name, lower_is_better=metric_of(name).lower_is_better, before=_finite(values[0][name]),
                after=_finite(values[1][name]), difference=0.0, low=0.0, high=0.0, test="none needed", p=1.0,
                p_holm=1.0, verdict=NO_DIFFERENCE, why=SAME_PREDICTIONS,
            )
            for name in names
        )  # fmt: skip
    with heartbeat("intervals of the differences"):
        drawn = resampled_own(own, y, predictions, design)
        samples = [known | other for known, other in zip(resampled(rows, design), drawn, strict=True)]
    differences = {name: samples[1][name] - samples[0][name] for name in names}
    tests = _tests((rows[0], rows[1]), predictions, y, design, differences)
    families = find_families(differences, SAME_TEST)
    corrected = correct_by_holm({name: test.p for name, test in tests.items()}, families)
    level = ALPHA / max(1, len(corrected))
    metrics = []
    for name in names:
        old, new = (_finite(model[name]) for model in values)
        difference = None if old is None or new is None else new - old
        verdict = verdict_of(name, difference, corrected.get(families[name]))
        low, high = bootstrap_interval(differences[name], design) or (None, None)
        units = differing["scores" if metric_of(name).of_scores else "values"]
        why = None
        if verdict == NOT_COMPARABLE:
            why = "it is undefined in too many resamples of these rows"
        elif verdict == NO_DIFFERENCE and not units:
            why = "same predictions"
        metrics.append(
            RowsMetric(
                metric=name,
                lower_is_better=metric_of(name).lower_is_better,
                before=old,
                after=new,
                difference=difference,
                low=low,
                high=high,
                test=tests[families[name]].name,
                p=tests[families[name]].p,
                p_holm=corrected.get(families[name]),
                verdict=verdict,
                why=why,
                detectable=_detectable(differences[name], units, design, level) if verdict == NO_DIFFERENCE else None,
            )
        )
    return tuple(metrics)


def _computed(scorer: Scorer, y: np.ndarray, predictions: Predictions, design: Design) -> np.ndarray:
    """(1,) the metric of all rows; NaN where it cannot be computed."""
    value = scorer.compute(y, predictions, design.weights)
    return np.array([np.nan if value is None else value])


def _finite(value: np.ndarray) -> float | None:
    """The one number of an array, None for NaN."""
    return float(value[0]) if np.isfinite(value[0]) else None


def _tests(
    rows: tuple[Rows, Rows],
    predictions: tuple[Predictions, Predictions],
    y: np.ndarray,
    design: Design,
    differences: dict[str, np.ndarray],
) -> dict[str, _Test]:
    """Test every metric, whose ``differences`` are (n_resamples,)."""
    tests = {name: _Test("bootstrap", bootstrap_p(values, design)) for name, values in differences.items()}
    if len(y) <= MOST_EXCHANGED:
        exchanged = exchange_p(rows, design)
        for name in exchanged.keys() & tests.keys():
            p, other = tests[name].p, exchanged[name]
            larger = None if p is None or other is None else max(p, other)
            tests[name] = _Test("bootstrap and exchange", larger)
    if "accuracy" in tests and design.shares:
        old, new = (model.values == y for model in predictions)
        tests["accuracy"] = _Test("McNemar", mcnemar(int((old & ~new).sum()), int((new & ~old).sum())))
    return tests


def _differing(predictions: tuple[Predictions, Predictions], design: Design) -> dict[str, int]:
    """Count the units with a row that the models predict differently: by its value, or by the scores and probabilities
    that some metrics go by."""
    old, new = predictions
    values = old.values != new.values
    scores = values.copy()
    for one, other in ((old.probabilities, new.probabilities), (old.scores, new.scores)):
        if one is None or other is None:
            continue
        if one.shape == other.shape:
            scores |= np.any((one != other).reshape(len(values), -1), axis=1)
        else:  # other classes
            scores[:] = True
    return {"values": len(np.unique(design.units[values])), "scores": len(np.unique(design.units[scores]))}


def _detectable(differences: np.ndarray, differing: int, design: Design, level: float) -> float | None:
    """Compute the smallest difference that these rows could have shown; None if the models say nothing different.

    No test on fewer differing units than 1 - log2(level) can reach the level, even if all speak for one model (each is
    a toss of a coin): the standard error is then scaled up to that number.
    """
    error = float(np.nanstd(differences)) * design.widening
    if not differing or error == 0:
        return None
    least = np.ceil(1 - np.log2(level))
    return detectable(error * max(1.0, np.sqrt(least / differing)), design.degrees_of_freedom, level)
