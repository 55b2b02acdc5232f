"""The workflow that retrains: its commands run as GitHub would run them, with a ``gh`` that writes down its call."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from workspace import BIN, ROOT, Repository

WORKFLOW_TEXT = (ROOT / ".github/workflows/retrain.yml").read_text()
WORKFLOW = yaml.load(WORKFLOW_TEXT, yaml.BaseLoader)
JOB = WORKFLOW["jobs"]["retrain"]
COMMANDS = {step["name"]: step["run"] for step in JOB["steps"] if "run" in step}
FAKE_GH = '#!/bin/sh\nprintf "%s\\n" "$@" > "$RUNNER_TEMP/gh"\n'


def test_it_may_do_what_it_does_and_nothing_is_put_into_a_command():
    """An expression within a command is where an input becomes a command."""
    assert WORKFLOW["permissions"] == {"contents": "write", "pull-requests": "write"}
    assert set(WORKFLOW["on"]) == {"workflow_dispatch", "schedule"}
    for text in COMMANDS.values():
        assert "${{" not in text
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    others = yaml.load((ROOT / ".github/workflows/ci.yml").read_text(), yaml.BaseLoader)["jobs"]["comparison"]["steps"]
    mine, theirs = ({step["uses"] for step in steps if "uses" in step} for steps in (JOB["steps"], others))
    assert mine == theirs


def run_workflow(repository, problem, folder):
    """Run the commands of the steps behind the installation in ``repository``, whose origin is another, with the new
    rows in new.csv of ``folder``; (the branch of the pull request, its text)."""
    repository.run("git", "clone", "-q", "--bare", ".", str(folder / "origin"))
    repository.run("git", "remote", "add", "origin", str(folder / "origin"))
    programs = folder / "programs"
    programs.mkdir()
    (programs / "gh").write_text(FAKE_GH)
    (programs / "gh").chmod(0o755)
    (folder / "temporary").mkdir()
    environment = repository.environment | {
        "PROBLEM": problem, "LOCATION": str(folder / "new.csv"), "MODE": "append", "STAGE": "prod",
        "RUNNER_TEMP": str(folder / "temporary"), "GITHUB_PATH": os.devnull,
        "PATH": f"{programs}:{BIN}:{os.environ['PATH']}",
    }  # fmt: skip
    for name in list(COMMANDS)[1:]:
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", COMMANDS[name]], cwd=repository.folder, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}\n{done.stdout}\n{done.stderr}"
    called = (folder / "temporary/gh").read_text().splitlines()
    assert called[:3] == ["pr", "create", "--head"]
    assert re.fullmatch(rf"retrain/{problem}-\d{{8}}-\d{{6}}", called[3])
    pushed = repository.run("git", "--git-dir", str(folder / "origin"), "log", "-2", "--format=%s", called[3]).stdout
    assert pushed.splitlines()[0] == f"Retrain {problem} on new rows"
    assert repository.run("git", "status", "--porcelain").stdout == ""
    return (folder / "temporary/comparison.md").read_text()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_new_rows_become_a_pull_request_with_the_comparison(built_repository, tmp_path):
    repository = built_repository.copy_to(tmp_path / "repository")
    repository.lockstep("promote", "iris", "--to", "prod")
    champion = repository.run("git", "rev-parse", "HEAD").stdout.strip()
    rows = (repository.folder / "data/raw/iris.csv").read_text().splitlines()
    (tmp_path / "new.csv").write_text("\n".join([rows[0], rows[1], "5.15,3.55,1.45,0.25,setosa", ""]))  # one is there
    body = run_workflow(repository, "iris", tmp_path)
    assert body.startswith(f"Compared with {champion}, the model in prod.\n")
    assert "no detectable difference" in body
    assert "1 added" in body
    shutil.rmtree(repository.folder)


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_repository_of_ones_own_retrains_its_own_problem(tmp_path):
    """Made by 'new', with a table of its own, no remote of DVC's and no model in any stage."""
    template = Repository(tmp_path / "lockstep")
    template.lockstep("new", tmp_path / "churn-model")
    own = Repository.at(tmp_path / "churn-model")
    for key, value in (("user.name", "Test"), ("user.email", "test@example.org")):
        own.run("git", "config", key, value)
    assert (own.folder / ".github/workflows/retrain.yml").read_text() == WORKFLOW_TEXT
    lines = [f"{place},{place % 17},{'yes' if place % 17 > 8 else 'no'}" for place in range(300)]
    (tmp_path / "customers.csv").write_text("\n".join(["number,calls,churned", *lines[:240], ""]))
    (tmp_path / "new.csv").write_text("\n".join(["number,calls,churned", *lines[230:], ""]))  # ten are there
    own.lockstep("add", tmp_path / "customers.csv", "--target", "churned", "--model", "logistic_regression")
    own.dvc("repro")
    own.commit("customers")
    before = own.run("git", "rev-parse", "HEAD").stdout.strip()
    body = run_workflow(own, "customers", tmp_path)
    assert body.startswith(f"Compared with {before}, the commit before, since no model is in prod.\n")
    assert "60 added" in body
    shutil.rmtree(own.folder)
