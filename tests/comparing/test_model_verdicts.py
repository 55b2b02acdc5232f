"""Two evaluations compared: which rows, which tests, which verdict."""

import json
from dataclasses import replace

from lockstep.comparing.evaluations import Evaluated, Folds, match_test_rows
from lockstep.comparing.fold_verdicts import NoFolds, OtherFolds, StaleFolds, compare_folds
from lockstep.comparing.model_verdicts import SAME_PREDICTIONS, NotEvaluated, TooFewRows, compare_models
from lockstep.comparing.significance import mcnemar
from lockstep.comparing.verdicts import (
    BETTER,
    MIXED,
    NO_DIFFERENCE,
    NOT_COMPARABLE,
    WORSE,
    AnotherTarget,
    Target,
)
from lockstep.learning.metrics import METRICS, RARE_CLASS_METRICS

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import drawn

pytestmark = pytest.mark.usefixtures("few_resamples")


CLASSES = np.array(["a", "b", "c"], dtype=object)


ALWAYS = [name for name in METRICS["classification"] if name not in RARE_CLASS_METRICS]
"""The metrics of a classification without a rare class."""


def frame(actual, predicted, probabilities=None, classes=CLASSES, **more):
    """Predictions as evaluate writes them; row_hash numbers the rows as row does, unless it is given."""
    n = len(actual)
    rows = pd.DataFrame(
        {
            "row": np.arange(1, n + 1),
            "row_hash": np.arange(n).astype("uint64"),
            "actual": actual,
            "predicted": predicted,
        }
        | more
    )
    if probabilities is not None:
        for name, column in zip(classes, probabilities.T, strict=True):
            rows[f"probability_{name}"] = column
    return rows


def evaluated(predictions, task="classification", **own):
    defaults = {
        "shown": "v1", "target": "y", "average": "macro", "stratified": task == "classification", "grouped": False,
        "in_time": False, "raw": "file", "folds": None,
    }  # fmt: skip
    return Evaluated(predictions=predictions, task=task, **defaults | own)


def classifier(n=60, skill=0.5, seed=0, k=3, actual=0):
    """An evaluation of a made-up classifier; ``actual`` seeds the targets, ``seed`` the model."""
    classes = CLASSES[:k]
    y = np.random.default_rng(actual).permutation(np.resize(classes, n))
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.ones(k), n)
    probabilities[np.arange(n), np.searchsorted(classes, y)] += skill
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return evaluated(frame(y, classes[probabilities.argmax(axis=1)], probabilities, classes))


def regressor(n=60, noise=1.0, seed=0):
    y = np.random.default_rng(0).normal(50, 3, n)
    return evaluated(frame(y, y + np.random.default_rng(seed).normal(0, noise, n)), "regression")


def verdicts(found):
    return {item.metric: item.verdict for item in found.test_rows.metrics}


def metric(found, name):
    return next(item for item in found.test_rows.metrics if item.metric == name)


def test_a_clearly_better_model_is_better_in_every_metric():
    found = compare_models(classifier(300, skill=0.2), classifier(300, skill=2.0, seed=1))
    assert found.verdict == BETTER
    assert verdicts(found) == dict.fromkeys(ALWAYS, BETTER)
    found = compare_models(regressor(300, noise=3), regressor(300, noise=1, seed=1))
    assert verdicts(found) == dict.fromkeys(METRICS["regression"], BETTER)
    assert metric(found, "mse").difference < 0 < metric(found, "r2_score").difference
    json.dumps(msgspec.to_builtins(found), allow_nan=False)


def test_values_and_the_mcnemar_test():
    before, after = classifier(seed=1), classifier(seed=2, skill=0.8)
    found = metric(compare_models(before, after), "accuracy")
    right = [(own.predictions["actual"] == own.predictions["predicted"]).to_numpy() for own in (before, after)]
    assert (found.before, found.after) == pytest.approx((right[0].mean(), right[1].mean()))
    assert found.test == "McNemar"
    assert found.p == pytest.approx(mcnemar(int((right[0] > right[1]).sum()), int((right[1] > right[0]).sum())))
    assert found.low < found.difference < found.high


