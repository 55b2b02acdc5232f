"""Metrics beside the built-in ones: scikit-learn's scorers, functions of the user's own."""

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.learning.cross_validation import CrossValidateSettings, PipelineSettings, cross_validate
from lockstep.learning.metrics import find_metric, metric_of
from lockstep.learning.own_metrics import check_metrics, make_scorers
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.learning.scoring import Predictions, metrics_of
from lockstep.steps.evaluating.design import Design
from lockstep.steps.evaluating.resampling import intervals_of

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, get_scorer, get_scorer_names

COST = "GREATER_IS_BETTER = False\ndef cost(y_true, y_pred):\n    return (y_true != y_pred).mean() * 5\n"


@pytest.fixture
def write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scorers").mkdir()

    def write(text):
        (tmp_path / "scorers/cost.py").write_text(text)

    write(COST)
    return write


@pytest.fixture(scope="module")
def fitted():
    """(a model of texts, rows, their classes, its predictions)"""
    random = np.random.default_rng(0)
    X = random.normal(size=(120, 2))
    y = np.where(X[:, 0] + random.normal(size=120) > 0, "yes", "no").astype(object)
    model = LogisticRegression().fit(X, y)
    probabilities = model.predict_proba(X)
    return model, X, y, Predictions(model.predict(X), model.classes_, probabilities, probabilities[:, 1])


@pytest.mark.parametrize("name", ["average_precision", "neg_brier_score", "matthews_corrcoef", "jaccard_macro", "f1"])
def test_a_scorer_of_scikit_learn_gives_what_it_gives_of_the_model(fitted, name):
    _, X, y, predictions = fitted
    assert name in get_scorer_names()
    (scorer,) = make_scorers([name], "classification")
    numbers = LogisticRegression().fit(X, y == "yes")  # what scikit-learn's scorers take for the positive class
    assert scorer.compute(y, predictions, None) == pytest.approx(get_scorer(name)(numbers, X, y == "yes"))


@pytest.mark.parametrize("name", ["average_precision", "f1"])
def test_a_scorer_follows_the_positive_class(fitted, name):
    _, X, y, predictions = fitted
    (scorer,) = make_scorers([name], "classification")
    numbers = LogisticRegression().fit(X, y == "no")
    found = scorer.compute(y, predictions._replace(positive="no"), None)
    assert found == pytest.approx(get_scorer(name)(numbers, X, y == "no"))


def test_a_cost_is_negated_and_every_direction_is_known(fitted, write):
    _, _, y, predictions = fitted
    own = make_scorers(["scorers/cost.py:cost", "average_precision"], "classification")
    found = metrics_of(y, predictions, "classification", "macro", own)
    assert list(found)[-2:] == ["neg_cost", "average_precision"]
    assert found["neg_cost"] == pytest.approx(-5 * (1 - found["accuracy"]))
    assert not metric_of("neg_cost").lower_is_better
    assert find_metric("neg_cost", "classification", "tune.metric", ["neg_cost"]) == "neg_cost"


def test_it_has_an_interval_of_the_same_resamples(fitted, write):
    _, _, y, predictions = fitted
    own = make_scorers(["scorers/cost.py:cost"], "classification")
    design = Design.of(y, stratified=False, groups=np.arange(len(y)), in_time=False)
    found = intervals_of(y, predictions, "classification", "macro", design, own)
    (low, high), (left, right) = found["neg_cost"], found["accuracy"]
    assert (low, high) == pytest.approx((-5 * (1 - left), -5 * (1 - right)), abs=0.1)


