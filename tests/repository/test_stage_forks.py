"""Stages that are forks: which commands are, and that a fork is what the script would have been."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from lockstep.kernel.paths import ROOT
from lockstep.repository.stage_forks import StageForks, compared, is_plain

import pytest

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "BASH_ENV"} | {
    "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
}


@pytest.fixture
def start():
    """A function that starts a command as DVC does, and returns its exit code."""
    module = SimpleNamespace()
    forks = StageForks()
    forks.run_for(module)

    def start(words, cwd=ROOT, shell=("/bin/sh", "-c"), **variables):
        environment = ENVIRONMENT | variables
        process = module.subprocess.Popen([*shell, words], env=environment, cwd=str(cwd), close_fds=True, shell=False)
        process.communicate()
        return process.returncode

    yield start
    if forks._server is not None:
        forks._channel.close()
        assert forks._server.wait() == 0


def test_a_fork_prints_and_ends_as_the_script_does(start, capfd):
    for words, code in (("--help", 0), ("--problem ' a b'", 2)):
        command = f"python -m stages.load {words}"
        plain = subprocess.run(["/bin/sh", "-c", command], env=ENVIRONMENT, cwd=ROOT, check=False)
        expected = capfd.readouterr()
        assert (start(command), plain.returncode) == (code, code)
        assert capfd.readouterr() == expected
        assert expected.out or expected.err


def test_stages_are_forks_of_one_process_and_each_has_its_own_variables(start, tmp_path, capfd):
    """The repository's own code is imported by the fork, from where it is started."""
    (tmp_path / "stages").mkdir()
    shown = "sys.orig_argv[1], os.getcwd(), os.environ['DVC_STAGE'], 'dvc' in sys.modules, sys.argv[1:]"
    code = f"import os, sys\nprint({shown})\n"
    for name in ("load", "split"):
        (tmp_path / f"stages/{name}.py").write_text(code)
        assert start(f"python -m stages.{name} --a 'b c'", tmp_path, DVC_STAGE=f"{name}@x") == 0
    assert capfd.readouterr().out.splitlines() == [
        f"-c {tmp_path} {name}@x False ['--a', 'b c']" for name in ("load", "split")
    ]


@pytest.mark.parametrize("variables", [{}, {"X": "another than when it was started"}])
def test_a_server_that_is_started_early_has_imported_what_the_first_stage_needs(
    tmp_path, monkeypatch, capfd, variables
):
    monkeypatch.setenv("PATH", ENVIRONMENT["PATH"])
    monkeypatch.delenv("BASH_ENV", raising=False)
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/load.py").write_text("import sys\nprint(sys.orig_argv[1], 'sklearn' in sys.modules)\n")
    forks = StageForks("stages.check")
    early = forks._server
    words = ["/bin/sh", "-c", "python -m stages.load"]
    forks.start(words, env=dict(os.environ) | variables, cwd=str(tmp_path)).communicate()
    assert capfd.readouterr().out == f"-c {not variables}\n"
    forks._channel.close()
    assert forks._server.wait() == 0
    assert early.returncode == (-signal.SIGKILL if variables else 0)


@pytest.mark.parametrize(
    ("how", "options"),
    [
        ("another variable", {"OMP_NUM_THREADS": "3"}),
        ("another shell", {"shell": ("/bin/bash", "--noprofile", "--norc", "-c"), "BASH_ENV": "/dev/null"}),
    ],
)
def test_what_may_differ_is_a_process_of_its_own(start, tmp_path, capfd, how, options):
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/load.py").write_text("import sys\nprint(sys.orig_argv[1])\n")
    assert start("python -m stages.load", cwd=tmp_path) == 0
    assert start("python -m stages.load", cwd=tmp_path, **options) == 0
    assert capfd.readouterr().out == "-c\n-m\n", how


def test_a_stage_that_ends_by_itself_a_signal_or_an_error_is_told(start, tmp_path, capfd):
    (tmp_path / "stages").mkdir()
    path = tmp_path / "stages/load.py"
    for code, expected in (
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("raise SystemExit(3)", 3),
        ("raise SystemExit('why')", 1),
        ("1 / 0", 1),
        ("import atexit; atexit.register(print, 'at the end')", 0),
    ):
        path.write_text(code)
        assert start("python -m stages.load", cwd=tmp_path) == expected
    out, err = capfd.readouterr()
    assert out == "at the end\n"
    assert "why" in err
    assert f'File "{path}", line 1, in <module>' in err
    assert "ZeroDivisionError" in err


@pytest.mark.parametrize(
    ("shell", "words", "variables", "expected"),
    [
        (["/bin/sh", "-c"], "python -m stages.load --problem 'iris'", {}, True),
        (["/bin/bash", "--noprofile", "--norc", "-c"], "python -m stages.load", {}, True),
        (["/bin/zsh", "--no-rcs", "-c"], "python -m stages.load", {}, False),
        (["/bin/bash", "-c"], "python -m stages.load", {"BASH_ENV": "~/.settings"}, False),
        (["/bin/sh", "-c"], "python -m stages.load", {"PATH": "/nowhere"}, False),
        (["/bin/sh", "-c"], "python -m stages.load --problem $NAME", {}, False),
        (["/bin/sh", "-c"], "python -m stages.load && rm -r data", {}, False),
        (["/bin/sh", "-c"], "python -m stages.load > log", {}, False),
        (["/bin/sh", "-c"], "X=1 python -m stages.load", {}, False),
        (["/bin/sh", "-c"], "python -m mine.load", {}, False),
        (["/bin/sh", "-c"], "python stages/load.py", {}, False),
        (["/bin/sh", "-c"], "echo", {}, False),
    ],
)
def test_plain_commands(shell, words, variables, expected):
    assert is_plain(shell, words, ENVIRONMENT | variables) is expected


def test_variables_that_name_the_stage_are_no_difference():
    assert compared({"DVC_STAGE": "a", "DVC_EXP_NAME": "b", "X": "c"}) == {"X": "c"}