@drawn(8)
@given(st.integers(0, 10**6), st.integers(0, 10**6), st.sampled_from([2, 3]), st.booleans())
def test_swapping_the_two_negates_the_difference(one, other, k, numbers):
    a, b = (regressor(40, seed=s) if numbers else classifier(40, seed=s, k=k) for s in (one, other))
    there, back = compare_models(a, b), compare_models(b, a)
    swapped = {BETTER: WORSE, WORSE: BETTER, MIXED: MIXED, NO_DIFFERENCE: NO_DIFFERENCE}
    assert back.verdict == swapped[there.verdict]
    for first, second in zip(there.test_rows.metrics, back.test_rows.metrics, strict=True):
        assert second.difference == pytest.approx(-first.difference)
        if first.low is not None:
            assert (-second.high, -second.low) == pytest.approx((first.low, first.high), abs=1e-6)
        assert second.p_holm == pytest.approx(first.p_holm)
        assert second.verdict == swapped[first.verdict]


@drawn(8)
@given(st.integers(0, 10**6), st.integers(10, 50), st.booleans())
def test_the_same_predictions_are_no_difference(seed, n, numbers):
    one = regressor(n, seed=seed) if numbers else classifier(n, seed=seed)
    found = compare_models(one, one)
    assert found.verdict == NO_DIFFERENCE
    for item in found.test_rows.metrics:
        assert (item.difference, item.low, item.high, item.p_holm) == (0, 0, 0, 1)
        assert item.why == SAME_PREDICTIONS


def test_other_probabilities_with_the_same_predictions():
    one = classifier(40)
    other = replace(one, predictions=one.predictions.copy())
    columns = [f"probability_{name}" for name in CLASSES]
    other.predictions[columns] = other.predictions[columns] ** 2
    other.predictions[columns] = other.predictions[columns].div(other.predictions[columns].sum(axis=1), axis=0)
    found = compare_models(one, other)
    assert metric(found, "accuracy").why == "same predictions"
    assert metric(found, "accuracy").detectable is None
    assert metric(found, "log_loss").difference != 0
    assert metric(found, "log_loss").detectable != 0


def test_six_differing_rows_are_the_fewest_that_can_be_a_difference():
    """However large the bootstrap says it is: six coins of one side are the first below 5 %, if there is one test."""
    y = np.resize(CLASSES, 120)
    for n_wrong, verdict in ((5, NO_DIFFERENCE), (8, BETTER)):
        wrong = y.copy()
        wrong[:n_wrong] = np.resize(CLASSES, 120)[1 : n_wrong + 1]
        found = compare_models(evaluated(frame(y, wrong), average="micro"), evaluated(frame(y, y), average="micro"))
        assert verdicts(found) == dict.fromkeys(list(METRICS["classification"])[:5], verdict)
        assert {item.p for item in found.test_rows.metrics} == {mcnemar(0, n_wrong)}  # one test, five names
        assert {item.p_holm for item in found.test_rows.metrics} == {mcnemar(0, n_wrong)}


def test_the_smallest_difference_that_could_have_been_shown():
    """One differing row of 30: no test could have found fewer than the 6 rows of one side that a level of 5 % needs."""
    y = np.resize(CLASSES, 30)
    wrong = y.copy()
    wrong[0] = "b"
    found = compare_models(evaluated(frame(y, wrong), average="micro"), evaluated(frame(y, y), average="micro"))
    assert metric(found, "accuracy").detectable >= 6 / 30


def test_few_rows_are_not_compared():
    for n in (0, 1, 9):
        found = compare_models(regressor(n) if n else _empty(), regressor(n, seed=1) if n else _empty())
        assert found.verdict == NOT_COMPARABLE
        assert isinstance(found.test_rows, TooFewRows)
        assert found.test_rows.why_not == f"{n} test rows in common are too few, at least 10 are needed"


