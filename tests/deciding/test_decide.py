"""What is decided on out-of-fold predictions: that it is what it is said to be, is in the model, and loads alone."""

import json
from dataclasses import replace

from lockstep.deciding.calibration import calibrated, calibrated_probabilities
from lockstep.deciding.conformal import bounds_of, conformal_intervals, sets_of, upper_quantile
from lockstep.deciding.decide import decide
from lockstep.deciding.decision import ClassSets, Decision, NumberIntervals, decision_of
from lockstep.deciding.out_of_fold import OutOfFold, out_of_fold_of
from lockstep.deciding.threshold import choose_threshold
from lockstep.deployment.exchange import skops_file
from lockstep.kernel.errors import DataError, IntegrityError, SettingsError
from lockstep.learning.cross_validation import CrossValidateSettings, PipelineSettings, cross_validate, out_of_fold
from lockstep.learning.estimators import Costs, build_estimator
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import Predictions, at, predict
from lockstep.saving.joblib_file import save_model
from lockstep.steps.evaluating.decisions import decision_metrics, uncalibrated, without_threshold
from lockstep.steps.evaluating.design import Design
from lockstep.steps.splitting.parts import SplitSettings, split_table
from stages.preprocess import preprocess
from stages.train import train

import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss
from sklearn.pipeline import Pipeline
from sklearn.tree import DecisionTreeClassifier
from small import make_table, model_settings, widened

COSTS = Costs(false_positive=1, false_negative=12)


def decided(name="random_forest", task="classification", classes=2, positive=None, rows=400, **values):
    """(parts, model, decision, out-of-fold frame)"""
    table = make_table(task, rows, classes)
    if positive is not None:
        table = replace(table, positive=positive)
    settings, cleaning = model_settings(name, task, **values), PreprocessSettings()
    parts = split_table(table, SplitSettings(test_size=0.4))
    preprocessor, processed = preprocess(parts.train, cleaning, name)
    frame = out_of_fold(
        cross_validate(parts.train, CrossValidateSettings(folds=4), PipelineSettings(cleaning, settings))
    )
    fitted = train(processed, preprocessor, parts.validation, settings).model
    return parts, *decide(fitted, frame, settings, parts.train.positive), frame


def test_without_a_decision_the_model_is_the_one_that_was_fitted(tmp_path):
    settings = model_settings("random_forest", "classification")
    parts = split_table(make_table(), SplitSettings())
    preprocessor, processed = preprocess(parts.train, PreprocessSettings(), "random_forest")
    frame = out_of_fold(
        cross_validate(parts.train, CrossValidateSettings(), PipelineSettings(PreprocessSettings(), settings))
    )
    fitted = train(processed, preprocessor, parts.validation, settings).model
    model, decision = decide(fitted, frame, settings)
    assert model is fitted
    assert (decision.calibrate, decision.threshold) == ("none", None)


@pytest.mark.parametrize("positive", ["c0", "c1"])
@pytest.mark.parametrize("by", widened(["cost", "f1_score", "balanced_accuracy", "accuracy"], ("cost", "f1_score")))
def test_no_threshold_is_better_on_the_out_of_fold_rows(by, positive):
    _, model, decision, frame = decided(threshold=by, costs=COSTS, positive=positive)
    chosen = decision.threshold
    actual, scores = frame["actual"].to_numpy() == positive, frame[f"probability_{positive}"].to_numpy()

    def judged(threshold):
        flagged = scores >= threshold
        if by == "cost":
            return -np.mean(1 * (flagged & ~actual) + 12 * (actual & ~flagged))
        metrics = {"f1_score": f1_score, "balanced_accuracy": balanced_accuracy_score}
        return metrics[by](actual, flagged) if by in metrics else np.mean(actual == flagged)

    best = max(judged(threshold) for threshold in [*scores, 2])
    assert judged(chosen.value) == pytest.approx(best)
    sign = -1 if by == "cost" else 1
    assert chosen.reached == pytest.approx(sign * best)
    assert chosen.reached_by_default == pytest.approx(sign * judged(0.5))
    assert chosen.positive == positive
    assert model[-1].threshold == chosen.value


