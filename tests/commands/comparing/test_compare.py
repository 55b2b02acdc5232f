"""The command compare: two revisions of a repository, in every form, and what can be wrong with them."""

import json
import shutil
from dataclasses import replace

from lockstep.__main__ import main
from lockstep.comparing import recorded_evaluations
from lockstep.comparing.recorded_evaluations import has_other_folds, is_stale
from lockstep.deployment.registry.tags import NewTag, make_tags
from lockstep.kernel.lock_file import LockedFile, LockedStage
from lockstep.learning.metrics import METRICS, RARE_CLASS_METRICS
from lockstep.repository.revisions import Revision

import pytest
import yaml
from recorded import dump
from workspace import Repository

STUMP = [
    "-S",
    "problems.iris.train.hyperparameters.n_estimators=1",
    "-S",
    "problems.iris.train.hyperparameters.max_depth=1",
]


@pytest.fixture(scope="module")
def repository(built_repository, tmp_path_factory):
    """A copy in which iris was run and committed (tag v1), then a worse model as the experiment ``stump``, which is
    also in the workspace; branch ``before`` has no iris. Housing was never run."""
    copy = built_repository.copy_to(tmp_path_factory.mktemp("compare") / "copy")
    lock = yaml.safe_load(copy.lock())
    (copy.folder / "dvc.lock").unlink()
    copy.run("git", "update-ref", "-d", "HEAD")  # no commit is left with models
    copy.commit("nothing run")
    copy.run("git", "tag", "v0")
    lock["stages"] = {
        name: stage
        for name, stage in lock["stages"].items()
        if name.endswith("@iris") and not name.startswith(("diagnose", "report"))
    }
    (copy.folder / "dvc.lock").write_bytes(dump(lock))
    copy.commit("run")
    copy.run("git", "tag", "v1")
    params = copy.folder / "params.yaml"
    original = params.read_text()
    content = yaml.safe_load(original)
    del content["problems"]["iris"]
    params.write_text(yaml.safe_dump(content))
    copy.run("git", "checkout", "-q", "-b", "before")
    copy.commit("no iris")
    copy.run("git", "checkout", "-q", "main")
    copy.dvc("exp", "run", "-q", "-n", "stump", *STUMP, "evaluate@iris", "cross_validate@iris")
    return copy


@pytest.fixture
def compare(repository, monkeypatch, capsys):
    """A function that runs the command in the repository: its exit code, and what it printed, with --json parsed."""
    monkeypatch.chdir(repository.folder)

    def run(*arguments):
        status = main(["compare", *arguments])
        printed = capsys.readouterr()
        text = printed.out + printed.err
        return status, json.loads(text) if "--json" in arguments and status < 2 else text

    return run


def metric(found, name):
    return next(item for item in found["problems"]["iris"]["test_rows"]["metrics"] if item["metric"] == name)


def test_the_last_commit_against_the_workspace(compare):
    status, found = compare("--json")
    assert status == 0
    assert (found["before"]["revision"], found["after"]["revision"]) == ("HEAD", "workspace")
    iris = found["problems"]["iris"]
    assert iris["verdict"] == "worse"
    assert metric(found, "accuracy")["verdict"] == "worse"
    assert iris["test_rows"]["rows"]["same"]
    assert iris["cross_validation"]["folds"] == 5
    assert iris["evaluated_models"]["count"] == 2
    assert [item["key"] for item in iris["changes"]["parameters"]] == [
        "train.hyperparameters.max_depth",
        "train.hyperparameters.n_estimators",
    ]
    assert iris["changes"]["code"] == iris["changes"]["data"] == iris["outdated"] == iris["test_rows"]["notes"] == []
    housing = found["problems"]["housing"]
    assert (housing["verdict"], housing["reason"], len(housing["revisions"])) == ("not comparable", "not run", 2)


