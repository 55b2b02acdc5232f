"""What a report says: the numbers and sentences, before anything is drawn or rendered."""

from lockstep.learning.metrics import ALL
from lockstep.learning.model_types import MODELS
from lockstep.reporting import facts as module
from lockstep.reporting.facts import facts_of
from lockstep.splitting.parts import SplitSettings
from reports import noisy, sources_of, table_of

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import confusion_matrix, roc_auc_score

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def binary():
    """(sources, facts) of two classes, with gaps, a text and a boolean."""
    given = sources_of(noisy(rows=400), "gradient_boosting", learning_curve_rows=100)
    return given, facts_of(given)


@pytest.fixture(scope="module")
def regression():
    given = sources_of(noisy("regression", rows=600), "ridge")
    return given, facts_of(given)


def test_the_same_sources_give_the_same_facts(binary):
    given, facts = binary
    assert facts_of(given) == facts


def test_the_result_of_a_classification_in_sentences(binary):
    given, facts = binary
    right = int((given.predictions["actual"] == given.predictions["predicted"]).sum())
    first, second, *rest = facts.result
    assert first.startswith(f"Of 80 test rows kept out of the training, {right} were given the right class: an ")
    assert "interval" in first
    assert second == "A dummy that always names the most frequent class reaches 50.0\N{NO-BREAK SPACE}%."
    assert "The interval lies wholly on the better side of the dummy." in rest
    assert rest[-1].startswith("Cross-validation on the training rows (3 folds) gives ")


def test_the_result_of_a_regression_in_sentences(regression):
    given, facts = regression
    assert "the predictions of y were off by" in facts.result[0]
    assert f"{given.metrics['r2_score']:.3f}" in facts.result[2]


def test_a_model_of_noise_is_not_said_to_have_learned():
    noise = table_of(pd.DataFrame({"x": RNG.normal(size=200), "y": RNG.choice(["a", "b"], 200)}))
    facts = facts_of(sources_of(noise))
    assert "The interval does not exclude the dummy: on these rows the model cannot be told from one." in facts.result


def test_an_accuracy_that_hides_a_class_is_said():
    x = RNG.normal(size=600)
    rare = table_of(pd.DataFrame({"x": x, "y": np.where(RNG.random(600) < 0.1, "rare", "common")}))
    assert any("classes are not found equally well" in sentence for sentence in facts_of(sources_of(rare)).result)


def test_test_rows_that_are_training_rows_too_are_said_and_the_others_counted():
    once = noisy(rows=200)
    given = sources_of(table_of(pd.concat([once.frame, once.frame.iloc[:60]])))
    copies = given.test.frame.apply(tuple, axis=1).isin(set(given.train.frame.apply(tuple, axis=1))).to_numpy()
    right = (given.predictions["actual"] == given.predictions["predicted"]).to_numpy()
    (said,) = (sentence for sentence in facts_of(given).result if "copies of training rows" in sentence)
    assert said.startswith(f"{copies.sum()} of the test rows (")
    assert said.endswith(f"without them: an accuracy of {100 * right[~copies].mean():.1f}\N{NO-BREAK SPACE}%.")
    every = facts_of(given._replace(train=given.test))
    assert any("All test rows are copies of training rows" in sentence for sentence in every.result)


def test_a_metric_that_is_worse_than_the_dummys_is_said(binary):
    given, facts = binary
    assert not any("worse than the dummy" in sentence for sentence in facts.result)
    worse = given.intervals.assign(
        baseline=given.intervals["baseline"].where(given.intervals["metric"] != "log_loss", 0.01)
    )
    (said,) = (sentence for sentence in facts_of(given._replace(intervals=worse)).result if "worse than" in sentence)
    assert said == f"It is worse than the dummy by log loss ({given.metrics['log_loss']:.3f} against 0.01)."


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
    history = pd.DataFrame({"iteration": range(len(losses)), "part": "train", "loss": losses})
    assert module._history_says(history, model).startswith(said)


