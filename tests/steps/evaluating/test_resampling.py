"""Resamples of test rows: the same metrics as scikit-learn's, drawn as the rows were drawn, intervals that cover."""

import itertools

from lockstep.comparing.significance import bootstrap_p, exchange_p, mcnemar
from lockstep.kernel.log import heartbeat
from lockstep.learning.metrics import METRICS, RARE_CLASS_METRICS
from lockstep.learning.scoring import Predictions, Scorer, metrics_of
from lockstep.steps.evaluating import design as design_module
from lockstep.steps.evaluating import resampling
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.intervals import wilson
from lockstep.steps.evaluating.resampling import (
    bootstrap_interval,
    intervals_of,
    labels_of,
    resample_count,
    resampled,
    resampling_rows,
)

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from small import drawn, widened


def classified(n, k, seed=0, skill=0.5):
    """Targets of k classes, each of which occurs, and predictions with many tied probabilities."""
    random = np.random.default_rng(seed)
    names = np.array([f"class {i}" for i in range(k)], dtype=object)
    y = names[np.concatenate([np.arange(k), random.integers(0, k, n - k)])]
    probabilities = random.dirichlet(np.ones(k), n)
    probabilities[np.arange(n), np.searchsorted(names, y)] += skill
    probabilities = np.round(probabilities / probabilities.sum(axis=1, keepdims=True), 1) + 0.01
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    scores = probabilities[:, 1] if k == 2 else None
    return y, Predictions(names[probabilities.argmax(axis=1)], names, probabilities, scores)


def measured(n, seed=0, noise=1.0):
    random = np.random.default_rng(seed)
    y = random.normal(1000, 5, n)
    return y, Predictions(y + random.normal(0, noise, n), None, None, None)


def plain(y, **own):
    return Design.of(y, **{"stratified": False, "groups": None, "in_time": False} | own)


def picked(predictions, rows):
    return Predictions(*[part if part is predictions.classes or part is None else part[rows] for part in predictions])


@pytest.mark.parametrize(("k", "average"), [(2, "binary"), (2, "macro"), (3, "macro"), (4, "weighted"), (3, "micro")])
def test_weighted_metrics_are_those_of_the_resampled_rows(k, average):
    y, predictions = classified(40, k)
    rows = resampling_rows(y, predictions, "classification", average, None)
    for weights in plain(y, stratified=True).resamples(30, np.random.default_rng(0)):
        found = rows.metrics(weights)
        for resample, own in enumerate(weights.astype(int)):
            drawn = np.repeat(np.arange(40), own)
            expected = metrics_of(y[drawn], picked(predictions, drawn), "classification", average)
            assert {name: values[resample] for name, values in found.items()} == pytest.approx(expected)


@pytest.mark.parametrize("rare", [0, 1])
def test_weighted_metrics_of_a_rare_class_are_those_of_the_resampled_rows(rare):
    y, predictions = classified(60, 2, skill=0.1)
    kept = np.sort(np.concatenate([np.flatnonzero(y != f"class {rare}"), np.flatnonzero(y == f"class {rare}")[:6]]))
    y, predictions = y[kept], picked(predictions, kept)
    rows = resampling_rows(y, predictions, "classification", "macro", None)
    for weights in plain(y, stratified=True).resamples(30, np.random.default_rng(0)):
        found = rows.metrics(weights)
        assert set(RARE_CLASS_METRICS) < set(found)
        for resample, own in enumerate(weights.astype(int)):
            drawn = np.repeat(np.arange(len(y)), own)
            expected = metrics_of(y[drawn], picked(predictions, drawn), "classification", "macro")
            assert {name: values[resample] for name, values in found.items()} == pytest.approx(expected)
    found = intervals_of(y, predictions, "classification", "macro", plain(y, stratified=True))
    truth = y == f"class {rare}"
    assert found["rare_class_recall"] == wilson(int((predictions.values == y)[truth].sum()), 6)
    assert found["rare_class_average_precision"] is not None