def test_the_values_are_the_metrics_that_were_written(compare, repository):
    _, found = compare("--json", "--problem", "iris")
    written = json.loads((repository.folder / "metrics/iris.json").read_text())
    old = json.loads(repository.run("git", "show", "HEAD:metrics/iris.json").stdout)
    for item in found["problems"]["iris"]["test_rows"]["metrics"]:
        assert (item["before"], item["after"]) == pytest.approx((old[item["metric"]], written[item["metric"]]))


def test_names_of_revisions(compare):
    for names in (("v1", "stump"), ("main", "stump"), ("HEAD", "workspace")):
        _, found = compare(*names, "--json", "--problem", "iris")
        assert found["problems"]["iris"]["verdict"] == "worse", names
    _, found = compare("stump", "v1", "--json", "--problem", "iris")
    assert found["problems"]["iris"]["verdict"] == "better"
    corrected = found["problems"]["iris"]["evaluated_models"]["p_corrected"]
    assert corrected["accuracy"] == metric(found, "accuracy")["p_holm"]  # two models, hence one comparison
    _, found = compare("v1", "v1", "--json", "--problem", "iris")
    assert found["problems"]["iris"]["verdict"] == "no detectable difference"


def test_a_stage_of_the_registry_is_a_revision_and_names_its_problem(compare, repository):
    commit = repository.run("git", "rev-parse", "v1").stdout.strip()
    make_tags([NewTag("iris#prod#1", commit, 1_700_000_000, "iris")], repository.folder)
    try:
        _, found = compare("iris#prod", "stump", "--json")
        assert (found["before"]["revision"], list(found["problems"])) == ("iris#prod#1", ["iris"])
        assert found["problems"]["iris"]["verdict"] == "worse"
        status, text = compare("iris#dev", "stump")
        assert (status, "nothing is in 'dev' of iris. Stages with a model: prod" in text) == (2, True)
        status, text = compare("iris#prod", "--problem", "housing")
        assert (status, "iris#prod is of 'iris', and 'housing' is compared" in text) == (2, True)
        assert compare("iris#prod#1", "stump", "--problem", "iris")[0] == 0
        assert "There is no revision 'fix#12'" in compare("fix#12")[1]  # may be the name of a branch
    finally:
        repository.run("git", "tag", "-d", "iris#prod#1")


def test_words(compare):
    status, text = compare("v1", "stump")
    assert status == 0
    assert "\niris: worse" in text
    assert "Changed parameters: train.hyperparameters.max_depth 10 → 1, train.hyperparameters.n_estimators 10 →" in text
    assert "The same 30 test rows on both sides." in text
    assert "Git history and experiments hold 2 models that were scored on B's test rows." in text
    assert "iris, cross-validation: the same 5 folds" in text
    assert "log_loss ↓" in text
    assert "'dvc repro evaluate@housing' there makes its predictions" in text
    _, text = compare("v1", "v1")
    assert "Every prediction is the same." in text
    assert "Nothing changed that is on record." in text


def test_markdown(compare):
    _, text = compare("v1", "stump", "--md", "--problem", "iris")
    assert "| metric | A | B | B \N{MINUS SIGN} A [95%] | p | verdict |" in text
    assert "`train.hyperparameters.n_estimators` `10` → `1`" in text


@pytest.mark.parametrize("width", [80, 120])
def test_names_and_values_stay_whole_in_a_narrow_terminal(compare, monkeypatch, width):
    monkeypatch.setattr("rich.console.Console.is_terminal", True)
    monkeypatch.setenv("COLUMNS", str(width))
    _, text = compare("v1", "stump", "--problem", "iris")
    lines, names = text.splitlines(), [name for name in METRICS["classification"] if name not in RARE_CLASS_METRICS]
    table = [line for line in lines if line.strip() and line.split()[0] in names]
    assert [line.split()[0] for line in table] == names * 2
    assert all(len(line) <= width for line in table)
    assert lines.index(table[6]) - lines.index(table[0]) <= 12  # at most two lines each


