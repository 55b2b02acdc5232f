"""The recorded versions against those that are installed."""

import subprocess
import sys

from lockstep.commands.provenance.versions import write_versions
from lockstep.kernel import environment
from lockstep.kernel.environment import LIBRARIES, PYTHON, VERSIONS, check_environment, differences, read_versions
from lockstep.kernel.errors import MachineError, SettingsError

import pytest
from workspace import ROOT

HERE = {"python": PYTHON, **{name: environment.installed_version(name) for name in LIBRARIES}}


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """Record other versions than those that are here, for check_environment."""
    path = tmp_path / "versions.toml"

    def record(**changed):
        write_versions(HERE | {name.replace("_", "-"): value for name, value in changed.items()}, path)
        monkeypatch.setattr(environment, "VERSIONS", path)

    return record


def test_what_is_here_is_what_is_recorded():
    assert read_versions() == HERE
    assert differences(HERE) == []
    check_environment()


def test_every_difference_is_named():
    other = HERE | {"python": "3.9", "scikit-learn": "0.1"}
    assert differences(other) == [("python", "3.9", PYTHON), ("scikit-learn", "0.1", HERE["scikit-learn"])]


def test_another_library_stops_and_says_what_to_type(recorded):
    recorded(scikit_learn="1.8.0", numpy="1.0")
    with pytest.raises(MachineError) as caught:
        check_environment()
    message = str(caught.value)
    assert message.startswith("versions.toml records numpy 1.0, scikit-learn 1.8.0; here is numpy ")
    assert "'rm -rf .venv', 'make venv'. To record others: set them in pyproject.toml, then 'make lock'" in message


def test_another_python_stops_and_says_what_to_type(recorded):
    recorded(python="3.9")
    with pytest.raises(MachineError, match=rf"records python 3\.9; here is python {PYTHON}") as caught:
        check_environment()
    assert "'make venv PYTHON=python3.9'. To record others: 'python -m lockstep versions --write'" in str(caught.value)


def test_a_python_without_the_libraries_is_told_to_activate(monkeypatch):
    monkeypatch.setattr(environment, "installed_version", lambda name: None)
    monkeypatch.setattr(sys, "path", [])
    with pytest.raises(MachineError, match=r"lacks the libraries of requirements.lock. Type 'source .venv/bin/act"):
        check_environment()


def test_a_stage_checks_before_it_imports_anything(tmp_path):
    """With a Python that has no libraries at all, a stage ends with one message."""
    done = subprocess.run(
        [sys.executable, "-S", "-m", "stages.train", "--help"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (4, "")
    assert done.stderr.startswith(f"ERROR: {sys.executable} lacks the libraries of requirements.lock.")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "versions.toml does not exist. 'git checkout versions.toml'"),
        ("python = 3.11", "must give a version for each of python, jinja2, joblib"),
        ("python", "versions.toml is not valid TOML"),
        (VERSIONS.read_text() + "dask = '1'\n", "must give a version for each of"),
        (VERSIONS.read_text().replace(f'"{PYTHON}"', PYTHON), "must give a version for each of"),
    ],
)
def test_a_damaged_file_is_one_message(tmp_path, text, message):
    path = tmp_path / "versions.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        read_versions(path)


def test_versions_that_are_recorded_anew_while_a_stage_runs_leave_it_without_outputs(monkeypatch, tmp_path):
    """DVC would write down at the end that the outputs were made with them."""
    import argparse

    from lockstep.kernel import stage
    from lockstep.kernel.errors import MachineError

    def changed():
        raise MachineError("versions.toml records others")

    def body(problem, args, outputs):
        monkeypatch.setattr(stage, "check_environment", changed)
        outputs.json(tmp_path / "out.json", {})

    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text("problems: {toy: {}}\n")
    assert stage.run_stage("load", argparse.Namespace(problem="toy", params=tmp_path / "params.yaml"), body) == 4
    assert not (tmp_path / "out.json").exists()
