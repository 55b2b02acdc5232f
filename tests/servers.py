"""Real servers on loopback: OpenSSH, S3 by rclone and one that never answers, for the tests of remotes; PostgreSQL.

Each is started on a free port, with keys of its own, and ended by its process id.
"""

import contextlib
import getpass
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

RCLONE = Path(sys.executable).parent / "rclone"
ACCESS_KEY, SECRET = "AKIAEXAMPLE", "not-a-secret-only-of-this-test"


def need(program, package):
    """The path of a program that a test needs; under CI its absence is a failure, elsewhere the test is skipped."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/usr/bin")
    if path is None:
        message = f"{program} is not installed: apt-get install {package}, or .ci/install"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    return path


def need_library(name, target):
    """The same of a library, imported as ``name``, that ``make target`` installs."""
    if importlib.util.find_spec(name) is None:
        message = f"{name} is not installed: make {target}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process that listens on ``port``; what it was started with is in ``command``."""

    def __init__(self, command, port, environment=None):
        self.port = port
        self.process = subprocess.Popen(
            command,
            start_new_session=True,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(300):
            if self.process.poll() is not None:
                raise AssertionError(f"{command} ended at once: {self.process.stderr.read()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                return
            time.sleep(0.1)
        raise AssertionError(f"{command} does not listen")

    def kill(self):
        """End it and its sessions, as a machine that loses its power."""
        for pid in [*_descendants(self.process.pid), self.process.pid]:
            with contextlib.suppress(ProcessLookupError):  # one of a session that has just ended
                os.kill(pid, signal.SIGKILL)
        self.process.wait()
        self.process.stderr.close()


def _descendants(pid):
    """The processes that a process has started, and theirs: sshd gives each session a group of its own."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [found for child in map(int, children) for found in (*_descendants(child), child)]


def make_keys(folder):
    """The keys ``host``, ``key`` and ``wrong`` in ``folder``, unless they are there."""
    keygen = need("ssh-keygen", "openssh-client")
    folder.mkdir(exist_ok=True)
    for name in ("host", "key", "wrong"):
        if not (folder / name).exists():
            subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)


@contextlib.contextmanager
def sshd(folder, port=None):
    """OpenSSH's server: a Server. It takes the key ``folder/key``, and refuses ``folder/wrong``."""
    sshd_path = need("sshd", "openssh-server")
    make_keys(folder)
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where it gives its rights up; at boot the service makes it
    port = port or free_port()
    options = {
        "Port": port, "ListenAddress": "127.0.0.1", "HostKey": folder / "host", "PidFile": "none", "UsePAM": "no",
        "AuthorizedKeysFile": folder / "key.pub", "StrictModes": "no", "PasswordAuthentication": "no",
        "KbdInteractiveAuthentication": "no", "PermitRootLogin": "prohibit-password", "Subsystem": "sftp internal-sftp",
    }  # fmt: skip
    (folder / "sshd_config").write_text("".join(f"{key} {value}\n" for key, value in options.items()))
    server = Server([sshd_path, "-D", "-e", "-f", str(folder / "sshd_config")], port)
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def s3(folder, port=None, bandwidth="off"):
    """rclone's S3 server of the folders in ``folder``, which are its buckets: a Server."""
    port = port or free_port()
    command = [
        RCLONE, "serve", "s3", "--auth-key", f"{ACCESS_KEY},{SECRET}", "--addr", f"127.0.0.1:{port}", "--config",
        os.devnull, "--bwlimit", bandwidth, folder,
    ]  # fmt: skip
    server = Server(list(map(str, command)), port)
    try:
        yield server
    finally:
        server.kill()


@contextlib.contextmanager
def hanging():
    """A server that accepts connections and never answers: its port, and a list with an entry for each connection that
    its client has closed."""
    listener = socket.create_server(("127.0.0.1", 0))
    closed, connections = [], []

    def hold(connection):
        with contextlib.suppress(OSError):
            while connection.recv(1 << 16):
                pass
        closed.append(True)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                connections.append(listener.accept()[0])
                threading.Thread(target=hold, args=(connections[-1],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1], closed
    finally:
        listener.close()
        for connection in connections:
            connection.close()


def user():
    return getpass.getuser()


@contextlib.contextmanager
def postgresql():
    """A PostgreSQL with a user ``reader``, who needs no password; its port."""
    newest = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name), default=Path())
    initdb = need(str(newest / "initdb"), "postgresql")
    folder, port = Path(tempfile.mkdtemp()), free_port()
    # It refuses to run as root; Debian's package brings a user for it.
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if user:
        shutil.chown(folder, "postgres")
    server = None
    try:
        made = ["--username=reader", "--auth=trust", "--no-sync", "--encoding=UTF8", folder / "data"]
        subprocess.run([*user, initdb, *made], check=True, capture_output=True, cwd="/")
        options = {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": folder,
            "fsync": "off",
            "log_min_messages": "panic",
        }
        settings = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
        server = Server([*user, newest / "postgres", "-D", folder / "data", "-p", str(port), *settings], port)
        for _ in range(300):  # it listens before it answers
            asked = [newest / "pg_isready", "--host=127.0.0.1", f"--port={port}", "--quiet"]
            if subprocess.run(asked, check=False).returncode == 0:
                break
            time.sleep(0.1)
        yield port
    finally:
        if server is not None:
            server.kill()
        shutil.rmtree(folder)
