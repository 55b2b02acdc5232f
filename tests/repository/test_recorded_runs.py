"""What commits record, made known to DVC's run cache: DVC then restores it without the dvc.lock that said so."""

import shutil
import subprocess
from pathlib import Path

from lockstep.repository import recorded_runs
from lockstep.repository.dvc import damaged_runs
from lockstep.repository.dvc_process import run_dvc
from lockstep.repository.recorded_runs import remember_runs

import pytest
import recorded
from small import widened

METRICS = "metrics/toy.json"  # which git has, and DVC's cache has not


def commit(folder):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "add", "-A", "."], cwd=folder, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "x"], cwd=folder, check=True)


@pytest.fixture(params=widened(["the root", "below a larger repository"], ["the root"]))
def toy(tmp_path, monkeypatch, request):
    """The repository that is made by hand, committed; its commands would fail."""
    folder = recorded.make(tmp_path / "toy")
    (folder / ".gitignore").write_text("/.dvc/cache\n/.dvc/tmp\n/data/loaded/\n/data/raw/toy.csv\n/models/\n")
    if request.param != "the root":
        shutil.rmtree(folder / ".git")
        subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    commit(folder)
    monkeypatch.chdir(folder)
    return folder


def forget():
    """Remove what was made, and that it was."""
    Path("dvc.lock").unlink()
    for path in (METRICS, "models/toy/m_v1.joblib", "data/loaded/toy.parquet"):
        Path(path).unlink()


def test_what_a_commit_records_is_restored_without_a_run(toy):
    forget()
    assert run_dvc(["repro"]).code != 0  # there is nothing to restore it from
    remember_runs()
    assert damaged_runs(toy / ".dvc/cache/files/md5") == []
    done = run_dvc(["repro"])
    assert [line for line in done.lines if "is cached - skipping run" in line], done.lines
    assert done.code == 0
    assert {path: Path(path).read_text() for path in recorded.CONTENT} == recorded.CONTENT
    object_ = recorded.object_of(toy, recorded.CONTENT[METRICS])
    assert object_.stat().st_mode & 0o222 == 0  # else DVC would hash it again, and doctor would suspect it


def test_a_run_of_an_older_commit_is_known_as_well(toy):
    recorded.write(toy, "dvc.lock", {"schema": "2.0", "stages": {}})
    commit(toy)
    Path("dvc.lock").write_text("<<<<<<< HEAD\n")
    commit(toy)
    remember_runs()
    forget()
    assert run_dvc(["repro"]).code == 0


def test_metrics_that_git_has_with_other_bytes_are_not_taken_for_those_that_were_recorded(toy):
    Path(METRICS).write_text('{"edited": 1}\n')
    recorded.write(toy, "dvc.lock", recorded.lock_of() | {"meta": {}})
    subprocess.run(["git", "checkout", "-q", "--orphan", "other"], check=True)
    commit(toy)
    remember_runs()
    assert not recorded.object_of(toy, recorded.CONTENT[METRICS]).exists()
    forget()
    done = run_dvc(["repro"])
    assert done.code != 0
    assert [line for line in done.lines if line.startswith("Running stage")] == ["Running stage 'train@toy':"]


def test_runs_are_named_as_dvc_names_them():
    from dvc.stage.cache import _get_cache_hash

    entry = {
        "cmd": "a",
        "params": {"params.yaml": {"problems.toy.train": {"size": 3, "rate": 1e-05, "text": "größer"}}},
    }
    entry["outs"] = [{"path": "b", "hash": "md5", "md5": "c", "size": 1}]
    assert recorded_runs._hash(entry) == _get_cache_hash(entry)


def test_settings_are_read_again_as_they_are(toy):
    """Entries are written as JSON, and DVC reads them as YAML."""
    values = {"rate": 1e-05, "big": 1e22, "texts": ["no", "1e3", "größer 🌱", "a: b", "", "two\nlines"], "none": None}
    for number, own in enumerate((values, {"endless": float("inf")})):
        params = {"problems": {"toy": recorded.TOY | {"train": {"seed": number, "hyperparameters": own}}}}
        recorded.write(toy, "dvc.lock", recorded.lock_of(params=params))
        commit(toy)
    remember_runs()
    assert damaged_runs(toy / ".dvc/cache/files/md5") == []


def test_a_commit_is_looked_at_once(toy, monkeypatch):
    remember_runs()
    monkeypatch.setattr(recorded_runs, "parse_lock", None)
    remember_runs()
    shutil.rmtree(".dvc/cache/runs")
    with pytest.raises(TypeError):
        remember_runs()


def test_a_folder_without_dvc_has_no_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    remember_runs()
    assert not list(tmp_path.iterdir())
