"""What a report says of the predictions of a classification: the numbers of scikit-learn, from what evaluate wrote."""

from lockstep.steps.diagnosing.diagnosis import OfClasses
from lockstep.steps.reporting import classification as module
from lockstep.steps.reporting.classification import classification_facts
from lockstep.steps.reporting.sources import PlotTables, Predicted
from reports import made_of, noisy, table_of

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support, roc_auc_score

RNG = np.random.default_rng(0)


def facts_of(made):
    return classification_facts(made.sources.plots, made.sources.diagnosis.own)


def counted(pairs, training_rows=None):
    """The facts of so many rows of each pair (actual, predicted), without curves."""
    names = sorted({name for pair in pairs for name in pair} | set(training_rows or {}))
    rows = [Predicted(a, p, pairs.get((a, p), 0)) for a in names for p in names]
    plots = PlotTables([], [], [], [], [], rows)
    return classification_facts(plots, OfClasses(training_rows or {}, None, False, None))


@pytest.fixture(scope="module")
def binary():
    return made_of(noisy(rows=400), "gradient_boosting")


def test_matrix_classes_and_areas_are_scikit_learns(binary):
    facts = facts_of(binary)
    actual, predicted = binary.predictions["actual"], binary.predictions["predicted"]
    assert facts.matrix.counts == confusion_matrix(actual, predicted).tolist()
    assert facts.positive == "c1"
    area = roc_auc_score(actual == "c1", binary.predictions["probability_c1"])
    assert facts.roc[0].area == pytest.approx(area)
    assert facts.classes[1].roc_auc == pytest.approx(area)
    expected = precision_recall_fscore_support(actual, predicted)
    for place, entry in enumerate(facts.classes):
        found = (entry.precision, entry.recall, entry.f1_score, entry.test_rows)
        assert found == pytest.approx(tuple(column[place] for column in expected))
        assert entry.train_rows == int(np.sum(binary.train.labels == entry.name))
    assert sum(entry.rows for entry in facts.confused) == int((actual != predicted).sum())


def test_calibration_and_scores_are_of_the_positive_class(binary):
    facts = facts_of(binary)
    ((name, bins),) = facts.calibration
    assert name == "c1"
    assert sum(entry.rows for entry in bins) == 80
    assert all(entry.low <= entry.y <= entry.high for entry in bins)
    assert sum(facts.scores.shares["positive"]) == pytest.approx(1)


def test_many_classes_are_capped_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(module, "_MAX_CLASSES", 10)
    rows = 1000
    frame = pd.DataFrame({"x": RNG.normal(size=rows), "y": [f"class {i % 40:02d}" for i in range(rows)]})
    made = made_of(table_of(frame))
    facts = facts_of(made)
    assert (facts.n_classes, len(facts.classes)) == (40, 10)
    assert (facts.matrix.names[-1], facts.matrix.others) == ("29 others", 29)
    right = int((made.predictions["actual"] == made.predictions["predicted"]).sum())
    assert facts.matrix.right == right < sum(row[i] for i, row in enumerate(facts.matrix.counts))
    assert sum(map(sum, facts.matrix.counts)) == len(made.test)
    assert len(facts.roc) == module.MAX_CURVES
    assert len(facts.confused) == 10


def test_the_classes_in_the_picture_of_their_balance_are_the_most_frequent_ones():
    sizes = {f"class {i:02d}": 6 + i for i in range(20)}
    facts = counted({(name, name): rows for name, rows in sizes.items()}, sizes)
    assert [entry.name for entry in facts.largest_classes] == [f"class {i:02d}" for i in range(8, 20)]


def test_what_has_no_rows_has_no_number():
    facts = counted({("a", "a"): 5, ("a", "b"): 1, ("z", "a"): 2}, {"a": 9, "b": 4, "c": 3})
    found = {entry.name: entry for entry in facts.classes}
    assert (found["a"].precision, found["a"].recall, found["a"].f1_score) == (5 / 7, 5 / 6, 10 / 13)
    assert (found["b"].precision, found["b"].recall, found["b"].test_rows) == (0.0, None, 0)  # no test row
    assert (found["z"].precision, found["z"].recall, found["z"].train_rows) == (None, 0.0, 0)  # never predicted
    assert (found["c"].precision, found["c"].recall, found["c"].train_rows) == (None, None, 3)
    assert (facts.n_classes, facts.matrix.names) == (4, ["a", "b", "z"])
    assert [(entry.actual, entry.predicted, entry.rows, entry.of) for entry in facts.confused] == [
        ("z", "a", 2, 2), ("a", "b", 1, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("classes", [2, 3])
def test_a_model_without_probabilities(classes):
    facts = facts_of(made_of(noisy(rows=200, classes=classes), "svm"))
    assert (facts.calibration, facts.scores, facts.thresholds) == ([], None, [])
    assert len(facts.roc) == (1 if classes == 2 else 0)
