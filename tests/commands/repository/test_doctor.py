"""python -m lockstep doctor: what it finds, what it fixes, what it leaves alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

from lockstep.__main__ import main
from lockstep.kernel.dvc_locks import RWLOCKS
from lockstep.provenance import health
from lockstep.repository.cache import cache_folder

import pytest
import recorded
from small import widened


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The hand-made repository, committed, with its environment active."""
    return set_up(recorded.make(tmp_path / "toy"), tmp_path, monkeypatch)


@pytest.fixture
def below(tmp_path, monkeypatch):
    """The same as a folder of a larger repository."""
    return set_up(recorded.make(tmp_path / "large/toy", top=tmp_path / "large"), tmp_path, monkeypatch)


def set_up(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    for level in ("GLOBAL", "SYSTEM"):  # none of the user's or the machine's settings of DVC
        monkeypatch.setenv(f"DVC_{level}_CONFIG_DIR", str(tmp_path / level))
    config = folder / ".dvc/config"
    config.write_text(config.read_text().replace("[core]\n", "[core]\n    analytics = false\n"))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    (folder / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n")
    commit()
    return folder


def git(*arguments):
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout


def commit():
    git("add", "-A")
    git("commit", "-q", "-m", "toy")


@pytest.fixture
def wrong(capsys):
    """What it finds wrong: (exit code, the lines). With arguments: what it says then."""

    def run(*arguments):
        code = main(["doctor", *arguments])
        lines = capsys.readouterr().out.splitlines()
        return code, [line.removeprefix("WRONG  ") for line in lines if line.startswith("WRONG")]

    return run


def fixed(wrong, capsys):
    """Fix everything; then nothing is wrong any more."""
    assert main(["doctor", "--fix"]) == 0
    printed = capsys.readouterr().out
    assert printed.index("will ") < printed.index("Fixed: ")
    assert wrong() == (0, [])


def test_below_a_larger_repository(below, wrong, capsys):
    """What the last commit has is found by the path from this folder, not from git's root."""
    assert wrong() == (0, [])
    lock = recorded.lock_of()
    del lock["stages"]["load@toy"]
    recorded.write(below, "dvc.lock", lock)
    assert wrong()[1][0].startswith("dvc.lock lacks 1 of the stages that the last commit has: load@toy.")
    git("checkout", "dvc.lock")
    for name in ("dvc.lock", "data/raw/toy.csv.dvc"):
        whole = Path(name).read_bytes()
        Path(name).write_bytes(whole[:40])
        assert wrong()[1][0].startswith(f"{name} is not whole: ")
        fixed(wrong, capsys)
        assert Path(name).read_bytes() == whole
    config = Path(".dvc/config").read_text()
    Path(".dvc/config").write_text(config.replace("site_cache_dir", "# site_cache_dir"))
    assert wrong()[1][0].startswith(".dvc/config lacks what the last commit's has: core: site_cache_dir.")
    Path(".dvc/config").write_text("[core]\n  analytics = perhaps\n")
    fixed(wrong, capsys)
    assert Path(".dvc/config").read_text() == config


def test_nothing_is_wrong(toy, capsys):
    assert main(["doctor"]) == 0
    printed = capsys.readouterr().out
    assert "note   the environment is" in printed
    assert "to have them run: pre-commit install" in printed
    assert "Nothing is wrong. " in printed
    assert main(["doctor", "--leftovers", "--fix"]) == 0
    assert capsys.readouterr().out == ""


def test_outside_of_a_repository(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["doctor"]) == 4
    assert "there is no .dvc here. Run it from the repository's root." in capsys.readouterr().err


@pytest.mark.parametrize("path", RWLOCKS)
@pytest.mark.parametrize("content", ["", '{"write": {', "[]", '{"write": {"/a": {}}}'])
def test_an_unreadable_rwlock_file(toy, wrong, capsys, path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    code, (found,) = wrong()
    assert code == 1
    assert found.startswith(f"{path}, where DVC writes down who uses which file, is unreadable")
    fixed(wrong, capsys)
    assert not path.exists()
    assert [copy.read_text() for copy in Path(".dvc/tmp").glob("rwlock.*.broken")] == [content]


def test_an_rwlock_file_with_a_process_that_is_another_one_now(toy, wrong, capsys):
    entry = {"pid": os.getpid(), "cmd": "/somewhere/else/bin/dvc repro"}
    RWLOCKS[0].parent.mkdir(parents=True)
    RWLOCKS[0].write_text(json.dumps({"write": {"/a": entry}, "read": {}}))
    code, (found,) = wrong()
    assert (code, found) == (
        1,
        f".dvc/tmp/rwlock says that files are in use by process {os.getpid()}, which is no longer DVC.",
    )
    fixed(wrong, capsys)
    gone = {"pid": 2**22 - 1, "cmd": "dvc repro"}  # DVC sorts these out itself
    RWLOCKS[0].write_text(json.dumps({"write": {"/a": gone}, "read": {"/b": [gone]}}))
    assert wrong() == (0, [])


def test_half_written_files(toy, wrong, capsys):
    ours = toy / f"models/toy/.m_v1.joblib.{2**22 - 1}.01234567.tmp"
    dvcs = toy / ".dvc/cache/files/md5/ab/.abcdefghijklmnopqrstuv.tmp"
    alive, others = toy / f"metrics/.a.json.{os.getpid()}.01234567.tmp", toy / "data/notes.tmp"
    for path in (ours, dvcs, alive, others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("half")
    (found,) = wrong("--leftovers")[1]
    assert found.startswith("2 half-written files of killed runs, 0.0 MB: models/toy/.m_v1.joblib.4194303.01234567.tmp")
    fixed(wrong, capsys)
    assert [path.exists() for path in (ours, dvcs, alive, others)] == [False, False, True, True]


@pytest.mark.parametrize("name", ["dvc.lock", "dvc.yaml"])
def test_the_markers_of_a_merge_are_left_to_the_command_that_settles_it(toy, wrong, capsys, name):
    content = (toy / name).read_bytes()
    marked = b"<<<<<<< HEAD\n" + content + b"=======\n" + content + b">>>>>>> other\n"
    (toy / name).write_bytes(marked)
    assert wrong("--leftovers", "--fix") == (0, [])
    assert main(["doctor", "--fix"]) == 1
    printed = capsys.readouterr().out
    assert (
        f"WRONG  {name} has the conflict markers of a merge in it.\n       to settle it: python -m lockstep merge\n"
        in printed
    )
    assert printed.count("WRONG") == 1
    assert (toy / name).read_bytes() == marked


def test_a_cut_lock_that_no_commit_has_is_removed(toy, wrong, capsys):
    git("rm", "-q", "--cached", "dvc.lock")
    git("commit", "-q", "-m", "without")
    (toy / "dvc.lock").write_text("schema: '2.0'\nstages:\n  lo")
    assert "dvc.lock is not whole: " in wrong()[1][0]
    fixed(wrong, capsys)
    assert not (toy / "dvc.lock").exists()


def test_a_lock_that_lacks_stages(toy, wrong):
    lock = recorded.lock_of()
    del lock["stages"]["load@toy"]
    recorded.write(toy, "dvc.lock", lock)
    code, (found,) = wrong("--fix")
    assert code == 1
    assert found.startswith("dvc.lock lacks 1 of the stages that the last commit has: load@toy.")


@pytest.mark.parametrize("log", [True, False])
def test_a_detached_head_of_a_killed_experiment(toy, wrong, capsys, log):
    (toy / "code/load.py").write_text("# my edit\n")
    git("checkout", "-q", "--detach")
    git("update-ref", "refs/exps/exec/EXEC_BASELINE", "HEAD")
    git("update-ref", "refs/exps/exec/EXEC_APPLY", "HEAD")
    if not log:
        Path(".git/logs/HEAD").unlink()
    code, (found,) = wrong()
    assert code == 1
    assert "has left the repository on no branch (it was 'main')" in found
    fixed(wrong, capsys)
    assert git("branch", "--show-current") == "main\n"
    assert "EXEC_APPLY" in git("for-each-ref")
    assert (toy / "code/load.py").read_text() == "# my edit\n"


def test_a_detached_head_of_the_users_is_left_alone(toy, wrong):
    git("checkout", "-q", "--detach")
    assert wrong() == (0, [])


def test_a_lock_of_git(toy, wrong, capsys):
    Path(".git/index.lock").touch()
    assert wrong()[1] == [".git/index.lock is left of a killed git or DVC; git refuses to commit until it is gone."]
    fixed(wrong, capsys)


def test_a_remote_that_is_not_verified(toy, wrong, capsys):
    config = toy / ".dvc/config"
    config.write_text(config.read_text() + "['remote \"mine\"']\n    url = /somewhere\n")
    (toy / ".dvc/config.local").write_text("['remote \"own\"']\n    url = ssh://server/folder\n")
    user = toy.parent / "GLOBAL/config"
    user.parent.mkdir()
    user.write_text("['remote \"g\"']\n    url = /elsewhere\n")
    assert [found.split(" has ")[0] for found in wrong()[1]] == [
        f"The remote '{name}'" for name in ("g", "mine", "own")
    ]
    fixed(wrong, capsys)
    assert all("verify = true" in path.read_text() for path in (user, config, toy / ".dvc/config.local"))


def test_what_one_file_of_settings_leaves_to_another(toy, wrong):
    """The tunnel and the key of docs/remotes.md: the address in .dvc/config, another or a password in config.local."""
    config, local = toy / ".dvc/config", toy / ".dvc/config.local"
    config.write_text(config.read_text() + "['remote \"store\"']\n    url = ssh://far/x\n    verify = true\n")
    local.write_text("['remote \"store\"']\n    url = ssh://127.0.0.1:2222/x\n")
    assert wrong() == (0, [])
    local.write_text("['remote \"store\"']\n    password = x\n")
    local.chmod(0o600)
    assert wrong() == (0, [])


def test_settings_that_check_refuses_are_corrected(toy, wrong, capsys):
    local = toy / ".dvc/config.local"
    local.write_text("[core]\n    analytics = true\n['remote \"own\"']\n    url = ssh://x/y\n    verify = true\n"
                     "    password = x\n")  # fmt: skip
    local.chmod(0o644)
    assert wrong()[1] == [
        "DVC reports its use, since core.analytics is not false.",
        ".dvc/config.local holds a secret, and others may read it.",
    ]
    fixed(wrong, capsys)
    assert local.stat().st_mode & 0o777 == 0o600


def test_the_cache_is_where_any_of_dvcs_settings_say(toy):
    user = toy.parent / "GLOBAL/config"
    user.parent.mkdir()
    user.write_text("[cache]\n    dir = store\n")
    assert cache_folder() == toy.parent / "GLOBAL/store/files/md5"
    (toy / ".dvc/config.local").write_text("[cache]\n    dir = ../own\n")
    assert cache_folder().resolve() == toy / "own/files/md5"


LINKED = ['"hardlink,copy"', "reflink, hardlink", '"reflink, hardlink"']


@pytest.mark.parametrize("kinds", widened(LINKED, ("reflink, hardlink",)))
def test_a_linked_cache(toy, wrong, capsys, kinds):
    config = toy / ".dvc/config"
    config.write_text(config.read_text() + f"[cache]\n    type = {kinds}\n")
    assert ".dvc/config has cache.type hardlink" in wrong()[1][0]
    fixed(wrong, capsys)
    assert "reflink,copy" in config.read_text()


def test_a_lock_file_by_hard_links_is_said(toy, wrong):
    config = toy / ".dvc/config"
    config.write_text(config.read_text().replace("[core]\n", "[core]\n    hardlink_lock = true\n"))
    assert "core.hardlink_lock is set" in wrong("--fix")[1][0]


def test_an_invalid_configuration(toy, wrong, capsys):
    committed = (toy / ".dvc/config").read_text()
    (toy / ".dvc/config").write_text(committed.replace("analytics = false", "analytics = perhaps"))
    (found,) = wrong()[1]
    assert found.startswith(".dvc/config is not valid: ")
    assert "expected true or false" in found
    fixed(wrong, capsys)
    assert (toy / ".dvc/config").read_text() == committed


def test_a_writable_file_in_the_cache(toy, wrong):
    path = recorded.object_of(toy, recorded.CONTENT["models/toy/m_v1.joblib"])
    path.chmod(0o644)
    code, (found,) = wrong("--fix")
    assert code == 1
    assert "DVC's cache has 1 writable file, which may have been changed" in found
    assert "(models/toy/m_v1.joblib)" in found


def test_the_machine(toy, wrong, monkeypatch):
    monkeypatch.setattr(health, "FREE_BYTES", 10**18)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    found = wrong()[1]
    assert "MB of free space left" in found[0]
    assert any(line.startswith("'dvc' is ") for line in found)


def test_what_cannot_be_fixed_is_said(toy, wrong, capsys, monkeypatch):
    Path(".git/index.lock").touch()

    def refuse(paths):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(health, "_remove", refuse)
    assert main(["doctor", "--fix"]) == 1
    printed = capsys.readouterr()
    assert "ERROR could not remove it: [Errno 13] Permission denied" in printed.err
    assert "Fixed: 0 of 1." in printed.out


def test_a_table_that_nothing_tracks(toy, wrong, capsys):
    """DVC runs with it as with any; who clones the next commit cannot get it."""
    git("rm", "-q", "--cached", "data/raw/toy.csv")
    Path("data/raw/toy.csv.dvc").unlink()
    code, found = wrong()
    assert code == 1
    assert "data/raw/toy.csv is tracked by neither DVC nor git, since its .dvc file is gone: " in "\n".join(found)
    fixed(wrong, capsys)
    assert Path("data/raw/toy.csv.dvc").exists()
