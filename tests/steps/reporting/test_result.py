"""The result in sentences."""

from dataclasses import replace

from lockstep.kernel.errors import plural
from lockstep.learning.metrics import ALL, RARE_CLASS_METRICS
from lockstep.steps.diagnosing.diagnosis import Copies
from lockstep.steps.evaluating.intervals import wilson
from lockstep.steps.reporting.data import data_facts
from lockstep.steps.reporting.result import ShownMetric, result_facts
from lockstep.steps.reporting.training import training_facts
from lockstep.steps.reporting.wording import MULTIPLY
from reports import FOUND, made_of, noisy, sources_of, table_of

import msgspec
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score
from small import widened

RNG = np.random.default_rng(0)


BETTER = "The interval lies wholly on the better side of the baseline."
WORSE = "The interval lies wholly on the worse side of the baseline."
OVERLAPS = "The interval does not exclude the baseline: by {}, these rows cannot tell the model from it."


@pytest.fixture(scope="module")
def number():
    """The sources of a regression."""
    return sources_of(noisy("regression", rows=200), "ridge")


@pytest.fixture(scope="module")
def binary():
    return made_of(noisy(rows=400), "gradient_boosting")


def test_the_result_of_a_classification_in_sentences(binary):
    right = int((binary.predictions["actual"] == binary.predictions["predicted"]).sum())
    first, second, *rest = result_facts(binary.sources).sentences
    assert first.startswith(f"Of 80 test rows kept out of the training, {right} were given the right class: an ")
    assert "interval" in first
    assert second == "A baseline that always names the most frequent class reaches 50.0\N{NO-BREAK SPACE}%."
    assert "The interval lies wholly on the better side of the baseline." in rest
    assert rest[-1].startswith("Cross-validation on the training rows (3 folds) gives ")


def test_the_result_of_a_regression_in_sentences():
    given = sources_of(noisy("regression", rows=600), "ridge")
    said = result_facts(given).sentences
    assert "the predictions of y were off by" in said[0]
    assert f"{given.metrics['r2_score']:.3f}" in said[2]
    assert said[3] == "The interval lies wholly on the better side of the baseline."


def test_a_model_of_noise_is_not_said_to_have_learned():
    noise = table_of(pd.DataFrame({"x": RNG.normal(size=200), "y": RNG.choice(["a", "b"], 200)}))
    said = result_facts(sources_of(noise)).sentences
    assert OVERLAPS.format("accuracy") in said


@pytest.mark.parametrize(
    ("task", "low", "high", "baseline", "said"),
    [
        ("classification", 0.85, 0.88, 0.7, BETTER),
        ("classification", 0.85, 0.88, 0.79, BETTER),
        ("classification", 0.65, 0.68, 0.7, WORSE),
        ("classification", 0.65, 0.75, 0.7, OVERLAPS.format("accuracy")),
        ("classification", 0.7, 0.75, 0.7, OVERLAPS.format("accuracy")),
        ("regression", 3.0, 4.0, 9.0, BETTER),
        ("regression", 3.0, 4.0, 2.0, WORSE),
        ("regression", 3.0, 4.0, 3.5, OVERLAPS.format("mean absolute error")),
        ("regression", None, None, 3.5, None),
    ],
)
def test_on_which_side_of_the_baseline_the_interval_lies(binary, number, task, low, high, baseline, said):
    given, key = (binary.sources, "accuracy") if task == "classification" else (number, "mae")
    rows = [
        msgspec.structs.replace(row, low=low, high=high, baseline=baseline) if row.metric == key else row
        for row in given.plots.intervals
    ]
    found = result_facts(replace(given, plots=replace(given.plots, intervals=rows))).sentences
    sides = [sentence for sentence in found if sentence.startswith("The interval ")]
    assert sides == ([] if said is None else [said])


def test_none_of_the_variance_is_not_a_negative_share(number):
    rows = [
        msgspec.structs.replace(row, value=-0.2) if row.metric == "r2_score" else row for row in number.plots.intervals
    ]
    found = result_facts(replace(number, plots=replace(number.plots, intervals=rows))).sentences
    assert found[2] == "The model explains none of the variance (R² \N{MINUS SIGN}0.200)."


