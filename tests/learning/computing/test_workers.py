"""Folds on a real Dask cluster: the same bytes, a worker that dies, clusters that are refused or lost."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

from lockstep.kernel.errors import DataError, MachineError
from lockstep.kernel.paths import OWN_CODE
from lockstep.learning.computing import workers as module
from lockstep.learning.computing.fingerprints import DISK, LIBRARIES, NEWER, OWN, ability, fingerprint, installed
from lockstep.learning.computing.workers import ADDRESS, Threads, processors_of_each, workers
from stages import cross_validate, tune

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from servers import Server, free_port, hanging, need_library
from small import make_table, run_stages
from tasks import dally, fail, nap
from workspace import ROOT

pytestmark = pytest.mark.slow  # it begins early

PARAMS = {
    "load": {"path": "d.csv", "task": "classification", "target": "y"},
    "split": {},
    "preprocess": {},
    "tune": {"trials": 3, "space": {"learning_rate": {"low": 0.1, "high": 0.5}}},
    "cross_validate": {"repeats": 2},
    "train": {
        "model": "hist_gradient_boosting", "kind": "classifier", "version": 1, "calibrate": "sigmoid",
        "hyperparameters": {"max_iter": 5, "learning_rate": 0.001},
    },
    "evaluate": {"average": "macro", "metrics": ["neg_brier_score"]},
}  # fmt: skip


class Cluster:
    """A scheduler and two workers, each a process of its own.

    Args:
        root: the repository of the workers.
        variables: those of the environment that Dask takes its certificates from; it speaks TLS then.
    """

    def __init__(self, root=ROOT, variables=None):
        need_library("distributed", "scale")
        port = free_port()
        self.protocol, self.environment = "tls" if variables else "tcp", {**os.environ, **(variables or {})}
        self.address = f"{self.protocol}://127.0.0.1:{port}"
        own = ["--host", f"{self.protocol}://127.0.0.1", "--port", str(port), "--no-dashboard", "--no-show"]
        command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *own]
        self.scheduler = Server(command, port, self.environment)
        self.workers = [self.worker(root) for _ in range(2)]
        distributed, tls = import_module("distributed"), "DASK_DISTRIBUTED__COMM__TLS__"
        own = {name.removeprefix(tls).replace("__", "_").lower(): path for name, path in (variables or {}).items()}
        own = {f"tls_{name}": path for name, path in own.items()}
        with distributed.Client(
            self.address, timeout=60, set_as_default=False, security=distributed.Security(**own)
        ) as client:
            client.wait_for_workers(2, timeout=60)

    def worker(self, root):
        host = f"{self.protocol}://127.0.0.1"
        command = [sys.executable, "-m", "lockstep", "worker", self.address, "--host", host, "--no-dashboard"]
        return subprocess.Popen(
            command,
            cwd=root,
            env={**self.environment, "PYTHONPATH": str(ROOT / "tests")},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def close(self):
        for process in self.workers:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.scheduler.kill()


@pytest.fixture(scope="module")
def cluster():
    found = Cluster()
    yield found
    found.close()


@pytest.fixture
def on_cluster(cluster, monkeypatch):
    monkeypatch.setenv(ADDRESS, cluster.address)
    return cluster


def test_threads_are_used_where_no_cluster_is_named(monkeypatch):
    monkeypatch.delenv(ADDRESS, raising=False)
    with workers() as able:
        assert isinstance(able, Threads)
        assert able.each(nap, 0.0, [1, 2]) == [(1, os.getpid()), (2, os.getpid())]


@pytest.mark.parametrize(
    ("n_items", "at_once", "processors", "expected"),
    [
        (5, 2, 2, [1, 1, 1, 1, 2]),
        (5, 4, 4, [1, 1, 1, 1, 4]),
        (5, 5, 8, [2] * 5),
        (5, 3, 3, [1, 1, 1, 2, 2]),
        (3, 1, 4, [4] * 3),
        (0, 1, 4, []),
    ],
)
def test_all_processors_are_used(n_items, at_once, processors, expected):
    assert processors_of_each(n_items, at_once, processors) == expected


def test_results_arrive_as_far_as_there_are_any():
    arrived = []
    with pytest.raises(DataError, match="item 2 is wrong"):
        Threads().each(fail, None, [0, 2, 0, 3], arrived.append)
    assert arrived == [0, 0]


def in_which_order(able):
    arrived = []
    assert able.each(dally, 2.0, [0, 1, 2], arrived.append) == [0, 1, 2]
    return arrived


@pytest.mark.exhaustive
def test_a_result_arrives_though_one_before_it_takes_long(on_cluster):
    """So that it is kept, should the run be killed meanwhile."""
    with workers() as able:
        assert in_which_order(able)[0] != 0
    assert in_which_order(Threads(2)) == [1, 2, 0]


@pytest.mark.exhaustive
def test_the_stages_write_the_same_bytes(on_cluster, tmp_path, monkeypatch):
    (tmp_path / "d.csv").write_text(make_table(rows=150).frame.to_csv(index=False))
    monkeypatch.delenv(ADDRESS)
    run_stages(tmp_path, monkeypatch, PARAMS)
    names = ("w.json", "trials.csv", "s.json", "f.csv", "folds.parquet")
    before = {name: Path(name).read_bytes() for name in names}
    assert json.loads(before["w.json"])["best_trial"] > 0
    monkeypatch.setenv(ADDRESS, on_cluster.address)
    for name in names:
        Path(name).unlink()
    common = ["--problem", "p", "--params", "params.yaml", "--train", "train.parquet", "--best-trial", "w.json"]
    assert tune.main([*common, "--trials", "trials.csv"]) == 0
    written = ["--scores", "s.json", "--folds", "f.csv", "--predictions", "folds.parquet"]
    assert cross_validate.main([*common, *written]) == 0
    assert {name: Path(name).read_bytes() for name in names} == before
    assert "2 workers of the cluster" in Path("logs/cross_validate@p.log").read_text()


def test_an_error_of_a_fold_is_the_first_folds(on_cluster):
    with workers() as able, pytest.raises(DataError, match="item 1 is wrong"):
        able.each(fail, None, [0, 1, 2])
    with workers() as able, pytest.raises(DataError, match="item 3 is wrong"):
        able.keep(fail, None, [0, 3])


def test_a_worker_that_dies_costs_time_and_not_the_result(on_cluster):
    """The process that computes, which Dask's nanny starts anew."""
    with workers() as able:
        shared = able.share(0.5)
        first = able.each(nap, shared, range(4))
        victim = first[0][1]
        threading.Timer(0.7, os.kill, (victim, signal.SIGKILL)).start()
        again = able.each(nap, shared, range(8))
        assert [value for value, _ in again] == list(range(8))
        assert victim not in {pid for _, pid in again[-2:]}


