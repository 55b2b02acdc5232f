"""Hashes of folders of code: DVC's own, and of what .dvcignore lets in alone."""

import shutil
import subprocess

from lockstep.kernel.lock_file import LockedFile
from lockstep.repository.dvc import Repository
from lockstep.repository.hashes import present

import pytest
import yaml
from workspace import ROOT, environment

FOLDERS = ["lockstep/kernel", "lockstep/steps/reporting"]


@pytest.fixture
def folder(tmp_path):
    """A repository with this one's .dvcignore and two of its folders of code, on which a stage depends."""
    for name in FOLDERS:
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / ".dvcignore", tmp_path / ".dvcignore")
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"s": {"cmd": "echo > out", "deps": FOLDERS}}}))
    for command in (["git", "init", "-q"], ["dvc", "init", "-q", "--subdir"], ["dvc", "repro", "-q"]):
        subprocess.run(command, cwd=tmp_path, env=environment(), check=True, capture_output=True)
    return tmp_path


def hashed(folder):
    """{folder of code: its hash as it is now}."""
    with Repository(folder) as repo:
        return {name: present(name, folder, None, repo.files_in).md5 for name in FOLDERS}


def recorded(folder):
    deps = yaml.safe_load((folder / "dvc.lock").read_text())["stages"]["s"]["deps"]
    return {dep["path"]: dep["md5"] for dep in deps}


def test_a_folders_hash_is_dvcs(folder):
    assert hashed(folder) == recorded(folder)
    assert all(md5.endswith(".dir") for md5 in hashed(folder).values())


def test_what_an_editor_or_python_leaves_there_changes_nothing_and_a_module_does(folder):
    for name in (
        "a.py~",
        ".#log.py",
        "log.py.orig",
        "notes.txt",
        "__pycache__/log.cpython-311.pyc",
        ".log.py.swp",
        "../steps/reporting/templates/card.md~",
    ):
        (folder / "lockstep/kernel" / name).parent.mkdir(exist_ok=True)
        (folder / "lockstep/kernel" / name).write_text("left behind")
    status = ["dvc", "status", "--json"]
    done = subprocess.run(status, cwd=folder, env=environment(), check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "{}"
    assert hashed(folder) == recorded(folder)
    (folder / "lockstep/kernel/new.py").write_text("")
    (folder / "lockstep/steps/reporting/templates/style.css").write_text("p { margin: 0 }")
    assert not set(hashed(folder).values()) & set(recorded(folder).values())


def test_a_folder_is_no_file_for_who_expects_files(tmp_path):
    assert present(".", tmp_path) == LockedFile(".", None, None)