def _empty():
    return evaluated(frame(np.array([]), np.array([])), "regression")


def test_rows_that_are_few_for_their_classes_are_not_compared():
    y = np.array([f"c{number:02}" for number in [*range(26), 0, 1, 2, 3]], dtype=object)
    two = [evaluated(frame(y, np.roll(y, by)), stratified=True) for by in (1, 2)]
    reason = "30 test rows in common are too few for their 26 classes, at least 31 are needed"
    assert compare_models(*two).test_rows.why_not == reason
    more = np.append(y, "c04")
    enough = compare_models(*[evaluated(frame(more, np.roll(more, by)), stratified=True) for by in (1, 2)])
    assert enough.test_rows.metrics


def test_rows_of_one_file_are_matched_by_number_whatever_their_columns():
    before, after = classifier(seed=1), classifier(seed=2)
    after.predictions["row_hash"] += 10**6  # a column was dropped: every hash is another one
    after = replace(after, predictions=after.predictions.iloc[::-1])
    found = compare_models(before, after)
    rows = found.test_rows.rows
    assert (rows.matched_by, rows.compared, rows.same) == ("row number", 60, True)
    assert (
        found.test_rows.metrics == compare_models(before, classifier(seed=2)).test_rows.metrics
        or found.verdict == NO_DIFFERENCE
    )
    assert metric(found, "accuracy").before == metric(compare_models(before, before), "accuracy").before


def test_rows_of_other_files_are_matched_by_content():
    before, after = classifier(60, seed=1), classifier(60, seed=2)
    shifted = after.predictions.assign(row=after.predictions["row"] + 7).iloc[12:]
    found = compare_models(before, replace(after, raw="another file", predictions=shifted))
    assert msgspec.to_builtins(found.test_rows.rows) == {
        "before": 60, "after": 48, "common": 48, "other_target": 0, "compared": 48, "matched_by": "content",
        "units": "rows", "n_units": 48, "same": False,
    }  # fmt: skip
    assert metric(found, "accuracy").after == pytest.approx((shifted["actual"] == shifted["predicted"]).mean())


def test_equal_rows_are_matched_one_to_one():
    before, after = regressor(20), replace(regressor(20, seed=1), raw="another file")
    for own, copies in ((before, 3), (after, 2)):
        own.predictions.loc[: copies - 1, "row_hash"] = 99
    matched = match_test_rows(before, after)
    assert len(matched.before) == 19  # two of the three
    assert len(set(matched.before)) == 19
    assert matched.before[:2].tolist() == [0, 1]


def test_rows_whose_target_changed_are_left_out():
    before, after = regressor(30), regressor(30, seed=1)
    after.predictions.loc[:4, "actual"] += 1
    rows = compare_models(before, after).test_rows.rows
    assert (rows.common, rows.other_target, rows.compared, rows.same) == (30, 5, 25, False)


def test_another_target_or_task():
    found = compare_models(classifier(), replace(classifier(), target="species"))
    targets = AnotherTarget(Target("y", "classification"), Target("species", "classification"))
    assert found.test_rows == found.cross_validation == targets
    assert compare_models(classifier(), regressor()).verdict == NOT_COMPARABLE


def test_a_new_class_leaves_what_needs_probabilities_out():
    before, after = classifier(k=2), classifier(k=2, seed=1)
    after.predictions["probability_c"] = 0.0
    found = compare_models(before, after)
    assert list(verdicts(found)) == ["accuracy", "precision", "recall", "f1_score", "balanced_accuracy"]
    assert found.test_rows.notes == ("The model knew 2 classes and knows 3: roc_auc and log_loss cannot be compared.",)
    binary = compare_models(replace(before, average="binary"), replace(after, average="binary"))
    assert list(verdicts(binary)) == ["accuracy", "balanced_accuracy"]


def test_other_averages_are_computed_alike():
    before, after = replace(classifier(seed=1), average="weighted"), classifier(seed=2)
    found = compare_models(before, after)
    assert found.test_rows.metrics == compare_models(replace(before, average="macro"), after).test_rows.metrics
    assert (found.test_rows.averages, found.test_rows.notes) == (("weighted", "macro"), ())