def test_a_model_that_is_never_right():
    y = np.array(["a", "b"] * 20)
    wrong = Predictions(y[::-1], np.array(["a", "b"]), None, None)
    rows = resampling_rows(y, wrong, "classification", "macro", None)
    for weights in plain(y).resamples(5, np.random.default_rng(0)):
        assert {name: values.tolist() for name, values in rows.metrics(weights).items()} == dict.fromkeys(
            ("accuracy", "precision", "recall", "f1_score", "balanced_accuracy"), [0.0] * len(weights)
        )


def test_weighted_metrics_of_numbers_are_those_of_the_resampled_rows():
    y, predictions = measured(31)
    rows = resampling_rows(y, predictions, "regression", "macro", None)
    groups = np.arange(31) % 12  # resamples of unequal size: the median's two middle rows move
    for weights in plain(y, groups=groups).resamples(30, np.random.default_rng(0)):
        found = rows.metrics(weights)
        for resample, own in enumerate(weights.astype(int)):
            drawn = np.repeat(np.arange(31), own)
            expected = metrics_of(y[drawn], picked(predictions, drawn), "regression", "macro")
            assert {name: values[resample] for name, values in found.items()} == pytest.approx(expected)


def test_a_class_that_only_one_side_has():
    y = np.array(["a", "a", "b", "b", "d"], dtype=object)
    values = np.array(["a", "c", "b", "b", "b"], dtype=object)
    predictions = Predictions(values, np.array(["a", "b", "c"], dtype=object), None, None)
    found = resampling_rows(y, predictions, "classification", "macro", None).metrics(np.ones((1, 5)))
    expected = metrics_of(y, predictions, "classification", "macro")
    assert {name: values[0] for name, values in found.items()} == pytest.approx(expected)


def test_strata_keep_their_sizes_and_groups_stay_whole():
    y = np.array(["a"] * 30 + ["b"] * 5)
    for weights in plain(y, stratified=True).resamples(20, np.random.default_rng(0)):
        assert (weights[:, :30].sum(axis=1) == 30).all()
        assert (weights[:, 30:].sum(axis=1) == 5).all()
    groups = np.array(["u", "v", "w", "v", "u"] * 7)
    for weights in plain(y, groups=groups).resamples(20, np.random.default_rng(0)):
        assert all((weights[:, groups == name] == weights[:, groups == name][:, :1]).all() for name in "uvw")


def test_rows_in_time_are_resampled_in_blocks_of_consecutive_rows():
    design = plain(np.zeros(64), in_time=True)
    assert (design.kind, design.n_units) == ("blocks", 16)
    assert (np.diff(design.units) >= 0).all()
    assert np.bincount(design.units).tolist() == [4] * 16


def test_an_interval_of_a_mean_is_students():
    """The bootstrap of a mean, expanded, is nearly the t interval; unexpanded it would be a tenth too narrow."""
    y, predictions = measured(15)
    errors = (y - predictions.values) ** 2
    design = plain(y)
    low, high = bootstrap_interval(
        resampled([resampling_rows(y, predictions, "regression", "macro", None)], design)[0]["mse"], design
    )
    student = stats.t.interval(0.95, 14, errors.mean(), stats.sem(errors))
    assert high - low == pytest.approx(student[1] - student[0], rel=0.05)


@pytest.mark.parametrize("n", [20, 60])
def test_intervals_cover_the_truth(n, monkeypatch):
    """Of 200 draws about 95 % hold the true mean absolute error; a skewed mean of few rows somewhat fewer."""
    monkeypatch.setattr(resampling, "MOST_RESAMPLES", resampling.LEAST_RESAMPLES)  # ten times as quick
    truth = 2 * stats.norm.pdf(0)
    covered = 0
    for seed in range(200):
        y, predictions = measured(n, seed)
        low, high = intervals_of(y, predictions, "regression", "macro", plain(y))["mae"]
        covered += low <= truth <= high
    assert covered >= 182  # 5 % quantile of a coverage of 0.94


def test_accuracy_has_wilsons_interval():
    y = np.array([0, 1] * 15)
    predictions = Predictions(y.copy(), np.array([0, 1]), None, y.astype(float))
    found = intervals_of(y, predictions, "classification", "macro", plain(y, stratified=True))
    assert found["accuracy"] == pytest.approx((30 / (30 + 1.959964**2), 1.0))  # n / (n + z^2)
    assert found["f1_score"] is found["roc_auc"] is None  # every resample is as perfect: it says nothing


