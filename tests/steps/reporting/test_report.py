"""The stages diagnose and report: what they read and write, the same bytes each time, mistakes in words; the index."""

import hashlib
import importlib
import json
import os
import shlex
import shutil
from pathlib import Path

from lockstep.__main__ import main as command

import pytest
import yaml
from small import widened
from workspace import ROOT

STAGES = yaml.safe_load((ROOT / "dvc.yaml").read_text())["stages"]
OUTPUTS = ("reports/iris.html", "reports/iris.svg", "models/iris/README.md")
"""Of the stage report, for iris."""
DIAGNOSIS = "data/diagnosis/iris.json"


def run(stage="report"):
    """Run the command of dvc.yaml, for iris, in this process; the exit code."""
    words = shlex.split(STAGES[stage]["do"]["cmd"].replace("${key}", "iris"))
    return importlib.import_module(words[2]).main(words[3:])


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A folder, without DVC, in which all stages but the report have run for iris, with a small forest."""
    folder, before = tmp_path_factory.mktemp("built"), Path.cwd()
    for path in ("data/raw/iris.csv", "data/contracts/iris.yaml"):
        (folder / path).parent.mkdir(parents=True)
        shutil.copyfile(ROOT / path, folder / path)
    content = yaml.safe_load((ROOT / "params.yaml").read_text())
    content["problems"]["iris"]["train"]["hyperparameters"] = {"n_estimators": 10}
    content["problems"]["iris"]["diagnose"]["learning_curve_rows"] = 50
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
    os.chdir(folder)
    try:
        assert [run(stage) for stage in STAGES if stage != "report"] == [0] * (len(STAGES) - 1)
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def copy(built, tmp_path, monkeypatch):
    """A copy of it; the working folder is there."""
    shutil.copytree(built, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"


def settings(folder, section="report", **values):
    """Change a section of iris."""
    content = yaml.safe_load((folder / "params.yaml").read_text())
    content["problems"]["iris"][section].update(values)
    (folder / "params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def test_the_same_inputs_give_the_same_bytes(copy):
    assert run() == 0
    first = {path: (copy / path).read_bytes() for path in OUTPUTS}
    page = first["reports/iris.html"].decode()
    model = (copy / "models/iris/random_forest_classifier_v1.joblib").read_bytes()
    for digest in (hashlib.sha256(model), hashlib.md5(model, usedforsecurity=False)):
        assert digest.hexdigest() in page
    assert hashlib.sha256((copy / "data/raw/iris.csv").read_bytes()).hexdigest() in page
    assert str(copy) not in page
    assert page.count("<svg") >= 12
    assert run() == 0
    assert {path: (copy / path).read_bytes() for path in OUTPUTS} == first


def test_settings_are_words_on_the_page(copy):
    settings(copy, title="A <b>title</b>", intended_use=["Only on Mondays."], limits=[])
    settings(copy, "diagnose", worst_rows=0, learning_curve_rows=0)
    assert (run("diagnose"), run()) == (0, 0)
    page, card = (copy / OUTPUTS[0]).read_text(), (copy / OUTPUTS[2]).read_text()
    assert "A &lt;b&gt;title&lt;/b&gt;" in page
    assert "Only on Mondays." in page
    assert "- Only on Mondays." in card
    assert "this page holds no single row of the data" in page
    assert "Learning curve" not in page


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (
            "diagnose",
            {"worst_row": 3},
            "problems.iris.diagnose.worst_row is not a setting. Allowed, nearest first: worst_rows",
        ),
        (
            "diagnose",
            {"worst_rows": -1},
            "problems.iris.diagnose.worst_rows is -1. Allowed: a whole number at least 0 and at most 100",
        ),
        (
            "report",
            {"intended_use": "all"},
            'problems.iris.report.intended_use is "all". Allowed: a list, each item a text',
        ),
        (
            "report",
            {"top_features": 4},
            "problems.iris.report.top_features is no setting any more. It is a setting of the section",
        ),
    ],
)
def test_a_mistake_in_the_settings_is_one_message(copy, capsys, section, values, message):
    (copy / DIAGNOSIS).unlink()
    settings(copy, section, **values)
    assert run(section) == 2
    assert message in capsys.readouterr().err
    assert not (copy / (OUTPUTS[0] if section == "report" else DIAGNOSIS)).exists()


MISSING = (
    "metrics/iris.json", "metrics/plots/iris/folds.csv", "data/diagnosis/iris.json",
    "models/iris/random_forest_classifier_v1.joblib.json",
)  # fmt: skip


@pytest.mark.parametrize("missing", MISSING)
def test_a_missing_file_is_one_message(copy, capsys, missing):
    (copy / missing).unlink()
    assert run() == 2
    said = capsys.readouterr().err
    assert f"{missing} does not exist" in said
    assert "Run 'dvc repro', which makes it." in said
    assert not (copy / OUTPUTS[0]).exists()


@pytest.mark.parametrize("path", ["metrics/iris_profile.json", "metrics/plots/iris/curves.csv", DIAGNOSIS])
def test_another_file_is_one_message(copy, capsys, path):
    (copy / path).write_text('{"other": 1}')
    assert run() == 3
    assert f"{path} is not what a stage wrote (" in capsys.readouterr().err


def test_an_altered_model_is_not_opened(copy, capsys):
    model = copy / "models/iris/random_forest_classifier_v1.joblib"
    model.write_bytes(model.read_bytes()[:-1] + b"x")
    assert run("diagnose") == 3
    assert "It was not opened" in capsys.readouterr().err


def test_the_diagnosis_is_the_same_bytes_each_time(copy):
    first = (copy / DIAGNOSIS).read_bytes()
    assert run("diagnose") == 0
    assert (copy / DIAGNOSIS).read_bytes() == first


def test_the_readme_shows_the_pictures_that_the_pipeline_drew():
    outputs = yaml.safe_load((ROOT / "dvc.lock").read_text())["stages"]
    assert "](reports/housing.svg)" in (ROOT / "README.md").read_text()
    for problem in ("iris", "housing"):
        path = f"reports/{problem}.svg"
        recorded = {out["path"]: out["md5"] for out in outputs[f"report@{problem}"]["outs"]}
        assert recorded[path] == hashlib.md5((ROOT / path).read_bytes(), usedforsecurity=False).hexdigest()


@pytest.fixture
def problems(copy):
    """Two problems, of which iris alone has been built."""
    assert run() == 0
    return copy


def test_the_index_has_every_problem(problems, capsys):
    assert command(["index"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "reports/index.html",
        "reports/iris.html",
        "reports/housing.html (not built: dvc repro report@housing)",
    ]
    page = (problems / "reports/index.html").read_text()
    metrics = json.loads((problems / "metrics/iris.json").read_text())
    assert '<a href="iris.html">iris</a>' in page
    assert f"{metrics['accuracy']:.3f}" in page
    assert f"{metrics['f1_score']:.3f}" in page
    assert "Species of an iris from four measurements of its flower" in page
    assert "dvc repro report@housing" in page
    assert 'href="housing.html"' not in page
    first = (problems / "reports/index.html").read_bytes()
    assert command(["index"]) == 0
    assert (problems / "reports/index.html").read_bytes() == first


def test_the_index_leads_to_the_page_of_plots_where_that_is_there(problems, capsys):
    assert command(["index"]) == 0
    assert "plots.html" not in (problems / "reports/index.html").read_text()
    (problems / "reports/plots.html").write_text("")
    assert command(["index"]) == 0
    assert '<a href="plots.html">' in (problems / "reports/index.html").read_text()
    assert "plots.html" not in capsys.readouterr().out  # of problems, it lists the pages


DISPLAYS = [({"DISPLAY": ":0"}, 1), ({}, 0)]


@pytest.mark.parametrize(("display", "opened"), widened(DISPLAYS, DISPLAYS[:1]))
def test_the_index_opens_where_there_is_a_display(problems, monkeypatch, display, opened):
    found = []
    monkeypatch.setattr("webbrowser.open", found.append)
    monkeypatch.setattr("sys.platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in display.items():
        monkeypatch.setenv(name, value)
    assert command(["index", "--open"]) == 0
    assert len(found) == opened
    assert all(url.startswith("file:///") and url.endswith("reports/index.html") for url in found)


def test_a_damaged_metrics_file_is_one_message(problems, capsys):
    (problems / "metrics/iris.json").write_text("{")
    assert command(["index"]) == 2
    assert "metrics/iris.json is not a metrics file" in capsys.readouterr().err
