"""The models that a history has evaluated on the same test rows."""

import subprocess

from lockstep.kernel.errors import MachineError
from lockstep.repository.evaluated_models import corrected, evaluated_models

import pytest

TEST, OTHER = "0" * 32, "f" * 32


def md5(number):
    return f"{number:032x}"


def lock(model, test=TEST, problem="iris", extra=""):
    """A dvc.lock as DVC writes it, of two stages."""
    return f"""\
schema: '2.0'
stages:
  train@{problem}:
    cmd: python -m stages.train
    deps:
    - path: data/split/{problem}/test.parquet
      hash: md5
      md5: {TEST}
      size: 3
    outs:
    - path: models/{problem}/random_forest_classifier_v1.joblib
      hash: md5
      md5: {md5(999)}
      size: 5
  evaluate@{problem}:
    cmd: python -m stages.evaluate --problem '{problem}'
      --models 'models/{problem}'
    deps:
    - path: data/split/{problem}/test.parquet
      hash: md5
      md5: {test}
      size: 3
    - path: lockstep/tables/table.py
      hash: md5
      md5: {md5(998)}
      size: 3
    - path: models/{problem}/random_forest_classifier_v1.joblib
      hash: md5
      md5: {model}
      size: 5
    params:
      params.yaml:
        problems.{problem}.evaluate:
          average: macro
    outs:
    - path: data/predictions/{problem}.joblib
      hash: md5
      md5: {md5(997)}
      size: 3
{extra}"""


@pytest.fixture
def history(tmp_path):
    """A function that commits a dvc.lock (None: a commit without one); and the folder."""

    def git(*command):
        done = subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(text):
        path = tmp_path / "dvc.lock"
        path.unlink(missing_ok=True) if text is None else path.write_text(text)
        git("add", "-A")
        git("commit", "-q", "--allow-empty", "-m", "x")
        return git("rev-parse", "HEAD")

    git("init", "-q", "-b", "main")
    git("config", "user.email", "test@example.org")
    git("config", "user.name", "Test")
    commit.git, commit.folder = git, tmp_path
    return commit


def count(history, problem="iris", test=TEST, extra=b""):
    return len(evaluated_models(history.folder, "dvc.lock", problem, test, extra))


def test_distinct_models_on_the_same_rows_are_counted(history):
    history(None)
    assert count(history) == 0
    for model in (1, 2, 2, 1, 3):
        history(lock(md5(model)))
    history(lock(md5(4), test=OTHER))
    assert count(history) == 3
    assert count(history, test=OTHER) == 1
    assert evaluated_models(history.folder, "dvc.lock", "iris", OTHER) == {md5(4)}
    assert count(history, problem="iri") == count(history, problem="housing") == 0


def test_branches_and_experiments_and_the_workspace_count(history):
    history(lock(md5(1)))
    history.git("checkout", "-q", "-b", "side")
    history(lock(md5(2)))
    history.git("checkout", "-q", "main")
    assert count(history) == 2
    commit = history(lock(md5(3)))
    history.git("update-ref", "refs/exps/ab/cdef/brave-name", commit)
    history.git("reset", "-q", "--hard", "HEAD~1")
    assert count(history) == 3
    assert count(history, extra=lock(md5(4)).encode()) == 4


def test_several_problems_and_other_stages_in_one_file(history):
    both = lock(md5(1)) + lock(md5(2), problem="iris-2").partition("stages:\n")[2]
    history(both)
    assert evaluated_models(history.folder, "dvc.lock", "iris", TEST) == {md5(1)}
    assert evaluated_models(history.folder, "dvc.lock", "iris-2", TEST) == {md5(2)}


def test_a_long_history(history):
    """A thousand commits in one stream, as git fast-import makes them."""
    stream = []
    for number in range(1000):
        text = lock(md5(number % 600))
        stream.append(
            f"commit refs/heads/long\ncommitter T <t@e.org> {number} +0000\ndata 1\nx\n"
            f"M 644 inline dvc.lock\ndata {len(text)}\n{text}\n"
        )
    stream = "".join(stream)
    subprocess.run(["git", "fast-import", "--quiet"], cwd=history.folder, input=stream, text=True, check=True)
    history(lock(md5(0)))
    assert count(history) == 600


def test_no_git_repository(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(MachineError, match=r"'git rev-list' fails in .*'git fsck' say more"):
        evaluated_models(tmp_path, "dvc.lock", "iris", TEST)


def test_the_correction():
    assert corrected(0.01, 1) == corrected(0.01, 2) == 0.01  # one comparison
    assert corrected(0.01, 6) == pytest.approx(0.05)
    assert corrected(0.4, 30) == 1.0
