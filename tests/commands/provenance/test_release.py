"""Signed releases, with real keys: tag, code, dvc.lock, data and models are checked together."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

from lockstep.__main__ import main

import pytest

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None and "CI" not in os.environ,
    reason="needs ssh-keygen: apt-get install openssh-client",
)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """A folder with the keys `ours` and `theirs`, and the file `signers`, which allows ours."""
    folder = tmp_path_factory.mktemp("keys")
    for name in ("ours", "theirs"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", folder / name], check=True)
    kind, key, _ = (folder / "ours.pub").read_text().split()
    (folder / "signers").write_text(f'me@example.org namespaces="git" {kind} {key}\n')
    return folder


@pytest.fixture(scope="module")
def signed(tmp_path_factory, keys):
    """A repository with code, a table, a model and the signed tag v1."""
    folder = tmp_path_factory.mktemp("signed")
    files = {"data/raw/t.csv": "a,b\n1,2\n", "models/m.joblib": "a model", "stages/train.py": "print('train')\n"}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    (folder / "link").symlink_to("stages/train.py")
    (folder / ".gitignore").write_text("*.csv\n*.joblib\n")
    entries = {
        name: {"hash": "md5", "md5": hashlib.md5(files[name].encode()).hexdigest(), "size": len(files[name])}
        for name in files
    }
    (folder / "data/raw/t.csv.dvc").write_text(json.dumps({"outs": [{"path": "t.csv", **entries["data/raw/t.csv"]}]}))
    out = {"path": "models/m.joblib", **entries["models/m.joblib"]}
    (folder / "dvc.lock").write_text(
        json.dumps({"schema": "2.0", "stages": {"train@p": {"cmd": "x", "outs": [out]}}}) + "\n"
    )
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.name", "Me")
    git(folder, "config", "user.email", "me@example.org")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "one")
    assert main(["release", "sign", "v1", "--key", str(keys / "ours"), "--repository", str(folder)]) == 0
    return folder


@pytest.fixture
def repository(signed, tmp_path):
    return Path(shutil.copytree(signed, tmp_path / "repository", symlinks=True))


def git(folder, *arguments, text=None):
    done = subprocess.run(["git", "-C", folder, *arguments], check=True, capture_output=True, text=True, input=text)
    return done.stdout.strip()


@pytest.fixture
def verify(repository, keys, capsys):
    """A function that verifies a tag: (exit code, what it says)."""

    def run(tag="v1", signers="signers"):
        capsys.readouterr()
        code = main(
            ["release", "verify", tag, "--allowed-signers", str(keys / signers), "--repository", str(repository)]
        )
        shown = capsys.readouterr()
        assert "Traceback" not in shown.err
        return code, shown.out + shown.err

    return run


def test_the_right_signature(verify):
    code, message = verify()
    assert code == 0
    assert message.startswith("v1 is signed by me@example.org with ED25519 key SHA256:")
    assert message.endswith("; 2 recorded files are as signed, by SHA-256.\n")


def test_below_a_larger_repository(signed, keys, tmp_path, capsys):
    """What is signed is this folder's; what the larger repository has beside it is not looked at."""
    folder = tmp_path / "large/ml"
    shutil.copytree(signed, folder, symlinks=True, ignore=shutil.ignore_patterns(".git"))
    (tmp_path / "large/notes.md").write_text("x\n")
    settings = ("config user.name Me", "config user.email me@example.org")
    for words in ("init -q -b main", *settings, "add -A", "commit -q -m one"):
        git(tmp_path / "large", *words.split())
    repository = ["--repository", str(folder)]
    verify = ["release", "verify", "v2", "--allowed-signers", str(keys / "signers"), *repository]
    assert main(["release", "sign", "v2", "--key", str(keys / "ours"), *repository]) == 0
    (tmp_path / "large/notes.md").write_text("y\n")
    assert main(verify) == 0
    (folder / "stages/train.py").write_text("print('another')\n")
    assert main(verify) == 3
    assert "1 file not as in the tag 'v2': stages/train.py" in capsys.readouterr().err


def make_tag(repository, keys, name, key=None, message="m", extra=()):
    how = ["-s"] if key else ["-a"]
    settings = ["-c", "gpg.format=ssh", "-c", f"user.signingkey={keys / (key or 'ours')}"]
    git(repository, *settings, "tag", *how, "--cleanup=verbatim", "-F", "-", name, *extra, text=message)


def test_a_wrong_key(repository, keys, verify):
    make_tag(repository, keys, "v2", "theirs")
    code, message = verify("v2")
    assert code == 3
    assert "the tag 'v2' is not signed by anybody in" in message


