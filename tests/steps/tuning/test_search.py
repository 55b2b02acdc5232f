"""The search for hyperparameters: what it finds, what it records, that it gives the same on every machine."""

import copy
import json
import logging
import re
from dataclasses import replace
from itertools import pairwise

from lockstep.kernel.errors import DataError, MachineError, SettingsError
from lockstep.learning.computing import kept_results
from lockstep.learning.computing.kept_results import KeptResults
from lockstep.learning.cross_validation import CrossValidateSettings, PipelineSettings, cross_validate, fold_summary
from lockstep.learning.estimators import with_best_trial
from lockstep.learning.model_types import MODELS
from lockstep.learning.preprocessing import PreprocessSettings
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.steps.tuning import search as module
from lockstep.steps.tuning.search import check_settings
from lockstep.steps.tuning.search import search as search_of
from lockstep.steps.tuning.search_space import TuneSettings
from lockstep.tables.table import Table

import joblib
import msgspec
import numpy as np
import pandas as pd
import pytest
from small import EACH_TYPE, make_table, model_settings, widened

FOLDS = CrossValidateSettings(folds=3)
# By brute force: scikit-learn's search in trees warns now and then when threads run beside it.
BRUTE = {"algorithm": "brute"}
NEIGHBOURS = {"n_neighbors": {"low": 1, "high": 60}, "weights": ["uniform", "distance"]}


def search(table, model, **values):
    values = {"trials": 8, "space": NEIGHBOURS, "metric": "accuracy"} | values
    return search_of(table, TuneSettings(**values), FOLDS, PipelineSettings(PreprocessSettings(), model))


def rows(found):
    return [dict(zip(found.columns, row, strict=True)) for row in found.trials]


@pytest.fixture(scope="module")
def table():
    return split_table(make_table(), SplitSettings()).train


@pytest.fixture(scope="module")
def bad():
    """A given setting that is easy to better."""
    return model_settings("k_neighbors", "classification", hyperparameters={"n_neighbors": 150, "p": 1, **BRUTE})


@pytest.fixture(scope="module")
def found(table, bad):
    return search(table, bad)


def test_the_best_trial_is_better_than_the_given_setting(found, table, bad):
    trials = rows(found)
    assert len(trials) == 9
    assert (trials[0]["n_neighbors"], trials[0]["weights"]) == ("150", "uniform")
    best = max(trials, key=lambda trial: trial["mean"])
    assert (found.best.best_trial, found.best.mean, found.best.std) == (best["trial"], best["mean"], best["std"])
    assert found.best.given_mean == trials[0]["mean"] < found.best.mean
    assert (found.best.metric, found.best.trials, found.best.failed) == ("accuracy", 8, 0)
    assert set(found.best.hyperparameters) == set(NEIGHBOURS)
    assert [trial["best"] for trial in trials] == list(np.maximum.accumulate([trial["mean"] for trial in trials]))


def test_the_scores_are_those_of_cross_validate(found, table, bad):
    """Of every trial, what is given and not searched included."""
    for trial in rows(found):
        tried = {"n_neighbors": int(trial["n_neighbors"]), "weights": trial["weights"]}
        model = msgspec.structs.replace(bad, hyperparameters={**bad.hyperparameters, **tried})
        means = fold_summary(cross_validate(table, FOLDS, PipelineSettings(PreprocessSettings(), model)))
        assert (means["accuracy_mean"], means["accuracy_std"]) == (trial["mean"], trial["std"])


@pytest.mark.parametrize("encode", widened(["auto", "target"], ("target",)))
@pytest.mark.parametrize(
    ("name", "space"),
    [
        ("ridge", {"alpha": [1.0, 100.0], "copy_X": [False, True]}),  # copy_X: false overwrites what it is fitted on
        ("hist_gradient_boosting", {"max_iter": [3, 6], "max_leaf_nodes": [4, 8]}),
    ],
)
def test_no_trial_changes_the_encoded_rows_of_the_next(name, space, encode):
    table, preprocess = make_table("regression", rows=150), PreprocessSettings(encode=encode)
    given = model_settings(name, "regression", hyperparameters={})
    settings = TuneSettings(trials=6, space=space, metric="r2_score")
    found = search_of(table, settings, FOLDS, PipelineSettings(preprocess, given))
    for trial in rows(found)[1:]:
        tried = {key: next(value for value in space[key] if json.dumps(value) == trial[key]) for key in space}
        model = msgspec.structs.replace(given, hyperparameters=tried)
        means = fold_summary(cross_validate(table, FOLDS, PipelineSettings(preprocess, model)))
        assert (means["r2_score_mean"], means["r2_score_std"]) == (trial["mean"], trial["std"])
    assert len({tuple(trial[key] for key in space) for trial in rows(found)[1:]}) > 2


