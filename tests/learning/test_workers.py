"""Folds on a real Dask cluster: the same bytes, a worker that dies, clusters that are refused or lost."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from lockstep.kernel.errors import DataError, MachineError
from lockstep.learning import workers as module
from lockstep.learning.workers import ADDRESS, Threads, fingerprint, workers
from stages import cross_validate, tune

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from servers import Server, free_port, need_library
from small import make_table, run_stages
from tasks import fail, nap
from workspace import ROOT

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


def test_results_arrive_in_order_as_far_as_there_are_any():
    arrived = []
    with pytest.raises(DataError, match="item 2 is wrong"):
        Threads().each(fail, None, [0, 2, 0, 3], arrived.append)
    assert arrived == [0, 0]


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


@pytest.mark.exhaustive
def test_a_worker_with_other_code_is_refused(tmp_path, monkeypatch):
    copy = tmp_path / "copy"
    shutil.copytree(ROOT / "lockstep", copy / "lockstep", ignore=shutil.ignore_patterns("__pycache__"))
    file = copy / "lockstep/learning/scoring.py"
    file.write_text(f"{file.read_text()}\n# changed\n")
    other = Cluster(copy)
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
    monkeypatch.setenv(ADDRESS, "nonsense://host")
    with pytest.raises(MachineError, match="no scheduler answers at nonsense"), workers():
        pass


def test_without_dask_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv(ADDRESS, "tcp://127.0.0.1:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MachineError, match=r"Dask is not installed .* 'make scale'"), workers():
        pass


def test_the_fingerprint_names_what_decides_results():
    found = fingerprint()
    assert {"Python", "numpy", "scikit-learn", "lightgbm", "the code", "the processor"} <= set(found)
    assert len(found["the code"]) == 12
