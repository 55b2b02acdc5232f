"""What changed between two runs of a stage."""

from lockstep.kernel.lock_file import parse_lock
from lockstep.provenance.changes import ABSENT, stage_changes

import recorded


def train(content=None, params=None, change=lambda entry: None):
    lock = recorded.lock_of(recorded.CONTENT | (content or {}), recorded.PARAMS | (params or {}))
    change(lock["stages"]["train@toy"])
    return parse_lock(recorded.dump(lock), "dvc.lock", "")["train@toy"]


def words(after, before=None):
    return [str(change) for change in stage_changes(before or train(), after)]


def settings(**values):
    return {"problems": {"toy": {"load": {}, "train": values}}}


def test_versions_are_told_as_versions():
    def versions(**values):
        return train(change=lambda entry: entry["params"].update({"versions.toml": values}))

    assert words(versions(python="3.12", numpy="2.4.7"), versions(python="3.11", numpy="2.4.6")) == [
        "Python 3.11 → 3.12",
        "numpy 2.4.6 → 2.4.7",
    ]
    assert words(versions(scipy="1.17.1")) == ["scipy (none) → 1.17.1"]


def test_nothing_changed():
    assert words(train()) == []


def test_settings_are_told_leaf_by_leaf():
    after = train(params=settings(seed=1, hyperparameters={"a": 3, "b": [1, "x"]}, extra=None))
    assert words(after) == [
        "problems.toy.train.hyperparameters.a 2 → 3",
        'problems.toy.train.hyperparameters.b (none) → [1, "x"]',
        "problems.toy.train.extra (none) → null",
    ]
    assert words(train(params=settings(hyperparameters="none"))) == [
        "problems.toy.train.seed 1 → (none)",
        'problems.toy.train.hyperparameters {"a": 2} → "none"',
    ]


def test_one_and_true_are_not_the_same():
    assert words(train(params=settings(seed=True, hyperparameters={"a": 2.0}))) == [
        "problems.toy.train.seed 1 → true",
        "problems.toy.train.hyperparameters.a 2 → 2.0",
    ]


def test_files_command_and_outputs():
    assert words(train({"code/train.py": "# other\n"})) == ["code/train.py changed"]
    assert words(train(change=lambda entry: entry.update(cmd="python -m stages.train"))) == [
        "its command in dvc.yaml changed"
    ]
    more = train(change=lambda entry: entry["deps"].append(recorded.locked("code/more.py", "")))
    assert words(more) == ["it now reads code/more.py"]
    assert words(train(), more) == ["it no longer reads code/more.py"]
    other = train(change=lambda entry: entry["outs"][1].update(path="models/toy/m_v2.joblib"))
    assert words(other) == ["it no longer writes models/toy/m_v1.joblib", "it now writes models/toy/m_v2.joblib"]


def test_other_bytes_of_an_output_are_no_reason_to_run():
    assert words(train({"metrics/toy.json": "[]"})) == []


def test_a_missing_file_is_told():
    after = train()
    gone = after._replace(deps=(after.deps[0]._replace(md5=None), *after.deps[1:]))
    assert words(gone) == ["code/train.py is missing"]


def test_a_change_has_its_values():
    (change,) = stage_changes(train(), train(params=settings(seed=1, hyperparameters={})))
    assert (change.kind, change.file, change.before, change.after) == ("setting", "params.yaml", 2, ABSENT)