def test_each_fold_is_encoded_once(table, bad, monkeypatch):
    encoded, original = [], module.encode_fitted
    monkeypatch.setattr(module, "encode_fitted", lambda *args: encoded.append(args[1]) or original(*args))
    search(table, bad, trials=3)
    assert len(encoded) == FOLDS.folds


def test_a_search_is_the_same_whatever_runs_beside_it(found, table, bad):
    with joblib.parallel_config(n_jobs=1):
        assert search(table, bad) == found
    backwards = {name: NEIGHBOURS[name] for name in reversed(NEIGHBOURS)}
    assert search(table, bad, space=backwards) == found
    assert search(table, bad, seed=1) != found


def test_the_given_setting_is_kept_where_nothing_is_better(table):
    good = model_settings("k_neighbors", "classification", hyperparameters={"n_neighbors": 9, **BRUTE})
    found = search(table, good, trials=2, space={"n_neighbors": {"low": 140, "high": 150}})
    assert (found.best.best_trial, found.best.hyperparameters) == (0, {})
    # Equal is not better: every choice is the given one.
    found = search(table, good, trials=2, space={"n_neighbors": [9]})
    assert (found.best.best_trial, found.best.hyperparameters) == (0, {})
    assert len({row[2] for row in found.trials}) == 1


def test_a_setting_that_comes_up_again_is_not_fitted_again(table, bad, monkeypatch):
    fitted, original = [], module.fit_encoded
    monkeypatch.setattr(module, "fit_encoded", lambda *args, **own: fitted.append(args[2]) or original(*args, **own))
    found = search(table, bad, trials=12, space={"weights": ["uniform", "distance"]})
    assert len(found.trials) == 13
    assert len(fitted) == 2 * FOLDS.folds


@pytest.mark.parametrize(("metric", "expected"), [("mae", min), ("r2_score", max), ("auto", min)])
def test_the_direction_is_the_metrics_own(metric, expected):
    table = make_table("regression", rows=150)
    ridge = model_settings("ridge", "regression")
    found = search(table, ridge, metric=metric, trials=5, space={"alpha": {"low": 0.01, "high": 1e4, "log": True}})
    assert found.best.mean == expected(row[2] for row in found.trials)
    assert found.best.metric == ("mse" if metric == "auto" else metric)


# Threads fit the folds: whether one's warning of too few iterations is seen depends on what the others do meanwhile.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_setting_that_scikit_learn_refuses_is_recorded_and_the_search_goes_on(table, caplog):
    given = model_settings("logistic_regression", "classification", hyperparameters={"l1_ratio": 0.5, "solver": "saga"})
    space = {"solver": ["lbfgs", "saga"], "C": {"low": 0.1, "high": 10.0}}
    with caplog.at_level(logging.INFO, "lockstep"):
        found = search(table, msgspec.structs.replace(given, hyperparameters={**given.hyperparameters, "max_iter": 5}),
                       trials=8, space=space)  # fmt: skip
    failed = [trial for trial in rows(found) if trial["state"] == "failed"]
    assert {trial["solver"] for trial in failed} == {"lbfgs"}
    assert found.best.failed == len(failed) > 0
    assert all("lbfgs" in trial["reason"] and trial["mean"] is None for trial in failed)
    assert "failed with {'C': " in caplog.text
    assert "is optimistic: judge it on the test rows" in caplog.text


def test_all_failed_is_an_error_that_says_why(table):
    svm = model_settings("svm", "classification")
    with pytest.raises(SettingsError, match=r"all 3 trials failed, .* setting: log_loss cannot be computed in every"):
        search(table, svm, trials=2, metric="log_loss", space={"C": {"low": 0.1, "high": 10.0}})


def test_rows_that_no_trial_could_be_fitted_on_are_an_error_before_the_first(table, bad):
    with pytest.raises(DataError, match="4 training rows are too few for 3 folds"):
        search(make_table().rows(np.arange(4)), bad)
    by_time = replace(table, frame=table.frame.assign(t=np.arange(len(table)), y=["a"] * 150 + ["b"] * 90), time="t")
    with pytest.raises(DataError, match="the 60 training rows that a fold is fitted on are all of the class 'a'"):
        search(by_time, bad)