def test_worse_can_fail_a_build(compare):
    assert compare("v1", "stump", "--fail-if", "worse", "--problem", "iris")[0] == 1
    assert compare("stump", "v1", "--fail-if", "worse", "--problem", "iris")[0] == 0
    assert compare("v1", "v1", "--fail-if", "worse")[0] == 0


def test_settings_changed_but_not_run(compare, repository):
    path = repository.folder / "params.yaml"
    original = path.read_text()
    path.write_text(original.replace("max_depth: 1 ", "max_depth: 3 "))
    try:
        _, text = compare("--problem", "iris")
        assert "Note: params.yaml:problems.iris.train changed in the workspace since " in text
        assert "train@iris" in text
        assert "Its model is that of before. 'dvc repro' brings them up to date." in text
        assert "iris: not comparable" in text
    finally:
        path.write_text(original)


def test_an_edit_in_a_folder_of_modules_is_said(compare, repository):
    path = repository.folder / "lockstep/steps/evaluating/curves.py"
    original = path.read_text()
    path.write_text(original + "# a comment\n")
    try:
        _, found = compare("--json", "--problem", "iris")
        changed = [item for item in found["problems"]["iris"]["outdated"] if item["stage"] == "evaluate@iris"]
        assert changed == [{"stage": "evaluate@iris", "changed": ["lockstep/steps/evaluating"], "makes": "evaluation"}]
    finally:
        path.write_text(original)


@pytest.mark.parametrize(
    ("read", "average", "stale"), [("1", "macro", False), ("2", "macro", True), ("1", "micro", True)]
)
def test_whether_an_evaluation_is_of_the_commits_own_model(read, average, stale):
    model, key = "models/p/ridge_regressor_v1.joblib", "problems.p.evaluate.average"
    deps, settings = (LockedFile(model, read, 9), LockedFile("x.py", "3", 9)), {"params.yaml": {key: "macro"}}
    stages = {
        "train@p": LockedStage("train@p", "", (), {}, (LockedFile(model, "1", 9),)),
        "evaluate@p": LockedStage("evaluate@p", "", deps, settings, ()),
    }
    commit = Revision("HEAD", "c", {"problems": {"p": {"evaluate": {"average": average}}}}, stages)
    assert is_stale(commit, "evaluate@p") == stale


def test_a_title_that_changed_is_no_reason_to_doubt_an_evaluation():
    """check reads all settings: it makes none of the results, though all wait for it."""
    read, checked = LockedFile("raw.csv", "1", 9), LockedFile("data/checked/p.json", "2", 9)
    settings = {"params.yaml": {"problems.p": {"report": {"title": "a"}}}}
    stages = {
        "check@p": LockedStage("check@p", "", (), settings, (checked,)),
        "evaluate@p": LockedStage("evaluate@p", "", (read, checked), {}, ()),
    }
    commit = Revision("HEAD", "c", {"problems": {"p": {"report": {"title": "b"}}}}, stages)
    assert not is_stale(commit, "evaluate@p")


@pytest.mark.parametrize(
    ("settings", "average"),
    [
        ({"problems.p.cross_validate": {"folds": 3}, "problems.p.evaluate.average": "binary"}, "binary"),
        ({"problems.p.cross_validate": {"folds": 3, "average": "micro"}}, "micro"),  # of earlier versions
        ({"problems.p.cross_validate": None}, "macro"),
    ],
)
def test_how_the_folds_of_a_commit_were_averaged(monkeypatch, settings, average):
    stage, table = "cross_validate@p", LockedFile("metrics/plots/p/folds.csv", "1", 9)
    stages = {stage: LockedStage(stage, "", (), {"params.yaml": settings}, (table,))}
    monkeypatch.setattr(recorded_evaluations, "uncached_file", lambda *_: b"fold,metric,value\n")
    monkeypatch.setattr(recorded_evaluations, "has_other_folds", lambda *_: False)
    found = recorded_evaluations._read_folds(None, None, Revision("HEAD", "c", {}, stages), "p")
    assert found.average == average