def test_an_accuracy_that_hides_a_class_is_said():
    x = RNG.normal(size=600)
    rare = table_of(pd.DataFrame({"x": x, "y": np.where(RNG.random(600) < 0.25, "rare", "common")}))
    assert any("not found equally well" in sentence for sentence in result_facts(sources_of(rare)).sentences)


@pytest.mark.parametrize("model", ["random_forest", "svm"])
def test_weighted_classes_are_said_with_what_they_make_of_probabilities(binary, model):
    assert not any("class_weight" in sentence for sentence in result_facts(binary.sources).sentences)
    given = sources_of(noisy(), model, class_weight="balanced")
    said = "It was trained as if all classes were equally frequent (train.class_weight: balanced)"
    if "log_loss" in given.metrics:
        said += ": its probabilities are those of such rows, not of the data"
    assert ("log_loss" in given.metrics) == (model == "random_forest")
    assert result_facts(given).sentences[-1] == f"{said}."


def with_a_rare_class(names, model="logistic_regression", rows=2000, shares=(0.94, 0.06), signal=1.5):
    """What a report is made from, the rows being of classes of these names and shares, told apart by one number."""
    rng = np.random.default_rng(1)
    kind = rng.choice(len(names), size=rows, p=shares)
    columns = {"x": rng.normal(size=rows) + signal * kind, "noise": rng.normal(size=rows), "y": np.array(names)[kind]}
    return made_of(table_of(pd.DataFrame(columns)), model)


@pytest.mark.parametrize("rare", ["a rare one", "z rare one"])
@pytest.mark.parametrize("model", widened(["logistic_regression", "svm"], ("logistic_regression",)))
def test_a_rare_class_leads_with_what_measures_it(rare, model):
    made = with_a_rare_class(["common", rare], model)
    facts = result_facts(made.sources)
    found, truth = made.predictions, (made.predictions["actual"] == rare).to_numpy()
    score = found[f"probability_{rare}"] if model != "svm" else found["score"] * (1 if rare > "common" else -1)
    said = (sentence.replace("\N{NO-BREAK SPACE}", " ") for sentence in facts.sentences)
    first, second, third, *rest = said
    precision = average_precision_score(truth, score)
    assert first.startswith(
        f"Of 400 test rows kept out of the training, {truth.sum()} ({100 * truth.mean():.1f} %) are of"
    )
    assert (
        f"the rarer class, {rare}; the model ranks them with an average precision of {precision:.3f} (95 % i" in first
    )
    assert f"), against {truth.mean():.4f}".rstrip("0") in first
    assert f"an area under the ROC curve of {roc_auc_score(truth, score):.3f} (95 % interval 0." in first
    named = (found["predicted"] == rare).to_numpy()
    if named.any():
        hits = (named & truth).sum()
        low, high = (f"{100 * end:.1f} %" for end in wilson(int(hits), int(truth.sum())))
        share = f"{100 * named[truth].mean():.1f} % (95 % interval {low} to {high})"
        assert second == f"It finds {hits} of the {truth.sum()}, a recall of {share}."
        rightly = f"{hits} of them rightly, a precision of {100 * truth[named].mean():.1f} %"
        assert third.startswith(f"It names {rare} for {plural(int(named.sum()), 'row')}, {rightly}")
        third, *rest = rest
    else:
        assert second == f"It names {rare} for no row, so that none of them is found."
    assert third.startswith(f"The accuracy is {100 * (found['actual'] == found['predicted']).mean():.1f} % (95 % int")
    assert f"reaches {100 * (1 - truth.mean()):.1f} %." in third
    assert any("(3 folds) gives an area under the ROC curve of 0." in sentence for sentence in rest)
    training = training_facts(made.sources)
    assert [metric.key for metric in facts.metrics[:3]] == list(RARE_CLASS_METRICS)
    assert all(metric.folds_mean is not None for metric in facts.metrics[:3])
    assert (training.metric, training.test_score) == ("roc_auc", made.sources.metrics["roc_auc"])
    assert len(training.folds) == 3


def test_one_frequent_class_of_several_leads_with_the_means_over_the_classes():
    made = with_a_rare_class(["common", "odd", "rare"], shares=(0.9, 0.06, 0.04))
    first, second, *_ = result_facts(made.sources).sentences
    assert (
        first
        == "Of 400 test rows kept out of the training, 89.8\N{NO-BREAK SPACE}% are of the most frequent class, common."
    )
    assert f"{made.sources.metrics['balanced_accuracy']:.1%}".replace("%", "\N{NO-BREAK SPACE}%") in second
    assert f"the mean of the areas under their ROC curves is {made.sources.metrics['roc_auc']:.3f}" in second