def test_the_search_learns_nothing_from_the_rows_that_it_scores():
    """Identifiers, target-encoded, and random labels: whatever is searched, chance is the best there is."""
    rng = np.random.default_rng(5)
    frame = pd.DataFrame({"id": [f"id{i}" for i in range(200)], "x": rng.normal(size=200)}, index=range(1, 201))
    noise = Table(frame.assign(y=rng.choice(["a", "b"], size=200)), "y", "classification")
    found = search(noise, model_settings("k_neighbors", "classification", hyperparameters=BRUTE), trials=5)
    assert found.best.mean < 0.65


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"space": {"n_neighbours": [1]}},
            r"tune\.space\.n_neighbours is not a hyperparameter of KNeighbors.*: n_neigh",
        ),
        ({"space": {"n_neighbors": {"low": 0, "high": 3}}}, r"tune\.space: The 'n_neighbors' .* Got 0 instead"),
        ({"space": {"weights": ["uniform", "heavy"]}}, r"tune\.space: The 'weights' .* Got 'heavy' instead"),
        ({"space": {"n_jobs": [1, 2]}}, r"tune\.space\.n_jobs cannot be set"),
        ({"metric": "acuracy"}, r"tune\.metric: 'acuracy' is no metric of classification\. Allowed: auto, accuracy, "),
        ({"metric": "mse"}, r"tune\.metric: 'mse' is no metric of classification"),
        ({"trials": 0, "metric": "mse"}, r"tune\.metric: 'mse' is no metric of classification"),
        ({"trials": 0, "space": {"x": []}}, r"tune\.space\.x is an empty list"),
    ],
)
def test_bad_settings(bad, values, message):
    settings = TuneSettings(**({"trials": 2, "space": NEIGHBOURS} | values))
    with pytest.raises(SettingsError, match=message):
        check_settings(settings, bad, "classification")


def test_without_a_search_the_space_may_be_that_of_another_model(bad):
    assert check_settings(TuneSettings(space={"max_depth": [1]}), bad, "classification") == (
        {"max_depth": [1]},
        "log_loss",
    )


def test_auto_compares_by_log_loss_where_it_can(table, bad, caplog):
    assert search(table, bad, metric="auto", trials=1).best.metric == "log_loss"
    svm = model_settings("svm", "classification")
    assert search(table, svm, metric="auto", trials=1, space={"C": [2.0]}).best.metric == "accuracy"
    rare = replace(table, frame=table.frame.assign(y=["rare", *table.frame["y"][1:]]))
    assert search(rare, bad, metric="auto", trials=1).best.metric == "accuracy"
    assert "log_loss cannot be computed: trials compare by accuracy" in caplog.text


@pytest.mark.parametrize(("name", "task"), EACH_TYPE)
def test_each_model_type_comes_with_a_space_of_legal_values(name, task):
    settings, model = TuneSettings(trials=1), model_settings(name, task, hyperparameters={})
    if name == "linear_regression":
        with pytest.raises(SettingsError, match=r"tune\.space is empty, and linear_regression has no .* to 0"):
            check_settings(settings, model, task)
    else:
        assert len(check_settings(settings, model, task)[0]) > 0


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), MachineError),
        (RuntimeError("can't start new thread"), MachineError),
        (RuntimeError("std::bad_alloc"), MachineError),
        (OSError(28, "No space left on device"), OSError),
    ],
)
def test_what_the_machine_lacks_is_no_failed_trial(table, bad, monkeypatch, error, expected):
    """Another model would be chosen for it, silently."""
    original = module.fit_encoded

    def short(rows, unfitted, model, n_jobs):
        if model.hyperparameters["weights"] == "distance":
            raise error
        return original(rows, unfitted, model, n_jobs)

    monkeypatch.setattr(module, "fit_encoded", short)
    with pytest.raises(expected) as caught:
        search(table, msgspec.structs.replace(bad, hyperparameters={**bad.hyperparameters, "weights": "uniform"}))
    if expected is MachineError:
        assert re.match(r"not enough memory to score trial \d+ \(", str(caught.value))


def test_whatever_a_library_raises_is_a_failed_trial(table, bad, monkeypatch, caplog):
    original = module.fit_encoded

    def moody(rows, unfitted, model, n_jobs):
        if model.hyperparameters["weights"] == "distance":
            raise RuntimeError
        return original(rows, unfitted, model, n_jobs)

    monkeypatch.setattr(module, "fit_encoded", moody)
    with caplog.at_level(logging.INFO, "lockstep"):
        found = search(
            table, msgspec.structs.replace(bad, hyperparameters={**bad.hyperparameters, "weights": "uniform"})
        )
    failed = [trial for trial in rows(found) if trial["state"] == "failed"]
    assert found.best.failed == len(failed) > 0
    assert {(trial["weights"], trial["reason"]) for trial in failed} == {("distance", "RuntimeError")}
    assert f", {len(failed)} failed, accuracy" in caplog.text


BOOSTING, FOREST = "hist_gradient_boosting_1", "random_forest_2"
VOTE = {
    "members": [
        {"model": "hist_gradient_boosting", "max_iter": 4, "learning_rate": 0.01},
        {"model": "random_forest", "n_estimators": 4, "max_depth": 1},
    ],
    "folds": 0,
}
OF_MEMBERS = {f"{BOOSTING}.learning_rate": {"low": 0.01, "high": 0.5, "log": True}, f"{FOREST}.max_depth": [1, 6]}


