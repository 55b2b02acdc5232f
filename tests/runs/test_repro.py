"""Whole runs of the pipeline in a copy of the repository: what reruns, what does not, and what a failure leaves."""

import json
import os
import signal
import subprocess
import time

from lockstep.commands.provenance.versions import write_versions
from lockstep.kernel.environment import PYTHON, read_versions
from lockstep.kernel.lock_file import outputs, read_lock

import pytest
from graph import NAMES, import_closure, libraries
from small import widened
from workspace import HOUSING, IRIS, ROOT, Repository

PROBLEMS = ("iris", "housing")
COMMITTED = {"n_estimators": 100, "max_depth": 10}
"""Iris's hyperparameters in params.yaml."""
WRITTEN_BY_CHECK = ["data/checked/estimators/iris.json", "data/checked/iris.json", "data/checked/scorers/iris.json"]
"""What a refusal costs: half a second."""


@pytest.fixture(scope="module")
def built(built_repository, tmp_path_factory):
    """A copy in which everything is built and committed; tests leave it so."""
    return built_repository.copy_to(tmp_path_factory.mktemp("built") / "repository")


@pytest.fixture
def clean(built):
    """The same; whatever a test changes is undone after it."""
    yield built
    built.run("git", "checkout", "-q", "--", ".")
    built.dvc("checkout", "-q", "-f")
    assert built.changed() == set()


@pytest.fixture
def edited(built):
    """The same, for tests that edit files of git's and run no stage: only these are put back. What were left behind
    would be among the stages that the next test finds changed."""
    yield built
    built.run("git", "checkout", "-q", "--", ".")


def test_a_second_run_runs_nothing(clean):
    assert clean.repro() == []
    assert clean.changed() == set()


@pytest.mark.parametrize(
    ("section", "values", "stages"),
    [
        ("split", {"seed": 1}, {"split"}),
        ("preprocess", {"numeric_impute": "median"}, {"split", "preprocess", "tune", "cross_validate", "diagnose"}),
        ("tune", {"trials": 3}, {"tune"}),
        ("cross_validate", {"folds": 3}, {"tune", "cross_validate"}),
        ("train", {"hyperparameters": {"n_estimators": 7}}, {"tune", "cross_validate", "train", "diagnose"}),
        ("train", {"seed": 1}, {"tune", "cross_validate", "train", "diagnose"}),
        ("train", {"version": 2}, {"tune", "cross_validate", "train", "evaluate", "diagnose", "report"}),
        (
            "train",
            {"model": "extra_trees"},
            {"preprocess", "tune", "cross_validate", "train", "evaluate", "diagnose", "report"},
        ),
        ("evaluate", {"average": "weighted"}, {"tune", "cross_validate", "evaluate"}),
        ("evaluate", {"importance_repeats": 2}, {"evaluate"}),
        ("diagnose", {"worst_rows": 0}, {"diagnose"}),
        ("report", {"title": "Other"}, {"report"}),
        ("load", {"drop": ["sepal_width"]}, {"load"}),
    ],
)
def test_a_setting_touches_the_stages_that_read_it(edited, section, values, stages):
    edited.set("iris", section, **values)
    assert edited.changed() == {f"{stage}@iris" for stage in {"check", *stages}}


@pytest.mark.parametrize(
    "library",
    widened(["scipy", "python", "pyarrow", "scikit-learn"], ["scipy"]),
)
def test_a_version_touches_the_stages_that_use_the_library_and_params_diff_shows_it(clean, library):
    path = clean.folder / "versions.toml"
    recorded = read_versions(path)
    write_versions(recorded | {library: "9.9"}, path)
    users = {name for name in NAMES if library == "python" or library in libraries(name)}
    assert clean.changed() == {f"{name}@{problem}" for name in users for problem in PROBLEMS}
    if library == "scipy":
        assert users < set(NAMES)
        shown = json.loads(clean.dvc("params", "diff", "--json").stdout)
        assert shown == {"versions.toml": {"scipy": {"old": recorded["scipy"], "new": "9.9"}}}
        done = clean.dvc("repro", "split@iris", check=False)
        assert f"versions.toml records scipy 9.9; here is scipy {recorded['scipy']}" in done.stderr
        assert "exited with 4" in done.stderr