def test_folds_are_scored_by_it(write, make_table, make_settings):
    random = np.random.default_rng(0)
    table = make_table({"a": random.normal(size=60), "y": random.integers(0, 2, 60)})
    pipeline = PipelineSettings(PreprocessSettings(), make_settings("logistic_regression"))
    for fold in cross_validate(table, CrossValidateSettings(folds=3), pipeline, metrics=["scorers/cost.py:cost"]):
        assert fold.metrics["neg_cost"] == pytest.approx(-5 * (1 - fold.metrics["accuracy"]))


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (COST, "averge_precision", "'averge_precision' is no scorer of scikit-learn's. Nearest: average_precision"),
        (COST, "accuracy", "'accuracy' is among the metrics of every classification"),
        (COST, "scorers/cost.py:costs", "scorers/cost.py defines no function 'costs'. It defines, nearest first: cost"),
        (COST, "scorers/costs.py:cost", "scorers/costs.py does not exist. There are, nearest first: cost.py"),
        (COST, "features/p.py:cost", "'features/p.py:cost' names no metric. Allowed"),
        (
            COST.replace("GREATER", "X"),
            "scorers/cost.py:cost",
            "which way is better. Add a line 'GREATER_IS",
        ),
        (COST.replace("False", "maybe()"), "scorers/cost.py:cost", "does not say which way is better"),
    ],
)
def test_names_are_checked_and_nothing_is_run(write, text, name, message):
    write(f"raise SystemExit\n{text}")
    with pytest.raises(SettingsError, match=message):
        check_metrics([name], "classification")
    if text == COST:
        assert check_metrics(["scorers/cost.py:cost"], "classification") == ["neg_cost"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return 'much'", "scorers/cost.py:cost gives 'much', which is no number"),
        ("return float('nan')", "scorers/cost.py:cost gives nan for 120 rows. It must give a finite number"),
        ("return y_pred['a']", r"scorers/cost.py line 3, in cost: \w+Error: .*. Correct the file."),
    ],
)
def test_what_is_no_number_is_a_mistake_in_the_file(fitted, write, body, message):
    write(f"GREATER_IS_BETTER = True\ndef cost(y_true, y_pred):\n    {body}\n")
    (scorer,) = make_scorers(["scorers/cost.py:cost"], "classification")
    with pytest.raises(DataError, match=message):
        scorer.compute(fitted[2], fitted[3], None)


def test_metrics_of_rows_with_weights_go_by_them(fitted, write):
    _, _, y, predictions = fitted
    weights = np.random.default_rng(0).uniform(0.5, 2, len(y))
    (scorer,) = make_scorers(["average_precision"], "classification", weighted=True)
    expected = average_precision_score(y == "yes", predictions.scores, sample_weight=weights)
    assert scorer.compute(y, predictions, weights) == pytest.approx(expected)
    with pytest.raises(SettingsError, match=r"'rand_score' knows no weights of rows, and the rows have .*load\.weight"):
        make_scorers(["rand_score"], "classification", weighted=True)
    with pytest.raises(SettingsError, match="takes no argument 'weights'"):
        make_scorers(["scorers/cost.py:cost"], "classification", weighted=True)
    write(
        "import numpy\n\nGREATER_IS_BETTER = False\n\n\ndef cost(y_true, y_pred, weights=None):\n"
        "    return 5 * numpy.average(y_true != y_pred, weights=weights)\n"
    )
    (scorer,) = make_scorers(["scorers/cost.py:cost"], "classification", weighted=True)
    wrong = y != predictions.values
    assert scorer.compute(y, predictions, weights) == pytest.approx(-5 * np.average(wrong, weights=weights))
    assert scorer.compute(y, predictions, None) == pytest.approx(-5 * np.mean(wrong))


def test_a_function_of_other_arguments_is_said_to_be_such(fitted, write):
    _, _, y, predictions = fitted
    write("GREATER_IS_BETTER = False\ndef cost(rows):\n    return 1.0\n")
    (scorer,) = make_scorers(["scorers/cost.py:cost"], "classification")
    with pytest.raises(DataError, match=r"cannot be called as cost\(actual, predicted\): .*Correct the file"):
        scorer.compute(y, predictions, None)


@pytest.mark.parametrize(("name", "task"), [("neg_mean_absolute_error", "classification"), ("jaccard", "regression")])
def test_a_scorer_of_the_other_task_is_refused(name, task):
    with pytest.raises(SettingsError, match=f"'{name}' is no metric of a {task}"):
        check_metrics([name], task)
