"""The workflow that retrains: its commands run as GitHub would run them, with a ``gh`` that writes down its call."""

import os
import re
import shutil
import subprocess

import pytest
import yaml
from workspace import BIN, ROOT

WORKFLOW = yaml.load((ROOT / ".github/workflows/retrain.yml").read_text(), yaml.BaseLoader)
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


@pytest.fixture
def run(built_repository, tmp_path):
    """A function that runs the commands of the step of a name in a copy, whose origin is another."""
    repository = built_repository.copy_to(tmp_path / "repository")
    repository.run("git", "clone", "-q", "--bare", ".", str(tmp_path / "origin"))
    repository.run("git", "remote", "add", "origin", str(tmp_path / "origin"))
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gh").write_text(FAKE_GH)
    (programs / "gh").chmod(0o755)
    (tmp_path / "temporary").mkdir()
    environment = repository.environment | {
        "PROBLEM": "iris", "LOCATION": str(tmp_path / "new.csv"), "MODE": "append", "STAGE": "prod",
        "RUNNER_TEMP": str(tmp_path / "temporary"), "GITHUB_PATH": os.devnull,
        "PATH": f"{programs}:{BIN}:{os.environ['PATH']}",
    }  # fmt: skip

    def run(name):
        done = subprocess.run(
            ["bash", "-eo", "pipefail", "-c", COMMANDS[name]], cwd=repository.folder, env=environment,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{name}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    run.repository, run.folder = repository, tmp_path
    return run


@pytest.mark.slow
@pytest.mark.exhaustive
def test_new_rows_become_a_pull_request_with_the_comparison(run):
    repository, folder = run.repository, run.folder
    repository.lockstep("promote", "iris", "--to", "prod")
    champion = repository.run("git", "rev-parse", "HEAD").stdout.strip()
    rows = (repository.folder / "data/raw/iris.csv").read_text().splitlines()
    (folder / "new.csv").write_text("\n".join([rows[0], rows[1], "5.15,3.55,1.45,0.25,setosa", ""]))  # one is there
    for name in list(COMMANDS)[1:]:
        run(name)
    called = (folder / "temporary/gh").read_text().splitlines()
    assert called[:3] == ["pr", "create", "--head"]
    assert re.fullmatch(r"retrain/iris-\d{8}-\d{6}", called[3])
    body = (folder / "temporary/comparison.md").read_text()
    assert body.startswith(f"Compared with {champion}, the model in prod.\n")
    assert "no detectable difference" in body
    assert "1 added" in body
    pushed = repository.run("git", "--git-dir", str(folder / "origin"), "log", "-2", "--format=%s", called[3]).stdout
    assert pushed.splitlines()[0] == "Retrain iris on new rows"
    assert repository.run("git", "status", "--porcelain").stdout == ""
    shutil.rmtree(repository.folder)
