"""Fixtures that several test files share."""

import gc
import os
import subprocess
import sys

import lockstep  # noqa: F401 - first, as everywhere: it pins the processor's choices before anything imports NumPy

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # else threads of OpenMP that wait slow the tests beside them down
# isort: split
from lockstep.kernel import log
from lockstep.learning.estimators import TrainSettings
from lockstep.learning.model_types import KINDS
from lockstep.steps.evaluating import resampling
from lockstep.tables.table import ROW, Table

import numpy as np
import pandas as pd
import pytest
import small
import workspace
import yaml
from small import SMALL
from xdist.scheduler import LoadScopeScheduling

_BUILT = {"built_repository", "committed_repository"}
"""The fixtures that are made while other tests run."""
_ROWS = 400
"""Of housing.csv, where runs are to be short."""


def pytest_configure(config):
    small.every_example = "not exhaustive" not in config.option.markexpr


def pytest_collection_modifyitems(items):
    """Modules with slow tests first: no worker is then left alone with them at the end. Those that need what is built
    meanwhile are the last of them."""
    waiting = {item.path for item in items if _BUILT & set(getattr(item, "fixturenames", ()))}
    slow = {item.path for item in items if item.get_closest_marker("slow")} | waiting
    items.sort(key=lambda item: (item.path not in slow, item.path in waiting))


def pytest_collection_finish(session):
    """What is imported by now is no garbage; the collector would go through it thousands of times."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


os.environ.update(workspace.OWN_DVC)  # for what runs in this process, too
yaml.SafeLoader = yaml.CSafeLoader  # safe_load's: the same, in C


class _Scheduling(LoadScopeScheduling):
    """A module's tests go to one worker, which makes the module's fixtures once; pages of documentation go singly."""

    def _split_scope(self, nodeid):
        return nodeid if "test_pages.py" in nodeid else super()._split_scope(nodeid)


def pytest_xdist_make_scheduler(config, log):
    return _Scheduling(config, log)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory):
    """Where a Repository lies that all workers share."""
    own = tmp_path_factory.getbasetemp()
    return (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "everything-built"


@pytest.fixture(scope="session")
def exhaustively(request):
    """Whether the exhaustive tests run."""
    return any(item.get_closest_marker("exhaustive") for item in request.session.items)


@pytest.fixture(scope="session", autouse=True)
def begin_to_build(request, shared_folder, exhaustively):
    """Build what some tests begin with while others run."""
    wanted = _BUILT & {name for item in request.session.items for name in getattr(item, "fixturenames", ())}
    rows = [str(_ROWS)] if "built_repository" in wanted or not exhaustively else []
    rows += ["None"] if "committed_repository" in wanted and exhaustively else []
    if not wanted or os.environ.get("PYTEST_XDIST_WORKER", "gw0") != "gw0":
        yield
        return
    with subprocess.Popen([sys.executable, workspace.__file__, shared_folder, *rows]) as building:
        yield
        building.kill()


@pytest.fixture(scope="session")
def built_repository(shared_folder):
    """A Repository of short runs in which everything is built and committed, one for all workers: for copies, not to be
    changed."""
    return workspace.everything_built(shared_folder, _ROWS)


@pytest.fixture(scope="session")
def committed_repository(shared_folder, exhaustively):
    """The same of this repository as it is committed, where the exhaustive tests run."""
    return workspace.everything_built(shared_folder, None if exhaustively else _ROWS)


@pytest.fixture(scope="module")
def few_resamples():
    """A tenth of the resamples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resampling, "MOST_RESAMPLES", resampling.LEAST_RESAMPLES)
        yield


@pytest.fixture
def make_table():
    """A function that makes a Table of the given columns (lists, arrays or Series), the target being ``y``."""

    def make(columns, task="classification", **own):
        frame = pd.DataFrame(columns)
        texts = [name for name in frame if isinstance(frame[name].dtype, pd.StringDtype)]
        frame = frame.astype(dict.fromkeys(texts, "str"))
        return Table(frame.set_axis(pd.Index(np.arange(1, len(frame) + 1), name=ROW)), "y", task, **own)

    return make


@pytest.fixture
def make_settings():
    """A function that makes the TrainSettings of a small, quick model of the given type."""

    def make(model, task="classification", hyperparameters=None, **own):
        hyperparameters = SMALL.get(model, {}) if hyperparameters is None else hyperparameters
        return TrainSettings(
            **{"model": model, "kind": KINDS[task], "version": 1} | own, hyperparameters=hyperparameters
        )

    return make


@pytest.fixture
def counts(monkeypatch):
    """Call it for what each step that was begun says of its count: "3 of 3 columns", or "" where it has none."""
    begun = []

    class Recorded(log.Progress):
        def __init__(self, *args):
            super().__init__(*args)
            begun.extend([self] if args else [])  # as heartbeat makes it

    monkeypatch.setattr(log, "Progress", Recorded)
    return lambda: [str(one).rpartition(", ")[0] for one in begun]
