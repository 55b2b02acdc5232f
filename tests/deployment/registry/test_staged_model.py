"""Commands by a stage of the registry: the model of the tagged commit, whatever the workspace has by now."""

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

from lockstep.__main__ import main
from lockstep.commands import given_model
from lockstep.deployment.registry.tags import NewTag, make_tags
from lockstep.deployment.serving.identity import open_model
from lockstep.deployment.serving.service import plain_model
from lockstep.learning.model_file import sidecar_of

import pandas as pd
import pytest
import yaml
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
    made_by = {"train": [model, sidecar_of(model)]}
    made_by["split"] = [folder / f"data/split/p/{part}.parquet" for part in ("train", "test")]
    made_by["evaluate"] = [folder / "data/predictions/p.parquet"]
    for path in (*made_by["split"], *made_by["evaluate"]):
        path.parent.mkdir(parents=True, exist_ok=True)
    for path in made_by["split"]:
        (folder / path.name).rename(path)
    (folder / "predictions.parquet").rename(*made_by["evaluate"])
    locked = {}
    for stage, paths in made_by.items():
        outs = []
        for path in paths:
            data = path.read_bytes()
            md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
            outs.append({"path": path.relative_to(folder).as_posix(), "hash": "md5", "md5": md5, "size": len(data)})
            kept = folder / ".dvc/cache/files/md5" / md5[:2] / md5[2:]
            kept.parent.mkdir(parents=True, exist_ok=True)
            kept.write_bytes(data)
        locked[f"{stage}@p"] = {"cmd": stage, "outs": outs}
    remote = folder.parent / "remote"
    shutil.copytree(folder / ".dvc/cache/files", remote / "files")
    core = f"[core]\n    remote = r\n    site_cache_dir = {folder / '.dvc/tmp/site'}\n"
    (folder / ".dvc/config").write_text(f"{core}['remote \"r\"']\n    url = {remote}\n")
    ignored = ".dvc/tmp .dvc/cache models data/split data/predictions logs new.csv out.csv"
    (folder / ".gitignore").write_text("".join(f"/{path}\n" for path in ignored.split()))
    stages = {
        stage: {"foreach": ["p"], "do": {"cmd": stage, "outs": [out["path"] for out in locked[f"{stage}@p"]["outs"]]}}
        for stage in made_by
    }
    (folder / "dvc.yaml").write_bytes(dump({"stages": stages}))
    (folder / "dvc.lock").write_bytes(dump({"schema": "2.0", "stages": locked}))
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
    for path in (*made_by["split"], *made_by["evaluate"]):
        path.unlink()
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


def test_it_watches_by_the_rows_of_the_tagged_commit(folder, capsys):
    assert main(["watch", "p", "data.csv", "--actual", "y"]) != 0  # the workspace's model is another
    capsys.readouterr()
    assert main(["watch", "p#prod", "data.csv", "--actual", "y", "--date", "2024-01-31"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("p v1.2.0, in prod: no detectable shift")
    assert "Recorded: data.csv of 2024-01-31, in metrics/p_watch.csv." in said
    assert (folder / "metrics/p_watch.csv").exists()
    assert not (folder / "data/split/p/train.parquet").exists()
    assert main(["watch", "p#prod", "data.csv", "--params", "other.yaml"]) == 2
    assert "p#prod is taken with the settings of its commit: leave --params out." in capsys.readouterr().err


def test_what_it_was_evaluated_by_is_fetched_and_must_be_somewhere(folder, capsys):
    shutil.rmtree(".dvc/cache")
    assert main(["watch", "p#prod", "data.csv"]) == 0
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    (folder / "dvc.lock").write_bytes(dump({**lock, "stages": {"train@p": lock["stages"]["train@p"]}}))
    git(folder, "commit", "-q", "-am", "y")
    make_tags([NewTag("p#prod#2", git(folder, "rev-parse", "HEAD"), 3, "prod")], folder)
    capsys.readouterr()
    assert main(["watch", "p#prod", "data.csv"]) == 2
    assert "which is in 'prod', was never evaluated: its dvc.lock records no test." in capsys.readouterr().err


def test_it_exports_the_bytes_of_the_tagged_commit(folder, capsys):
    assert main(["export", "p#prod", "--format", "skops"]) == 0
    assert capsys.readouterr().out.startswith("p v1.2.0, in prod: models/p/prod.skops: ")
    made_from = json.loads((folder / "models/p/prod.skops.json").read_text())["made_from"]
    assert made_from["commit"] == git(folder, "rev-parse", "HEAD")
    assert made_from["version"] == "v1.2.0"
    for model in ("p#prod", "models/p/prod.skops"):
        assert main(["predict", model, "data.csv", "-o", f"{Path(model).suffix}.csv"]) == 0
    assert Path(".csv").read_bytes() == Path(".skops.csv").read_bytes()


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