@pytest.mark.exhaustive
def test_a_module_touches_the_stages_that_import_it(built):
    """The behaviour that test_dvc_yaml's exact deps promise: a comment in a module outdates its importers. One module
    stands for all that the same stages import."""
    from dvc.repo import Repo

    closures = {name: set(import_closure(f"stages.{name}")) for name in NAMES}
    kinds = {
        tuple(name for name in NAMES if file in closures[name]): file
        for file in sorted(set().union(*closures.values()))
    }
    assert len(kinds) > len(NAMES)
    repo = Repo(str(built.folder))
    for importers, file in kinds.items():
        path = built.folder / file
        before = path.read_bytes()
        path.write_bytes(before + b"\n# a comment\n")
        try:
            with repo.lock:
                repo._reset()
            changed = {name.split(":")[-1] for name in repo.status() if not name.endswith(".dvc")}
        finally:
            path.write_bytes(before)
        assert changed == {f"{name}@{problem}" for name in importers for problem in PROBLEMS}, file
    repo.close()


def test_data_touches_its_own_problem_only(clean):
    path = clean.folder / "data/raw/iris.csv"
    path.write_text(path.read_text().replace("5.1,3.5", "5.2,3.5", 1))
    assert clean.changed() == {"load@iris"}


def test_a_comment_in_a_module_reruns_its_stage_and_nothing_behind_it(clean):
    """Outputs are the same bytes, so what follows is up to date: determinism is what makes reruns cheap."""
    with (clean.folder / "stages/split.py").open("a") as handle:
        handle.write("# a comment\n")
    assert clean.repro() == ["split@iris", "split@housing"]


def test_going_back_to_earlier_settings_trains_nothing(clean):
    before = clean.lock()
    clean.set("iris", "train", hyperparameters={"n_estimators": 9, "max_depth": 2})
    rerun = ["check@iris", "tune@iris", "cross_validate@iris", "train@iris", "evaluate@iris"]
    assert clean.repro("evaluate@iris") == rerun
    assert clean.lock() != before
    clean.set("iris", "train", hyperparameters=IRIS)
    assert clean.repro() == []
    assert clean.lock() == before


@pytest.fixture(scope="module")
def author(committed_repository, tmp_path_factory):
    """A copy of it, with a remote that has what the two last commits made: of other settings, then the first; for
    clones, not to be changed."""
    folder = tmp_path_factory.mktemp("author")
    author = committed_repository.copy_to(folder / "author")
    author.run("dvc", "remote", "add", "-q", "--default", "store", str(folder / "store"))
    author.run("dvc", "remote", "modify", "-q", "store", "verify", "true")
    author.dvc("push", "-q")
    for hyperparameters in ({"n_estimators": 9, "max_depth": 2}, COMMITTED):
        author.set("iris", "train", hyperparameters=hyperparameters)
        author.repro()
        author.commit("other settings")
        author.dvc("push", "-q")
    return author


@pytest.fixture
def clone(author, tmp_path):
    """A fresh clone of it."""
    author.run("git", "clone", "-q", ".", str(tmp_path / "clone"))
    clone = Repository.at(tmp_path / "clone")
    clone._keep_to_itself()
    return clone


@pytest.mark.exhaustive
def test_going_back_trains_nothing_in_a_fresh_clone_either(clone):
    """There DVC's run cache knows no run: all outputs were pulled, or are in git."""
    clone.dvc("pull", "-q")
    assert clone.repro() == []
    first = clone.lock()
    clone.set("iris", "train", hyperparameters={"n_estimators": 7, "max_depth": 3})
    assert "cross_validate@iris" in clone.repro("cross_validate@iris", "evaluate@iris")
    clone.set("iris", "train", hyperparameters=COMMITTED)
    assert clone.repro() == []
    assert clone.lock() == first