@pytest.mark.parametrize(
    ("depth", "rows", "code", "version", "other"),
    [(5, "1", "2", 1, False), (6, "1", "2", 1, True), (5, "9", "2", 1, True), (5, "1", "9", 1, True),
     (5, "1", "2", 9, True)],
)  # fmt: skip
def test_whether_the_folds_are_of_the_commits_own_training(depth, rows, code, version, other):
    key = "problems.p.preprocess.depth"

    def stage(name, code="2", version=1, deps=(), outs=()):
        settings = {"params.yaml": {key: 5}, "versions.toml": {"numpy": version}}
        return LockedStage(name, "", (LockedFile("x.py", code, 9), *deps), settings, outs)

    def train(md5):
        return (LockedFile("train.parquet", md5, 9),)

    stages = {
        "split@p": stage("split@p", outs=train("1")),
        "train@p": stage("train@p", deps=train("1")),
        "cross_validate@p": stage("cross_validate@p", code, version, deps=train(rows)),
    }
    commit = Revision("HEAD", "c", {"problems": {"p": {"preprocess": {"depth": depth}}}}, stages)
    assert has_other_folds(None, commit, "p") == other  # no folder is listed: no repository is asked
    assert not has_other_folds(None, replace(commit, stages={"train@p": stages["train@p"]}), "p")


@pytest.fixture(scope="module")
def experiments(repository, tmp_path_factory):
    """A clone with the experiments bad (evaluated, not cross-validated), swept (trained and cross-validated, not
    evaluated; also in the workspace), tuned (with a search)."""
    clone = repository.copy_to(tmp_path_factory.mktemp("experiments") / "clone")

    def start(name, *arguments, edit=("", "")):
        clone.run("git", "checkout", "-q", "-f", "v1")
        clone.dvc("checkout", "-q", "--force", "--allow-missing")
        pipeline = clone.folder / "dvc.yaml"
        pipeline.write_text(pipeline.read_text().replace(*edit))
        clone.dvc("exp", "run", "-q", "-n", name, *arguments)

    both = "evaluate@iris", "cross_validate@iris"
    start("tuned", *STUMP, "-S", "problems.iris.tune.trials=3", *both)
    # As in commits of before train read the out-of-fold predictions: now there is no evaluation without these.
    read = "      deps:\n        - data/out_of_fold/${key}.parquet\n"
    start("bad", *STUMP, "evaluate@iris", edit=(read, "      deps:\n"))
    shutil.copytree(clone.folder, bad := clone.folder.with_name("bad"), symlinks=True)
    swept = "-S", "problems.iris.train.model=logistic_regression", "-S", "~problems.iris.train.hyperparameters"
    start("swept", *swept, "train@iris", "cross_validate@iris")
    return clone, Repository.at(bad)


@pytest.mark.exhaustive
def test_folds_that_were_not_run_with_the_settings_are_not_compared(experiments, compare, monkeypatch):
    monkeypatch.chdir(experiments[1].folder)
    for names in (("v1", "bad"), ("v1", "workspace")):
        _, found = compare(*names, "--json", "--problem", "iris")
        iris = found["problems"]["iris"]
        assert iris["verdict"] == "worse"
        folds = iris["cross_validation"]
        assert (folds["reason"], len(folds["revisions"])) == ("other settings or code", 1)
    _, text = compare("v1", "bad", "--problem", "iris")
    assert "Cross-validation is not compared: cross_validate@iris of bad (" in text
    assert ") was not run with these settings or this code." in text
    # The model in the workspace is the new one: what it was not run for is named, and no more.
    assert {(item["stage"], item["makes"]) for item in iris["outdated"]} == {("cross_validate@iris", None)}
    assert "is that of before" not in compare("--problem", "iris")[1]


