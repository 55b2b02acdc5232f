"""What a report says of any table: the numbers and sentences, before anything is drawn or rendered."""

from dataclasses import replace

from lockstep.kernel.log import heartbeat
from lockstep.learning.metrics import ALL
from lockstep.learning.model_types import MODELS
from lockstep.steps.reporting.facts import facts_of
from lockstep.steps.reporting.metric_titles import TITLES, headline
from lockstep.steps.reporting.pictures import pictures_of
from reports import FOUND, noisy, sources_of, table_of

import msgspec
import numpy as np
import pandas as pd
import pytest
from small import EACH_TYPE, SMALL

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def binary():
    """Sources of two classes, with missing values, a text and a boolean."""
    return sources_of(noisy(rows=400), "gradient_boosting")


def test_every_metric_has_a_title():
    assert sorted(TITLES) == sorted(ALL)
    assert headline("classification", 0.5, ALL) == ["accuracy", "f1_score"]
    assert headline("classification", 0.9, ALL) == ["rare_class_average_precision", "roc_auc"]
    assert headline("classification", 0.9, {"roc_auc", "balanced_accuracy"}) == ["roc_auc", "balanced_accuracy"]
    assert headline("regression", None, ALL) == ["mae", "r2_score"]


def test_the_same_sources_give_the_same_facts(binary):
    assert facts_of(binary) == facts_of(binary)


@pytest.mark.parametrize(("name", "task"), EACH_TYPE)
def test_every_model_type_has_facts(name, task):
    facts = facts_of(sources_of(noisy(task, rows=200), name, slices=3, worst_rows=2))
    assert facts.card.model == name
    assert facts.estimator == MODELS[name].estimator(task).__name__
    assert len(facts.features.dependence) == 3
    assert facts.training.history
    assert bool(facts.predictions.calibration) == (name != "svm" or task == "regression")


@pytest.mark.parametrize(
    ("columns", "task", "model"),
    [
        ({"x": RNG.normal(size=150), "y": RNG.normal(size=150)}, "regression", "ridge"),  # one feature
        ({"x": RNG.normal(size=150), "y": np.full(150, 7.0)}, "regression", "linear_regression"),  # one value
        ({"x": RNG.normal(size=150), "y": RNG.random(150) < 0.3}, "classification", "random_forest"),  # booleans
        ({"x": RNG.normal(size=150), "y": RNG.integers(0, 3, 150)}, "classification", "svm"),  # no scores at all
        ({"x": np.arange(150) % 2, "y": np.where(np.arange(150) % 2, "a", "b")}, "classification", "random_forest"),
        ({"x": RNG.normal(size=150) * 1e30, "y": RNG.normal(size=150) * 1e30}, "regression", "random_forest"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the data checks, of a target of one value
def test_corner_cases(columns, task, model):
    facts = facts_of(sources_of(table_of(pd.DataFrame(columns), task), model))
    assert facts.result.metrics
    assert facts.weak.slices is not None


def test_what_is_switched_off_is_not_there():
    facts = facts_of(sources_of(noisy(rows=200), worst_rows=0, slices=0, top_features=0, learning_curve_rows=0))
    assert (facts.weak.worst, facts.weak.slices) == (None, None)
    assert (facts.features.dependence, facts.training.learning) == ([], [])


def test_names_from_the_data_are_short_lines():
    long = "line\nbreak" + "x" * 5000
    frame = pd.DataFrame({long: RNG.normal(size=150), "y": RNG.choice([f"a{long}", f"b{long}"], 150)})
    facts = facts_of(sources_of(table_of(frame)))
    own = facts.predictions
    texts = [facts.data.columns[0].name, facts.features.importance[0].feature, facts.features.dependence[0].feature,
             own.positive, own.classes[0].name, own.matrix.names[0], own.roc[0].name, facts.weak.worst.features[0],
             facts.weak.worst.rows[0].actual]  # fmt: skip
    assert all(len(text) <= 65 and "\n" not in text for text in texts)
    assert own.classes[0].train_rows > 0  # found again by its whole name


def test_settings_are_those_that_the_model_was_made_with(binary):
    facts = facts_of(replace(binary, best_trial=FOUND))
    shown = {f"{setting.section}.{setting.key}": setting.value for setting in facts.card.settings}
    assert shown["preprocess.numeric_impute"] == "mean"
    assert shown["train.class_weight"] == "none"
    assert shown["train.version"] == "1"
    trees = SMALL["gradient_boosting"]["n_estimators"]
    assert shown["train.hyperparameters.n_estimators"] == f"{trees} (chosen by the search)"


def test_settings_of_a_vote_are_those_of_its_members(binary):
    vote = {"members": [{"model": "ridge", "alpha": 1}, {"model": "lightgbm", "num_leaves": 8}], "folds": 0}
    sidecar = msgspec.structs.replace(binary.sidecar, settings={"train": {"hyperparameters": vote}})
    best = msgspec.structs.replace(FOUND, hyperparameters={"lightgbm_2.num_leaves": 8})
    shown = {one.key: one.value for one in facts_of(replace(binary, sidecar=sidecar, best_trial=best)).card.settings}
    assert shown["hyperparameters.ridge_1.alpha"] == "1"
    assert shown["hyperparameters.lightgbm_2.num_leaves"] == "8 (chosen by the search)"


def test_the_longest_label_of_a_subgroup_of_dates_is_not_cut(binary):
    label = "2022-05-01 09:31:42 to below 2022-05-01 09:45:13"
    part = msgspec.structs.replace(binary.diagnosis.slices.worst[0], level=label)
    slices = msgspec.structs.replace(binary.diagnosis.slices, worst=[part])
    diagnosis = msgspec.structs.replace(binary.diagnosis, slices=slices)
    assert facts_of(replace(binary, diagnosis=diagnosis)).weak.slices.worst[0].level == label


def test_pictures_are_counted(binary):
    with heartbeat("pictures") as progress:
        pictures = pictures_of(facts_of(binary))
    assert str(progress).startswith(f"{len(pictures)} of {len(pictures)} pictures, ")
