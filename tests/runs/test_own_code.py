"""A change of the user's own code reruns what uses it, and nothing else; who asks is told so before."""

import json

from lockstep.kernel.lock_file import read_lock
from lockstep.provenance.changed_modules import CodeHistory
from lockstep.provenance.verifying_commits import verify_commit
from lockstep.repository.dvc import Repository as Opened
from lockstep.repository.revisions import read_revision

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.exhaustive]

MINE = """
from sklearn.linear_model import Ridge


class Mine(Ridge):
    pass
"""
COST = "GREATER_IS_BETTER = False\n\n\ndef cost(y_true, y_pred):\n    return abs(y_true - y_pred).mean()\n"
SCORING = ["tune@housing", "cross_validate@housing", "evaluate@housing"]
FITTING = ["tune@housing", "cross_validate@housing", "train@housing", "evaluate@housing", "diagnose@housing"]
CHECKING = ["check@iris", "check@housing"]


@pytest.fixture(scope="module")
def own(built_repository, tmp_path_factory):
    """A copy in which housing has an estimator and a metric of its own, built and committed."""
    own = built_repository.copy_to(tmp_path_factory.mktemp("own") / "repository")
    (own.folder / "estimators/mine.py").write_text(MINE)
    (own.folder / "scorers/cost.py").write_text(COST)
    model = {"model": "custom", "estimator": "estimators/mine.py:Mine", "hyperparameters": {"alpha": 2.0}}
    own.set("housing", "train", **model)
    own.set("housing", "evaluate", metrics=["scorers/cost.py:cost"])
    own.repro()
    own.commit("own code")
    return own


@pytest.fixture
def clean(own):
    """The same; what a test changes is undone."""
    yield own
    own.run("git", "reset", "-q", "--hard")
    own.run("git", "clean", "-q", "-f", "-d")
    own.dvc("checkout", "-q", "-f")
    assert own.changed() == set()


def append(repository, path):
    """Change a file by a comment."""
    with (repository.folder / path).open("a") as file:
        file.write("# another\n")


def explained(repository):
    """The lines of what would run for certain."""
    lines = repository.lockstep("explain").stdout.splitlines()
    found = lines[1 : next((number for number, line in enumerate(lines) if number and line[0] != " "), None)]
    return [line.strip() for line in found]


def test_a_file_that_nobody_uses_reruns_the_check_alone(clean):
    (clean.folder / "estimators/other.py").write_text("x = 1\n")
    (clean.folder / "scorers/other.py").write_text("x = 1\n")
    assert explained(clean) == ["check@*: estimators changed (other.py), scorers changed (other.py)"]
    assert clean.repro() == CHECKING
    clean.commit("other files")
    text = clean.lockstep("compare", "HEAD~1").stdout
    assert "Changed code" not in text
    assert text.count("Nothing changed that is on record.") == 2


@pytest.mark.parametrize(("path", "users"), [("scorers/cost.py", SCORING), ("estimators/mine.py", FITTING)])
def test_a_file_that_is_used_reruns_what_uses_it(clean, path, users):
    append(clean, path)
    folder, name = path.split("/")
    lines = explained(clean)
    assert lines == [f"check@*: {folder} changed ({name})", f"{', '.join(users)}: {path} changed"]
    note = clean.lockstep("compare", "HEAD", "--problem", "housing").stdout
    assert f"{path} changed in the workspace since {', '.join(users[:3])}" in note
    verified = clean.lockstep("verify", check=False).stdout
    assert all(f"outdated  {stage}: {path} changed" in verified for stage in users)
    behind = ["report@housing"] if "train@housing" in users else []  # the model has another hash of the code
    assert clean.repro() == [*CHECKING, *users, *behind]
    clean.commit("changed")
    found = json.loads(clean.lockstep("compare", "HEAD~1", "--json").stdout)["problems"]
    assert [change["path"] for change in found["housing"]["changes"]["code"]] == [path]
    assert found["iris"]["changes"]["code"] == []


def test_a_change_that_was_committed_and_not_run_is_seen_in_the_commit(clean):
    append(clean, "scorers/cost.py")
    clean.commit("not run")
    with Opened(clean.folder) as repo:
        commit = read_revision(repo, "HEAD")
        found = verify_commit(repo, CodeHistory(repo), commit, ["evaluate@housing", "evaluate@iris"])
    assert [str(one) for one in found if one.state == "outdated"] == [
        f"outdated  {stage}: scorers/cost.py" for stage in SCORING
    ]
    clean.run("git", "reset", "-q", "--hard", "HEAD~1")


def test_a_metric_whose_file_is_another_one_by_now_is_not_computed_for_a_commit(clean):
    def metrics():
        found = json.loads(clean.lockstep("compare", "HEAD", "--json").stdout)["problems"]["housing"]["test_rows"]
        return {item["metric"] for item in found["metrics"]}

    assert "neg_cost" in metrics()
    (clean.folder / "scorers/other.py").write_text("x = 1\n")
    assert "neg_cost" in metrics()
    append(clean, "scorers/cost.py")
    assert "neg_cost" not in metrics()


def test_a_stage_refuses_a_file_that_changed_since_the_check(clean):
    """DVC would record it as made with the file that check saw."""
    append(clean, "estimators/mine.py")
    before = clean.lock()
    done = clean.dvc("repro", "--single-item", "--force", "cross_validate@housing", check=False)
    assert done.returncode == 255
    assert "estimators/mine.py changed since the stage check looked at it. Nothing was computed" in done.stderr
    assert clean.lock() == before


def test_what_a_record_said_is_known_without_the_cache(clean, tmp_path):
    """In a clone, of which DVC has pulled nothing."""
    clean.run("git", "clone", "-q", str(clean.folder), str(tmp_path / "clone"))
    clone = clean.at(tmp_path / "clone")
    append(clone, "estimators/mine.py")
    assert f"{', '.join(FITTING)}: estimators/mine.py changed" in explained(clone)
    record = read_lock(clone.folder / "dvc.lock")["train@housing"].deps
    assert "data/checked/estimators/housing.json" in [dep.path for dep in record]