def test_test_rows_that_are_training_rows_too_are_said_and_the_others_counted():
    once = noisy(rows=200)
    given = made_of(table_of(pd.concat([once.frame, once.frame.iloc[:60]])))
    copies = given.test.frame.apply(tuple, axis=1).isin(set(given.train.frame.apply(tuple, axis=1))).to_numpy()
    right = (given.predictions["actual"] == given.predictions["predicted"]).to_numpy()
    twice = given.train.frame.duplicated(keep=False).mean()
    (said,) = (entry for entry in result_facts(given.sources).sentences if "equal training rows in " in entry)
    (also,) = (entry for entry in result_facts(given.sources).sentences if entry.startswith("Equal rows"))
    assert said.startswith(f"{copies.sum()} of the test rows (")
    assert said.endswith(f"without them: an accuracy of {100 * right[~copies].mean():.1f}\N{NO-BREAK SPACE}%.")
    assert f" {100 * twice:.1f}\N{NO-BREAK SPACE}% of the training rows equal another one." in also


COLUMNS = "every column, target included"
ONE = f"1 of the test rows (1.2 %) equals a training row in {COLUMNS}; without them: an accuracy of 75.0 %."
EACH = f"All 80 test rows equal training rows in {COLUMNS}: if they are the same things, nothing here says how good"
FEW = (
    "Equal rows are frequent in this table: 95.0 % of the training rows equal another one. If equal rows are different"
)


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        (Copies(0, None, None), []),
        (Copies(1, 0.25, 0.01), [ONE]),
        (Copies(80, None, 0.5), [EACH]),  # of the training rows, fewer equal each other: something else is the matter
        (Copies(80, None, 0.95), [EACH, FEW]),
    ],
)
def test_equal_rows_in_words(binary, copies, said):
    diagnosis = msgspec.structs.replace(binary.sources.diagnosis, copies=copies)
    found = [
        sentence.replace("\N{NO-BREAK SPACE}", " ")
        for sentence in result_facts(replace(binary.sources, diagnosis=diagnosis)).sentences
        if "target included" in sentence or "frequent in this table" in sentence
    ]
    assert len(found) == len(said)
    assert all(sentence.startswith(start) for sentence, start in zip(found, said, strict=True))


def test_columns_that_were_not_compared_are_no_part_of_what_is_equal(binary):
    given = binary.sources
    diagnosis = msgspec.structs.replace(given.diagnosis, copies=Copies(80, None, 0.5), weight="w")
    profile = msgspec.structs.replace(given.profile, dropped={"id": "load.drop"})
    sentences = result_facts(replace(given, diagnosis=diagnosis, profile=profile)).sentences
    said = "All 80 test rows equal training rows in every column that is not left out (but w), target included: if"
    assert any(sentence.startswith(said) for sentence in sentences)


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({}, ""),
        ({"baseline": 0.01, "low": 0.02, "high": 0.9}, "It is worse than the baseline by {}."),
        (
            {"baseline": 0.01, "low": 0.005, "high": 0.9},
            "By {} it is behind the baseline, but these rows cannot tell whether it is worse.",
        ),
        (
            {"baseline": 0.01, "low": None, "high": None},
            "By {} it is behind the baseline, but these rows cannot tell whether it is worse.",
        ),
    ],
)
def test_a_metric_that_is_worse_than_the_baselines_is_said(binary, own, said):
    given = binary.sources
    worse = [msgspec.structs.replace(row, **own) if row.metric == "log_loss" else row for row in given.plots.intervals]
    found = result_facts(replace(given, plots=replace(given.plots, intervals=worse))).sentences
    assert [sentence for sentence in found if "baseline by" in sentence or "behind" in sentence] == (
        [said.format(f"log loss ({given.metrics['log_loss']:.3f} against 0.01)")] if said else []
    )


