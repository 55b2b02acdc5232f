"""What a report says of the training."""

from dataclasses import replace

from lockstep.learning.estimators import build_estimator
from lockstep.steps.diagnosing.diagnosis import Iterations, LearningPoint
from lockstep.steps.reporting.facts import facts_of
from lockstep.steps.reporting.page import report_page
from lockstep.steps.reporting.pictures import pictures_of
from lockstep.steps.reporting.training import folds_say, history_says, learning_says, training_facts
from reports import noisy, sources_of
from stages.diagnose import iterations_of

import msgspec
import numpy as np
import pytest


def history(train, validation=()):
    """Losses by part of the rows, an iteration each."""
    parts = {"train": train, "validation": validation}
    return {part: list(enumerate(losses, 1)) for part, losses in parts.items() if losses}


LONG = [1.0 - 0.04 * iteration for iteration in range(20)]
FALLS = "On the training rows it falls from 2 to 1."
ENDED = "The fit ended itself after 2 of at most 9 iterations: a higher limit changes nothing."
GROWN = "Each tree is grown on its own; the loss is that of the mean of the trees so far."
LEAST = "On the validation rows it is least at the end, 1.5"
TENTH = "On the training rows it falls from 1 to 0.24; 10.5 % of its fall is in the last tenth of the iterations."
ABOVE = "It ends above where it began (1, then 26.3)"


@pytest.mark.parametrize(
    ("losses", "model", "iterations", "said"),
    [
        (history([3.0]), "ridge", None, ""),
        (history([2.0, 2.0]), "mlp", None, "On the training rows it begins and ends at 2."),
        (history([1.0, 26.3]), "mlp", None, f"{ABOVE}: the fit has not converged. A smaller learning rate may help."),
        (history([1.0, 26.3]), "random_forest", None, f"{ABOVE}. {GROWN}"),
        (history([2.0, 1.0]), "random_forest", None, f"{FALLS} {GROWN}"),
        (history(LONG), "gradient_boosting", Iterations(20, 20), TENTH),
        (history([2.0, 1.0]), "hist_gradient_boosting", Iterations(2, 9), f"{FALLS} {ENDED}"),
        (history([2.0, 1.0], [2.0, 1.5]), "mlp", Iterations(2, 2), f"{FALLS} {LEAST}: more iterations may help."),
        (history([2.0, 1.0], [2.0, 1.5]), "mlp", Iterations(2, 9), f"{FALLS} {ENDED} {LEAST}."),
        (
            history([2.0, 1.5, 1.0], [2.0, 1.5, 1.8]), "gradient_boosting", Iterations(3, 3),
            f"{FALLS} On the validation rows it is least after 2 iterations, 1.5, and 1.8 at the end: fewer may do.",
        ),
    ],
)  # fmt: skip
def test_what_the_training_loss_says(losses, model, iterations, said):
    assert history_says(losses, model, iterations).replace("\N{NO-BREAK SPACE}", " ") == said


@pytest.mark.parametrize(
    ("model", "hyperparameters", "ended"),
    [
        ("hist_gradient_boosting", {"max_iter": 300, "early_stopping": True, "n_iter_no_change": 2}, True),
        ("hist_gradient_boosting", {"max_iter": 8}, False),
        ("gradient_boosting", {"n_estimators": 300, "n_iter_no_change": 2}, True),
        ("gradient_boosting", {"n_estimators": 8}, False),
        ("mlp", {"hidden_layer_sizes": [4], "max_iter": 500, "tol": 0.1, "n_iter_no_change": 2}, True),
        ("random_forest", {"n_estimators": 8}, None),
        ("logistic_regression", {}, None),
        ("svm", {}, None),
    ],
)
def test_whether_a_fit_ended_itself(make_settings, model, hyperparameters, ended):
    """Of a noisy target: early stopping ends the fit."""
    table = noisy(rows=300)
    estimator = build_estimator(make_settings(model, hyperparameters=hyperparameters), "classification")
    estimator.fit(np.random.default_rng(0).normal(size=(300, 3)), table.labels)
    found = iterations_of(estimator)
    assert ended == (None if found is None else found.taken < found.limit)


