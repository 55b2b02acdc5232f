"""Remotes for real: push, wipe, pull against OpenSSH and S3; servers that die, hang, refuse, deliver something else.

The repository is the tiny one of recorded.py with 24 MB of raw data, so that a push takes long enough to be killed.
"""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import yaml
from recorded import make
from repository import BIN, ROOT
from servers import ACCESS_KEY, SECRET, hanging, make_keys, s3, sshd, user

pytestmark = pytest.mark.slow
BIG = "data/raw/big.csv"


class Clone:
    """The tiny repository, and DVC and our command in it."""

    def __init__(self, folder, template=None):
        self.folder = folder
        if template is None:
            make(folder)
            content = b"n\n" + b"".join(b"%d\n" % (i * 7919) for i in range(2_400_000))
            md5 = hashlib.md5(content).hexdigest()
            for path in (folder / BIG, folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]):
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
            entry = {"path": "big.csv", "hash": "md5", "md5": md5, "size": len(content)}
            (folder / f"{BIG}.dvc").write_text(yaml.safe_dump({"outs": [entry]}))
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
        path = kind.objects()[name]
        path.chmod(0o644)
        path.write_bytes(b"MODEL\n")
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


@pytest.mark.parametrize("who", ["server", "client"])
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


def test_a_wrong_key(kind, clone):
    with kind.serve() as server:
        kind.tell(clone, server.port, right=False)
        done = clone.remote("push")
        assert done.returncode == 4, done.stderr
        assert "ERROR remote: 'dvc push' failed: " in done.stderr
        assert "Traceback" not in done.stderr
        assert not kind.objects()


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