@pytest.fixture
def other_code(tmp_path):
    """A repository whose code differs in this file of it."""
    copy = tmp_path / "copy"
    for folder in ("lockstep", *OWN_CODE):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "lockstep/learning/scoring.py"
    file.write_text(f"{file.read_text()}\n# changed\n")
    return file


def test_a_worker_of_other_code_that_comes_later_is_given_nothing(on_cluster, other_code, monkeypatch, caplog):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    with workers() as able:
        able._client.wait_for_workers(2, timeout=60)  # one may have died in the test before, and be started anew
        before = module._registered(able._client)
        newcomer = on_cluster.worker(other_code.parents[2])
        try:
            deadline = time.monotonic() + 60
            while len(there := module._registered(able._client)) == len(before) and time.monotonic() < deadline:
                time.sleep(0.1)
            (address,) = there.keys() - before.keys()
            assert ability() not in there[address]["resources"]
            pid = able._client.run(os.getpid)[address]
            assert pid not in {other for _, other in able.each(nap, 0.3, range(12))}
            assert f"the worker {address} has come, and is given nothing" in caplog.text
            # Whoever begins now is refused,
            with (
                pytest.raises(MachineError, match=rf"{address} is not as .*: the code is \w+ there and \w+ here\."),
                workers(),
            ):
                pass
            # also when its disk, and not what it has loaded, has the code that is meant.
            shutil.copy(ROOT / "lockstep/learning/scoring.py", other_code)
            with (
                pytest.raises(MachineError, match=rf"changed on the disk of the worker {address} .* Restart"),
                workers(),
            ):
                pass
        finally:
            os.killpg(newcomer.pid, signal.SIGKILL)
            newcomer.wait()
        while address in module._registered(able._client):
            time.sleep(0.1)


