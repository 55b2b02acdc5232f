"""Remotes for real: push, wipe, pull against OpenSSH and S3; servers that die, hang, refuse, deliver something else.

The repository is the tiny one of recorded.py with 24 MB of raw data, so that a push takes long enough to be killed.
"""

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from lockstep.__main__ import main

import joblib
import pytest
import yaml
from recorded import make
from servers import ACCESS_KEY, SECRET, hanging, make_keys, s3, sshd, user
from workspace import BIN, ROOT

pytestmark = pytest.mark.slow
BIG = "data/raw/big.csv"


def track(folder, path, content):
    """Let DVC track a file with this content, as ``dvc add`` does."""
    md5 = hashlib.md5(content).hexdigest()
    for file in (folder / path, folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    entry = {"path": Path(path).name, "hash": "md5", "md5": md5, "size": len(content)}
    (folder / f"{path}.dvc").write_text(yaml.safe_dump({"outs": [entry]}))
    return md5


def replace(path, content):
    """Other bytes for an object, which is read-only again after it: DVC takes such a file for intact."""
    path.chmod(0o644)
    path.write_bytes(content)
    path.chmod(0o444)


class Clone:
    """The tiny repository, and DVC and our command in it."""

    def __init__(self, folder, template=None):
        self.folder = folder
        if template is None:
            make(folder)
            track(folder, BIG, b"n\n" + b"".join(b"%d\n" % (i * 7919) for i in range(2_400_000)))
            for option in ("core.analytics false", "core.check_update false"):
                subprocess.run([BIN / "dvc", "config", *option.split()], cwd=folder, check=True)
        else:
            shutil.copytree(template.folder, folder)
            config = (folder / ".dvc/config").read_text()
            (folder / ".dvc/config").write_text(config.replace(str(template.folder), str(folder)))
        self.files = {
            path: self.bytes(path)
            for path in (BIG, "data/raw/toy.csv", "data/loaded/toy.parquet", "models/toy/m_v1.joblib")
        }
        self.environment = {
            key: value for key, value in os.environ.items() if not key.startswith(("GIT_", "DVC_", "AWS_"))
        }
        self.environment |= {"PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}

    def bytes(self, path):
        path = self.folder / path
        return path.read_bytes() if path.is_file() else None

    def run(self, *command):
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )

    def remote(self, *arguments):
        """``python -m lockstep remote``"""
        return self.run(sys.executable, "-m", "lockstep", "remote", *arguments)

    def set_up(self, url, **local):
        """Make ``url`` the default remote; ``local`` settings are those that are not committed."""
        config = "[core]\n    analytics = false\n    check_update = false\n    remote = store\n"
        config += f"    site_cache_dir = {self.folder}/.dvc/tmp/site\n"
        config += f"['remote \"store\"']\n    url = {url}\n    verify = true\n"
        (self.folder / ".dvc/config").write_text(config)
        own = "".join(f"    {key} = {value}\n" for key, value in local.items())
        (self.folder / ".dvc/config.local").write_text(f"['remote \"store\"']\n{own}")
        (self.folder / ".dvc/config.local").chmod(0o600)

    def wipe(self):
        """Remove cache and workspace."""
        shutil.rmtree(self.folder / ".dvc/cache")
        shutil.rmtree(self.folder / ".dvc/tmp", ignore_errors=True)
        for path in self.files:
            (self.folder / path).unlink(missing_ok=True)

    def is_whole(self):
        return all(self.bytes(path) == content for path, content in self.files.items())


class Kind:
    """A kind of remote: how it is served, and how a clone is told."""

    def __init__(self, name, folder):
        self.name, self.folder = name, folder
        self.store = folder / "bucket/data"
        self.store.mkdir(parents=True)

    def serve(self, port=None, bandwidth="off"):
        return sshd(self.folder / "ssh", port) if self.name == "ssh" else s3(self.folder, port, bandwidth)

    def tell(self, clone, port, *, right=True):
        if self.name == "ssh":
            key = self.folder / "ssh" / ("key" if right else "wrong")
            clone.set_up(f"ssh://{user()}@127.0.0.1:{port}{self.store}", keyfile=key)
        else:
            secret = SECRET if right else "wrong"
            clone.set_up(
                "s3://bucket/data",
                endpointurl=f"http://127.0.0.1:{port}",
                access_key_id=ACCESS_KEY,
                secret_access_key=secret,
            )

    def objects(self):
        """The objects that the store holds under their final names."""
        found = [path for path in self.store.rglob("*") if path.is_file() and not path.name.endswith(".tmp")]
        return {path.parent.name + path.name: path for path in found}

    def settle(self):
        """Remove half objects, which the real service does not have: S3 shows an object when all of it has arrived
        (https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html), rclone leaves what it has written.
        """
        for name, path in self.objects().items() if self.name == "s3" else ():
            if hashlib.md5(path.read_bytes()).hexdigest() != name:
                path.unlink()

    def is_sound(self):
        return all(hashlib.md5(path.read_bytes()).hexdigest() == name for name, path in self.objects().items())


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    return Clone(tmp_path_factory.mktemp("remotes") / "template")


@pytest.fixture
def clone(template, tmp_path):
    return Clone(tmp_path / "clone", template)


@pytest.fixture(params=["ssh", "s3"])
def kind(request, tmp_path):
    return Kind(request.param, tmp_path / "server")


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["s3", "ssh"], indirect=True)
def test_push_wipe_pull_and_repro_pull(kind, clone):
    with kind.serve() as server:
        kind.tell(clone, server.port)
        done = clone.remote("push")
        assert done.returncode == 0, done.stderr
        assert len(kind.objects()) == 4
        assert kind.is_sound()
        clone.wipe()
        done = clone.remote("pull")
        assert done.returncode == 0, done.stderr
        assert clone.is_whole()
        clone.wipe()
        done = clone.run("dvc", "repro", "--pull")
        assert done.returncode == 0, done.stderr
        assert "Running stage" not in done.stdout
        assert clone.bytes("models/toy/m_v1.joblib") == clone.files["models/toy/m_v1.joblib"]
        # Other bytes of the same size: refused, and nothing in the place of the file.
        name = hashlib.md5(clone.files["models/toy/m_v1.joblib"]).hexdigest()
        replace(kind.objects()[name], b"MODEL\n")
        clone.wipe()
        done = clone.remote("pull")
        assert done.returncode == 3, done.stderr
        assert "or has other bytes in their place, which verify = true refuses" in done.stderr
        assert clone.bytes("models/toy/m_v1.joblib") is None


