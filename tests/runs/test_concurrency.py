"""Two runs at once: the second is told by whom it is kept out, or waits; the first ends as if it had been alone."""

import contextlib
import re
import sys
import time

from lockstep.kernel.dvc_locks import REFERENCES
from lockstep.kernel.locks import RUN_LOCK
from lockstep.provenance.verifying import verify

import pytest
from quick import QUICK_OUTPUTS, QuickRepository, holder_of, until
from workspace import Repository, forks

pytestmark = pytest.mark.slow
CLONES = 4
EXPERIMENT = ("dvc", "exp", "run", "-S", "problems.iris.train.seed=7")


@pytest.fixture(scope="module")
def slow(tmp_path_factory):
    """A repository whose stages wait, and the dvc.lock of an undisturbed run."""
    repository = QuickRepository(tmp_path_factory.mktemp("slow") / "repository", waiting=True)
    repository.go()
    repository.dvc("repro")
    repository.expected = repository.lock()
    return repository


@pytest.fixture
def repository(slow):
    slow.forget()
    with slow:
        yield slow
    slow.run("git", "reset", "-q", "--hard")


def run_into(repository, stage):
    """Start ``dvc repro`` and wait until it is in ``stage``: the started DVC."""
    if stage == "two":
        repository.go()
        repository.dvc("repro", "one")
        (repository.folder / "go").unlink()
    dvc = repository.start("dvc", "repro")
    assert holder_of(repository)["dvc"] == dvc.pid
    return dvc


def check_first(repository, dvc):
    """It ends as if it had been alone."""
    repository.go()
    assert dvc.ended()[0] == 0
    assert repository.lock() == repository.expected
    assert repository.changed() == set()


BY_HAND = (sys.executable, "-m", "stages.quick", "--problem", "iris", "--source", "data/raw/iris.csv", "--copy",
           "data/hand.csv", "--count", "metrics/hand.json")  # fmt: skip


@pytest.mark.parametrize(
    ("stage", "second", "code"),
    [
        pytest.param("one", ("dvc", "repro"), 255, id="one-repro"),
        pytest.param("two", ("dvc", "repro"), 255, id="two-repro", marks=pytest.mark.exhaustive),
        pytest.param("two", ("dvc", "repro", "--force", "one"), 255, id="two-force", marks=pytest.mark.exhaustive),
        pytest.param("one", BY_HAND, 4, id="one-hand", marks=pytest.mark.exhaustive),
        pytest.param("two", BY_HAND, 4, id="two-hand", marks=pytest.mark.exhaustive),
    ],
)
def test_a_second_run_is_kept_out(repository, stage, second, code):
    first = run_into(repository, stage)
    found, message = repository.start(*second).ended()
    assert found == code
    assert f"PID {first.pid})" in message or f"by dvc, process {first.pid}," in message
    assert not (repository.folder / "data/hand.csv").exists()
    check_first(repository, first)


@pytest.mark.exhaustive
def test_a_run_of_other_stages_is_kept_out_too(repository):
    """DVC would let them run, since they share no file; between two stages of the first, the second would slip in."""
    first = run_into(repository, "two")
    with (repository.folder / "dvc.yaml").open("a") as handle:
        handle.write(f"  hand:\n    cmd: {' '.join(BY_HAND)}\n    deps: [stages/quick.py]\n    outs: [data/hand.csv]\n")
    found, message = repository.start("dvc", "repro", "hand").ended()
    assert found == 255
    assert f"quick@iris, process {holder_of(repository)['pid']}, started by dvc, process {first.pid}," in message
    assert "exited with 4" in message
    repository.run("git", "checkout", "dvc.yaml")
    check_first(repository, first)


@pytest.mark.parametrize("pause", [0.0, 0.7])
@pytest.mark.exhaustive
def test_an_experiment_in_the_workspace_waits(repository, pause):
    """DVC alone lets it check out other settings, and remove the outputs of the running stage."""
    first = run_into(repository, "two")
    time.sleep(pause)
    settings = (repository.folder / "params.yaml").read_bytes()
    second = repository.start(*EXPERIMENT)
    begun = repository.folder / ".git/refs/exps/exec/EXEC_BASELINE"
    rwlock = repository.folder / REFERENCES
    until(60, lambda: "refs/exps/stash" in rwlock.read_text())  # it has begun to stash the workspace for itself
    until(60, lambda: "refs/exps/exec" in (text := rwlock.read_text()) and "refs/exps/stash" not in text)
    time.sleep(1)
    assert second.poll() is None
    assert not begun.exists()
    assert (repository.folder / "params.yaml").read_bytes() == settings
    check_first(repository, first)
    assert second.ended()[0] == 0
    assert "seed: 7" in (repository.folder / "params.yaml").read_text()