def test_code_of_ones_own_that_changes_after_the_check_is_not_computed_with(on_cluster):
    with workers() as able:
        able._own_code = "f" * 12
        with pytest.raises(MachineError, match=r"code of your own .* changed on the worker"):
            able.each(nap, 0.0, [1])
        with pytest.raises(MachineError, match=r"code of your own .* changed on the worker"):
            able.keep(nap, 0.0, [1])


def test_a_worker_that_is_stopped_is_named_in_time(on_cluster, monkeypatch):
    with workers() as able:
        _, pid = able.each(nap, 0.0, [1])[0]
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    os.kill(pid, signal.SIGSTOP)
    try:
        with (
            pytest.raises(MachineError, match=r"the worker tcp://\S+ does not answer: no answer within 1 s"),
            workers(),
        ):
            pass
    finally:
        os.kill(pid, signal.SIGCONT)


def test_where_no_worker_is_left_it_warns_and_ends(on_cluster, monkeypatch, caplog):
    monkeypatch.setattr(module, "POLL_SECONDS", 0.1)
    monkeypatch.setattr(module, "ALONE_SECONDS", 1)
    caplog.set_level("INFO", "lockstep")
    with workers() as able:
        there = module._registered(able._client)
        answers = iter([{}, there, {}])
        monkeypatch.setattr(module, "_registered", lambda _: next(answers, {}))
        with pytest.raises(MachineError, match=r"has had no worker .* for 1 seconds") as caught:
            able.each(nap, 3.0, range(2))
    assert caught.value.exit_code == 4
    assert caplog.text.count("is left: waiting 1 s for one") == 2
    assert "there are workers again: 2" in caplog.text


def check(monkeypatch, answer, resources=None):
    """What _check_workers says of one worker, by what it answers, and has told the scheduler."""
    about = {"resources": {ability(): 1.0} if resources is None else resources}
    monkeypatch.setattr(module, "_registered", lambda _: {"tcp://w:1": about})
    monkeypatch.setattr(module, "_asked", lambda _, function, addresses: {addresses[0]: answer(function())})
    module._check_workers(None, "tcp://s:1")


def test_what_a_worker_may_answer(monkeypatch):
    check(monkeypatch, dict)
    with pytest.raises(MachineError, match=r"w:1 changed on|disk of the worker tcp://w:1 since .* Restart the workers"):
        check(monkeypatch, lambda found: {**found, DISK: NEWER})
    with pytest.raises(MachineError, match="the code of your own is f there"):
        check(monkeypatch, lambda found: {**found, OWN: "f"})
    with pytest.raises(MachineError, match=r"cannot load Lockstep \(no\)"):
        check(monkeypatch, lambda _: ModuleNotFoundError("no"))
    with pytest.raises(MachineError, match="was not started by Lockstep"):
        check(monkeypatch, dict, {})


def test_libraries_that_differ_are_named(monkeypatch):
    """Any that is installed: code of the user's own may use it."""

    def answer(found):
        return {**found, LIBRARIES: "f"} if DISK in found else {**found, "msgspec": "0.1", "other": "7"}

    how = f"msgspec is 0.1 there and {installed()['msgspec']} here, other is 7 there and not installed here"
    with pytest.raises(MachineError, match=re.escape(how)):
        check(monkeypatch, answer)


def test_a_process_whose_own_files_have_changed_says_so(monkeypatch):
    monkeypatch.setattr(module, "fingerprint", lambda: {**fingerprint(), DISK: NEWER})
    with pytest.raises(MachineError, match="Start it again"):
        check(monkeypatch, dict)


@pytest.mark.exhaustive
def test_a_worker_with_other_code_is_refused(other_code, monkeypatch):
    other = Cluster(other_code.parents[2])
    try:
        monkeypatch.setenv(ADDRESS, other.address)
        with (
            pytest.raises(
                MachineError, match=r"is not as this machine is: the code is \w+ there and \w+ here\."
            ) as caught,
            workers(),
        ):
            pass
        assert "python -m lockstep worker" in str(caught.value)
        # The same cluster, once it is lost.
        monkeypatch.setattr(module, "_check_workers", lambda *_: None)
        with (
            pytest.raises(MachineError, match=r"the cluster at tcp://127\.0\.0\.1:\d+ was lost") as caught,
            workers() as able,
        ):
            threading.Timer(1, other.scheduler.kill).start()
            able.each(nap, 30.0, range(2))
        assert caught.value.exit_code == 4
    finally:
        other.close()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    """The variables of the environment that have Dask show, and ask for, a certificate of one authority."""
    folder = tmp_path_factory.mktemp("certificates")
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "own.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    (folder / "key.pem").write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    variables = {"DASK_DISTRIBUTED__COMM__TLS__CA_FILE": str(folder / "own.pem")}
    for role in ("CLIENT", "SCHEDULER", "WORKER"):
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__CERT"] = str(folder / "own.pem")
        variables[f"DASK_DISTRIBUTED__COMM__TLS__{role}__KEY"] = str(folder / "key.pem")
    return variables