def killed_push(kind, clone, end):
    """Push, and call ``end`` with the push's process when the first bytes have arrived."""
    push = subprocess.Popen(
        [sys.executable, "-m", "lockstep", "remote", "push", "--time-limit", "60"],
        cwd=clone.folder, env=clone.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while push.poll() is None and time.monotonic() < deadline:
        if any(path.is_file() and path.stat().st_size for path in kind.folder.joinpath("bucket").rglob("*")):
            break
        time.sleep(0.005)
    end(push)
    _, errors = push.communicate(timeout=120)
    return push.returncode, errors


@pytest.mark.parametrize(
    ("kind", "who"),
    [
        pytest.param("s3", "client", marks=pytest.mark.exhaustive),
        pytest.param("ssh", "server", marks=pytest.mark.exhaustive),
        pytest.param("ssh", "client", marks=pytest.mark.exhaustive),
        pytest.param("s3", "server", marks=pytest.mark.exhaustive),
    ],
    indirect=["kind"],
)
def test_a_push_that_is_killed_is_finished_by_the_next(kind, clone, who):
    with kind.serve(bandwidth="4M") as server:
        kind.tell(clone, server.port)
        if who == "server":
            code, errors = killed_push(kind, clone, lambda _: server.kill())
            assert code in (0, 4), errors  # 0: it was quicker than the kill
            assert code == 0 or "The same command again is safe" in errors
        else:
            killed_push(kind, clone, lambda push: os.killpg(push.pid, signal.SIGKILL))
    kind.settle()
    assert kind.is_sound()  # whatever stands under its final name is whole
    with kind.serve() as server:
        kind.tell(clone, server.port)
        done = clone.remote("push")
        assert done.returncode == 0, done.stderr
        clone.wipe()
        assert clone.remote("pull").returncode == 0
        assert clone.is_whole()
    assert len(kind.objects()) == 4
    assert kind.is_sound()


@pytest.mark.exhaustive
def test_a_wrong_key(kind, clone):
    with kind.serve() as server:
        kind.tell(clone, server.port, right=False)
        done = clone.remote("push")
        assert done.returncode == 4, done.stderr
        assert "ERROR remote: 'dvc push' failed: " in done.stderr
        assert "Traceback" not in done.stderr
        assert not kind.objects()


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["ssh", "s3"], indirect=True)
def test_a_server_that_hangs(kind, clone):
    """It ends in the time that was given, and nothing of it goes on."""
    with hanging() as (port, closed):
        if kind.name == "ssh":
            make_keys(kind.folder / "ssh")
        kind.tell(clone, port)
        begin = time.monotonic()
        done = clone.remote("push", "--time-limit", "10")
        assert time.monotonic() - begin < 100
        assert done.returncode == 4, done.stderr
        assert "did not end within 10 seconds" in done.stderr
        for _ in range(100):
            if closed:
                break
            time.sleep(0.1)
        assert closed


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return Path.touch, (Path(self.file),)


