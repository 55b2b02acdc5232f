"""Every model type tried as an experiment: the ranking, and what becomes of the workspace."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lockstep.commands.comparing import sweep
from lockstep.commands.comparing.sweep import Candidate
from lockstep.kernel.errors import SettingsError
from lockstep.repository import git

import pytest
import yaml

# What a shell starts in the background ignores interrupts, and so would all that a test run in the background starts.
UNDER_AN_INTERRUPT = (
    "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "runpy.run_module('lockstep', run_name='__main__')"
)


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
        for line in running.stderr:
            if line.startswith("mlp"):
                break
        time.sleep(1)
        os.kill(running.pid, signal.SIGINT)
        printed, told = running.communicate(timeout=120)
    assert running.returncode == 130, printed + told
    assert "interrupted" in told
    assert state(copy) == before

    assert "log_loss, the lower the better" in printed
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
        sweep, "_run", lambda problem, model, *_: told.append(capsys.readouterr().err) or Candidate(model, "", {}, "no")
    )
    sweep.main(["iris", "--models", "svm", "mlp"])
    assert told[0].startswith("replaces the experiment iris-svm of an earlier sweep\n")
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

    def run(problem, model, *_):
        there[f"{problem}-{model}"] = "its commit"
        raise KeyboardInterrupt

    monkeypatch.setattr(sweep, "_run", run)
    monkeypatch.setattr(sweep, "experiments_of", lambda head: dict(there))
    monkeypatch.setattr(sweep, "_scores", lambda *_: {"accuracy_mean": 0.9, "accuracy_std": 0.1})
    assert sweep.main(["iris", "--models", "svm", "mlp", "--metric", "accuracy"]) == 130
    printed = capsys.readouterr().out
    assert "dvc exp remove iris-svm\n" in printed
    assert "mlp" not in printed


def state(repository):
    """What git sees in the workspace and the stash."""
    return [repository.run("git", *words.split()).stdout for words in ("diff HEAD", "status --short", "stash list")]


def test_the_ranking_follows_the_metrics_direction(capsys):
    found = [
        Candidate("svm", "p-svm", {"mae_mean": 2.0, "mae_std": 0.1, "r2_score_mean": 0.5, "r2_score_std": 0.1}, ""),
        Candidate("mlp", "p-mlp", {"mae_mean": 1.0, "mae_std": 0.2, "r2_score_mean": 0.4, "r2_score_std": 0.1}, ""),
        Candidate("ridge", "p-ridge", {}, "ERROR cross_validate@p: [no] way"),
    ]
    for metric, order in (("mae", ["mlp", "svm"]), ("r2_score", ["svm", "mlp"])):
        sweep._report(found, metric)
        shown = capsys.readouterr().out
        assert shown.index(f" {order[0]} ") < shown.index(f" {order[1]} ")
        assert f"dvc exp apply p-{order[0]} " in shown
        assert "ridge is not ranked: ERROR cross_validate@p: [no] way" in shown
        assert "dvc exp remove p-svm p-mlp\n" in shown
    sweep._report(found, "rmse")
    shown = capsys.readouterr().out
    assert "svm is not ranked: it has no rmse in every fold" in shown
    assert "Keep one" not in shown


def test_the_ranking_says_which_average(capsys):
    scores = {"f1_score_mean": 0.5, "f1_score_std": 0.1, "accuracy_mean": 0.5, "accuracy_std": 0.1, "average": "binary"}
    sweep._report([Candidate("svm", "p-svm", scores, "")], "f1_score")
    assert "cross-validation: f1_score (binary)" in capsys.readouterr().out
    sweep._report([Candidate("svm", "p-svm", scores, "")], "accuracy")
    assert "binary" not in capsys.readouterr().out


def test_the_models_that_are_tried():
    assert sweep._models("regression", "ridge", None)[0] == "ridge"
    assert "logistic_regression" not in sweep._models("regression", "ridge", None)
    assert sweep._models("classification", "svm", ["mlp", "svm", "mlp"]) == ["svm", "mlp"]
    with pytest.raises(SettingsError, match=r"--models: 'rigde' is no model type for regression\. Allowed: ridge, "):
        sweep._models("regression", "svm", ["rigde"])