def point(rows, others, spread=0.01, fits=3):
    return LearningPoint(rows=rows, fitted=0.99, fitted_std=0.0, others=others, others_std=spread, fits=fits)


UP, DOWN, SAME = ": more rows may help", ": more rows did not help", ": whether more rows would help cannot be seen"


@pytest.mark.parametrize(
    ("points", "folds", "said"),
    [
        ([], [], ""),
        ([point(100, 0.8)], [], "On other rows, the accuracy is 0.800."),
        ([point(50, 0.7), point(100, 0.8)], [], f"from 0.700 to 0.800, by more than it is spread{UP}."),
        ([point(50, 0.8), point(100, 0.7)], [], f"from 0.800 to 0.700, by more than it is spread{DOWN}."),
        ([point(50, 0.8), point(100, 0.805)], [], f"from 0.800 to 0.805, by no more than it is spread{SAME}."),
        ([point(50, 0.7), point(100, 0.8, 0, 1)], [], "From 50 to 100 rows, the accuracy on other rows goes from"),
        ([point(50, 0.7), point(100, 0.8)], [0.9, 0.9], "From 100 to 200 rows, the accuracy on other rows goes from"),
        ([point(50, 0.7), point(100, 0.9)], [0.7, 0.7], f"from 0.900 to 0.700, by more than it is spread{DOWN}."),
        ([point(50, 0.7), point(100, 0.9)], [0.7, 0.9], f"from 0.900 to 0.800, by no more than it is spread{SAME}."),
    ],
)  # fmt: skip
def test_what_the_learning_curve_says(points, folds, said):
    found = learning_says(points, folds, 200, "the accuracy")
    assert said in found
    assert found.endswith("With 100 rows it is 0.990 on the rows fitted.") or not points
    assert ("spread" in found) == (len(points) > 1 and points[-1].fits > 1)


def test_test_rows_outside_of_the_folds_are_said():
    assert folds_say([0.8, 0.9], 0.85) == "The test rows lie among them."
    below = folds_say([0.8, 0.9, 0.85, 0.82, 0.81], 0.7)
    assert below.startswith("The test rows lie below all of them; by chance alone, one more fold lies outside in 33")
    assert "above all of them" in folds_say([0.8, 0.9], 0.95)
    assert folds_say([], 0.95) == ""


@pytest.mark.parametrize(
    ("model", "task", "loss"),
    [
        ("random_forest", "classification", "log loss"),
        ("svm", "classification", "share of wrong classes"),
        ("ridge", "regression", "mean squared error"),
        ("mlp", "regression", "loss, penalty included"),
    ],
)
def test_history_folds_and_kind_of_loss(model, task, loss):
    given = sources_of(noisy(task, rows=200), model)
    facts = training_facts(given)
    assert facts.loss == loss
    assert facts.metric == ("accuracy" if task == "classification" else "r2_score")
    assert facts.test_score == given.metrics[facts.metric]
    assert len(facts.folds) == 3
    assert facts.folds_rows == round(160 * 2 / 3)
    assert [curve.name for curve in facts.history] == ["train"]
    assert facts.history[0].y == [row.loss for row in given.plots.history]


def test_the_members_of_a_vote_are_in_the_report():
    sources = sources_of(noisy(rows=120), "voting")
    vote = sources.sidecar.vote
    assert training_facts(sources).vote == vote
    assert [entry.member for entry in vote.members] == ["hist_gradient_boosting_1", "hist_gradient_boosting_2"]
    facts = facts_of(sources)
    page = report_page(facts, pictures_of(facts))
    assert "<h3>Members of the vote</h3>" in page
    assert f"Weights chosen by the log loss on {vote.rows} out-of-fold predictions" in page
    none = msgspec.structs.replace(vote, rows=0, loss=None)
    facts = facts_of(replace(sources, sidecar=msgspec.structs.replace(sources.sidecar, vote=none)))
    assert "All weigh the same." in report_page(facts, pictures_of(facts))
    assert "Members of the vote" not in report_page(*_facts_of("ridge"))


def _facts_of(model):
    facts = facts_of(sources_of(noisy("regression", rows=120), model))
    return facts, pictures_of(facts)
