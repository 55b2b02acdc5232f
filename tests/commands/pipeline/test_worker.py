"""What ``python -m lockstep worker`` has Dask do. Real ones are in tests/learning/computing/test_workers.py."""

from types import SimpleNamespace

from lockstep.__main__ import main
from lockstep.commands.pipeline import worker as module
from lockstep.learning.computing import fingerprints
from lockstep.learning.computing.fingerprints import DISK, NEWER, ability

import click
import pytest
from servers import need_library


@pytest.fixture
def given(monkeypatch):
    """What Dask's own command makes of its arguments."""
    need_library("distributed", "scale")
    from distributed.cli import dask_worker

    found = {}
    options = click.Command("worker", params=dask_worker.main.params, callback=lambda **values: found.update(values))
    monkeypatch.setattr(dask_worker, "main", lambda *a, **k: options(*a, **k, standalone_mode=False))
    return found


def test_it_has_one_thread_and_shows_its_pages_to_its_own_machine(given):
    assert main(["worker", "tcp://10.0.0.1:8786"]) == 0
    assert (given["scheduler"], given["nthreads"]) == ("tcp://10.0.0.1:8786", 1)
    assert given["dashboard_address"] == "127.0.0.1:0"
    assert given["preload"] == (module.__name__,)


def test_what_is_asked_for_goes_before_that(given):
    # As dask-jobqueue builds it.
    options = ["--name", "job-1", "--nthreads", "2", "--memory-limit", "2GiB", "--dashboard-address", ":0"]
    assert main(["worker", "tcp://10.0.0.1:8786", *options]) == 0
    assert (given["nthreads"], given["name"], given["dashboard_address"]) == (2, "job-1", ":0")


def test_an_address_that_is_none(capsys):
    assert main(["worker", "10.0.0.1"]) == 2
    assert "is no address of a scheduler" in capsys.readouterr().err


def process():
    """What Dask hands to a preload, as far as it is used."""
    return SimpleNamespace(state=SimpleNamespace(total_resources={}, available_resources={}))


def test_a_process_that_computes_says_what_it_has_loaded(monkeypatch):
    worker = process()
    module.dask_setup(worker)
    assert list(worker.state.total_resources) == list(worker.state.available_resources) == [ability()]
    # Files that were replaced while they were loaded: nobody knows what it has.
    worker = process()
    monkeypatch.setattr(module, "fingerprint", lambda: {**fingerprints.fingerprint(), DISK: NEWER})
    module.dask_setup(worker)
    assert worker.state.total_resources == {}