@pytest.mark.exhaustive
def test_an_experiment_beside_a_stage_that_reads_the_raw_data_is_refused_by_dvc(repository):
    first = run_into(repository, "one")
    settings = (repository.folder / "params.yaml").read_bytes()
    found, message = repository.start(*EXPERIMENT).ended()
    assert found == 255
    assert f"(PID {first.pid})" in message
    assert (repository.folder / "params.yaml").read_bytes() == settings
    assert repository.run("git", "branch", "--show-current").stdout == "main\n"
    check_first(repository, first)


def test_the_doctor_says_that_a_run_is_going_on(repository):
    first = run_into(repository, "one")
    told = repository.run("python", "-m", "lockstep", "doctor").stdout
    assert "note   a run is going on: what killed ones leave behind was not looked for." in told
    assert "Nothing is wrong. " in told
    check_first(repository, first)
    assert "a run is going on" not in repository.run("python", "-m", "lockstep", "doctor").stdout


@pytest.mark.exhaustive
def test_an_experiment_in_a_copy_runs_beside_it(repository):
    first = run_into(repository, "two")
    second = repository.start(*EXPERIMENT, "--temp")
    copies = repository.folder / ".dvc/tmp/exps/standalone"
    until(60, lambda: list(copies.glob(f"*/{RUN_LOCK}")))  # its stage runs, while that of the first does
    check_first(repository, first)
    code, message = second.ended()
    assert code == 0, message


@pytest.mark.exhaustive
def test_an_experiment_is_queued_beside_it(repository):
    first = run_into(repository, "two")
    code, message = repository.start(*EXPERIMENT, "--queue").ended()
    assert code == 0, message
    check_first(repository, first)


@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.exhaustive)])
def test_four_clones_share_a_cache(tmp_path, rounds):
    """At once, each building the same, several times over: each object in the cache is right, and nobody fails.

    But DVC may refuse when two clones store the same file in the same instant (it takes the other's half-made object
    for none), or record the same run (it takes the other's half-made record for a broken one, and removes it): then the
    same command again is right.
    """
    origin = QuickRepository(tmp_path / "origin")
    clones = []
    for number in range(CLONES):
        clone = Repository.at(tmp_path / f"clone{number}")
        origin.run("git", "clone", "-q", ".", str(clone.folder))
        site = clone.folder / ".dvc/tmp/site"
        shared = f"[cache]\n    dir = {tmp_path / 'cache'}\n[core]\n    site_cache_dir = {site}\n"
        (clone.folder / ".dvc/config.local").write_text(shared)
        clones.append(clone)
    for number in range(rounds):
        for clone in clones:
            text = (origin.folder / "data/raw/iris.csv").read_text()
            (clone.folder / "data/raw/iris.csv").write_text(text + "5.0,3.0,1.5,0.2,setosa\n" * number)
        running = [forks().start(clone.folder, ["dvc", "repro"]) for clone in clones]
        for clone, run in zip(clones, running, strict=True):
            code, message = run.wait(), run.stderr()
            if code and re.search(r"without a confirmation|No such file or directory: '\S*/runs/\S*\.tmp'", message):
                again = forks().start(clone.folder, ["dvc", "repro"])
                code, message = again.wait(), again.stderr()
            assert code == 0, message
        assert len({clone.lock() for clone in clones}) == 1
    with contextlib.chdir(clones[0].folder):
        states = {one.subject: one.state for one in verify(everything=True).deviations}
    assert states == {"data/raw/housing.csv": "missing"}  # nobody has fetched it
    assert all((clones[0].folder / path).exists() for path in QUICK_OUTPUTS)


@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
@pytest.mark.exhaustive
def test_a_killed_experiment_is_put_right_by_the_doctor(repository, shell):
    """It leaves a detached HEAD; edits and branch are there again afterwards, and the next run heals the rest.

    The doctor comes before its stage has ended, which takes a moment where a shell stands between the two.
    """
    edit = repository.folder / "README.md"
    edit.write_text("my edit\n")
    experiment = repository.start(*EXPERIMENT, SHELL=shell)
    assert holder_of(repository)["dvc"] == experiment.pid
    experiment.kill()
    experiment.wait()
    assert repository.run("git", "branch", "--show-current").stdout == ""
    told = repository.run("python", "-m", "lockstep", "doctor", check=False)
    assert told.returncode == 1
    assert "a killed 'dvc exp run' has left the repository on no branch (it was 'main')" in told.stdout
    mended = repository.run("python", "-m", "lockstep", "doctor", "--fix")
    assert "will put HEAD back on 'main', without touching a file" in mended.stdout
    assert repository.run("git", "branch", "--show-current").stdout == "main\n"
    assert edit.read_text() == "my edit\n"
    assert "seed: 7" in (repository.folder / "params.yaml").read_text()
    assert "WRONG" not in repository.run("python", "-m", "lockstep", "doctor").stdout
    repository.go()
    repository.dvc("repro")
    assert repository.lock() == repository.expected
