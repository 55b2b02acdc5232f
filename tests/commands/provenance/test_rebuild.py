"""python -m lockstep rebuild: a commit, from its raw data alone, in a small repository of plain scripts."""

import json
import os
import re
import subprocess
from pathlib import Path

from lockstep.__main__ import main
from lockstep.commands.provenance.rebuild import table
from lockstep.kernel.errors import SettingsError
from lockstep.kernel.lock_file import LockedFile, LockedStage
from lockstep.provenance import rebuilding
from lockstep.provenance.file_differences import differences_inside
from lockstep.provenance.rebuilding import RebuiltStage, compare_outputs
from lockstep.saving.joblib_file import save_model

import pytest
import recorded
from servers import hanging
from workspace import ROOT, environment

LOAD = "import pathlib; pathlib.Path('data/loaded.txt').write_text(pathlib.Path('data/raw/toy.csv').read_text())\n"
# The machine that it runs on shows in its result, as of a model that is not reproducible.
TRAIN = """\
import json, os, sys
sys.path.insert(0, os.environ["LOCKSTEP_ROOT"])
from pathlib import Path
import lockstep
from lockstep.saving.joblib_file import save_model
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
model = make_pipeline(Ridge(alpha=2.0)).fit([[0.0], [1.0]], [0.0, float(os.environ["TOY_SLOPE"])])
Path("models").mkdir(exist_ok=True)
save_model(model, Path("models/toy.joblib"))
Path("metrics").mkdir(exist_ok=True)
Path("metrics/toy.json").write_text(json.dumps({"alpha": 2.0}))
"""
DVC_YAML = {
    "stages": {
        "load": {
            "cmd": "python code/load.py",
            "deps": ["code/load.py", "data/raw/toy.csv"],
            "outs": ["data/loaded.txt"],
        },
        "train": {
            "cmd": "python code/train.py",
            "deps": ["code/train.py", "data/loaded.txt"],
            "params": ["seed"],
            "outs": ["models/toy.joblib"],
            "metrics": [{"metrics/toy.json": {"cache": False}}],
        },
    }
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The repository, run and committed."""
    folder = tmp_path_factory.mktemp("rebuild") / "repository"
    for name, text in {
        "code/load.py": LOAD, "code/train.py": TRAIN, "data/raw/toy.csv": "a\n1\n", ".dvcignore": "",
        "params.yaml": "seed: 1\nproblems: {}\n", ".gitignore": "/data/loaded.txt\n/models/\n/data/raw/toy.csv\n",
        ".dvc/config": "[core]\n    analytics = false\n", ".dvc/.gitignore": "/tmp\n/cache\n/config.local\n",
    }.items():  # fmt: skip
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    (folder / "models").mkdir()
    raw = recorded.locked("toy.csv", "a\n1\n")
    (folder / "data/raw/toy.csv.dvc").write_bytes(recorded.dump({"outs": [raw]}))
    recorded.write(folder, "dvc.yaml", DVC_YAML)
    (folder / ".dvc/config.local").write_text(f"[core]\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n")
    variables = environment() | {"TOY_SLOPE": "1", "LOCKSTEP_ROOT": str(ROOT)}
    for command in (
        ["git", "init", "-q", "-b", "main"],
        ["git", "config", "user.email", "t@example.org"],
        ["git", "config", "user.name", "t"],
        ["dvc", "repro", "-q"],
        ["git", "add", "-A"],
        ["git", "commit", "-q", "-m", "built"],
    ):
        subprocess.run(command, cwd=folder, env=variables, check=True)
    return folder


@pytest.fixture
def repository(built, monkeypatch):
    """The same; whatever a test changes in what git tracks is undone after it."""
    monkeypatch.chdir(built)
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TOY_SLOPE", "1")
    monkeypatch.setenv("LOCKSTEP_ROOT", str(ROOT))
    yield built
    subprocess.run(["git", "checkout", "-q", "--", "."], cwd=built, check=True)


def test_what_is_reproduced_is_recorded(repository, tmp_path, capsys):
    output = tmp_path / "rebuild.json"
    before = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout
    assert main(["rebuild", "--output", str(output)]) == 0
    shown = capsys.readouterr().out.splitlines()
    assert [line.split()[:3] for line in shown[:3]] == [
        ["stage", "outputs", "same"],
        ["load", "1", "1"],
        ["train", "2", "2"],
    ]
    assert shown[3].startswith("Reproduced: every output of HEAD (")
    assert subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True).stdout == before
    content = json.loads(output.read_text())
    assert list(content["outputs"]) == ["data/loaded.txt", "metrics/toy.json", "models/toy.joblib"]
    assert list(content["inputs"]) == ["data/raw/toy.csv", "dvc.yaml", "params.yaml"]
    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    assert content["commit"] == head
    assert set(content["seconds"]) == {"load", "train"}
    assert main(["verify", "--record", str(output)]) == 0


def test_changes_that_are_not_committed_below_a_larger_repository(tmp_path, monkeypatch):
    """Those of this folder, by their paths from it; what is changed beside it decides nothing here."""
    folder = recorded.make(tmp_path / "large/ml", top=tmp_path / "large")
    (tmp_path / "large/notes.md").write_text("x\n")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["add", "-A"], [*who, "commit", "-q", "-m", "base"]):
        subprocess.run(["git", "-C", folder.parent, *command], check=True)
    (tmp_path / "large/notes.md").write_text("y\n")
    monkeypatch.chdir(folder)
    rebuilding._check_committed(Path())
    (folder / "dvc.lock").write_text("x\n")
    with pytest.raises(
        SettingsError, match=r"Not committed: dvc.lock\. .*\('git add dvc.lock metrics && git commit'\)"
    ):
        rebuilding._check_committed(Path())


def test_another_model_is_told_with_what_differs_inside(repository, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("TOY_SLOPE", "1.5")
    output = tmp_path / "rebuild.json"
    assert main(["rebuild", "HEAD", "--output", str(output)]) == 1
    shown = capsys.readouterr().out
    assert "First difference: train: models/toy.joblib has " in shown
    assert re.search(r"  step 'ridge': Ridge with hash \w{7} → Ridge with hash \w{7}\n", shown)
    assert "Not reproduced: 1 of 2 stages of HEAD (" in shown
    assert not output.exists()


def test_a_stage_that_fails_is_named(repository, capsys, monkeypatch):
    monkeypatch.setenv("TOY_SLOPE", "steep")
    assert main(["rebuild", "main"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("ERROR rebuild: main (")
    assert "cannot be rebuilt: train failed. ValueError: could not convert string to float: 'steep'" in error


def test_what_is_not_committed(repository, capsys):
    (repository / "params.yaml").write_text("seed: 2\nproblems: {}\n")
    assert main(["rebuild"]) == 2
    error = capsys.readouterr().err
    assert (
        "ERROR rebuild: Not committed: params.yaml. A rebuild is of a commit: commit first ('git commit -a')" in error
    )
    subprocess.run(["git", "checkout", "-q", "params.yaml"], check=True)
    (repository / "dvc.lock").write_text((repository / "dvc.lock").read_text() + "\n")
    assert main(["rebuild"]) == 2
    assert "commit first ('git add dvc.lock metrics && git commit')" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("revision", "message"),
    [("nowhere", "There is no revision 'nowhere'"), ("workspace", "A rebuild is of a commit, not of 'workspace'")],
)
def test_no_such_revision(repository, capsys, revision, message):
    assert main(["rebuild", revision]) == 2
    assert f"ERROR rebuild: {message}" in capsys.readouterr().err


def test_a_commit_without_a_lock(repository, capsys):
    tree = subprocess.run(
        "git rm -q --cached dvc.lock && git write-tree && git reset -q",
        shell=True,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()  # fmt: skip
    commit = subprocess.run(
        ["git", "commit-tree", "-m", "no lock", tree], capture_output=True, text=True, check=True
    ).stdout.strip()
    assert main(["rebuild", commit]) == 2
    assert "has no dvc.lock, so there is nothing to compare with" in capsys.readouterr().err


def test_raw_data_that_are_nowhere(repository, capsys):
    path = repository / "data/raw/toy.csv"
    md5 = recorded.locked("", "a\n1\n")["md5"]
    (repository / ".dvc/cache/files/md5" / md5[:2] / md5[2:]).unlink()
    path.write_text("a\n2\n")
    try:
        assert main(["rebuild", "HEAD"]) == 2
        assert "are neither in DVC's cache, nor here, nor in a remote: data/raw/toy.csv" in capsys.readouterr().err
    finally:
        path.write_text("a\n1\n")


@pytest.fixture
def remote(repository):
    """A function that makes an address the default remote of HEAD; the raw table is neither here nor in the cache."""
    table = repository / "data/raw/toy.csv"
    recorded.object_of(repository, "a\n1\n").unlink(missing_ok=True)
    table.unlink()

    def make(url):
        config = repository / ".dvc/config"
        config.write_text(f"{config.read_text()}    remote = store\n['remote \"store\"']\n    url = {url}\n")
        subprocess.run(["git", "commit", "-q", "-a", "-m", "remote"], check=True)

    yield make
    subprocess.run(["git", "reset", "-q", "--hard", "HEAD~1"], check=True)
    table.write_text("a\n1\n")


@pytest.mark.exhaustive
def test_raw_data_that_a_remote_has(remote, tmp_path):
    remote(tmp_path)
    md5 = recorded.locked("", "a\n1\n")["md5"]
    (tmp_path / "files/md5" / md5[:2]).mkdir(parents=True)
    (tmp_path / "files/md5" / md5[:2] / md5[2:]).write_text("a\n1\n")
    assert main(["rebuild", "--output", str(tmp_path / "rebuild.json")]) == 0


@pytest.mark.exhaustive
def test_a_remote_that_hangs_is_waited_for_no_longer_than_the_limit(remote, capsys, monkeypatch):
    monkeypatch.setattr(rebuilding, "TIME_LIMIT", 4.0)
    with hanging() as (port, _):
        remote(f"http://127.0.0.1:{port}")
        assert main(["rebuild"]) == 4
    assert "'dvc pull' did not end within 4 seconds and was ended" in capsys.readouterr().err


def test_other_versions_than_the_commit_records(tmp_path, repository):
    from lockstep.commands.provenance.versions import write_versions
    from lockstep.kernel.environment import read_versions
    from lockstep.kernel.errors import MachineError
    from lockstep.repository.revisions import Revision

    write_versions(read_versions() | {"scipy": "1.0"}, tmp_path / "versions.toml")
    with pytest.raises(MachineError, match=r"was made with scipy 1\.0 \(here .*'git worktree add"):
        rebuilding._check_versions(tmp_path, Revision("v1", "a" * 40, {}, {}))


def stage(name, **outs):
    return LockedStage(name, "run", (), {}, tuple(LockedFile(path, md5, 1) for path, md5 in outs.items()))


def test_the_comparison():
    then = {"a": stage("a", x="1", y="2"), "b": stage("b", z="3"), "removed": stage("removed", w="4")}
    now = {"a": stage("a", x="1", y="9"), "b": stage("b", z="3", new="5")}
    rows = compare_outputs(then, now, {"a": 1.5})
    assert [(row.name, row.outputs, len(row.wrong), row.seconds) for row in rows] == [
        ("a", 2, 1, 1.5),
        ("b", 2, 1, 0.0),
    ]
    assert rows[0].wrong == [(LockedFile("y", "2", 1), LockedFile("y", "9", 1))]
    assert rows[1].wrong == [(None, LockedFile("new", "5", 1))]
    assert rebuilding._explain(None, None, None, rows[1]) == ["First difference: b: new is not in dvc.lock"]
    lost = compare_outputs({"a": stage("a", x="1", y="2")}, {"a": stage("a", x="1")}, {})
    assert rebuilding._explain(None, None, None, lost[0]) == ["First difference: a: y was not written"]
    assert table([RebuiltStage("train@iris", 3, [], 1.25)])[1].split() == ["train@iris", "3", "3", "1.2"]


def test_inside_files_that_are_no_models(tmp_path):
    import pandas as pd

    def pair(suffix, one, other, write=lambda path, content: path.write_text(content)):
        paths = [tmp_path / f"{name}{suffix}" for name in ("before", "after")]
        for path, content in zip(paths, (one, other), strict=True):
            write(path, content)
        return list(differences_inside(*paths))

    assert pair(".json", '{"accuracy": 0.9, "n": {"a": 1}}', '{"accuracy": 0.8, "n": {}}') == [
        "key 'accuracy': 0.9 → 0.8",
        "key 'n': {\"a\": 1} → {}",
    ]
    assert pair(".csv", "a\n1\n3\n", "a\n2\n") == ["line 2: 1 → 2", "line 3: 3 → none"]
    frames = [pd.DataFrame({"x": [1, 2, 3], "y": [1, 2, last]}) for last in (3, 4)]

    def write(path, frame):
        frame.to_parquet(path)

    (line,) = pair(".parquet", *frames, write)
    assert line.startswith("column 'y': Series with hash ")
    assert len(pair(".parquet", frames[0], frames[0][:2], write)) == 2
    assert pair(".joblib", {"a": 1}, {"a": 1}, lambda path, content: save_model(content, path)) == [
        "no step differs, only how the file was written (the order of attributes, the compression)"
    ]