def test_test_rows_outside_of_the_folds_are_said():
    assert module._folds_say([0.8, 0.9], 0.85) == "The test rows lie among them."
    below = module._folds_say([0.8, 0.9, 0.85, 0.82, 0.81], 0.7)
    assert below.startswith("The test rows lie below all of them; by chance alone, one more fold lies outside in 33")
    assert "above all of them" in module._folds_say([0.8, 0.9], 0.95)
    assert module._folds_say([], 0.95) == ""


def test_columns_left_out_and_checks_that_did_not_run_are_named(regression):
    given, facts = regression
    assert "rare class" not in facts.quiet_checks
    off = [check | {"severity": "off", "found": 0} if check["code"] == "C2" else check for check in given.checks]
    facts = facts_of(given._replace(profile=given.profile | {"dropped": {"id": "load.drop"}}, checks=off))
    assert (facts.dropped, facts.features) == (["id"], ["number", "text", "flag"])
    assert facts.checks_off == ["duplicate rows"]
    assert "duplicate rows" not in facts.quiet_checks


def test_the_classes_in_the_picture_of_their_balance_are_the_most_frequent_ones():
    sizes = {f"class {i:02d}": 6 + i for i in range(20)}
    frame = pd.DataFrame({"y": [name for name, rows in sizes.items() for _ in range(rows)]})
    facts = facts_of(sources_of(table_of(frame.assign(x=RNG.normal(size=len(frame))))))
    assert [entry.name for entry in facts.largest_classes] == [f"class {i:02d}" for i in range(8, 20)]


def test_folds_that_a_search_has_seen_are_called_optimistic(binary):
    given, _ = binary
    facts = facts_of(given._replace(searched=["n_estimators"]))
    assert facts.result[-1].endswith("optimistic, since the same rows chose the hyperparameters.")
    assert any(setting.value.endswith("(chosen by the search)") for setting in facts.shown_settings)


def test_every_metric_has_its_interval_dummy_and_folds(binary):
    given, facts = binary
    assert [metric.key for metric in facts.metrics] == [name for name in ALL if name in given.metrics]
    accuracy = facts.headline
    assert accuracy.value == given.metrics["accuracy"]
    assert accuracy.low < accuracy.value < accuracy.high
    assert accuracy.baseline == given.metrics["baseline_accuracy"]
    assert accuracy.folds_mean == given.cross_validation["accuracy_mean"]


def test_the_data_in_numbers(binary):
    given, facts = binary
    assert (facts.rows, facts.train_rows, facts.test_rows, facts.n_columns, facts.n_features) == (400, 320, 80, 4, 3)
    frames = [given.train.frame, given.test.frame]
    assert facts.missing_cells == sum(int(frame.isna().sum().sum()) for frame in frames)
    assert facts.columns_with_missing == 2
    assert [(column.name, column.role, column.type) for column in facts.columns] == [
        ("number", "feature", "number"), ("text", "feature", "text"), ("flag", "feature", "boolean"),
        ("y", "target", "text"),
    ]  # fmt: skip


def test_matrix_classes_and_areas_are_scikit_learns(binary):
    given, facts = binary
    actual, predicted = given.predictions["actual"], given.predictions["predicted"]
    assert facts.matrix.counts == confusion_matrix(actual, predicted).tolist()
    assert facts.positive == "c1"
    area = roc_auc_score(actual == "c1", given.predictions["probability_c1"])
    assert facts.roc[0].area == pytest.approx(area)
    assert facts.classes[1].roc_auc == pytest.approx(area)
    assert sum(entry.rows for entry in facts.confused) == int((actual != predicted).sum())
    ((name, bins),) = facts.calibration
    assert name == "c1"
    assert sum(entry.rows for entry in bins) == 80
    assert all(entry.low <= entry.y <= entry.high for entry in bins)
    assert sum(facts.score_histogram.series[0][1]) == pytest.approx(1)