def test_too_few_units_have_no_interval():
    y, predictions = measured(9)
    assert set(intervals_of(y, predictions, "regression", "macro", plain(y)).values()) == {None}
    y, predictions = measured(40)
    design = plain(y, groups=np.arange(40) // 5)
    assert set(intervals_of(y, predictions, "regression", "macro", design).values()) == {None}
    one = y[:1], picked(predictions, np.array([0]))
    with np.errstate(all="raise"):
        assert set(intervals_of(*one, "regression", "macro", plain(one[0])).values()) == {None}


def test_groups_widen_the_interval():
    """40 rows that are 10 rows four times over know what 10 know."""
    y, predictions = measured(10)
    y, predictions = np.repeat(y, 4), picked(predictions, np.repeat(np.arange(10), 4))
    widths = []
    for groups in (None, np.repeat(np.arange(10), 4)):
        low, high = intervals_of(y, predictions, "regression", "macro", plain(y, groups=groups))["mse"]
        widths.append(high - low)
    assert widths[1] > 1.8 * widths[0]


def test_metrics_that_most_resamples_leave_undefined_have_no_interval():
    y = np.array([0] * 39 + [1])
    predictions = Predictions(y.copy(), np.array([0, 1]), None, np.arange(40.0))
    found = intervals_of(y, predictions, "classification", "macro", plain(y))
    assert found["roc_auc"] is None  # a third of the resamples lack class 1
    constant = np.full(40, 7.0), Predictions(np.arange(40.0), None, None, None)
    assert intervals_of(*constant, "regression", "macro", plain(y))["r2_score"] is None


def test_the_same_bits_every_time():
    y, predictions = classified(50, 3)
    found = [intervals_of(y, predictions, "classification", "macro", plain(y)) for _ in range(2)]
    assert found[0] == found[1]
    assert set(found[0]) <= set(METRICS["classification"])


def two(n=40, seed=1, k=2):
    """Two classifiers of the same rows."""
    y, one = classified(n, k, seed)
    other = picked(one, np.arange(n))
    changed = np.random.default_rng(seed).permutation(n)[: n // 4]
    _, noise = classified(n, k, seed + 1, skill=0)
    values, probabilities = one.values.copy(), one.probabilities.copy()
    values[changed], probabilities[changed] = noise.values[changed], noise.probabilities[changed]
    other = Predictions(values, one.classes, probabilities, probabilities[:, 1] if k == 2 else None)
    labels = labels_of(y, one, other)
    return y, one, other, tuple(resampling_rows(y, own, "classification", "macro", labels) for own in (one, other))


def test_exchanging_predictions_is_mcnemars_test_for_accuracy():
    y, one, other, rows = two()
    right = one.values == y, other.values == y
    exact = mcnemar(int((right[0] & ~right[1]).sum()), int((right[1] & ~right[0]).sum()))
    assert exchange_p(rows, plain(y))["accuracy"] == pytest.approx(exact, abs=0.02)


@pytest.mark.parametrize("k", widened([2, 3], [3]))
def test_exchanging_predictions_against_all_exchanges(k):
    """On 7 rows all 128 exchanges can be listed, and each metric computed by scikit-learn."""
    y, one, other, rows = two(7, k=k)
    # Areas go by the ranks within each model, so that models with other scales can be exchanged.
    one, other = (
        own._replace(
            scores=None if own.scores is None else stats.rankdata(own.scores),
        )
        for own in (one, other)
    )
    names = ["accuracy", "f1_score", "log_loss"] + (["roc_auc"] if k == 2 else [])
    sizes = {name: [] for name in names}
    for swaps in itertools.product([False, True], repeat=7):
        swapped = np.array(swaps)
        both = []
        for first, second in ((one, other), (other, one)):
            parts = [
                None if a is None else np.where(swapped if a.ndim == 1 else swapped[:, None], b, a)
                for a, b in zip(first[:1] + first[2:], second[:1] + second[2:], strict=True)
            ]
            both.append(
                metrics_of(y, Predictions(parts[0], one.classes, parts[1], parts[2]), "classification", "macro")
            )
        for name in names:
            sizes[name].append(abs(both[1][name] - both[0][name]))
    found = exchange_p(rows, plain(y))
    for name in names:
        exact = np.mean(np.array(sizes[name]) >= sizes[name][0] - 1e-12)
        assert found[name] == pytest.approx(exact, abs=0.02), name


def test_the_p_value_is_the_level_whose_interval_ends_at_zero():
    y, first = measured(30, 3)
    _, second = measured(30, 4, noise=1.3)
    second = first._replace(values=y + (second.values - second.values.mean()) * 0.2)
    design = plain(y)
    a, b = resampled([resampling_rows(y, own, "regression", "macro", None) for own in (first, second)], design)
    for name in ("mse", "mae"):
        p = bootstrap_p(b[name] - a[name], design)
        low, high = bootstrap_interval(b[name] - a[name], design, 1 - p)
        assert min(abs(low), abs(high)) < 0.02 * (high - low)


@drawn(10)
@given(st.integers(10, 60), st.integers(2, 4), st.integers(0, 1000))
def test_an_interval_holds_what_was_measured(n, k, seed):
    y, predictions = classified(n, k, seed)
    found = intervals_of(y, predictions, "classification", "macro", plain(y, stratified=True))
    value = metrics_of(y, predictions, "classification", "macro")
    for name, own in found.items():
        assert own is None or own[0] <= value[name] + 0.1
        assert own is None or own[1] >= value[name] - 0.1


def test_resamples_are_fewer_for_more_rows():
    assert resample_count(30, 3) == 9_999
    assert 999 < resample_count(5_000, 1) < 9_999
    assert resample_count(10**6, 1) == 999


def test_the_interval_of_a_binary_average_is_of_the_positive_class():
    y, predictions = classified(200, 2)
    for positive in predictions.classes.tolist():
        named = predictions._replace(positive=positive)
        (found,) = resampling_rows(y, named, "classification", "binary", None).metrics(np.ones((1, len(y))))["recall"]
        assert found == metrics_of(y, named, "classification", "binary")["recall"]


@pytest.mark.parametrize(("task", "k"), [("regression", 0), ("classification", 2), ("classification", 3)])
def test_weights_of_rows_count_in_every_resample(task, k):
    y, predictions = measured(50) if task == "regression" else classified(50, k)
    own = np.random.default_rng(1).uniform(0.2, 5, 50)
    design, alike = plain(y, weights=own), plain(y)
    rows = resampling_rows(y, predictions, task, "macro", None)
    expected = metrics_of(y, predictions, task, "macro", weights=own)
    assert {name: values[0] for name, values in rows.metrics(design.all_rows).items()} == pytest.approx(expected)
    drawn, counts = (next(one.resamples(5, np.random.default_rng(0))) for one in (design, alike))
    np.testing.assert_array_equal(drawn, counts * own)  # rows are drawn alike, whatever they weigh
    for resample, counted in enumerate(counts.astype(int)):
        taken = np.repeat(np.arange(50), counted)
        of = metrics_of(y[taken], picked(predictions, taken), task, "macro", weights=own[taken])
        assert {name: values[resample] for name, values in rows.metrics(drawn).items()} == pytest.approx(of)


def test_the_accuracy_of_weighted_rows_has_the_bootstraps_interval():
    y, predictions = classified(80, 2)
    own = np.random.default_rng(1).uniform(0.2, 5, 80)
    low, high = intervals_of(y, predictions, "classification", "macro", plain(y, weights=own))["accuracy"]
    value = metrics_of(y, predictions, "classification", "macro", weights=own)["accuracy"]
    assert low < value < high
    assert (low, high) != wilson(int((y == predictions.values).sum()), 80)
    alike = intervals_of(y, predictions, "classification", "macro", plain(y, weights=np.full(80, 7.0)))
    without = intervals_of(y, predictions, "classification", "macro", plain(y))
    for name in without.keys() - {"accuracy"}:
        assert alike[name] == pytest.approx(without[name])


@pytest.mark.parametrize("kind", widened(["rows", "stratified", "groups", "blocks", "weighted"], ("rows", "groups")))
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_resamples_of_subsets_spread_as_those_of_all_rows(monkeypatch, task, kind):
    random = np.random.default_rng(1)
    n = 12_000
    if task == "regression":
        y, predictions = measured(n)
    else:
        y = np.where(random.random(n) < 0.04, "rare", "frequent").astype(object)
        given = np.clip(random.normal(np.where(y == "rare", 0.4, 0.1), 0.15), 0.001, 0.999)
        classes = np.array(["frequent", "rare"], dtype=object)
        given = np.column_stack([1 - given, given])
        predictions = Predictions(classes[given.argmax(axis=1)], classes, given, given[:, 1])
    more = {
        "groups": {"groups": random.integers(0, 3_000, n)},
        "blocks": {"in_time": True},
        "weighted": {"weights": random.uniform(0.2, 5, n)},
        "stratified": {"stratified": task == "classification"},
    }
    design = plain(y, **more.get(kind, {}))
    rows = resampling_rows(y, predictions, task, "macro", None)
    monkeypatch.setattr(resampling, "MOST_RESAMPLES", resampling.LEAST_RESAMPLES)
    (whole,) = resampled([rows], design)
    monkeypatch.setattr(resampling, "_MANY_UNITS", 400)
    for name, value in {"SUBSET": design.n_units // 8, "SUBSETS": 8, "WHOLE": 200}.items():
        monkeypatch.setattr(design_module, name, value)
    (found,) = resampled([rows], design)
    exact = rows.metrics(design.all_rows)
    for name, values in found.items():
        assert len(values) == 1000
        assert np.std(values) == pytest.approx(np.std(whole[name]), rel=0.2), name
        assert abs(np.mean(values) - exact[name][0]) < np.std(values) / 2, name


def test_subsets_keep_small_strata_whole_and_take_the_others_in_turn(monkeypatch):
    for name, value in {"SUBSET": 100, "SUBSETS": 5, "WHOLE": 20}.items():
        monkeypatch.setattr(design_module, name, value)
    y = np.array(["a"] * 900 + ["b"] * 15 + ["c"] * 85, dtype=object)
    design = plain(y, stratified=True)
    taken = [rows for rows, _ in design.subsets(np.random.default_rng(0))]
    assert len(taken) == 5
    for rows in taken:
        assert [int(np.sum(y[rows] == name)) for name in "abc"] == [90, 15, 20]
    every = np.concatenate(taken)
    assert len(set(every[y[every] == "a"])) == 450
    assert len(set(every[y[every] == "c"])) == 85
    rows, part = next(design.subsets(np.random.default_rng(0)))
    assert np.allclose([part.all_rows[0][y[rows] == name].sum() for name in "abc"], [900, 15, 85])
    (drawn,) = part.resamples(3, np.random.default_rng(0))
    assert [drawn[0][y[rows] == name].sum() for name in "abc"] == [900, 15, 85]


def test_resamples_are_counted(monkeypatch):
    y, predictions = classified(60, 2)
    with heartbeat("intervals") as progress:
        intervals_of(y, predictions, "classification", "macro", plain(y))
    assert str(progress).startswith("9,999 of 9,999 resamples, ")
    monkeypatch.setattr(resampling, "_MANY_UNITS", 50)
    monkeypatch.setattr(design_module, "SUBSET", 20)
    with heartbeat("intervals") as progress:
        intervals_of(y, predictions, "classification", "macro", plain(y))
    assert str(progress).startswith("3 of 3 subsets, ")


def test_metrics_of_ones_own_are_counted_beside_the_others():
    y, predictions = measured(60)
    drawn, own = [], Scorer("own", lambda y, *_: drawn.append(progress.so_far) or y.mean())
    with heartbeat("intervals") as progress:
        assert "own" in intervals_of(y, predictions, "regression", "macro", plain(y), [own])
    assert str(progress).startswith("2 of 2 kinds of metrics, ")
    assert drawn == pytest.approx(1 + np.arange(1, 1000) / 999)
