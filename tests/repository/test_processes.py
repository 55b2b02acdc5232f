"""How git and DVC are run: what is said when they fail."""

import subprocess
import sys

from lockstep.kernel.errors import MachineError
from lockstep.repository import git
from lockstep.repository.dvc_process import Ended, run_dvc

import psutil
import pytest
import recorded


def test_what_git_prints_and_why_it_fails(tmp_path):
    subprocess.run(["git", "init", "-q", "-b", "main", str(tmp_path)], check=True)
    assert git.output("symbolic-ref", "HEAD", root=tmp_path) == "refs/heads/main\n"
    assert git.output("hash-object", "--stdin", root=tmp_path, stdin="é") == (
        git.output_bytes("hash-object", "--stdin", root=tmp_path, stdin="é".encode()).decode()
    )
    with pytest.raises(MachineError, match=rf"'git show' fails in {tmp_path}: .*nowhere.*'git fsck' say more"):
        git.output("--no-pager", "show", "nowhere", root=tmp_path)
    assert git.run("show", "nowhere", root=tmp_path).returncode == 128


def test_a_machine_without_git(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MachineError, match="there is no git on this machine"):
        git.run("status")


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        (["x", "ERROR train@p: too few rows.", "ERROR: failed to reproduce 'train@p'"], "ERROR train@p: too few rows"),
        (["ERROR: no such remote.", "see docs"], "no such remote"),
        (["killed", ""], "killed"),
        ([], "exit code 7"),
        (
            [
                "Traceback (most recent call last):",
                "File x, line 1, in <module>",
                "import y",
                "ModuleNotFoundError: No module named 'y'",
                "ERROR: failed to reproduce 'check@a': exited with 1",
            ],
            "ModuleNotFoundError: No module named 'y'",
        ),
    ],
)
def test_why_dvc_failed(lines, reason):
    assert Ended(7, lines).reason == reason


def test_dvc_is_run_in_a_folder_and_listened_to(tmp_path):
    folder = recorded.make(tmp_path / "toy")
    heard = []
    done = run_dvc(["status", "load@toy"], folder=folder, listener=heard.append)
    assert done.code == 0
    assert done.lines == heard
    assert run_dvc(["nonsense"], folder=folder).code != 0


def test_dvc_ends_when_the_process_that_started_it_is_killed(tmp_path):
    folder = recorded.make(tmp_path / "toy")
    code = (
        "import sys; from pathlib import Path; from lockstep.repository.dvc_process import run_dvc\n"
        f"run_dvc(['repro'], folder=Path({str(folder)!r}))"
    )
    (folder / "dvc.yaml").write_text("stages:\n  wait:\n    cmd: echo begun && sleep 60\n")
    with subprocess.Popen([sys.executable, "-c", code]) as ours:
        below = []
        while not any("sleep" in process.cmdline() for process in below if process.is_running()):
            below = psutil.Process(ours.pid).children(recursive=True)
        (dvc,) = [process for process in below if "dvc" in process.cmdline()[:4]]
        ours.kill()
    _, alive = psutil.wait_procs([dvc], timeout=20)
    for process in psutil.process_iter():
        if process in below:
            process.kill()
    assert alive == []
