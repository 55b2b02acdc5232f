"""What a report says of the training."""

from lockstep.reporting.training import folds_say, history_says, training_facts
from reports import noisy, sources_of

import pytest


@pytest.mark.parametrize(
    ("losses", "model", "said"),
    [
        ([3.0, 2.0, 1.0], "mlp", "Still falling at the end"),
        ([1.7, 1.2, 26.3], "gradient_boosting", "It ends above where it began (1.7, then 26.3)"),
        ([3.0, 2.0], "random_forest", "Each tree is grown on its own"),
        ([3.0], "ridge", ""),
    ],
)
def test_what_the_training_loss_says(losses, model, said):
    assert history_says(losses, model).startswith(said)


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