def test_metrics_that_say_the_same_beside_a_baseline_are_said_once(number):
    """R² is the mean squared error by the variance; their intervals may differ where few errors are large."""
    far = {
        "r2_score": {"value": -0.2, "low": -3e11, "high": -0.04, "baseline": -0.006},
        "mse": {"value": 12.0, "low": 1.0, "high": 30.0, "baseline": 10.0},
        "rmse": {"value": 3.5, "low": 1.0, "high": 5.5, "baseline": 3.2},
    }
    rows = [msgspec.structs.replace(row, **far.get(row.metric, {})) for row in number.plots.intervals]
    found = result_facts(replace(number, plots=replace(number.plots, intervals=rows))).sentences
    (said,) = (sentence for sentence in found if "worse than the baseline" in sentence or "behind" in sentence)
    assert said.startswith("It is worse than the baseline by R² (")
    assert "squared error" not in said


def test_folds_that_a_search_has_seen_are_called_optimistic(binary):
    searched = replace(binary.sources, best_trial=FOUND)
    said = result_facts(searched).sentences[-1]
    assert said.endswith("optimistic, since the same rows chose the hyperparameters.")


def test_every_metric_has_its_interval_baseline_and_folds(binary):
    given, metrics = binary.sources, result_facts(binary.sources).metrics
    assert [metric.key for metric in metrics] == [name for name in ALL if name in given.metrics]
    accuracy = metrics[0]
    assert accuracy.value == given.metrics["accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high
    assert accuracy.baseline == given.metrics["baseline_accuracy"]
    assert accuracy.folds_mean == given.cross_validation["accuracy_mean"]


def test_a_ratio_near_zero_is_zero_and_an_error_is_not():
    shown = ShownMetric("r2_score", "R²", 0.857, -1e-5, 0.9, -1.04e-5, None, None).shown
    assert shown == ("0.857", "0.000 to 0.900", "0.000", "")
    assert (
        ShownMetric("mse", "MSE", 1.04e-5, None, None, None, None, None).shown[0]
        == f"1.04\N{NO-BREAK SPACE}{MULTIPLY}\N{NO-BREAK SPACE}10⁻⁵"
    )
    assert ShownMetric("r2_score", "R²", -12345.6, None, None, None, None, None).shown[0] == "\N{MINUS SIGN}12,346"


def test_errors_have_the_unit_of_the_target(number):
    columns = [
        msgspec.structs.replace(column, unit="$" if column.column == "y" else "") for column in number.profile.columns
    ]
    facts = result_facts(replace(number, profile=msgspec.structs.replace(number.profile, columns=columns)))
    assert [metric.name for metric in facts.metrics] == [
        "Mean absolute error in $",
        "Root mean squared error in $",
        "Median absolute error in $",
        "R²",
        "Mean squared error in $²",
    ]
    assert " on average, the mean absolute error in $ (95" in facts.sentences[0]


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_is_measured_of_weighted_rows_is_said_to_be_weighted(task):
    table = noisy(rows=400) if task == "classification" else noisy("regression", rows=400)
    weights = np.random.default_rng(0).uniform(0.2, 5, len(table))
    made = made_of(replace(table, frame=table.frame.assign(pay=weights), weight="pay"))
    rows, said = made.predictions, " ".join(result_facts(made.sources).sentences)
    weighted = (
        "weighted by pay, an accuracy of" if task == "classification" else "on average, weighted by pay, the mean"
    )
    assert weighted in said
    assert "of the test rows, weighted by pay (" in said  # the coverage
    facts = data_facts(made.sources)
    assert facts.rows.weight == "pay"
    assert ("pay", "weight") in [(column.name, column.role) for column in facts.columns]
    if task == "classification":
        right = np.average(rows["actual"] == rows["predicted"], weights=rows["weight"])
        assert made.sources.metrics["accuracy"] == pytest.approx(right)
        assert f"an accuracy of {100 * right:.1f}" in said


def test_a_class_that_is_rare_by_the_weights_alone_is_told_by_means_over_the_classes():
    """Half of the rows are of either class; those of one weigh so much that to name it always is nearly right."""
    random = np.random.default_rng(0)
    frame = noisy(rows=400).frame
    target = frame.columns[-1]
    frame[target] = random.choice(["heavy", "light"], len(frame))
    made = made_of(table_of(frame.assign(weight=np.where(frame[target] == "heavy", 20.0, 1.0)), weight="weight"))
    assert made.sources.metrics["baseline_accuracy"] > 0.9
    first, second, *_ = result_facts(made.sources).sentences
    assert "% are of the most frequent class, " in first
    assert "(balanced accuracy)" in second