@pytest.mark.exhaustive
def test_going_back_to_the_settings_of_an_older_commit_brings_what_it_made(clone):
    clone.dvc("pull", "-q")
    clone.set("iris", "train", hyperparameters={"n_estimators": 9, "max_depth": 2})
    assert clone.repro("--pull") == ["check@iris"]
    assert clone.run("git", "diff", "--stat", "HEAD~1").stdout == ""


def test_an_experiment_retrains_its_problem_only_and_metrics_diff_shows_it(clean):
    problems = [f"evaluate@{name}" for name in PROBLEMS]
    done = clean.dvc("exp", "run", "-S", "problems.iris.train.hyperparameters.n_estimators=3", *problems)
    changed = clean.run("git", "diff", "--numstat", "params.yaml").stdout
    assert changed == "1\t1\tparams.yaml\n", clean.run("git", "diff", "params.yaml").stdout  # comments are kept
    assert "Running stage 'train@iris'" in done.stdout
    assert "Running stage 'train@housing'" not in done.stdout
    difference = clean.dvc("metrics", "diff").stdout
    assert "metrics/iris.json" in difference
    assert "log_loss" in difference
    assert "housing" not in difference
    assert "n_estimators" in clean.dvc("params", "diff").stdout


def test_plots_are_drawn_for_both_problems(clean):
    drawn = json.loads(clean.dvc("plots", "show", "--json").stdout)
    assert not drawn.get("errors")
    assert len(drawn["data"]) == 20
    searches = {name for name in drawn["data"] if name.endswith("trials.csv")}  # off, hence empty
    assert all(
        [entry["revisions"] for entry in found] == ([] if name in searches else [["workspace"]])
        for name, found in drawn["data"].items()
    )


@pytest.mark.parametrize(
    ("section", "values", "message"),
    [
        (
            "split",
            {"test_sise": 0.1},
            "problems.iris.split.test_sise is not a setting. Allowed, nearest first: test_size",
        ),
        pytest.param(
            "split",
            {"test_size": 1.5},
            "problems.iris.split.test_size is 1.5. Allowed: a number above 0 and below 1",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "train",
            {"hyperparameters": {"n_trees": 3}},
            "n_trees is not a hyperparameter of RandomForestClassifier",
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "tune",
            {"trials": "5 "},
            'problems.iris.tune.trials is "5 ". Allowed: a whole number at least 0',
            marks=pytest.mark.exhaustive,
        ),
        pytest.param(
            "load",
            {"path": "data/raw/irsi.csv"},
            "load.path is data/raw/irsi.csv, which does not exist",
            marks=pytest.mark.exhaustive,
        ),
    ],
)
def test_settings_that_cannot_run_are_one_message_and_cost_no_output(clean, section, values, message):
    clean.set("iris", section, **values)
    done = clean.dvc("repro", f"{section}@iris", check=False)
    assert done.returncode == 255
    assert message in done.stderr
    assert "exited with 2" in done.stderr
    assert "Traceback" not in done.stderr
    assert lost(clean) == WRITTEN_BY_CHECK


def lost(repository):
    """The recorded outputs that are not there."""
    recorded = outputs(read_lock(repository.folder / "dvc.lock").values())
    return [path for path in recorded if not (repository.folder / path).exists()]


def test_an_experiment_of_settings_that_cannot_run_costs_no_output(clean):
    before = (clean.folder / "params.yaml").read_bytes()
    done = clean.dvc("exp", "run", "-S", "problems.iris.tune.trials=many", check=False)
    assert done.returncode == 255
    assert 'problems.iris.tune.trials is "many". Allowed: a whole number at least 0' in done.stderr
    assert lost(clean) == WRITTEN_BY_CHECK
    # DVC leaves the experiment's settings, perhaps in git's index too: git sees them, and takes them back.
    clean.run("git", "reset", "-q")
    assert " M params.yaml" in clean.run("git", "status", "--short").stdout
    clean.run("git", "checkout", "-q", "params.yaml")
    assert (clean.folder / "params.yaml").read_bytes() == before