@pytest.mark.parametrize(
    "name", widened(["random_forest", "gradient_boosting", "k_neighbors", "svm"], ("random_forest", "svm"))
)
def test_the_saved_model_decides_by_the_threshold_without_lockstep(name, tmp_path):
    parts, model, decision, _ = decided(name, threshold="cost", costs=COSTS)
    save_model(model, tmp_path / "m.joblib")
    loaded = joblib.load(tmp_path / "m.joblib")
    raw = predict(without_threshold(model), parts.test.features, "classification")
    expected = np.where(raw.scores >= decision.threshold.value, "c1", "c0")
    assert loaded.predict(parts.test.features).tolist() == expected.tolist()
    assert skops_file.loads(skops_file.dumps(model), "m").predict(parts.test.features).tolist() == expected.tolist()
    assert predict(model, parts.test.features, "classification").values.tolist() == expected.tolist()


def test_a_given_threshold_is_taken():
    parts, model, decision, _ = decided(threshold=0.2)
    given = model.predict_proba(parts.test.features)[:, 1]
    assert (model.predict(parts.test.features) == np.where(given >= 0.2, "c1", "c0")).all()
    assert (decision.threshold.by, decision.threshold.metric) == ("given", "f1_score")


@pytest.mark.parametrize("method", ["sigmoid", "isotonic", "temperature"])
@pytest.mark.parametrize(
    ("name", "classes"),
    widened(
        [("random_forest", 2), ("gradient_boosting", 3), ("svm", 3), ("mlp", 2)],
        [("random_forest", 2), ("svm", 3)],
    ),
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_calibrated_model_loads_alone_and_its_probabilities_are_the_calibrators(name, classes, method, tmp_path):
    parts, model, decision, _ = decided(name, classes=classes, calibrate=method)
    assert decision.calibrate == method
    save_model(model, tmp_path / "m.joblib")
    given = joblib.load(tmp_path / "m.joblib").predict_proba(parts.test.features)
    np.testing.assert_allclose(given.sum(axis=1), 1)
    assert given.tolist() == model.predict_proba(parts.test.features).tolist()
    written = skops_file.loads(skops_file.dumps(model), "m")
    assert written.predict_proba(parts.test.features).tolist() == given.tolist()


@pytest.mark.parametrize("method", ["sigmoid", "temperature"])
def test_calibration_makes_the_log_loss_of_overconfident_probabilities_smaller(method):
    parts, model, decision, _ = decided("k_neighbors", rows=900, calibrate=method, hyperparameters={"n_neighbors": 3})
    before = uncalibrated(model, parts.test)
    raw = predict(model, parts.test.features, "classification")
    y = parts.test.labels
    assert log_loss(y, raw.probabilities) < log_loss(y, before.probabilities)
    design = Design.of(y, stratified=True, groups=None, in_time=False)
    found = decision_metrics(model, parts.test, raw, before, decision, design)
    assert found["log_loss_uncalibrated"] == pytest.approx(log_loss(y, before.probabilities))


@pytest.mark.parametrize(
    "classes", widened([["c0", "c1"], [3, 7], [1, 2, 5], [False, True], ["a", "b", "c"]], [[3, 7], ["a", "b", "c"]])
)
@pytest.mark.parametrize("scored", [False, True])
def test_no_other_temperature_is_better_on_the_out_of_fold_rows(classes, scored):
    given, logits, weights = given_of(np.array(classes), scored=scored)
    estimator = DecisionTreeClassifier().fit(np.arange(len(classes))[:, None], np.array(classes))
    if scored:
        estimator = LogisticRegression().fit(np.arange(len(classes))[:, None], np.array(classes))
    model = calibrated(estimator, given, "temperature")
    found = calibrated_probabilities(model, given)

    def loss(probabilities):
        return log_loss(given.y, probabilities, sample_weight=weights, labels=np.array(classes))

    sure = np.array([loss(softmax(factor * logits, axis=1)) for factor in np.geomspace(0.1, 10, 400)])
    assert loss(found) == pytest.approx(sure.min(), rel=1e-3)
    assert loss(found) <= sure.min() + 1e-9
    assert loss(found) < loss(softmax(logits, axis=1))
    assert found.argmax(axis=1).tolist() == logits.argmax(axis=1).tolist()
    assert model.classes_.tolist() == classes


def given_of(classes, scored):
    """(out-of-fold predictions that are twice as sure as they may be, their logits, the weights of their rows)"""
    random = np.random.default_rng(0)
    true = random.normal(scale=1.5, size=(600, len(classes)))
    y = classes[[random.choice(len(classes), p=row) for row in softmax(true, axis=1)]]
    logits, weights = 2 * true, random.uniform(0.5, 2, len(y))
    probabilities = softmax(logits, axis=1)
    response = logits if scored else probabilities
    if len(classes) == 2:
        response = (logits[:, 1:] - logits[:, :1]) if scored else probabilities[:, 1:]
    return OutOfFold(y, Predictions(y, classes, probabilities, None), response, weights), logits, weights


@pytest.mark.parametrize("mistakes", [0, 1])
def test_a_temperature_needs_a_mistake(mistakes, caplog):
    X = np.arange(100.0)[:, None]
    y = np.repeat(["a", "b"], 50)
    probabilities = np.where(y == "b", 0.9, 0.1)
    probabilities[:mistakes] = 0.6
    frame = pd.DataFrame({"repeat": 1, "actual": y, "predicted": np.where(probabilities > 0.5, "b", "a")})
    frame = frame.assign(probability_a=1 - probabilities, probability_b=probabilities)
    model = Pipeline([("model", DecisionTreeClassifier().fit(X, y))])
    found, decision = decide(model, frame, model_settings("random_forest", "classification", calibrate="temperature"))
    if mistakes:
        assert decision.calibrate == "temperature"
        assert 1 < found[-1].calibrated_classifiers_[0].calibrators[0].beta_ < 10
    else:
        assert (found, decision.calibrate) == (model, "none")
        assert "all 100 out-of-fold predictions are right, so that every temperature is too high" in caplog.text
    _, decision = decide(model, frame, model_settings("random_forest", "classification", calibrate="sigmoid"))
    assert decision.calibrate == "sigmoid"


def test_a_temperature_needs_one_row_of_each_class():
    classes = np.array(["a", "b", "c"])
    given, _, weights = given_of(classes, scored=False)
    estimator = DecisionTreeClassifier().fit(np.arange(3)[:, None], classes)

    def of(rows):
        return OutOfFold(given.y[rows], at(given.predictions, rows), given.response[rows], weights[rows])

    others, (first, *_) = np.flatnonzero(given.y != "b"), np.flatnonzero(given.y == "b")
    model = calibrated(estimator, of([*others, first]), "temperature")
    assert model.predict(np.arange(3)[:, None]).tolist() == ["a", "b", "c"]
    with pytest.raises(DataError, match=r"class 'b' has 1 out-of-fold predictions .* at least 10 are needed"):
        calibrated(estimator, of([*others, first]), "sigmoid")
    with pytest.raises(DataError, match=r"class 'b' has 0 out-of-fold predictions .* at least 1 is needed"):
        calibrated(estimator, of(others), "temperature")


def test_the_threshold_is_one_of_calibrated_probabilities():
    _, _, decision, _ = decided("svm", calibrate="sigmoid", threshold=0.3)
    assert decision.threshold.value == 0.3
    with pytest.raises(SettingsError, match=r"the model gives no probabilities .* Set train\.calibrate to sigmoid"):
        decided("svm", threshold=0.3)


def test_decisions_that_contradict_the_rows():
    with pytest.raises(SettingsError, match=r"train\.threshold is f1_score, but there are not two classes"):
        decided(classes=3, threshold="f1_score")
    for name, value in (("threshold", "f1_score"), ("calibrate", "sigmoid"), ("costs", COSTS)):
        with pytest.raises(SettingsError, match=rf"train\.{name} is for classification\. Set it to"):
            build_estimator(model_settings("ridge", "regression", **{name: value}), "regression")
    with pytest.raises(SettingsError, match=r"train\.threshold is cost, but train\.costs says none"):
        build_estimator(model_settings("svm", "classification", threshold="cost"), "classification")


def test_a_class_of_few_rows_is_not_calibrated_on(make_table):
    table = make_table({"a": np.arange(100.0), "y": ["u"] * 94 + ["v"] * 6})
    settings = model_settings("random_forest", "classification", calibrate="isotonic")
    frame = out_of_fold(
        cross_validate(table, CrossValidateSettings(folds=3), PipelineSettings(PreprocessSettings(), settings))
    )
    preprocessor, processed = preprocess(table, PreprocessSettings(), "random_forest")
    with pytest.raises(DataError, match=r"train\.calibrate: class 'v' has 6 out-of-fold predictions .* at least 10"):
        decide(train(processed, preprocessor, table.rows(np.array([], int)), settings).model, frame, settings)


def test_what_the_threshold_buys_on_the_test_rows():
    parts, model, decision, _ = decided(rows=900, threshold="cost", costs=COSTS)
    raw, y = predict(model, parts.test.features, "classification"), parts.test.labels
    design = Design.of(y, stratified=True, groups=None, in_time=False)
    found = decision_metrics(model, parts.test, raw, None, decision, design)

    def cost(values):
        return np.mean(1.0 * ((values == "c1") & (y == "c0")) + 12.0 * ((values == "c0") & (y == "c1")))

    assert found["threshold_cost"] == pytest.approx(cost(raw.values))
    assert found["default_cost"] == pytest.approx(cost(without_threshold(model).predict(parts.test.features)))
    assert found["threshold_gain"] == pytest.approx(found["default_cost"] - found["threshold_cost"])
    assert found["threshold_gain_low"] <= found["threshold_gain"] <= found["threshold_gain_high"]


@pytest.mark.parametrize(("n", "level", "rank"), [(9, 0.9, 9), (8, 0.9, None), (99, 0.9, 90), (100, 0.95, 96)])
def test_the_quantile_has_the_correction_for_few_rows(n, level, rank):
    assert upper_quantile(np.arange(1.0, n + 1)[::-1], level) == rank


@pytest.mark.parametrize("name", ["gradient_boosting", "ridge"])
def test_intervals_of_numbers_cover_their_share_of_other_rows(name):
    parts, model, decision, _ = decided(name, "regression", rows=4000)
    intervals = decision.intervals
    assert isinstance(intervals, NumberIntervals)
    assert len(intervals.widths) == len(intervals.edges) + 1 == 10
    raw = predict(model, parts.test.features, "regression")
    low, high = bounds_of(intervals, raw.values)
    y = parts.test.labels
    assert np.mean((low <= y) & (y <= high)) == pytest.approx(0.9, abs=0.03)
    found = decision_metrics(
        model, parts.test, raw, None, decision, Design.of(y, stratified=False, groups=None, in_time=False)
    )
    assert found["coverage"] == np.mean((low <= y) & (y <= high))
    assert found["coverage_low"] < found["coverage"] < found["coverage_high"]


def test_sets_cover_their_share_of_each_class():
    parts, model, decision, _ = decided(classes=3, rows=4000, interval_level=0.8)
    assert isinstance(decision.intervals, ClassSets)
    raw = predict(model, parts.test.features, "classification")
    rows, y = sets_of(decision.intervals, raw), parts.test.labels
    assert (rows.sum(axis=1) >= 1).all()
    for place, name in enumerate(raw.classes):
        assert rows[y == name, place].mean() > 0.76


def test_few_rows_have_no_intervals():
    frame = make_table(rows=120).frame
    found = out_of_fold_of(
        frame.assign(repeat=1, actual=1.0, predicted=2.0).head(8)[["repeat", "actual", "predicted"]], None, None
    )
    assert conformal_intervals(found, 0.9) is None


def test_a_row_whose_fold_lacks_a_class_is_left_out(make_table):
    columns = {"repeat": 1, "actual": ["a", "b"], "predicted": "a", "probability_a": [0.5, 1.0]}
    frame = make_table({**columns, "probability_b": [0.5, np.nan], "y": 0}).frame
    found = out_of_fold_of(frame, np.array(["a", "b"], dtype=object), None)
    assert found.y.tolist() == ["a"]


def test_a_sidecar_holds_the_decision():
    _, _, decision, _ = decided(threshold="cost", costs=COSTS)
    about = json.loads(json.dumps({"decision": msgspec.to_builtins(decision)}))
    assert decision_of(about) == decision
    assert decision_of({}) == Decision()
    with pytest.raises(IntegrityError, match="did not write"):
        decision_of({"decision": {"calibrate": 3}})


def test_the_most_probable_class_is_in_every_set():
    given = np.array([[0.4, 0.6], [0.5, 0.5]])
    predictions = Predictions(np.array(["b", "a"]), np.array(["a", "b"]), given, given[:, 1])
    assert sets_of(ClassSets(0.9, 10, {"a": 0.9, "b": 0.9}, []), predictions).tolist() == [[False, True], [True, True]]


@pytest.mark.parametrize("by", ["cost", "f1_score", "balanced_accuracy", "accuracy"])
def test_a_threshold_is_chosen_for_rows_that_count_as_they_weigh(by):
    random = np.random.default_rng(0)
    y, scores = random.choice(["c0", "c1"], 200).astype(object), np.round(random.random(200), 2)
    scores[y == "c1"] += 0.2
    given = OutOfFold(y, Predictions(y, np.array(["c0", "c1"]), np.column_stack([1 - scores, scores]), scores), None)
    weights = random.integers(1, 6, 200)
    rows = np.repeat(np.arange(200), weights)
    repeated = OutOfFold(y[rows], at(given.predictions, rows), None)
    one, other = (choose_threshold(own, by, COSTS) for own in (given._replace(weights=weights * 0.5), repeated))
    assert one.value == other.value
    assert (one.reached, one.reached_by_default) == pytest.approx((other.reached, other.reached_by_default))


def test_the_quantile_of_weighted_errors():
    scores = np.array([3.0, 1.0, 2.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0])
    assert upper_quantile(scores, 0.8, np.full(9, 5.0)) == upper_quantile(scores, 0.8) == 8
    assert upper_quantile(scores, 0.95, np.ones(9)) is upper_quantile(scores, 0.95) is None
    heavy = np.where(scores == 2, 100.0, 1.0)
    assert upper_quantile(scores, 0.8, heavy) == 2


def test_rows_of_the_quantile_itself_are_covered():
    """1 - (1 - p) is not p for many p; a forest gives many rows the same one."""
    classes, y = np.array(["a", "b"], dtype=object), np.array(["b"] * 100 + ["a"] * 100, dtype=object)
    for p in np.arange(1, 50) / 100:
        given = np.repeat([p, 0.9], [60, 40])
        probabilities = np.concatenate([np.column_stack([1 - given, given]), [[0.8, 0.2]] * 100])
        predictions = Predictions(classes[probabilities.argmax(axis=1)], classes, probabilities, probabilities[:, 1])
        sets = conformal_intervals(OutOfFold(y, predictions, None), 0.8)
        assert sets_of(sets, predictions)[:100, 1].all(), p


def test_the_predicted_class_is_in_its_set():
    """A threshold may name a class that is not probable."""
    classes = np.array(["a", "b"], dtype=object)
    predictions = Predictions(np.array(["b"], dtype=object), classes, np.array([[0.8, 0.2]]), np.array([0.2]))
    assert sets_of(ClassSets(0.9, 100, {"a": 0.5, "b": 0.5}, []), predictions).tolist() == [[True, True]]


@pytest.mark.filterwarnings("error")
def test_a_row_whose_error_is_the_width_lies_in_its_interval():
    random = np.random.default_rng(0)
    values, signs = random.integers(0, 10_000, 2000) / 100, random.choice([-1, 1], 2000)
    y = values + 0.1 * signs
    low, high = bounds_of(NumberIntervals(0.9, 2000, [], [float(np.abs(y - values).max())]), values)
    assert ((low <= y) & (y <= high)).all()
    for value, actual in zip(values, y, strict=True):
        own = NumberIntervals(0.9, 1, [], [abs(float(actual) - float(value))])
        low, high = bounds_of(own, np.array([value]))
        assert low[0] <= actual <= high[0]
