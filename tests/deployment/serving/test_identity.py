"""Which commit a model is said to be of: the one whose dvc.lock records its bytes, and no other."""

import hashlib

from lockstep.deployment.serving.identity import COMMIT, open_model
from lockstep.repository import git

import pytest
from small import problem_with_model


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built")
    with pytest.MonkeyPatch.context() as monkeypatch:
        return folder, problem_with_model(folder, monkeypatch, "classification").relative_to(folder)


def commit(folder, model, content):
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    lock = f"schema: '2.0'\nstages:\n  train@p:\n    cmd: train\n    outs:\n    - path: {model}\n      hash: md5\n"
    (folder / "dvc.lock").write_text(f"{lock}      md5: {md5}\n      size: {len(content)}\n")
    git.output("add", "dvc.lock")
    git.output("-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "--quiet", "-m", "lock")
    return git.output("rev-parse", "HEAD").strip()


def test_the_commit_is_the_one_whose_lock_records_the_model(built, monkeypatch):
    folder, model = built
    data = (folder / model).read_bytes()
    monkeypatch.chdir(folder)
    monkeypatch.delenv(COMMIT, raising=False)
    assert open_model(model)[1].commit is None
    monkeypatch.setenv(COMMIT, "a container's")
    assert open_model(model)[1].commit == "a container's"
    git.output("init", "--quiet")
    assert open_model(model)[1].commit == "a container's"  # nothing is committed
    head = commit(folder, model, data)
    _, identity = open_model(model)
    assert (identity.commit, identity.problem, identity.file) == (head, "p", model.as_posix())
    assert identity.sha256 == hashlib.sha256(data).hexdigest()
    commit(folder, model, b"another")
    (folder / "dvc.lock").unlink()
    assert open_model(model)[1].commit is None
