"""predict and serve by a stage of the registry: the model of the tagged commit, whatever the workspace has by now."""

import hashlib
import shutil
import subprocess

from lockstep.__main__ import main
from lockstep.commands import given_model
from lockstep.deployment.registry.tags import NewTag, make_tags
from lockstep.deployment.serving.identity import open_model
from lockstep.deployment.serving.service import plain_model
from lockstep.learning.model_file import sidecar_of

import pandas as pd
import pytest
from recorded import dump
from small import problem_with_model

ROWS = "number,text,flag\n0.5,low,True\n1.5,new,False\n"


def git(folder, *command):
    done = subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A repository whose first commit has a model that is in prod, and whose workspace has another, with another
    contract; a remote has the first one."""
    folder = tmp_path_factory.mktemp("staged") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as monkeypatch:
        model = problem_with_model(folder, monkeypatch, "classification")
    outs = []
    for path in (model, sidecar_of(model)):
        data = path.read_bytes()
        md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
        outs.append({"path": path.relative_to(folder).as_posix(), "hash": "md5", "md5": md5, "size": len(data)})
        kept = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(data)
    remote = folder.parent / "remote"
    shutil.copytree(folder / ".dvc/cache/files", remote / "files")
    core = f"[core]\n    remote = r\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n"
    (folder / ".dvc/config").write_text(f"{core}['remote \"r\"']\n    url = {remote}\n")
    (folder / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n/models\n/data/split\n/logs\n/new.csv\n/out.csv\n")
    paths = [out["path"] for out in outs]
    stages = {"train": {"foreach": ["p"], "do": {"cmd": "train", "outs": paths}}}
    (folder / "dvc.yaml").write_bytes(dump({"stages": stages}))
    (folder / "dvc.lock").write_bytes(dump({"schema": "2.0", "stages": {"train@p": {"cmd": "train", "outs": outs}}}))
    git(folder, "init", "-q", "-b", "main")
    git(folder, "config", "user.email", "test@example.org")
    git(folder, "config", "user.name", "Test")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "x")
    commit = git(folder, "rev-parse", "HEAD")
    make_tags([NewTag("p@v1.2.0", commit, 1, "v1.2.0"), NewTag("p#prod#1", commit, 2, "prod")], folder)
    contract = folder / "data/contracts/p.yaml"
    contract.write_text(contract.read_text().replace("- name: text", "- name: texts"))
    model.write_bytes(b"another")
    (folder / "new.csv").write_text(ROWS)
    return folder


@pytest.fixture
def folder(made, tmp_path, monkeypatch):
    copy = shutil.copytree(made, tmp_path / "repository")
    monkeypatch.chdir(copy)
    return copy


def test_it_predicts_by_the_bytes_and_the_contract_of_the_tagged_commit(folder, caplog):
    assert main(["predict", "p", "new.csv"]) != 0  # the workspace's model is another
    assert main(["predict", "p#prod", "new.csv", "-o", "out.csv"]) == 0
    assert len(pd.read_csv("out.csv")) == 2
    assert "column 'text': not in the list of categories: 'new', in line 3" in caplog.text
    commit = git(folder, "rev-parse", "HEAD")
    with given_model("p#prod", None) as given:
        scorer, identity = open_model(given.path, given.problem, None, given.staged)
        place = given.path
    said = plain_model(identity, scorer)
    assert not place.exists()
    assert (said["problem"], said["version"], said["stage"], said["commit"]) == ("p", "v1.2.0", "prod", commit)
    assert said["file"].startswith("models/p/")
    assert said["md5"] in (folder / "dvc.lock").read_text()


def test_serve_says_what_it_serves(folder, monkeypatch, capsys):
    pytest.importorskip("fastapi")
    served = []
    monkeypatch.setattr("uvicorn.Server.run", lambda self, sockets: served.append(self.config.app))
    assert main(["serve", "p#prod", "--port", "0"]) == 0
    assert capsys.readouterr().out.startswith("p v1.2.0, in prod: models/p/")
    names = dict(served[0]._service.headers)
    assert (names[b"lockstep-version"], names[b"lockstep-stage"]) == (b"v1.2.0", b"prod")


def test_what_the_cache_lacks_comes_from_the_remote_and_what_is_nowhere_is_named(folder, capsys):
    shutil.rmtree(".dvc/cache")
    assert main(["predict", "p#prod", "new.csv"]) == 0
    shutil.rmtree(".dvc/cache")
    (folder / ".dvc/config.local").write_text(f"['remote \"r\"']\n    url = {folder.parent / 'gone'}\n")
    capsys.readouterr()
    assert main(["predict", "p#prod", "new.csv"]) == 3
    said = capsys.readouterr().err
    assert "p v1.2.0 (" in said
    assert "is neither in DVC's cache, with the recorded bytes, nor on the remote" in said
    assert "python -m lockstep remote push" in said


@pytest.mark.parametrize(
    ("model", "flags", "message"),
    [
        ("p#prd", [], "nothing is in 'prd' of p. Stages with a model: prod. Did you mean 'prod'?"),
        ("q#prod", [], "no model of 'q' is in any stage."),
        ("p#", [], "cannot be the name of a stage"),
        ("p#prod", ["--problem", "p"], "p#prod names its problem: leave --problem out."),
    ],
)
def test_a_stage_that_has_no_model(folder, capsys, model, flags, message):
    assert main(["predict", model, "new.csv", *flags]) == 2
    assert message in capsys.readouterr().err


def test_settings_that_are_wrong_in_the_commit_are_said_to_be_its(folder, capsys):
    (folder / "params.yaml").write_bytes(dump({"problems": {"p": {"load": {"path": 3}}}}))
    git(folder, "commit", "-q", "-am", "y")
    make_tags([NewTag("p#prod#2", git(folder, "rev-parse", "HEAD"), 3, "prod")], folder)
    assert main(["predict", "p#prod", "new.csv"]) == 2
    said = capsys.readouterr().err
    assert "params.yaml" in said
    assert "/lockstep-" not in said