@pytest.mark.exhaustive
def test_a_tampered_remote_delivers_nothing_and_runs_nothing(template, tmp_path):
    """Whoever can write to the remote alone: ten kinds of other bytes."""
    clone, store, hit = Clone(tmp_path / "clone", template), tmp_path / "store", tmp_path / "hit"
    payload, packed = pickle.dumps(Payload(hit)), io.BytesIO()
    joblib.dump(Payload(hit), packed, compress=3)
    model = pickle.dumps({"weights": list(range(100))})
    listing = json.dumps([{"md5": "0" * 32, "relpath": "../../.git/hooks/pre-commit"}]).encode()
    kinds = {
        "same_size": payload + b"\0" * (len(model) - len(payload)),  # what follows a pickle's end is not read
        "longer": pickle.dumps([Payload(hit), *range(1000)]),
        "shorter": payload,
        "packed": packed.getvalue(),
        "swapped_one": b"other\n" + model,
        "swapped_two": b"one\n" + model,
        "replayed": pickle.dumps({"weights": [0] * 100}),
        "cut": model[:-1],
        "empty": b"",
        "listing": listing,
    }
    content = {name: name.encode() + b"\n" + model for name in kinds} | {"same_size": model}
    content |= {"swapped_one": b"one\n" + model, "swapped_two": b"other\n" + model}
    assert len(kinds["same_size"]) == len(model)
    digests = {name: track(clone.folder, f"data/raw/{name}.joblib", content[name]) for name in kinds}
    clone.set_up(store)
    shutil.copytree(clone.folder / ".dvc/cache", store)
    for name, other in kinds.items():
        replace(store / "files/md5" / digests[name][:2] / digests[name][2:], other)
    clone.wipe()
    for name in kinds:
        (clone.folder / f"data/raw/{name}.joblib").unlink()

    def files():
        """Everything that is not DVC's own, with its content."""
        found = [path for path in clone.folder.rglob("*") if path.is_file() and ".dvc" not in path.parts]
        return {path.relative_to(clone.folder).as_posix(): path.read_bytes() for path in found}

    before = files()
    done = clone.remote("pull")
    assert done.returncode == 3, done.stderr
    assert all(f"data/raw/{name}.joblib" in done.stderr for name in kinds)
    assert files() == before | clone.files  # the four that nobody altered came
    assert not hit.exists()

    # Without verify = true DVC would deliver them: refused before it is asked.
    config = clone.folder / ".dvc/config"
    config.write_text(config.read_text().replace("verify = true", "verify = false"))
    done = clone.remote("pull")
    assert (done.returncode, files()) == (2, before | clone.files)
    # Whoever asks it has other bytes, which no command opens.
    name = hashlib.md5(clone.files["models/toy/m_v1.joblib"]).hexdigest()
    replace(store / "files/md5" / name[:2] / name[2:], payload)
    clone.wipe()
    done = clone.run("dvc", "pull", "models/toy/m_v1.joblib")
    assert done.returncode == 0, done.stderr
    assert clone.bytes("models/toy/m_v1.joblib") == payload
    opened = clone.run(sys.executable, "-m", "lockstep", "predict", "models/toy/m_v1.joblib", "data/raw/toy.csv")
    assert opened.returncode == 3, opened.stderr
    assert not hit.exists()


@pytest.mark.parametrize("action", ["push", "pull"])
def test_a_recorded_folder_is_refused_before_dvc_is_asked(clone, tmp_path, action):
    """The listing of a folder may name ``../``, and DVC 3.67 writes there, ``verify = true`` or not."""
    clone.set_up(tmp_path / "store")
    lock = clone.folder / "dvc.lock"
    md5 = hashlib.md5(clone.files["models/toy/m_v1.joblib"]).hexdigest()
    lock.write_text(lock.read_text().replace(md5, f"{md5}.dir"))
    assert main_in(clone, action) == 3
    assert not (tmp_path / "store").exists()


def test_a_corrupt_cache_is_neither_pushed_nor_delivered(clone, tmp_path, capsys):
    clone.set_up(tmp_path / "store")
    md5 = hashlib.md5(clone.files["models/toy/m_v1.joblib"]).hexdigest()
    replace(clone.folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:], b"MODEL\n")
    assert main_in(clone, "push") == 3
    assert (
        f"push would spread it: .dvc/cache/files/md5/{md5[:2]}/{md5[2:]} (models/toy/m_v1.joblib"
        in capsys.readouterr().err
    )
    assert main_in(clone, "pull") == 3
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("limit", ["0", "-1", "nan", "soon", "inf"])
def test_time_limits(limit):
    with pytest.raises(SystemExit) as caught:
        main(["remote", "push", "--time-limit", limit])
    assert caught.value.code == 2


def test_a_remote_that_is_not_set_up(clone, tmp_path, capsys):
    assert main_in(clone, "push") == 2
    assert "There is no default remote; there are: none. Set one up: 'dvc remote add" in capsys.readouterr().err
    clone.set_up(tmp_path / "store")
    assert main_in(clone, "pull", "-r", "nonsense") == 2
    assert "There is no remote 'nonsense'; there are: store." in capsys.readouterr().err


def main_in(clone, *arguments):
    """The command, in this process: where DVC is not to be started."""
    with contextlib.chdir(clone.folder):
        return main(["remote", *arguments])
