"""The commands of python -m lockstep."""

import importlib
import json
from pathlib import Path
from types import SimpleNamespace

from lockstep.__main__ import main
from lockstep.commands import COMMANDS

import pytest
import yaml
from workspace import ROOT


def test_without_an_argument_it_shows_its_commands(capsys):
    assert main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {name}" in shown for name in COMMANDS)


def test_every_command_explains_itself(capsys):
    for name in COMMANDS:
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert f"python -m lockstep {name}" in capsys.readouterr().out


def test_an_unknown_command(capsys):
    assert main(["sumary"]) == 2
    assert "there is no command 'sumary'. Did you mean 'summary'?" in capsys.readouterr().err


def test_a_name_in_a_message_does_not_steer_the_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["check", "--params", "a\x1b[31m\u202eb.yaml"]) == 2
    said = capsys.readouterr().err
    assert "a\\x1b[31m\\u202eb.yaml" in said
    assert "\x1b" not in said


@pytest.mark.parametrize("error", [MemoryError("Unable to allocate 3 GiB"), RuntimeError("can't start new thread")])
def test_a_lack_of_memory_is_said_in_a_sentence(error, monkeypatch, capsys):
    def short(_):
        raise error

    monkeypatch.setattr(importlib, "import_module", lambda _: SimpleNamespace(main=short))
    assert main(["add", "t.csv"]) == 4
    said = " ".join(capsys.readouterr().err.split())
    assert said.startswith(f"ERROR add: not enough memory ({error}): close other programs")
    assert "Traceback" not in said


@pytest.fixture
def params(tmp_path, monkeypatch):
    """Write a changed copy of params.yaml into an empty folder, and go there."""
    monkeypatch.chdir(tmp_path)

    def write(change=lambda problems: None):
        content = yaml.safe_load((ROOT / "params.yaml").read_text())
        change(content["problems"])
        (tmp_path / "params.yaml").write_text(json.dumps(content))

    return write


def test_check(params, capsys):
    params()
    assert main(["check"]) == 0
    assert capsys.readouterr().out == "params.yaml is sound: iris, housing\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: p["housing"]["train"].update(kind="classifier"),
            "train.kind is classifier, but load.task is regression",
        ),
        (
            lambda p: p["iris"]["split"].update(seed=-1),
            "problems.iris.split.seed is -1. Allowed: a whole number at least 0",
        ),
        (
            lambda p: p["iris"]["tune"].update(trials=9, space={"max_depth": {"low": 0, "high": 9, "log": True}}),
            "problems.iris: tune.space.max_depth.low is 0. Allowed with log: true: a number above 0.",
        ),
        (
            lambda p: p["iris"]["tune"].update(trials=9, space={"max_dept": [1, 2]}),
            "tune.space.max_dept is not a hyperparameter of RandomForestClassifier. Allowed, nearest first: max_depth",
        ),
        (lambda p: p["iris"].pop("tune"), "problems.iris.tune is missing. Write 'tune: {}' there for all its defaults"),
        (
            lambda p: p["iris"].pop("evaluate"),
            "problems.iris.evaluate.average is missing. Allowed: one of binary, macro, micro, weighted.",
        ),
        (
            lambda p: p["iris"]["cross_validate"].update(average="macro"),
            "problems.iris.cross_validate.average is no setting any more. evaluate.average holds for the test rows and",
        ),
        (lambda p: p.update({"a b": {}}), '"a b" is not a problem name. Allowed: letters, digits'),
        (
            lambda p: p["iris"].update(evalute={}),
            "problems.iris.evalute is not a section. Allowed, nearest first: evaluate",
        ),
    ],
)
def test_check_names_the_mistake(params, capsys, change, message):
    params(change)
    assert main(["check"]) == 2
    assert message in capsys.readouterr().err


def test_summary_shows_every_problem(monkeypatch, capsys):
    monkeypatch.chdir(ROOT)
    assert main(["summary"]) == 0
    shown = capsys.readouterr().out
    iris = json.loads((ROOT / "metrics/iris.json").read_text())
    assert "models/iris/random_forest_classifier_v1.joblib" in shown
    assert "models/housing/gradient_boosting_regressor_v1.joblib" in shown
    assert f"{iris['accuracy']:.3f}" in shown
    assert "dvc exp run -S" in shown


@pytest.fixture
def results(tmp_path, monkeypatch):
    """Write settings of problems and what their stages gave into an empty folder, and go there: a function of the
    sections ``train``, by problem, of the baseline's accuracy and of the averages of the test rows and of the folds."""
    monkeypatch.chdir(tmp_path)

    def write(trains, baseline=0.5, test="binary", folds="binary"):
        load = {"path": "x.csv", "task": "classification"}
        problems = {name: {"load": load, "train": train, "report": {}} for name, train in trains.items()}
        Path("params.yaml").write_text(json.dumps({"problems": problems}))
        scores = {"accuracy": 0.8, "precision": 0.7, "balanced_accuracy": 0.77, "roc_auc": 0.9}
        means = {f"{name}_{kind}": value / 2 for name, value in scores.items() for kind in ("mean", "std")}
        for name in problems:
            Path(f"metrics/plots/{name}").mkdir(parents=True)
            Path(f"metrics/{name}.json").write_text(json.dumps(scores | {"average": test, "test_rows": 90}))
            Path(f"metrics/{name}_cross_validation.json").write_text(json.dumps(means | {"average": folds}))
            rows = [f"{key},{value},0.6,0.95,{baseline}" for key, value in scores.items()]
            Path(f"metrics/plots/{name}/intervals.csv").write_text("\n".join(["metric,value,low,high,baseline", *rows]))

    return write