@pytest.mark.parametrize("how", [[], ["-a", "-m", "not signed"]], ids=["a plain tag", "a tag with a message"])
def test_an_unsigned_tag(repository, verify, how):
    git(repository, "tag", *how, "v2")
    code, message = verify("v2")
    assert code == 3
    assert "the tag 'v2' is not signed by anybody" in message


def test_an_altered_tag(repository, verify):
    """A signature of one tag put under another text."""
    text = git(repository, "cat-file", "tag", "v1").replace("a model", "").replace("tag v1", "tag v2") + "\n"
    number = git(repository, "hash-object", "-t", "tag", "-w", "--stdin", text=text)
    git(repository, "update-ref", "refs/tags/v2", number)
    assert verify("v2")[0] == 3


def test_a_renamed_tag(repository, verify):
    git(repository, "update-ref", "refs/tags/v2", git(repository, "rev-parse", "refs/tags/v1"))
    code, message = verify("v2")
    assert code == 3
    assert "the tag 'v2' was signed as 'v1' of a commit: it was renamed" in message


def altered_code(folder):
    """Of the same size and time: git status sees nothing."""
    path = folder / "stages/train.py"
    status = path.stat()
    path.write_text("print('evil!')\n"[: status.st_size - 1] + "\n")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def altered_lock(folder):
    """The lock and the model agree with each other, but not with what was signed."""
    (folder / "models/m.joblib").write_text("a mode!")
    path, md5 = folder / "dvc.lock", hashlib.md5(b"a mode!").hexdigest()
    path.write_text(path.read_text().replace(hashlib.md5(b"a model").hexdigest(), md5))


ALTERED = {
    "the model": (lambda f: (f / "models/m.joblib").write_text("a mode!"), "models/m.joblib (altered)"),
    "the table": (lambda f: (f / "data/raw/t.csv").write_text("a,b\n1,3\n"), "data/raw/t.csv (altered)"),
    "a model that is missing": (lambda f: (f / "models/m.joblib").unlink(), "models/m.joblib (missing)"),
    "the code": (altered_code, "1 file not as in the tag 'v1': stages/train.py"),
    "dvc.lock and the model": (altered_lock, "1 file not as in the tag 'v1': dvc.lock"),
    "a link": (lambda f: ((f / "link").unlink(), (f / "link").symlink_to("/dev/zero")), "tag 'v1': link"),
    "a file that is missing": (lambda f: (f / "stages/train.py").unlink(), "stages/train.py"),
}


@pytest.mark.parametrize("what", ALTERED)
def test_altered_files(repository, verify, what):
    change, expected = ALTERED[what]
    change(repository)
    code, message = verify()
    assert code == 3
    assert expected in message


def test_other_files_than_were_signed(repository, keys, verify):
    """By the right key: what the message lists must be what is here, by SHA-256 too."""
    lines = git(repository, "cat-file", "tag", "v1").split("\n\n", 1)[1].split("-----BEGIN")[0]
    first = lines.splitlines()[3][:64]
    make_tag(repository, keys, "v2", "ours", lines.replace(first, "0" * 64))
    code, message = verify("v2")
    assert code == 3
    assert "these files are not those that were signed: data/raw/t.csv. Do not use them" in message
    make_tag(repository, keys, "v3", "ours", lines.replace("models/m", "models/n"))
    assert verify("v3")[0] == 3
    make_tag(repository, keys, "v4", "ours", "no list\n")
    assert verify("v4")[1].endswith("by MD5 only, since the tag lists no SHA-256.\n")


def test_what_stands_behind_the_signature_counts_for_nothing(repository, verify):
    text = git(repository, "cat-file", "tag", "v1") + f"\n{'0' * 64}  models/m.joblib\n"
    number = git(repository, "hash-object", "-t", "tag", "-w", "--stdin", text=text)
    git(repository, "update-ref", "refs/tags/v1", number)
    code, message = verify()
    assert (code, "by SHA-256" in message) in ((0, True), (3, False))


def test_mistakes(repository, keys, verify, capsys, tmp_path):
    assert verify("v9")[0] == 2
    assert verify("a..b")[0] == 2
    assert verify(signers="none")[0] == 2
    sign = ["release", "sign", "--key", str(keys / "ours"), "--repository", str(repository)]
    for tag, message in {"v1": "there is a tag 'v1' already", "a b": "'a b' is not a name for a tag"}.items():
        assert main([*sign, tag]) == 2
        assert message in capsys.readouterr().err
    assert main([*sign[:3], str(tmp_path / "none"), *sign[4:], "v2"]) == 4
    assert "ssh-keygen -t ed25519" in capsys.readouterr().err
    assert git(repository, "tag") == "v1"
    altered_code(repository)
    assert main([*sign, "v2"]) == 3
    assert "1 file not as in the last commit: stages/train.py. Commit or undo" in capsys.readouterr().err
