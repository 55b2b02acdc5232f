"""One run writes at a time; a stage ends with its DVC; nothing is recorded with what changed under it."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

from lockstep.kernel import dvc_locks, locks
from lockstep.kernel.errors import MachineError

import pytest
from quick import QuickRepository, holder_of, is_gone, until


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    return QuickRepository(tmp_path_factory.mktemp("slow") / "repository", waiting=True)


@pytest.fixture
def repository(slow):
    """A repository whose stages wait, nothing built."""
    slow.forget()
    with slow:
        yield slow
    slow.run("git", "checkout", "-q", ".")


def by_hand(repository, name="one", **variables):
    """The command of a stage, run without DVC."""
    arguments = ["--source", "data/raw/iris.csv", "--copy", f"data/{name}.csv", "--count", f"metrics/{name}.json"]
    return repository.start(sys.executable, "-m", "stages.quick", "--problem", "iris", *arguments, **variables)


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_stage_ends_with_its_dvc(repository, shell):
    """bash puts the command into its own place; dash, the sh of Debian, stays between DVC and the stage."""
    if not Path(shell).exists():
        pytest.skip(f"there is no {shell} here")
    dvc = repository.start("dvc", "repro", SHELL=shell)
    held = holder_of(repository)
    assert held["dvc"] == dvc.pid
    dvc.kill()
    until(30, lambda: is_gone(held["pid"]))  # by itself it would wait for ever
    assert not list(repository.folder.glob("data/copies/*"))


def test_without_a_signal_of_the_system_the_stage_watches_its_parent(repository):
    """As on macOS: the stage is told that it runs on another system than Linux."""
    stage = (repository.folder / "stages/quick.py").read_text()
    (repository.folder / "stages/quick.py").write_text(stage.replace("import sys", "import sys; sys.platform = 'x'", 1))
    dvc = repository.start("dvc", "repro", SHELL="/bin/bash")
    held = holder_of(repository)
    dvc.kill()
    until(30, lambda: is_gone(held["pid"]))  # by itself it would wait for ever
    assert not list(repository.folder.glob("data/copies/*"))


def test_a_stage_whose_dvc_has_ended_before_it_looked(repository):
    code, message = by_hand(repository, DVC_STAGE="one").ended()
    assert code == 4
    assert message == "ERROR: the dvc that started one has ended. Run 'dvc repro' again.\n"


def test_a_second_stage_is_refused_with_the_pid_of_the_first(repository):
    dvc = repository.start("dvc", "repro", "one")
    held = holder_of(repository)
    code, message = by_hand(repository).ended()
    assert code == 4
    assert f"another run of this repository is writing: quick@iris, process {held['pid']}" in message
    assert f"started by dvc, process {dvc.pid}, since 2" in message
    assert f"'kill {dvc.pid}'" in message
    repository.go()
    assert dvc.ended()[0] == 0
    assert by_hand(repository).ended()[0] == 0  # it is over: nobody is refused any more
    for path in ("data/one.csv", "metrics/one.json"):
        (repository.folder / path).unlink(missing_ok=True)


def test_settings_that_change_under_a_stage_are_not_recorded_with_its_outputs(repository):
    dvc = repository.start("dvc", "repro", "one")
    holder_of(repository)
    time.sleep(0.5)
    path = repository.folder / "stages/quick.py"
    path.write_text(path.read_text() + "# edited while it runs\n")
    repository.go()
    code, message = dvc.ended()
    assert code == 255
    assert "quick.py changed while this ran. No output was written" in message
    assert "exited with 4" in message
    assert not (repository.folder / "data/copies/one.csv").exists()
    assert not (repository.folder / "dvc.lock").exists()


def test_an_input_that_changes_under_a_stage_is_not_recorded_with_its_outputs(repository):
    """DVC hashes it when the stage has ended."""
    dvc = repository.start("dvc", "repro", "one")
    holder_of(repository)
    time.sleep(0.5)
    path = repository.folder / "data/raw/iris.csv"
    with path.open("a") as file:
        file.write("5.0,3.0,1.5,0.2,setosa\n")
    repository.go()
    code, message = dvc.ended()
    repository.run("git", "checkout", "-q", ".")
    assert code == 255
    assert "data/raw/iris.csv changed while this ran. No output was written" in message
    assert not (repository.folder / "data/copies/one.csv").exists()


def test_an_input_that_is_not_what_was_recorded_is_refused(repository):
    repository.go()
    repository.dvc("repro", "one")
    path = repository.folder / "data/copies/one.csv"
    before, content = path.stat(), bytearray(path.read_bytes())
    content[100] ^= 1
    path.write_bytes(bytes(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    done = repository.dvc("repro", "two", check=False)
    assert done.returncode == 255
    assert "data/copies/one.csv has MD5" in done.stderr
    assert "exited with 3" in done.stderr
    assert not (repository.folder / "data/copies/two.csv").exists()


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / dvc_locks.TEMPORARY).mkdir(parents=True)
    return tmp_path


def test_a_lock_of_dvcs_is_waited_for_and_its_holder_named(workspace):
    code = "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, dvc_locks.WORKSPACE_LOCK], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdout.readline()
        dvc_locks.WORKSPACE_LOCK.write_text(f" {other.pid}\n")
        message = f"DVC's lock is held by process {other.pid} for more than 0 seconds"
        with pytest.raises(dvc_locks.BusyError, match=message), dvc_locks.workspace_locked(wait=0.1):
            pass
        other.kill()
    with dvc_locks.workspace_locked(wait=10):
        assert dvc_locks.is_locked(dvc_locks.WORKSPACE_LOCK)
    assert not dvc_locks.is_locked(dvc_locks.WORKSPACE_LOCK)


def test_a_command_waits_for_another_one_and_names_it_if_that_does_not_end(workspace):
    with locks.exclusive_command("add"):
        begun = time.monotonic()
        with (
            pytest.raises(MachineError, match=rf"'python -m lockstep add', process {os.getpid()}, has been at work"),
            locks.exclusive_command("repair", wait=0.1),
        ):
            pass
        assert time.monotonic() - begun > 0.1
    with locks.exclusive_command("repair", wait=0):
        pass


def test_rwlock_files_are_read_and_unreadable_ones_refused(workspace):
    dvc_locks.FILES.write_text(json.dumps({"write": {"/a": {"pid": os.getpid(), "cmd": "dvc repro"}}, "read": {}}))
    assert dvc_locks.running_dvcs() == {os.getpid(): "dvc repro"}
    dvc_locks.FILES.write_text(json.dumps({"read": {"/a": [{"pid": 2**22 - 1, "cmd": "dvc repro"}]}}))
    assert dvc_locks.running_dvcs() == {}
    for content in ("", '{"write": {', "[]"):
        dvc_locks.FILES.write_text(content)
        with pytest.raises(MachineError, match=r"rwlock is unreadable: DVC was killed .* doctor --fix"):
            dvc_locks.running_dvcs()


def test_a_run_of_a_dvc_that_is_over_hinders_nobody(workspace):
    """Its process lives on, as a notebook's does, but it is at work on no file, and does not hold DVC's lock."""
    locks.RUN_LOCK.write_text(json.dumps({"pid": 1, "dvc": os.getpid(), "stage": "a", "since": "now"}))
    with locks.exclusive_run("b"):
        assert locks.run_holder()["stage"] == "b"
    dvc_locks.FILES.write_text(json.dumps({"write": {"/a": {"pid": os.getpid(), "cmd": "notebook"}}}))
    locks.RUN_LOCK.write_text(json.dumps({"pid": 1, "dvc": os.getpid(), "stage": "a", "since": "now"}))
    with pytest.raises(dvc_locks.BusyError, match="is writing: a, process 1"), locks.exclusive_run("b"):
        pass


def test_a_cut_lock_file_of_ours_hinders_nobody(workspace):
    locks.RUN_LOCK.write_text('{"pid": 1')
    with locks.exclusive_run("b"):
        assert locks.run_holder()["stage"] == "b"