@pytest.mark.parametrize("labels", [np.array([3, 8]), np.array([False, True]), np.array(["no", "yes"], dtype=object)])
def test_classes_of_every_type(labels):
    y = np.resize(labels, 40)
    share = np.random.default_rng(0).random(40)
    probabilities = np.column_stack([1 - share, share])
    one = evaluated(frame(y, labels[(share > 0.5).astype(int)], probabilities, labels))
    found = compare_models(one, evaluated(frame(y, y, np.eye(2)[np.searchsorted(labels, y)], labels)))
    assert list(verdicts(found)) == ALWAYS
    assert metric(found, "roc_auc").after == 1.0


def test_a_model_that_never_predicts_a_class():
    y = np.resize(CLASSES[:2], 40)
    found = compare_models(evaluated(frame(y, np.full(40, "a", dtype=object))), evaluated(frame(y, y)))
    assert metric(found, "accuracy").verdict == BETTER
    assert metric(found, "precision").before == pytest.approx(0.25)


def test_scores_without_probabilities_have_an_area():
    y = np.resize(CLASSES[:2], 60)
    random = np.random.default_rng(0)
    scored = [evaluated(frame(y, y, score=(y == "b") * skill + random.normal(size=60))) for skill in (0.2, 5.0)]
    found = compare_models(*scored)
    assert metric(found, "roc_auc").verdict == BETTER
    assert "log_loss" not in verdicts(found)


def test_rows_of_a_group_count_once():
    """Three independent visits to each of 40 customers are more than three copies of one."""
    before, after = classifier(40, 0.4, 1), classifier(40, 0.9, 2)
    tripled = [
        replace(own, grouped=True, stratified=False, predictions=pd.concat([own.predictions] * 3, ignore_index=True))
        for own in (before, after)
    ]
    for own in tripled:
        own.predictions["row"] = np.arange(120)
    naive = compare_models(*tripled)
    assert "their groups were not recorded" in naive.test_rows.notes[0]
    for own in tripled:
        own.predictions["group"] = np.tile(np.arange(40), 3)
    found = compare_models(*tripled)
    assert (found.test_rows.rows.units, found.test_rows.rows.n_units, found.test_rows.notes) == ("groups", 40, ())
    assert metric(found, "accuracy").test == "bootstrap and exchange"
    assert metric(found, "accuracy").p > 3 * metric(naive, "accuracy").p
    single = compare_models(before, after)
    assert metric(found, "log_loss").p == pytest.approx(metric(single, "log_loss").p, rel=0.3, abs=0.02)


def test_rows_in_time_are_taken_in_blocks():
    found = compare_models(*[replace(regressor(64, seed=seed), in_time=True) for seed in (1, 2)])
    assert (found.test_rows.rows.units, found.test_rows.rows.n_units) == ("blocks", 16)


def test_metrics_that_are_undefined():
    y = np.full(30, 7.0)
    before, after = (evaluated(frame(y, y + np.random.default_rng(s).normal(size=30)), "regression") for s in (0, 1))
    found = compare_models(before, after)
    item = metric(found, "r2_score")
    assert (item.before, item.after, item.difference, item.verdict) == (None, None, None, NOT_COMPARABLE)
    assert metric(found, "mse").verdict in (NO_DIFFERENCE, BETTER, WORSE)


def test_rmse_is_mse_in_other_units():
    found = compare_models(regressor(seed=1), regressor(seed=2, noise=1.4))
    assert metric(found, "rmse").p_holm == metric(found, "mse").p_holm


