"""A search in a copy of the repository, as DVC's experiments run it, goes on where it was killed."""

import os
import re
import shutil
import signal
import subprocess

from lockstep.learning.computing.kept_results import KEPT

import pytest
from quick import until

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]
TRIALS = 12
SEARCH = ("-S", f"problems.iris.tune.trials={TRIALS}")
RESULTS = ("metrics/iris_tune.json", "metrics/plots/iris/trials.csv")


@pytest.fixture
def repository(built_repository, tmp_path):
    return built_repository.copy_to(tmp_path / "repository")


def killed(repository, *command):
    """Start a command, and kill it, and all that it has started, when it has kept some trials: how many."""
    copies = repository.folder / KEPT / "copies"
    own = subprocess.Popen(
        command, cwd=repository.folder, env=repository.environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        until(120, lambda: own.poll() is not None or len(list(copies.glob("tune@iris/*/*.kept"))) > 3)
        assert own.poll() is None
    finally:
        os.killpg(own.pid, signal.SIGKILL)
        own.wait()
    return len(list(copies.glob("tune@iris/*/*.kept")))


def test_an_experiment_in_a_copy(repository):
    command = ("dvc", "exp", "run", "--temp", "--name", "found", *SEARCH, "tune@iris")
    n_kept = killed(repository, *command)
    done = repository.run(*command)
    (said,) = re.findall(rf"([0-9]+) of {TRIALS + 1} trials are from the run that was interrupted", done.stderr)
    assert n_kept <= int(said) < TRIALS
    assert not (repository.folder / KEPT).exists()
    head = repository.run("git", "rev-parse", "HEAD").stdout.strip()
    commit = f"refs/exps/{head[:2]}/{head[2:]}/found"
    found = [repository.run("git", "show", f"{commit}:{name}").stdout for name in RESULTS]
    shutil.rmtree(repository.folder / ".dvc/cache/runs")  # else DVC would take what that one has found
    repository.set("iris", "tune", trials=TRIALS)
    undisturbed = repository.dvc("repro", "tune@iris")
    assert "from the run that was interrupted" not in undisturbed.stderr
    assert [(repository.folder / name).read_text() for name in RESULTS] == found