def test_what_only_the_data_can_tell_is_one_message_too(clean):
    clean.set("iris", "evaluate", average="binary")
    done = clean.dvc("repro", "evaluate@iris", check=False)
    assert "average is binary, but there are 3 classes" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_problem_names_those_that_there_are(clean):
    paths = ["--table", "a", "--profile", "p", "--train", "b", "--validation", "c", "--test", "d", "--checks", "e"]
    done = clean.run("python", "-m", "stages.split", "--problem", "irsi", *paths, check=False)
    assert done.returncode == 2
    assert "params.yaml has no problem 'irsi'. It has: iris, housing. Did you mean 'iris'?" in done.stderr


ALTERED = [
    ("report", "metrics/plots/iris/intervals.csv"),
    ("report", "models/iris/random_forest_classifier_v1.joblib.json"),
    ("diagnose", "data/split/iris/test.parquet"),
    ("load", "data/raw/iris.csv"),
]


@pytest.mark.parametrize(("stage", "path"), widened(ALTERED, [ALTERED[0], ALTERED[3]]))
def test_nothing_is_made_from_altered_files(clean, stage, path):
    """Of the same size and time, so that DVC does not see it; its command names folders, or none of them at all."""
    file = clean.folder / path
    before, content = file.stat(), bytearray(file.read_bytes())
    content[-20] ^= 1
    file.unlink()
    file.write_bytes(bytes(content))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    changed = {"report": {"title": "Other"}, "diagnose": {"worst_rows": 0}, "load": {"missing_texts": ["NA"]}}
    clean.set("iris", stage, **changed[stage])
    done = clean.dvc("repro", "--single-item", f"{stage}@iris", check=False)
    file.unlink()  # for DVC to bring it back
    assert done.returncode == 255
    assert f"{path} has MD5" in done.stderr
    assert "Nothing was computed from it." in done.stderr


def test_a_killed_stage_leaves_nothing_that_passes_for_a_result(clean):
    before = clean.lock()
    clean.set("housing", "train", hyperparameters={"n_estimators": 5000, "learning_rate": 0.001})
    with subprocess.Popen(
        ["dvc", "repro", "--single-item", "train@housing"], cwd=clean.folder, env=clean.environment,
        start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as running:  # fmt: skip
        model = clean.folder / "models/housing/gradient_boosting_regressor_v1.joblib"
        deadline = time.monotonic() + 60
        while model.exists() and time.monotonic() < deadline:  # DVC removes the outputs before it runs the stage
            time.sleep(0.05)
        time.sleep(2)
        os.killpg(running.pid, signal.SIGKILL)
    assert not model.exists()
    assert clean.lock() == before
    assert "train@housing" in clean.changed()
    clean.set("housing", "train", hyperparameters=HOUSING)
    clean.repro()
    assert clean.lock() == before


@pytest.mark.exhaustive
def test_the_committed_lock_is_what_a_clean_rebuild_gives_on_another_machine(committed_repository):
    made_with = read_lock(ROOT / "dvc.lock")["load@iris"].params["versions.toml"]["python"]
    if made_with != PYTHON:
        pytest.skip(f"dvc.lock was made with Python {made_with}, of which the stages track the version")
    assert committed_repository.run("git", "log", "-1", "--format=%s").stdout == "built\n"
    assert committed_repository.run("git", "diff", "--stat", "HEAD~1", "HEAD").stdout == ""
    assert committed_repository.lock() == (ROOT / "dvc.lock").read_text()


def test_the_shipped_data_is_there_after_a_clone_without_a_network(tmp_path):
    repository = Repository(tmp_path / "repository", rows=None)
    for problem in PROBLEMS:
        pulled = (repository.folder / f"data/raw/{problem}.csv").read_bytes()
        assert pulled == (ROOT / f"data/raw/{problem}.csv").read_bytes()