@pytest.mark.exhaustive
def test_certificates_are_shown_and_asked_for(certificates, tmp_path, monkeypatch):
    """By a stage as DVC starts it, whose Dask takes them from the variables of its environment."""
    (tmp_path / "d.csv").write_text(make_table(rows=120).frame.to_csv(index=False))
    monkeypatch.delenv(ADDRESS, raising=False)
    run_stages(tmp_path, monkeypatch, PARAMS | {"tune": {}})
    before = Path("folds.parquet").read_bytes()
    common = ["--problem", "p", "--params", "params.yaml", "--train", "train.parquet", "--best-trial", "w.json"]
    written = ["--scores", "s.json", "--folds", "f.csv", "--predictions", "again.parquet"]
    command = [sys.executable, "-m", "stages.cross_validate", *common, *written]
    own = Cluster(variables=certificates)
    try:
        for variables, code in ((certificates, 0), ({}, 4)):
            environment = {**os.environ, "PYTHONPATH": str(ROOT), ADDRESS: own.address, **variables}
            done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
            assert done.returncode == code, done.stderr
            if code == 0:
                assert "2 workers of the cluster at tls://" in done.stderr
                assert Path("again.parquet").read_bytes() == before
                Path("again.parquet").unlink()
    finally:
        own.close()
    assert f"no scheduler answers at {own.address}" in done.stderr
    assert "TLS" in done.stderr
    assert not Path("again.parquet").exists()


def test_where_no_scheduler_or_no_worker_answers(monkeypatch):
    need_library("distributed", "scale")
    monkeypatch.setattr(module, "CONNECT_SECONDS", 2)
    monkeypatch.setenv(ADDRESS, f"tcp://127.0.0.1:{free_port()}")
    with (
        pytest.raises(
            MachineError, match=r"no scheduler answers at tcp://.*, which LOCKSTEP_DASK names: .*docs/scale"
        ) as caught,
        workers(),
    ):
        pass
    assert "unset LOCKSTEP_DASK" in str(caught.value)


@pytest.mark.parametrize(
    ("address", "why"),
    [
        ("nonsense://host", "unknown address scheme"),
        ("http://x", "unknown address scheme"),
        ("tcp://127.0.0.1", "missing port number"),
        ("127.0.0.1:8786", "Invalid url scheme|invalid|missing"),
        ("tls://127.0.0.1:9", "it needs TLS certificates"),
    ],
)
def test_an_address_that_is_none_makes_no_client(address, why, monkeypatch):
    """Which would take half a minute to be gone, and end with a traceback."""
    need_library("distributed", "scale")
    monkeypatch.setitem(sys.modules, "distributed", SimpleNamespace(Security=import_module("distributed").Security))
    monkeypatch.setenv(ADDRESS, address)
    with pytest.raises(MachineError, match=f"no scheduler answers at {address}, .*{why}"), workers():
        pass


def test_what_accepts_and_is_silent_is_waited_for_in_vain(monkeypatch):
    need_library("distributed", "scale")
    monkeypatch.setattr(module, "CONNECT_SECONDS", 1)
    with hanging() as (port, _):
        monkeypatch.setenv(ADDRESS, f"tcp://127.0.0.1:{port}")
        with pytest.raises(MachineError, match=r"no scheduler answers at .*(no answer|imed out)"), workers():
            pass


def test_a_worker_is_no_scheduler(on_cluster, monkeypatch):
    with workers() as able:
        address = next(iter(module._registered(able._client)))
    monkeypatch.setenv(ADDRESS, address)
    with pytest.raises(MachineError, match="what answers there is none"), workers():
        pass


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError, match=r"Dask is not installed .* 'make scale'"), workers():
        pass
