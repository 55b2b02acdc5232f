"""Which modules of a folder of code changed: from git, since dvc.lock has one hash for the folder."""

import subprocess
from pathlib import Path

from lockstep.__main__ import main
from lockstep.kernel.lock_file import LockedFile, read_lock
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.changes import stage_changes
from lockstep.repository.dvc import Repository
from lockstep.repository.hashes import folder_md5

import pytest
import recorded

FOLDER = "code/kernel"


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The hand-made repository with a folder of code on which load depends, run and committed."""
    folder = recorded.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    (folder / FOLDER).mkdir()
    for name in ("files", "locks", "old"):
        (folder / FOLDER / f"{name}.py").write_text(f"# {name}\n")
    (folder / ".dvcignore").write_text("/code/**\n!/code/**/\n!/code/**/*.py\n")
    (folder / FOLDER / "notes.txt").write_text("left out by .dvcignore\n")
    stages = recorded.STAGES | {"load": recorded.STAGES["load"] | {"deps": ["${item.load.path}", FOLDER]}}
    recorded.write(
        folder, "dvc.yaml", {"stages": {n: {"foreach": "${problems}", "do": do} for n, do in stages.items()}}
    )
    record()
    commit()
    return folder


def now():
    with Repository() as repo:
        (file,) = [file for file in repo.current_stages()["load@toy"].deps if file.path == FOLDER]
    return file


def record():
    """Write into dvc.lock what the folder is now, as a run does."""
    lock, found = recorded.lock_of(), now()
    entry = {"path": found.path, "hash": "md5", "md5": found.md5, "size": found.size, "nfiles": 3}
    lock["stages"]["load@toy"]["deps"] = [entry, recorded.locked("data/raw/toy.csv", "a,b\n1,2\n")]
    recorded.write(Path(), "dvc.lock", lock)


def commit():
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    for command in (["add", "-A"], [*who, "commit", "-q", "-m", "c"]):
        subprocess.run(["git", *command], check=True)


def explained(capsys):
    assert main(["explain"]) == 0
    return capsys.readouterr().out.splitlines()[1]


def change(folder):
    """A changed module, a new one that git does not track yet, and one that is gone."""
    (folder / FOLDER / "locks.py").write_text("# other\n")
    (folder / FOLDER / "new.py").write_text("# new\n")
    (folder / FOLDER / "old.py").unlink()


@pytest.fixture(autouse=True)
def lockstep_s_folder_of_code(monkeypatch):
    """dvc.lock may record folders of code only: here they are below code/."""
    monkeypatch.setattr("lockstep.kernel.lock_file.CODE_FOLDERS", {"code"})


def test_the_modules_are_named(toy, capsys):
    change(toy)
    assert explained(capsys) == f"  load@toy: {FOLDER} changed (locks.py, new.py, old.py)"
    assert main(["verify"]) == 1
    assert f"outdated  load@toy: {FOLDER} changed (locks.py, new.py, old.py)" in capsys.readouterr().out


def test_also_when_the_change_is_committed_and_the_lock_is_not(toy, capsys):
    change(toy)
    commit()
    assert explained(capsys).endswith("(locks.py, new.py, old.py)")


def test_also_between_two_commits_whatever_is_in_the_workspace(toy):
    before = now()
    change(toy)
    after = now()
    record()
    commit()
    (toy / FOLDER / "files.py").write_text("# yet another\n")
    record()
    commit()
    with Repository() as repo:
        assert CodeHistory(repo).changed_modules(before, after) == ["locks.py", "new.py", "old.py"]
        assert CodeHistory(repo).changed_modules(after, now()) == ["files.py"]


def test_code_that_ran_uncommitted_is_not_guessed_at(toy, capsys):
    (toy / FOLDER / "files.py").write_text("# a try\n")
    record()  # run with it
    (toy / FOLDER / "files.py").write_text("# another try\n")
    assert explained(capsys) == (f"  load@toy: {FOLDER} changed (no commit has what it was, to tell which modules)")


def test_whoever_does_not_ask_is_told_the_folder(toy):
    stage = read_lock()["load@toy"]
    other = stage._replace(deps=tuple(file._replace(md5="0" * 32 + ".dir") for file in stage.deps[:1]))
    assert str(stage_changes(stage, other)[0]) == f"{FOLDER} changed"


def test_the_hash_is_dvcs(toy):
    from dvc.repo import Repo

    with Repo() as repo:
        (dep,) = [dep for stage in repo.index.stages for dep in stage.deps if str(dep) == FOLDER]
        dep.save()
        assert dep.hash_info.value == now().md5
    files = [toy / FOLDER / f"{name}.py" for name in ("files", "locks", "old")]
    assert LockedFile(FOLDER, folder_md5(toy / FOLDER, files), now().size) == now()