@pytest.mark.exhaustive
def test_a_model_that_was_trained_but_not_evaluated_has_no_verdict(experiments, compare, monkeypatch):
    monkeypatch.chdir(experiments[0].folder)
    for name in ("swept", "workspace"):
        _, found = compare("v1", name, "--json", "--problem", "iris")
        iris = found["problems"]["iris"]
        rows = iris["test_rows"]
        assert (iris["verdict"], rows["reason"], len(rows["revisions"])) == ("not comparable", "not evaluated", 1)
        assert iris["cross_validation"]["folds"] == 5
    assert {item["makes"] for item in iris["outdated"]} == {"evaluation"}
    _, text = compare("--problem", "iris")
    assert "Its evaluation is that of before." in text
    assert "The test rows have not judged the model of the workspace: evaluate@iris was run with other" in text


@pytest.mark.exhaustive
def test_what_a_search_found_is_said_and_its_folds_are_optimistic(experiments, compare, monkeypatch):
    monkeypatch.chdir(experiments[0].folder)
    _, found = compare("stump", "tuned", "--json", "--problem", "iris")
    iris = found["problems"]["iris"]
    assert {"max_depth", "n_estimators"} <= {item["key"] for item in iris["changes"]["hyperparameters"]}
    assert [item["before"] for item in iris["changes"]["hyperparameters"] if item["key"] == "max_depth"] == [1]
    assert len(iris["cross_validation"]["tuned"]) == 1
    _, text = compare("stump", "tuned", "--problem", "iris")
    assert "Changed hyperparameters (what a search found goes before what is given): criterion not set → " in text
    assert "The cross-validation of tuned (" in text
    assert "is optimistic: a search chose the hyperparameters on the same rows. It has no say in the verdict." in text
    _, found = compare("v1", "stump", "--json", "--problem", "iris")
    assert found["problems"]["iris"]["changes"]["hyperparameters"] == []
    assert found["problems"]["iris"]["cross_validation"]["tuned"] == []


def test_an_unknown_task_in_a_lock_file_is_said(repository, compare, tmp_path, monkeypatch):
    clone = repository.copy_to(tmp_path / "clone")
    clone.run("git", "checkout", "-q", "-f", "v1")
    (clone.folder / "dvc.lock").write_text(clone.lock().replace("task: classification", "task: ranking"))
    clone.commit("odd")
    monkeypatch.chdir(clone.folder)
    status, text = compare("HEAD", "v1", "--problem", "iris")
    assert (status, text.count("\n")) == (3, 1)
    assert "problems.iris.load.task is 'ranking'. Allowed: classification, regression." in text


def test_a_hand_edited_metrics_file_is_said(compare, repository):
    path = repository.folder / "metrics/iris.json"
    original = path.read_text()
    path.write_text(original.replace('"accuracy": 0.', '"accuracy": 0.9'))
    try:
        _, found = compare("--json", "--problem", "iris")
        assert found["problems"]["iris"]["altered"] == ["the workspace"]
        assert metric(found, "accuracy")["after"] < 0.9
        _, text = compare("--problem", "iris")
        assert "metrics/iris.json of the workspace is not the file that evaluate@iris wrote" in text
    finally:
        path.write_text(original)


def test_wrong_names(compare):
    assert compare("nonsense")[0] == 2
    assert "There is no revision 'nonsense'" in compare("nonsense")[1]
    for name in ("HEAD:params.yaml", "HEAD^{tree}"):
        status, text = compare(name)
        assert (status, f"There is no revision '{name}' (it is not a commit). Allowed" in text) == (2, True)
    status, text = compare("--problem", "irys")
    assert (status, "Did you mean 'iris'?" in text) == (2, True)


def test_a_revision_from_before_the_problem(compare):
    _, text = compare("before", "HEAD")
    assert "iris: not comparable\n  before (" in text
    assert "has no problem iris: there is nothing to compare." in text
    status, text = compare("before", "HEAD", "--problem", "iris")
    assert (status, text.count("\n")) == (2, 1)
    assert compare("v0", "HEAD", "--problem", "iris")[0] == 2
    assert "evaluate@iris has not been run in v0 (" in compare("v0", "HEAD", "--problem", "iris")[1]


