"""The result in sentences."""

from dataclasses import replace

from lockstep.diagnosing.diagnosis import Copies
from lockstep.learning.metrics import ALL
from lockstep.reporting.result import result_facts
from reports import FOUND, made_of, noisy, sources_of, table_of

import msgspec
import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)


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
    assert "The interval does not exclude the baseline: on these rows the model cannot be told from it." in said


def test_an_accuracy_that_hides_a_class_is_said():
    x = RNG.normal(size=600)
    rare = table_of(pd.DataFrame({"x": x, "y": np.where(RNG.random(600) < 0.1, "rare", "common")}))
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


def test_test_rows_that_are_training_rows_too_are_said_and_the_others_counted():
    once = noisy(rows=200)
    given = made_of(table_of(pd.concat([once.frame, once.frame.iloc[:60]])))
    copies = given.test.frame.apply(tuple, axis=1).isin(set(given.train.frame.apply(tuple, axis=1))).to_numpy()
    right = (given.predictions["actual"] == given.predictions["predicted"]).to_numpy()
    (said,) = (entry for entry in result_facts(given.sources).sentences if "copies of training rows" in entry)
    assert said.startswith(f"{copies.sum()} of the test rows (")
    assert said.endswith(f"without them: an accuracy of {100 * right[~copies].mean():.1f}\N{NO-BREAK SPACE}%.")


@pytest.mark.parametrize(
    ("copies", "said"),
    [
        (Copies(0, None), None),
        (Copies(1, 0.25), "1 of the test rows (1.2 %) is a copy of training rows, target included; without them: an "),
        (Copies(80, None), "All test rows are copies of training rows, so nothing here says how good it is on new on"),
    ],
)
def test_copies_in_words(binary, copies, said):
    diagnosis = msgspec.structs.replace(binary.sources.diagnosis, copies=copies)
    found = [
        sentence.replace("\N{NO-BREAK SPACE}", " ")
        for sentence in result_facts(replace(binary.sources, diagnosis=diagnosis)).sentences
        if "training rows, " in sentence
    ]
    assert len(found) == (said is not None)
    assert all(sentence.startswith(said) for sentence in found)


def test_a_metric_that_is_worse_than_the_baselines_is_said(binary):
    given = binary.sources
    assert not any("worse than the baseline" in sentence for sentence in result_facts(given).sentences)
    worse = [
        msgspec.structs.replace(row, baseline=0.01) if row.metric == "log_loss" else row
        for row in given.plots.intervals
    ]
    found = result_facts(replace(given, plots=replace(given.plots, intervals=worse))).sentences
    (said,) = (sentence for sentence in found if "worse than" in sentence)
    assert said == f"It is worse than the baseline by log loss ({given.metrics['log_loss']:.3f} against 0.01)."


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