def test_many_classes_are_capped_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(module, "MAX_CLASSES", 10)
    rows = 1000
    frame = pd.DataFrame({"x": RNG.normal(size=rows), "y": [f"class {i % 40:02d}" for i in range(rows)]})
    given = sources_of(table_of(frame))
    facts = facts_of(given)
    assert (facts.n_classes, len(facts.classes)) == (40, 10)
    assert (facts.matrix.names[-1], facts.matrix.others) == ("29 others", 29)
    right = int((given.predictions["actual"] == given.predictions["predicted"]).sum())
    assert facts.matrix.right == right < sum(row[i] for i, row in enumerate(facts.matrix.counts))
    assert sum(map(sum, facts.matrix.counts)) == facts.test_rows
    assert len(facts.roc) == module.MAX_CURVES
    assert len(facts.confused) == 10


def test_a_regression_has_its_own_pictures(regression):
    given, facts = regression
    assert (facts.classes, facts.matrix, facts.roc, facts.thresholds) == ([], None, [], [])
    assert len(facts.predicted.points) == facts.test_rows
    assert not facts.predicted.outside
    assert sum(entry.rows for entry in facts.error_by_size) == facts.test_rows
    errors = (given.predictions["actual"] - given.predictions["predicted"]).abs()
    weighted = sum(entry.y * entry.rows for entry in facts.error_by_size) / facts.test_rows
    assert weighted == pytest.approx(errors.mean())
    assert facts.worst[0].off == pytest.approx(
        (given.predictions["actual"] - given.predictions["predicted"])[errors.idxmax()]
    )


def test_many_rows_are_counted_in_cells_and_none_is_lost():
    x = RNG.normal(size=100_000)
    cloud = module._cloud(x, x + RNG.normal(size=100_000))
    assert cloud.points == []
    assert len(cloud.cells) <= module.CELLS**2
    assert sum(rows for _, _, rows in cloud.cells) + cloud.outside == 100_000
    assert cloud.outside < 2000


@pytest.mark.parametrize(
    ("name", "task"), [(name, task) for name, entry in MODELS.items() for task in entry.estimators]
)
def test_every_model_type_has_facts(name, task):
    facts = facts_of(sources_of(noisy(task, rows=200), name, slices=3, worst_rows=2))
    assert facts.model == name
    assert len(facts.dependence) == 3
    assert facts.history
    assert bool(facts.calibration) == (name != "svm" or task == "regression")


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
    assert facts.metrics
    assert facts.slices is not None


def test_groups_and_time_are_named_and_are_no_features():
    frame = pd.DataFrame({"x": RNG.normal(size=200), "t": np.arange(200), "y": RNG.normal(size=200)})
    facts = facts_of(sources_of(table_of(frame, "regression"), "ridge", split=SplitSettings(time="t")))
    assert (facts.time, facts.group, facts.n_features) == ("t", None, 1)
    assert {column.name: column.role for column in facts.columns} == {"x": "feature", "t": "time", "y": "target"}


def test_what_is_switched_off_is_not_there():
    facts = facts_of(sources_of(noisy(rows=200), worst_rows=0, slices=0, top_features=0, learning_curve_rows=0))
    assert (facts.worst, facts.slices, facts.dependence, facts.learning) == ([], None, [], [])


def test_names_from_the_data_are_short_lines(binary):
    long = "line\nbreak" + "x" * 5000
    frame = pd.DataFrame({long: RNG.normal(size=150), "y": RNG.choice([f"a{long}", f"b{long}"], 150)})
    facts = facts_of(sources_of(table_of(frame)))
    texts = [facts.columns[0].name, facts.importance[0][0], facts.dependence[0].feature, facts.positive,
             facts.classes[0].name, facts.matrix.names[0], facts.roc[0].name, facts.worst_columns[0]]  # fmt: skip
    assert all(len(text) <= 65 and "\n" not in text for text in texts)