def test_altered_predictions(compare, repository):
    path = repository.folder / "data/predictions/iris.parquet"
    original = path.read_bytes()
    path.chmod(0o644)
    path.write_bytes(original[:-1] + b"x")
    try:
        status, text = compare("--problem", "iris")
        assert status == 3
        assert "data/predictions/iris.parquet in the workspace is not what evaluate@iris wrote" in text
        assert "'dvc checkout --force data/predictions/iris.parquet'" in text
        assert "\n  data/predictions/iris.parquet in the workspace is not" in compare()[1]
    finally:
        path.write_bytes(original)
    path.rename(path.with_suffix(".away"))
    try:
        status, text = compare("--problem", "iris")
        assert (status, "'dvc pull data/predictions/iris.parquet'" in text) == (2, True)
        # Without --problem the other problems are compared even so, and the exit code tells.
        status, text = compare()
        assert (status, "'dvc pull data/predictions/iris.parquet'" in text, "\nhousing: " in text) == (2, True, True)
    finally:
        path.with_suffix(".away").rename(path)


def test_missing_and_damaged_predictions_of_a_commit(compare, repository):
    lock = yaml.safe_load(repository.run("git", "show", "v1:dvc.lock").stdout)
    md5 = lock["stages"]["evaluate@iris"]["outs"][0]["md5"]
    cached = repository.folder / f".dvc/cache/files/md5/{md5[:2]}/{md5[2:]}"
    content = cached.read_bytes()
    cached.unlink()
    try:
        status, text = compare("v1", "stump", "--problem", "iris")
        assert status == 3
        assert "data/predictions/iris.parquet of v1 (" in text
        assert "'dvc fetch --all-commits data/predictions/iris.parquet'" in text
        cached.write_bytes(b"not parquet")
        status, text = compare("v1", "stump", "--problem", "iris")
        assert (status, "is damaged" in text) == (3, True)
        assert "'python -m lockstep repair --all'" in text
    finally:
        cached.unlink(missing_ok=True)
        cached.write_bytes(content)
        cached.chmod(0o444)


def test_outside_of_a_repository(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare"]) == 4
    assert "This folder is in no DVC repository" in capsys.readouterr().err


def test_nothing_in_the_workspace_is_touched(compare, repository):
    before = repository.run("git", "status", "--porcelain").stdout, repository.lock()
    compare("v1", "stump")
    assert (repository.run("git", "status", "--porcelain").stdout, repository.lock()) == before


@pytest.mark.exhaustive
def test_other_rows_are_compared_on_those_in_common(compare, repository, tmp_path, monkeypatch):
    """Another seed of the split, in a clone: few rows are in both test sets, too few to compare."""
    clone = tmp_path / "clone"
    other = repository.copy_to(clone)
    other.run("git", "checkout", "-q", "-f", "v1")
    other.dvc("checkout", "-q", "--force", "--allow-missing")
    path = clone / "params.yaml"
    head, _, tail = path.read_text().partition("      seed: 42 ")
    path.write_text(f"{head}      seed: 43 {tail}")
    other.repro("evaluate@iris")
    monkeypatch.chdir(clone)
    _, found = compare("--json", "--problem", "iris")
    iris = found["problems"]["iris"]
    rows = iris["test_rows"]["rows"]
    assert rows["matched_by"] == "row number"
    assert rows["common"] < 15
    assert (iris["verdict"], iris["test_rows"]["reason"]) == ("not comparable", "too few rows")
    assert iris["test_rows"]["why_not"] == f"{rows['common']} test rows in common are too few, at least 10 are needed"
    assert iris["evaluated_models"]["count"] == 1
    _, text = compare("--problem", "iris")
    assert f"The test rows differ: 30 in A, 30 in B, {rows['common']} in both (matched by row number)." in text
