"""The commands of python -m lockstep."""

import json

from lockstep.__main__ import COMMANDS, main

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
        (lambda p: p["iris"].pop("evaluate"), "problems.iris.evaluate is missing. Write 'evaluate: {}' there"),
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


def test_summary_before_a_run(params, capsys):
    params()
    assert main(["summary"]) == 2
    assert "metrics/iris.json does not exist. Run 'dvc repro'" in capsys.readouterr().err
