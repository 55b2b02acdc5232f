"""A computation that is killed goes on where it was: the same bytes, what was finished is not fitted again, and nothing
is taken that was computed from anything else."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lockstep.kernel import locks
from lockstep.kernel.dvc_locks import COPIES
from lockstep.kernel.files import Outputs
from lockstep.learning.computing import kept_results as module
from lockstep.learning.computing.kept_results import KEPT, KeptResults
from lockstep.tables.table import write_table

import pytest
from small import make_table
from workspace import ROOT

SLOW = """
import os, time
from sklearn.linear_model import Ridge

class Slow(Ridge):
    def fit(self, X, y):
        with open("fits.txt", "a") as log:
            log.write(f"{self.alpha}\\n")
        time.sleep(float(os.environ.get("NAP", "0")))
        return super().fit(X, y)
"""
SETTINGS = {
    "load": {"path": "d.csv", "task": "regression", "target": "y"},
    "preprocess": {},
    "tune": {"trials": 8, "space": {"alpha": {"low": 0.01, "high": 100.0, "log": True}}},
    "cross_validate": {"folds": 2, "repeats": 5},
    "train": {"model": "custom", "estimator": "estimators/slow.py:Slow", "kind": "regressor", "version": 1},
    "evaluate": {"average": "macro", "metrics": []},
}
WRITTEN = {
    "tune": {"best-trial": "best.json", "trials": "trials.csv"},
    "cross_validate": {"scores": "scores.json", "folds": "folds.csv", "predictions": "predictions.parquet"},
}


@pytest.fixture(autouse=True)
def inside(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def command(stage):
    """The stage as DVC runs it, in the working directory."""
    Path("estimators").mkdir(exist_ok=True)
    Path("estimators/slow.py").write_text(SLOW)
    Path("none.json").write_text("{}\n")
    Path("params.yaml").write_text(json.dumps({"problems": {"p": SETTINGS}}))
    write_table(make_table("regression", rows=60), Path("train.parquet"))
    given = {"problem": "p", "train": "train.parquet", **WRITTEN[stage]}
    given |= {"best-trial": "none.json"} if stage == "cross_validate" else {}
    words = [word for name, value in given.items() for word in (f"--{name}", value)]
    return [sys.executable, "-m", f"stages.{stage}", *words]


def start(stage, nap):
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NAP": str(nap)}
    return subprocess.Popen(command(stage), env=environment, stderr=subprocess.PIPE, text=True)


def fits():
    """How many there were since this was asked."""
    path = Path("fits.txt")
    count = len(path.read_text().splitlines()) if path.exists() else 0
    path.unlink(missing_ok=True)
    return count


def outcome(stage):
    """(the bytes that an undisturbed run writes, its log); the files are removed."""
    done = start(stage, 0)
    _, errors = done.communicate(timeout=60)
    assert done.returncode == 0, errors
    paths = [Path(name) for name in WRITTEN[stage].values()]
    found = {path.name: path.read_bytes() for path in paths}
    for path in paths:
        path.unlink()
    return found, errors


@pytest.mark.slow
@pytest.mark.parametrize(("stage", "nap"), [("tune", 0.3), ("cross_validate", 1.0)])
@pytest.mark.exhaustive
def test_a_killed_stage_goes_on_where_it_was(stage, nap):
    expected, _ = outcome(stage)
    undisturbed = fits()
    running = start(stage, nap)
    deadline = time.monotonic() + 60
    while len(list(KEPT.rglob("*.kept"))) < 3 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert running.poll() is None
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert not Path(next(iter(WRITTEN[stage].values()))).exists()
    kept = list(KEPT.rglob("*.kept"))
    kept[0].write_bytes(kept[0].read_bytes()[:-1])  # a torn one
    fits()
    found, errors = outcome(stage)
    assert found == expected
    per_result = 10 if stage == "tune" else 1
    assert fits() == undisturbed - per_result * (len(kept) - 1) < undisturbed
    what = f"{len(kept) - 1} of {9 if stage == 'tune' else 10} {'trials' if stage == 'tune' else 'folds'}"
    assert f"{what} are from the run that was interrupted" in errors
    assert f"{kept[0]} is not as it was written, and is not used" in errors
    assert not KEPT.exists()


def kept(*depends_on, name="tune@p", finished=("a", "b")):
    """The results of a run, which keeps ``finished``."""
    found = KeptResults(name, depends_on)
    for result in finished:
        found.keep(result, f"of {result}".encode)
    return found


@pytest.fixture
def at_once(monkeypatch):
    monkeypatch.setattr(module, "KEPT_AFTER", 0.0)


def test_what_is_over_soon_is_not_kept(monkeypatch):
    quick = kept("x")
    assert not KEPT.exists()
    monkeypatch.setattr(module, "KEPT_AFTER", 0.0)
    quick.keep("c", b"of c".__bytes__)
    assert KeptResults("tune@p", ["x"]).found == {"a": b"of a", "b": b"of b", "c": b"of c"}


@pytest.mark.usefixtures("at_once")
def test_nothing_is_found_where_anything_differs(monkeypatch):
    table, settings = "0123", {"folds": 2}
    kept(table, settings)
    assert KeptResults("tune@p", [table, settings]).found
    for name, depends_on in (
        ("tune@p", ["other", settings]),
        ("tune@p", [table, {"folds": 3}]),
        ("tune@p", [table, {"folds": 2.0}]),
        ("tune@q", [table, settings]),
        ("cross_validate@p", [table, settings]),
    ):
        assert KeptResults(name, depends_on).found == {}
    for change, other in (("code_sha256", "other"), ("installed", {"numpy": "0"}), ("shortcoming", "other")):
        with monkeypatch.context() as patch:
            patch.setattr(module, change, lambda *_, other=other: other)
            assert KeptResults("tune@p", [table, settings]).found == {}, change
    with monkeypatch.context() as patch:
        code = {str(ROOT / "lockstep/kernel/files.py"): b"what was loaded of it"}
        patch.setattr(locks, "_code", code)
        kept(table, "during a change of the code")
    assert KeptResults("tune@p", [table, "during a change of the code"]).found == {}
    Path("features").mkdir()
    Path("features/p.py").write_text("features = abs\n")
    assert KeptResults("tune@p", [table, settings]).found == {}


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: data[:10], lambda data: b"", bytes.swapcase])
def test_a_damaged_result_is_not_used(damage, caplog):
    file = kept("x").folder / "a.kept"
    file.write_bytes(damage(file.read_bytes()))
    assert KeptResults("tune@p", ["x"]).found == {"b": b"of b"}
    assert "a.kept is not as it was written" in caplog.text


@pytest.mark.usefixtures("at_once")
def test_of_a_result_that_another_run_has_just_removed_nothing_is_said(monkeypatch, caplog):
    folder = kept("x").folder
    monkeypatch.setattr(KeptResults, "_files", lambda _: [folder / "a.kept", folder / "gone.kept"])
    assert KeptResults("tune@p", ["x"]).found == {"a": b"of a"}
    assert not caplog.records


@pytest.mark.usefixtures("at_once")
def test_a_result_under_another_name_is_not_used():
    folder = kept("x", finished="a").folder
    (folder / "a.kept").rename(folder / "b.kept")
    assert KeptResults("tune@p", ["x"]).found == {}


@pytest.mark.usefixtures("at_once")
def test_only_what_one_run_has_finished_is_kept():
    first, other = kept("x"), kept("x", name="tune@q")
    KeptResults("tune@p", ["y"])  # which has not finished anything
    assert first.folder.exists()
    second = kept("y")
    assert not first.folder.exists()
    assert list(Path(KEPT / "tune@p").iterdir()) == [second.folder]
    second.remove()
    assert list(KEPT.iterdir()) == [other.folder.parent]
    other.remove()
    assert not KEPT.exists()
    other.remove()


@pytest.mark.usefixtures("at_once")
def test_it_goes_when_the_outputs_appear_and_stays_when_they_do_not():
    found = kept("x")
    with pytest.raises(KeyError), Outputs() as outputs:
        outputs.afterwards(found.remove)
        raise KeyError
    assert KeptResults("tune@p", ["x"]).found
    with Outputs() as outputs:
        outputs.afterwards(lambda: found.remove() if Path("x.json").exists() else None)
        outputs.json(Path("x.json"), {})
    assert not KEPT.exists()


@pytest.mark.usefixtures("at_once")
def test_a_disk_that_takes_nothing_is_warned_of_once(caplog):
    Path("logs").mkdir()
    KEPT.write_text("a file")
    kept("x")
    assert [record.message.split(":")[0] for record in caplog.records] == [
        "if this run is interrupted, it will begin anew"
    ]


@pytest.fixture
def in_copy(at_once, tmp_path, monkeypatch):
    """A function that makes a copy of the repository, as ``dvc exp run --temp`` does, the working directory."""

    def change(name, below="standalone"):
        folder = tmp_path / COPIES / below / name
        folder.mkdir(parents=True, exist_ok=True)
        monkeypatch.chdir(folder)

    return change


@pytest.mark.parametrize("below", ["standalone", ""])
def test_a_run_in_a_copy_finds_what_that_in_another_copy_had_finished(in_copy, tmp_path, below):
    in_copy("one", below)
    kept("x")._let_go()
    in_copy("two/project", below)  # of a monorepo, the folder of the project
    found = KeptResults("tune@p", ["x"])
    assert found.found == {"a": b"of a", "b": b"of b"}
    assert found.folder.parent == tmp_path / KEPT / "copies/tune@p"
    assert not Path("logs").exists()
    found.remove()
    assert list((tmp_path / "logs").iterdir()) == []


def test_runs_in_copies_and_the_one_in_the_workspace_leave_each_others_results(in_copy, tmp_path, monkeypatch):
    in_copy("one")
    one = kept("x")
    in_copy("two")
    two = kept("y")
    monkeypatch.chdir(tmp_path)
    workspace = kept("x")
    assert {one.folder, two.folder} == {*(tmp_path / KEPT / "copies/tune@p").iterdir()}
    kept("z").remove()  # as ever, of the workspace all
    assert not workspace.folder.exists()
    assert (one.folder.is_dir(), two.folder.is_dir()) == (True, True)
    two.remove()
    assert (one.folder.is_dir(), two.folder.is_dir()) == (True, False)
    one.remove()
    assert not KEPT.exists()


def test_a_run_in_a_copy_leaves_the_results_that_another_of_the_same_settings_is_at_work_on(in_copy):
    in_copy("one")
    one = kept("x")
    in_copy("two")
    two = KeptResults("tune@p", ["x"])
    one.remove()
    assert KeptResults("tune@p", ["x"]).found == two.found == {"a": b"of a", "b": b"of b"}


def test_what_is_removed_while_a_run_looks_for_it_is_not_found(in_copy, monkeypatch):
    in_copy("one")
    kept("x")._let_go()

    def removed(self):
        shutil.rmtree(self.folder)
        raise FileNotFoundError(self.folder)

    with monkeypatch.context() as patch:
        patch.setattr(KeptResults, "_files", removed)
        other = KeptResults("tune@p", ["x"])
    assert other.found == {}
    other.keep("c", lambda: b"of c")
    assert module._is_in_use(other.folder)
    assert KeptResults("tune@p", ["x"]).found == {"c": b"of c"}


def test_of_interrupted_runs_in_copies_only_the_newest_stay_and_all_that_are_at_work(in_copy, monkeypatch):
    monkeypatch.setattr(module, "OTHERS", 2)
    in_copy("one")
    runs = [kept(name) for name in "abcdef"]
    for age, run in enumerate(reversed(runs)):
        os.utime(run.folder, times=(age, 1e9 - age))
    assert all(run.folder.is_dir() for run in runs)
    for run in runs[1:]:
        run._let_go()  # as the end of a process does, however it ends
    new = kept("new")
    assert [run.folder.is_dir() for run in runs] == [True, False, False, False, True, True]
    new._let_go()
    again = KeptResults("tune@p", ["e"])  # which another does not remove while it is at work, though it is older
    runs[0]._let_go()
    kept("other")
    assert (again.folder.is_dir(), new.folder.is_dir()) == (True, True)
    assert [run.folder.is_dir() for run in runs] == [False, False, False, False, True, True]


def test_the_lock_goes_with_the_process_that_is_killed(in_copy):
    in_copy("one")
    ours = kept("x")
    ours._let_go()
    folder = ours.folder
    code = """
import sys, time
from lockstep.learning.computing import kept_results as module
module._key = lambda _: sys.argv[1]
kept = module.KeptResults("tune@p", [])
print(len(kept.found), flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", code, folder.name]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as running:
        told, in_use = running.stdout.readline(), module._is_in_use(folder)
        running.kill()
    assert (told, in_use) == ("2\n", True)
    assert not module._is_in_use(folder)