def train_of(model, **hyperparameters):
    return {"model": model, "kind": "classifier", "version": 3, "hyperparameters": hyperparameters}


@pytest.mark.parametrize(
    ("train", "change"),
    [
        (train_of("random_forest", bootstrap=True, n_estimators=100), "train.hyperparameters.n_estimators=200"),
        (train_of("gradient_boosting", learning_rate=0.1), "train.hyperparameters.learning_rate=0.05"),
        (train_of("svm", kernel="rbf"), "train.model=extra_trees"),
        ({"model": "extra_trees", "kind": "classifier", "version": 1}, "train.model=random_forest"),
    ],
)
def test_summary_speaks_of_the_problems_that_are_there(results, capsys, train, change):
    results({"churn": train, "other": train})
    assert main(["summary"]) == 0
    shown = capsys.readouterr().out
    assert f"  dvc exp run -S problems.churn.{change}\n" in shown
    assert "iris" not in shown
    assert "nothing to do" not in shown


def test_help_speaks_of_no_problem_that_may_not_be_there(capsys):
    for name in set(COMMANDS) - {"example"}:
        with pytest.raises(SystemExit):
            main([name, "--help"])
        assert "iris" not in capsys.readouterr().out, name


@pytest.mark.parametrize(("folds", "shown"), [("binary", "0.350"), ("macro", "")])
def test_summary_says_which_average_and_sets_no_other_one_beside_it(results, capsys, folds, shown):
    results({"churn": train_of("svm")}, folds=folds)
    assert main(["summary"]) == 0
    rows = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines() if line.split()}
    assert rows["precision"][:2] == ["(binary)", "0.700"]
    assert rows["accuracy"][0] == "0.800"
    assert ("0.350" in rows["precision"]) == bool(shown)
    assert "0.450" in rows["roc_auc"]


@pytest.mark.parametrize(("baseline", "rare"), [(0.8, False), (0.94, True)])
def test_summary_and_index_lead_with_what_measures_a_rare_class(results, capsys, baseline, rare):
    results({"churn": train_of("svm")}, baseline)
    assert main(["summary"]) == 0
    said = "right in 94.0\N{NO-BREAK SPACE}% of the test rows: look at roc_auc and balanced_accuracy rather than at acc"
    assert (said in capsys.readouterr().out) == rare
    Path("reports").mkdir()
    Path("reports/churn.html").touch()
    assert main(["index"]) == 0
    page = Path("reports/index.html").read_text()
    assert (">Area under the ROC curve</td>" in page) == (">Balanced accuracy</td>" in page) == rare
    assert (">Accuracy</td>" in page) == (not rare)


def test_summary_before_a_run(params, capsys):
    params()
    assert main(["summary"]) == 2
    said = "No problem has been run: metrics/ has no results of it. Run 'dvc repro', which makes them."
    assert said in capsys.readouterr().err


def test_summary_of_a_problem_that_was_added_and_not_run(results, capsys):
    results({"a": train_of("svm"), "b": train_of("svm")})
    Path("metrics/a.json").unlink()
    assert main(["summary"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("a: not run yet (dvc repro report@a)\n\nb: models/b/svm_classifier_v3.joblib (not built: ")
    assert "accuracy" in out


def evaluated(file, settings):
    """A dvc.lock that records the evaluation of this model, and the settings of its training."""
    dep = {"path": f"models/a/{file}_classifier_v3.joblib", "md5": "0" * 32, "size": 1}
    run = {"cmd": "python", "deps": [dep], "params": {"params.yaml": {"problems.a.train": settings}}, "outs": []}
    Path("dvc.lock").write_text(json.dumps({"schema": "2.0", "stages": {"evaluate@a": run}}) + "\n")


def test_summary_shows_no_metrics_of_another_model(results, capsys):
    results({"a": train_of("svm")})
    evaluated("random_forest", train_of("random_forest"))
    assert main(["summary"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "those in metrics/ are of models/a/random_forest_classifier_v3.joblib, which was evaluated last." in out
    assert "accuracy" not in out
    evaluated("svm", train_of("svm", C=2))
    assert main(["summary"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "These metrics are of the last run, and params.yaml has other settings by now (problems.a.train)" in out
    assert "accuracy" in out
    evaluated("svm", train_of("svm"))
    assert main(["summary"]) == 0
    assert "last" not in capsys.readouterr().out
    lock = json.loads(Path("dvc.lock").read_text())
    (file,) = lock["stages"]["evaluate@a"]["deps"]
    lock["stages"]["train@a"] = {"cmd": "python", "outs": [file | {"md5": "1" * 32}]}
    Path("dvc.lock").write_text(json.dumps(lock) + "\n")
    assert main(["summary"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "are of the models/a/svm_classifier_v3.joblib before it was trained anew, which was evaluated last." in out
    assert "accuracy" not in out


def test_errors_have_the_unit_of_the_data_profile(results, capsys):
    results({"a": train_of("svm")})
    rows = "metric,value,low,high,baseline\nmse,9,8,10,11\nmae,3,2,4,5\nr2_score,0.5,0.4,0.6,0\n"
    Path("metrics/plots/a/intervals.csv").write_text(rows)
    profile = {"target": {"column": "y"}, "columns": [{"column": "x", "unit": "m"}, {"column": "y", "unit": "kg"}]}
    Path("metrics/a_profile.json").write_text(json.dumps(profile))
    assert main(["summary"]) == 0
    first = [line.split("  ")[1] for line in capsys.readouterr().out.splitlines() if line.startswith("  ")]
    assert {"mse in kg²", "mae in kg", "r2_score"} <= set(first)