@pytest.fixture(scope="module")
def voted(table):
    return search(table, model_settings("voting", "classification", hyperparameters=VOTE), space=OF_MEMBERS, trials=6)


def test_the_members_of_a_vote_take_turns_and_the_others_stay_as_in_the_best_trial(voted):
    trials = rows(voted)
    assert [trials[0][name] for name in OF_MEMBERS] == ["0.01", "1"]
    for before, trial in pairwise(trials):
        best = next(one for one in trials if one["mean"] == before["best"])
        stays = list(OF_MEMBERS)[1 - before["trial"] % 2]
        assert trial[stays] == best[stays]
    assert voted.best.best_trial > 0
    assert set(voted.best.hyperparameters) <= set(OF_MEMBERS)


def test_what_a_search_finds_for_a_vote_goes_into_its_members(voted, table):
    given = model_settings("voting", "classification", hyperparameters=VOTE)
    found = with_best_trial(given, voted.best)
    expected = copy.deepcopy(VOTE)
    for name, value in voted.best.hyperparameters.items():
        member, key = name.split(".")
        expected["members"][[BOOSTING, FOREST].index(member)][key] = value
    assert found.hyperparameters == expected != VOTE == given.hyperparameters
    means = fold_summary(cross_validate(table, FOLDS, PipelineSettings(PreprocessSettings(), found)))
    assert (means["accuracy_mean"], means["accuracy_std"]) == (voted.best.mean, voted.best.std)


def test_a_vote_is_searched_the_same_whatever_runs_beside_it_and_with_weights_on_folds(voted, table):
    given = model_settings("voting", "classification", hyperparameters=VOTE)
    with joblib.parallel_config(n_jobs=1):
        assert search(table, given, space=OF_MEMBERS, trials=6) == voted
    weighted = msgspec.structs.replace(given, hyperparameters={**VOTE, "folds": 2})
    assert search(table, weighted, space=OF_MEMBERS, trials=1).trials[0][2] is not None


def test_a_search_of_a_vote_that_is_interrupted_goes_on_where_it_was(voted, table, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(kept_results, "KEPT_AFTER", 0.0)
    given, fitted, original = model_settings("voting", "classification", hyperparameters=VOTE), [], module.score_setting

    def run(most):
        def counted(able, number, *others):
            if len(fitted) == most:
                raise KeyboardInterrupt
            fitted.append(number)
            return original(able, number, *others)

        monkeypatch.setattr(module, "score_setting", counted)
        settings = TuneSettings(trials=6, space=OF_MEMBERS, metric="accuracy")
        kept = KeptResults("tune@p", [given])
        return search_of(table, settings, FOLDS, PipelineSettings(PreprocessSettings(), given), kept=kept)

    with pytest.raises(KeyboardInterrupt):
        run(4)
    done = fitted.copy()
    assert run(99) == voted
    assert done == [0, 1, 2, 3]
    assert not set(done) & set(fitted[len(done) :])


def test_the_space_of_a_vote_is_that_of_its_members():
    given = model_settings("voting", "classification", hyperparameters=VOTE)
    space = check_settings(TuneSettings(trials=1), given, "classification")[0]
    expected = {f"{name}_{place}.{key}" for place, name in enumerate(("hist_gradient_boosting", "random_forest"), 1)
                for key in MODELS[name].space}  # fmt: skip
    assert set(space) == expected


@pytest.mark.parametrize(
    ("name", "entry", "message"),
    [
        ("folds", [0, 5], r"tune\.space\.folds is of no member of the vote\. Write '<member>\.<hyperparameter>'; or "),
        ("random_forest_1.max_depth", [1], r"The members, nearest first: random_forest_2, hist_gradient_boosting_1\."),
        (f"{FOREST}.max_dept", [1], rf"tune\.space\.{FOREST}\.max_dept is not a hyperparameter of Random.*: max_depth"),
        (f"{FOREST}.max_depth", [0], rf"tune\.space\.{FOREST}: The 'max_depth' .* Got 0 instead"),
        (f"{FOREST}.n_jobs", [1], rf"tune\.space\.{FOREST}\.n_jobs cannot be set"),
        (f"{BOOSTING}.model", ["lightgbm"], rf"tune\.space\.{BOOSTING}\.model is not a hyperparameter of Hist"),
    ],
)
def test_bad_settings_of_the_search_of_a_vote(name, entry, message):
    given = model_settings("voting", "classification", hyperparameters=VOTE)
    with pytest.raises(SettingsError, match=message):
        check_settings(TuneSettings(trials=2, space={name: entry}), given, "classification")
