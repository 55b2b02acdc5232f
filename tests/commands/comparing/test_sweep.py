"""Every model type tried as an experiment: the ranking, and what becomes of the workspace."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lockstep.commands.comparing import sweep
from lockstep.commands.comparing.sweep import TriedModel
from lockstep.kernel.errors import SettingsError
from lockstep.repository import git

import pytest
import yaml
from model_history import History

# What a shell starts in the background ignores interrupts, and so would all that a test run in the background starts.
UNDER_AN_INTERRUPT = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('lockstep', run_name='__main__')"
)


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_sweep_ranks_what_it_has_done_and_leaves_the_workspace_as_it_was(built_repository, tmp_path):
    """The first model type is done when the second is interrupted, and there is a third; the user is amid changes of
    their own."""
    copy = built_repository.copy_to(tmp_path / "repository")
    copy.set("iris", "train", model="svm", class_weight="balanced", hyperparameters={"kernel": "poly"})
    copy.set("iris", "tune", metric="log_loss")
    before = state(copy)
    with subprocess.Popen(
        [sys.executable, "-c", UNDER_AN_INTERRUPT, "sweep", "iris", "--models", "k_neighbors", "mlp", "svm"],
        cwd=copy.folder, env=copy.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as running:  # fmt: skip
        seen = ""
        for line in running.stderr:
            seen += line
            if line.startswith("mlp"):
                break
        time.sleep(1)
        os.kill(running.pid, signal.SIGINT)
        printed, told = running.communicate(timeout=120)
    assert running.returncode == 130, printed + told
    assert "interrupted" in told
    assert state(copy) == before

    assert re.search(r"k_neighbors \(2 of 3\) \.\.\.\n  log_loss \d.* \(.* so far, about .* left\)\n", seen + told)
    assert re.search(r"iris: \d models? by log_loss, the lower the better", printed)
    assert "Keep one:       dvc exp apply iris-" in printed
    # The ranking is of the experiments that are there: an interrupt may reach DVC when it is done with the second.
    experiments = copy.dvc("exp", "list", "--name-only").stdout.split()
    assert experiments[0] == "iris-k_neighbors"
    assert ("mlp" in printed) == (experiments[1:] == ["iris-mlp"])
    dropped = printed.partition("Drop them all:  dvc exp remove ")[2].split()
    assert sorted(dropped) == sorted(experiments)
    # Its own defaults, not the hyperparameters of svm; all else as in the workspace.
    head = copy.run("git", "rev-parse", "HEAD").stdout.strip()
    kept = copy.run("git", "show", f"refs/exps/{head[:2]}/{head[2:]}/iris-k_neighbors:params.yaml").stdout
    iris = yaml.safe_load(kept)["problems"]["iris"]
    assert iris["train"] == {"model": "k_neighbors", "kind": "classifier", "version": 1, "seed": 42,
                             "class_weight": "balanced", "estimator": None, "calibrate": "none", "threshold": 0.5,
                             "costs": None, "interval_level": 0.9}  # fmt: skip
    assert iris["tune"]["metric"] == "log_loss"


def test_the_experiments_that_a_second_sweep_replaces_are_named_before_it_runs(tmp_path, monkeypatch, capsys):
    shutil.copyfile("params.yaml", tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run([*command, "init", "-q"], check=True)
    subprocess.run([*command, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
    head = git.output("rev-parse", "HEAD").strip()
    for name in ("iris-svm", "other"):
        subprocess.run(["git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/{name}", head], check=True)
    subprocess.run(["git", "update-ref", f"refs/exps/00/{'0' * 38}/iris-mlp", head], check=True)  # another commit's
    told = []
    monkeypatch.setattr(
        sweep,
        "_run",
        lambda problem, model, *_: told.append(capsys.readouterr().err) or TriedModel(model, "", {}, "no"),
    )
    sweep.main(["iris", "--models", "svm", "mlp"])
    assert told[0].startswith("replaces the experiment iris-svm\n")
    told.clear()
    sweep.main(["iris", "--models", "mlp"])
    assert "replaces" not in told[0]


def test_what_a_model_type_cannot_take_as_it_is_has_its_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("problems: {p: {preprocess: {encode: native, numeric_impute: native}}}\n")
    given = "hist_gradient_boosting"
    native = ["~problems.p.preprocess.numeric_impute", "~problems.p.preprocess.encode"]
    assert sweep._changes("p", "ridge", given) == ["problems.p.train.model=ridge", *native]
    assert sweep._changes("p", given, "ridge") == [f"problems.p.train.model={given}"]
    assert sweep._changes("p", given, given) == []


@pytest.mark.parametrize(
    ("train", "removed"),
    [
        ({"estimator": None, "hyperparameters": None}, []),
        ({"estimator": None, "hyperparameters": {"C": 1}}, ["hyperparameters"]),
        ({"estimator": "estimators/mine.py:Mine", "hyperparameters": {}}, ["hyperparameters", "estimator"]),
    ],
)
def test_what_is_of_the_given_model_is_removed_for_another_where_there_is_something(
    tmp_path, monkeypatch, train, removed
):
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(json.dumps({"problems": {"p": {"train": {"model": "svm", **train}}}}))
    expected = ["problems.p.train.model=ridge", *(f"~problems.p.train.{key}" for key in removed)]
    assert sweep._changes("p", "ridge", "svm") == expected


def test_an_experiment_below_a_larger_repository_is_read_from_this_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ml/metrics").mkdir(parents=True)
    Path("ml/metrics/iris_cross_validation.json").write_text('{"accuracy_mean": 0.9}')
    command = ["git", "-c", "user.name=Test", "-c", "user.email=test@example.org"]
    for words in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "x"]):
        subprocess.run([*command, *words], check=True)
    head = git.output("rev-parse", "HEAD").strip()
    subprocess.run(["git", "update-ref", f"refs/exps/{head[:2]}/{head[2:]}/iris-svm", head], check=True)
    monkeypatch.chdir("ml")
    assert sweep._scores("iris", "iris-svm", head) == {"accuracy_mean": 0.9}


@pytest.mark.exhaustive
@pytest.mark.slow
def test_a_sweep_below_a_larger_repository(built_repository, tmp_path):
    copy = built_repository.copy_to(tmp_path / "large/ml")
    shutil.rmtree(copy.folder / ".git")
    for words in ("init -q ..", "config user.name Test", "config user.email test@example.org"):
        copy.run("git", *words.split())
    copy.commit("ml")
    printed = copy.run(sys.executable, "-m", "lockstep", "sweep", "iris", "--models", "k_neighbors").stdout
    assert "iris-k_neighbors" in printed.partition("Keep one:")[0]


def test_an_experiment_that_an_interrupt_reached_too_late_is_done(tmp_path, monkeypatch, capsys):
    """DVC has finished it: it is ranked, and not left behind unsaid."""
    there = {}
    ranked = []

    def run(problem, model, *_):
        there[f"{problem}-{model}"] = "its commit"
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "_run", run)
    monkeypatch.setattr(sweep, "_report", lambda problem, found, metric: ranked.extend(found))
    monkeypatch.setattr(sweep, "experiments_of", lambda head: dict(there))
    monkeypatch.setattr(sweep, "_scores", lambda *_: {"accuracy_mean": 0.9, "accuracy_std": 0.1})
    assert sweep.main(["iris", "--models", "svm", "mlp", "--metric", "accuracy"]) == 130
    assert [one.experiment for one in ranked] == ["iris-svm"]


def state(repository):
    """What git sees in the workspace and the stash."""
    return [repository.run("git", *words.split()).stdout for words in ("diff HEAD", "status --short", "stash list")]


def test_the_ranking_is_the_leaderboard_of_the_experiments(tmp_path, monkeypatch, capsys):
    history = History(tmp_path / "toy")
    history.record(skill=1.0, accuracy=0.6)
    for name, accuracy in (("toy-svm", 0.7), ("toy-mlp", 0.8)):
        history.git("branch", name, history.record(skill=accuracy, accuracy=accuracy, evaluated=False))
    monkeypatch.chdir(history.folder)
    found = [TriedModel(name, f"toy-{name}", {"accuracy_mean": 0, "accuracy_std": 0}, "") for name in ("svm", "mlp")]
    found.append(TriedModel("ridge", "toy-ridge", {}, "ERROR cross_validate@toy: [no] way"))
    sweep._report("toy", found, None)
    shown = capsys.readouterr().out
    assert "toy: 2 models by accuracy, the higher the better" in shown
    assert shown.index("1 toy-mlp") < shown.index("2 toy-svm")
    assert "ridge is not ranked: ERROR cross_validate@toy: [no] way" in shown
    assert "dvc exp apply toy-mlp && dvc repro\n" in shown
    assert "metrics/toy_cross_validation.json:accuracy_mean --sort-order desc\n" in shown
    assert "dvc exp remove toy-svm toy-mlp\n" in shown
    sweep._report("toy", found[2:], None)
    shown = capsys.readouterr().out
    assert "ridge is not ranked" in shown
    assert "Keep one" not in shown


def test_each_model_type_says_its_score_as_it_comes():
    def candidate(failure="", **scores):
        found = {f"{key}_{end}": value for key, value in scores.items() for end in ("mean", "std")}
        return TriedModel("m", "p-m", found | {"average": "binary"}, failure)

    proper = candidate(accuracy=0.5, f1_score=0.25, log_loss=0.125)
    assert sweep._said([proper], "classification", None) == "log_loss 0.125 \N{PLUS-MINUS SIGN} 0.12"
    assert sweep._said([proper], "classification", "f1_score").startswith("f1_score (binary) 0.25 ")
    rare = candidate(accuracy=0.5, log_loss=0.125, rare_class_average_precision=0.75)
    assert sweep._said([rare], "classification", None).startswith("rare_class_average_precision 0.75 ")
    assert sweep._said([candidate(r2_score=0.5, rmse=2.0)], "regression", None).startswith("rmse 2 ")
    assert sweep._said([candidate(failure="no way")], "regression", None) == "failed: no way"
    without = [proper, proper, candidate(accuracy=0.5)]
    assert sweep._said(without, "classification", None) == (
        "no log_loss in every fold: --metric accuracy ranks it, too"
    )


def test_the_models_that_are_tried():
    assert sweep._models("regression", "ridge", None)[0] == "ridge"
    assert "logistic_regression" not in sweep._models("regression", "ridge", None)
    assert sweep._models("classification", "svm", ["mlp", "svm", "mlp"]) == ["svm", "mlp"]
    with pytest.raises(SettingsError, match=r"--models: 'rigde' is no model type for regression\. Allowed: ridge, "):
        sweep._models("regression", "svm", ["rigde"])
