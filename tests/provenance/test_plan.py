"""python -m lockstep explain: what would run, and why."""

from lockstep.__main__ import main
from lockstep.kernel.lock_file import LockedFile, LockedStage
from lockstep.provenance.plan import grouped, in_words, label, plan

import pytest
import recorded

NAMES = ["load@a", "load@b", "train@a", "train@b", "evaluate@a", "evaluate@b"]


def stage(name, deps=(), outs=(), **params):
    """A stage; deps and outs as {path: md5}."""
    files = [tuple(LockedFile(path, md5, 1) for path, md5 in dict(entries).items()) for entries in (deps, outs)]
    return LockedStage(name, f"run {name}", files[0], {"params.yaml": params}, files[1])


def chain(code="1", seed=1, loaded="l", model="m", metrics="e"):
    """load -> train -> evaluate of the problem a, each with its code."""
    return {
        "load@a": stage("load@a", {"raw.csv": "r", "load.py": "1"}, {"loaded": loaded}),
        "train@a": stage("train@a", {"loaded": loaded, "train.py": code}, {"model": model}, seed=seed),
        "evaluate@a": stage("evaluate@a", {"model": model, "evaluate.py": "1"}, {"metrics": metrics}),
    }


def test_what_changed_runs_and_what_follows_may():
    found = plan(chain(), chain(seed=2))
    assert found.run == {"train@a": ["seed 1 → 2"]}
    assert found.maybe == {"evaluate@a": ["model"]}
    assert found.restore == {}


def test_what_check_writes_makes_nothing_run():
    check, load = stage("check@a", outs={"checked": "c"}, problem=1), chain()["load@a"]
    load = load._replace(deps=(LockedFile("checked", "c", 1), *load.deps))
    then = {"check@a": check} | chain() | {"load@a": load}
    found = plan(then, then | {"check@a": stage("check@a", outs={"checked": "c"}, problem=2)})
    assert found == ({"check@a": ["problem 1 → 2"]}, {}, {})


RECORD = "data/checked/scorers/a.json"
LISTED = {"1": {"scorers/a.py": "x", "scorers/b.py": "y"}, "2": {"scorers/a.py": "z", "scorers/c.py": "y"}}


class History:
    """What records with these hashes list; nothing is known of any other."""

    def used_code(self, record):
        return LISTED.get(record.md5)


@pytest.mark.parametrize(
    ("now", "history", "reasons"),
    [
        ("2", History(), ["scorers/a.py changed", "it no longer reads scorers/b.py", "it now reads scorers/c.py"]),
        ("3", History(), [f"{RECORD} changed"]),
        ("2", None, [f"{RECORD} changed"]),
        ("1", History(), None),
    ],
)
def test_what_check_would_record_of_own_code_makes_run_who_uses_it(now, history, reasons):
    """It is known before: current_stages gives it as if check had run."""
    folders = [stage("check@a", {"scorers": md5}, {"checked": "c", RECORD: "1"}) for md5 in "12"]
    then = chain() | {"check@a": folders[0], "evaluate@a": stage("evaluate@a", {RECORD: "1"}, {"metrics": "e"})}
    after = then | {"check@a": folders[1], "evaluate@a": stage("evaluate@a", {RECORD: now}, {"metrics": "e"})}
    expected = {"check@a": ["scorers changed"]} | ({"evaluate@a": reasons} if reasons else {})
    assert plan(then, after, history) == (expected, {}, {})


def test_a_missing_output_is_restored_and_those_behind_it_may_run():
    now = chain()
    now["train@a"] = now["train@a"]._replace(outs=(LockedFile("model", None, None),))
    now["evaluate@a"] = now["evaluate@a"]._replace(deps=(LockedFile("model", None, None), now["evaluate@a"].deps[1]))
    found = plan(chain(), now)
    assert found.restore == {"train@a": ["model is missing"]}
    assert found.run == {}


def test_a_table_that_was_remade_alone_makes_its_readers_run():
    then = chain()
    then["train@a"] = then["train@a"]._replace(deps=(LockedFile("loaded", "older", 1), then["train@a"].deps[1]))
    assert plan(then, chain()).run == {"train@a": ["loaded changed"]}


def test_a_stage_that_never_ran():
    then = chain()
    del then["train@a"]
    found = plan(then, chain())
    assert found.run == {"train@a": ["no run of it is recorded in dvc.lock"]}
    assert found.maybe == {"evaluate@a": ["model"]}


def test_stages_are_looked_at_in_the_order_of_the_graph_whatever_that_of_the_file():
    now = chain(seed=2)
    assert plan(chain(), dict(reversed(now.items()))).maybe == {"evaluate@a": ["model"]}


def test_reasons_are_grouped_over_problems_and_stages():
    reasons = {
        "train@a": ["x changed", "seed 1 → 2"],
        "train@b": ["x changed"],
        "evaluate@a": ["y changed"],
    }
    assert grouped(reasons, NAMES) == ["train@*: x changed", "train@a: seed 1 → 2", "evaluate@a: y changed"]
    assert grouped({name: ["z changed"] for name in NAMES}, NAMES) == ["every stage: z changed"]
    assert label(["evaluate@b", "train@b", "train@a"], NAMES) == "train@*, evaluate@b"
    assert label(["train@a"], ["train@a"]) == "train@a"


def test_nothing_recorded_at_all():
    assert in_words({}, chain())[:2] == [
        "Would run:",
        "  every stage: no run of it is recorded in dvc.lock",
    ]


@pytest.fixture
def explain(tmp_path, monkeypatch, capsys):
    """Run it in the tiny repository: its lines."""
    folder = recorded.make(tmp_path)
    monkeypatch.chdir(folder)

    def run(*argv, code=0):
        assert main(["explain", *argv]) == code
        captured = capsys.readouterr()
        return captured.err if code else captured.out.splitlines()

    run.folder = folder
    return run


def test_the_command(explain):
    assert explain() == ["Nothing would run. Stages looked at: 2."]
    recorded.write(
        explain.folder,
        "params.yaml",
        {"problems": {"toy": recorded.TOY | {"train": {"seed": 1, "hyperparameters": {"a": 5}}}}},
    )
    assert explain() == [
        "Would run:",
        "  train@toy: problems.toy.train.hyperparameters.a 2 → 5",
        "Up to date: 1 of 2 stages.",
        "A stage that ran before with the very same inputs is restored from the run cache instead.",
    ]
    assert explain("load") == ["Nothing would run. Stages looked at: 1."]
    assert explain("toy") == explain()
    assert "'tran' is no stage and no problem. Allowed, nearest first: train" in explain("tran", code=2)
    (explain.folder / "dvc.lock").unlink()
    assert explain("load@toy")[1] == "  load@toy: no run of it is recorded in dvc.lock"