def folds(values, names=("accuracy",), **own):
    """A cross-validation of one repeat whose folds have the given values of each metric."""
    rows = [
        (1, fold + 1, 96, 24, name, value + shift)
        for fold, value in enumerate(values)
        for shift, name in enumerate(names)
    ]
    scores = pd.DataFrame(rows, columns=["repeat", "fold", "n_train", "n_test", "metric", "value"])
    made_from = {"made_from": ("rows", 5, 1, 42), "average": "macro"}
    return evaluated(frame([], []), shown=own.pop("shown", "v1"), in_time=own.pop("in_time", False),
                     folds=Folds(scores, **made_from | own))  # fmt: skip


LOW, HIGH = [0.80, 0.81, 0.79, 0.80, 0.82], [0.90, 0.92, 0.89, 0.91, 0.90]


def test_folds_are_compared_where_they_are_the_same():
    found = compare_folds(folds(LOW), folds(HIGH))
    assert (found.folds, found.metrics[0].verdict) == (5, BETTER)
    for other in (
        folds(HIGH, made_from=("other rows", 5, 1, 42)),
        folds(HIGH, made_from=("rows", 5, 1, 43)),
        folds([*HIGH, 0.9]),
    ):
        assert compare_folds(folds(LOW), other) == OtherFolds()
    none = replace(folds(LOW), folds=None)
    assert compare_folds(none, folds(LOW, shown="v2")) == NoFolds(("v1",))
    assert compare_folds(folds(LOW), folds(HIGH, shown="v2", current=False)) == StaleFolds(("v2",))
    assert compare_folds(none, folds(HIGH, shown="v2", current=False)) == StaleFolds(("v2",))


def test_folds_whose_scores_cannot_be_tested():
    found = compare_folds(folds(LOW), folds([value + 0.1 for value in LOW])).metrics[0]
    assert (found.verdict, found.why) == (NOT_COMPARABLE, "all folds differ by the same amount")
    found = compare_folds(folds(LOW, in_time=True), folds(HIGH, in_time=True)).metrics[0]
    assert (found.verdict, found.why) == (NOT_COMPARABLE, "folds in time are not tested")
    assert (found.low, found.high, found.p, found.p_holm) == (None, None, None, None)
    assert found.difference == pytest.approx(np.mean(HIGH) - np.mean(LOW))
    found = compare_folds(folds(LOW), folds(LOW)).metrics[0]
    assert (found.verdict, found.p_holm) == (NO_DIFFERENCE, 1.0)
    names = ("accuracy", "recall")
    both = compare_folds(folds(LOW, names), folds(HIGH, names, average="weighted"))
    assert [item.metric for item in both.metrics] == ["accuracy"]


def test_an_evaluation_of_another_model_is_not_compared_but_its_folds_are():
    before, after = classifier(seed=1), replace(classifier(seed=2), shown="v2", current=False)
    found = compare_models(replace(before, folds=folds(LOW).folds), replace(after, folds=folds(HIGH).folds))
    assert (found.verdict, found.test_rows) == (NOT_COMPARABLE, NotEvaluated(("v2",)))
    assert found.cross_validation.metrics[0].verdict == BETTER
    assert msgspec.to_builtins(found.test_rows) == {
        "reason": "not evaluated", "revisions": ("v2",), "verdict": NOT_COMPARABLE,
    }  # fmt: skip


def test_the_test_rows_decide_but_not_against_the_cross_validation():
    weak, strong = classifier(300, 0.2), classifier(300, 2.0, seed=1)
    agreed = compare_models(replace(weak, folds=folds(LOW).folds), replace(strong, folds=folds(HIGH).folds))
    assert metric(agreed, "accuracy").verdict == BETTER
    found = compare_models(replace(weak, folds=folds(HIGH).folds), replace(strong, folds=folds(LOW).folds))
    assert metric(found, "accuracy").verdict == NO_DIFFERENCE
    assert metric(found, "accuracy").why == "better here, worse in cross-validation"
    assert metric(found, "f1_score").verdict == BETTER
    # Nor against folds on which a search chose the hyperparameters: they are too good.
    for own in ((True, False), (False, True)):
        sides = [replace(side, folds=folds(values).folds, found={"C": 1} if tuned else {}) for side, values, tuned in
                 zip((strong, weak), (LOW, HIGH), own, strict=True)]  # fmt: skip
        assert metric(compare_models(*sides), "accuracy").verdict == WORSE
    # Cross-validation alone makes no difference.
    alone = compare_models(replace(weak, folds=folds(LOW).folds), replace(weak, folds=folds(HIGH).folds))
    assert alone.verdict == NO_DIFFERENCE
    assert alone.cross_validation.metrics[0].verdict == BETTER


def test_better_in_one_and_worse_in_another_is_mixed():
    """Sharper probabilities of a model that is right less often."""
    y = np.resize(CLASSES[:2], 400)
    truth = (y == "b").astype(float)
    random = np.random.default_rng(0)
    wrong = random.random(400) < 0.25
    vague = np.where(truth == 1, 0.51, 0.49)
    sharp = np.where(wrong, np.where(truth == 1, 0.45, 0.55), np.where(truth == 1, 0.95, 0.05))
    before, after = (
        evaluated(frame(y, CLASSES[(p > 0.5).astype(int)], np.column_stack([1 - p, p]), CLASSES[:2]))
        for p in (vague, sharp)
    )
    found = compare_models(before, after)
    assert found.verdict == MIXED
    assert metric(found, "log_loss").verdict == BETTER
    assert metric(found, "accuracy").verdict == WORSE


@pytest.mark.parametrize(("pairs", "most"), [(60, 6), pytest.param(200, 16, marks=pytest.mark.exhaustive)])
def test_two_equal_models_are_called_different_in_at_most_one_of_twenty(pairs, most):
    """Pairs of models that are equally good by construction; so few have a probability of 97 % at 5 %."""
    alarms = sum(
        compare_models(classifier(60, seed=2 * run, actual=run), classifier(60, seed=2 * run + 1, actual=run)).verdict
        != NO_DIFFERENCE
        for run in range(pairs)
    )
    assert alarms <= most


@pytest.mark.parametrize("asking", [0, 1])
@pytest.mark.exhaustive
def test_metrics_beside_the_built_in_ones_are_compared_if_one_side_asked_for_them(asking):
    own = ("average_precision", "neg_brier_score")
    sides = [classifier(300, skill=0.2, k=2), classifier(300, skill=2.0, seed=1, k=2)]
    sides[asking] = replace(sides[asking], metrics=own)
    found = compare_models(*sides)
    assert {name: verdicts(found)[name] for name in own} == dict.fromkeys(own, BETTER)
    assert list(verdicts(found))[-2:] == list(own)
    assert metric(found, "average_precision").test == "bootstrap"


def test_models_are_compared_by_the_weights_of_the_rows():
    """The second model is better in the rows that count."""
    random = np.random.default_rng(0)
    actual = random.choice(["a", "b"], 200).astype(object)
    other = np.where(actual == "a", "b", "a")
    heavy = np.arange(200) < 60
    first = np.where(heavy & (random.random(200) < 0.6), other, actual)
    second = np.where(~heavy & (random.random(200) < 0.6), other, actual)
    weight = np.where(heavy, 50.0, 1.0)
    plainly = compare_models(evaluated(frame(actual, first)), evaluated(frame(actual, second)))
    assert plainly.verdict == WORSE
    sides = [evaluated(frame(actual, values, weight=weight)) for values in (first, second)]
    found = compare_models(*sides)
    assert found.verdict == BETTER
    accuracy = {item.metric: item for item in found.test_rows.metrics}["accuracy"]
    assert accuracy.test == "bootstrap and exchange"  # McNemar's counts rows
    assert accuracy.after == pytest.approx(np.average(second == actual, weights=weight))
    assert found.test_rows.notes == ()
    doubled = compare_models(evaluated(frame(actual, first, weight=2 * weight)), sides[1])
    assert doubled.test_rows.notes == ()  # in another unit
    since = compare_models(evaluated(frame(actual, first)), sides[1])
    assert "The rows had other weights before" in since.test_rows.notes[0]
    assert since.verdict == BETTER
