"""What two revisions record differently of a problem."""

from lockstep.comparing.rendering import visible
from lockstep.comparing.run_changes import FileChange, RunChanges, ValueChange, find_changes, sentences
from lockstep.kernel.lock_file import LockedFile, LockedStage


def stages(md5, depth, version, extra=()):
    """A problem whose stage ``load`` reads data and code, and whose stage ``train`` reads what ``load`` wrote."""
    paths = ("data/raw/p.csv", "lockstep/kernel", "stages/load.py")
    deps = tuple(LockedFile(path, md5 * 32, 9) for path in (*paths, *extra))
    made = LockedFile("data/loaded/p.parquet", md5 * 32, 9)
    settings = {"params.yaml": {"problems.p.train": {"hyperparameters": depth}}, "versions.toml": {"numpy": version}}
    return {
        "load@p": LockedStage("load@p", "", deps, {}, (made,)),
        "train@p": LockedStage("train@p", "", (made,), settings, ()),
        "train@q": LockedStage("train@q", "", (LockedFile(f"{md5}.csv", md5 * 32, 9),), {}, ()),
    }


def test_settings_libraries_data_and_code_are_told_apart():
    """A folder of modules is code, as a module is; a table that a stage wrote is no change of its own."""
    before, after = stages("a", {"depth": 1}, "2.0"), stages("b", {"depth": 2}, "2.1", ["data/new.csv"])
    found = find_changes(before, after, "p", [{}, {}])
    old, new = "a" * 32, "b" * 32
    assert found == RunChanges(
        parameters=(ValueChange("train.hyperparameters.depth", 1, 2),),
        libraries=(ValueChange("numpy", "2.0", "2.1"),),
        data=(FileChange("data/new.csv", None, new), FileChange("data/raw/p.csv", old, new)),
        code=(FileChange("lockstep/kernel", old, new), FileChange("stages/load.py", old, new)),
        hyperparameters=(),
    )
    hint = "'python -m lockstep data-diff' says what"
    assert sentences(found, visible) == [
        "Changed parameters: train.hyperparameters.depth 1 \u2192 2.",
        "Changed libraries: numpy 2.0 \u2192 2.1.",
        f"Changed data: data/new.csv (new), data/raw/p.csv (aaaaaaa \u2192 bbbbbbb) ({hint}).",
        "Changed code: lockstep/kernel, stages/load.py.",
    ]


class History:
    """Of every folder the same modules changed; a record lists the file of its hash."""

    def changed_modules(self, *_):
        return ["files.py", "log.py"]

    def used_code(self, record):
        return {"scorers/cost.py": record.md5}


def test_own_code_is_told_where_a_stage_uses_it():
    """Not what else is in its folder, which check alone reads."""
    sides = []
    for md5, used in (("a", "c"), ("b", "c"), ("b", "d")):
        record = LockedFile("data/checked/scorers/p.json", used * 32, 9)
        check = LockedStage("check@p", "", (LockedFile("scorers", f"{md5 * 32}.dir", 9),), {}, (record,))
        sides.append({"check@p": check, "evaluate@p": LockedStage("evaluate@p", "", (record,), {}, ())})
    assert find_changes(sides[0], sides[1], "p", [{}, {}], History()).code == ()
    (change,) = find_changes(sides[1], sides[2], "p", [{}, {}], History()).code
    assert change == FileChange("scorers/cost.py", "c" * 32, "d" * 32)


def test_a_module_that_its_folder_names_is_told_once():
    sides = []
    for md5 in ("a" * 32, "b" * 32):
        folder = LockedFile("lockstep/kernel", f"{md5}.dir", 9)
        modules = [LockedFile(f"lockstep/kernel/{name}.py", md5, 9) for name in ("files", "paths")]
        read = {"load@p": [folder], "train@p": modules}
        sides.append({name: LockedStage(name, "", tuple(deps), {}, ()) for name, deps in read.items()})
    found = find_changes(*sides, "p", [{}, {}], History())
    assert sentences(found, visible)[-1] == (
        "Changed code: lockstep/kernel (files.py, log.py), lockstep/kernel/paths.py."
    )


def test_what_a_search_found_goes_before_the_given_hyperparameters():
    before, after = stages("a", {"depth": 1, "rate": 1}, "2.0"), stages("a", {"depth": 1, "rate": 1}, "2.0")
    found = find_changes(before, after, "p", [{}, {"depth": 7}])
    assert found.hyperparameters == (ValueChange("depth", 1, 7),)
    assert find_changes(before, before, "p", [{}, {}]).hyperparameters == ()


def test_what_a_search_found_for_a_vote_is_compared_with_what_its_members_had():
    members = [{"model": "ridge", "alpha": 1}, {"model": "lightgbm", "num_leaves": 8, "n_estimators": 9}]
    before = stages("a", {"members": members, "folds": 0}, "2.0")
    found = find_changes(before, before, "p", [{}, {"lightgbm_2.num_leaves": 12}])
    assert found.hyperparameters == (ValueChange("lightgbm_2.num_leaves", 8, 12),)


def test_what_another_stage_still_reads_is_not_gone():
    """As when a report no longer reads the raw table, nor the settings of the stages before it."""
    raw, other = LockedFile("data/raw/p.csv", "a" * 32, 9), LockedFile("notes.csv", "b" * 32, 9)
    load = LockedStage("load@p", "", (raw,), {"params.yaml": {"problems.p.load": {"path": raw.path}}}, ())
    settings = {"params.yaml": {"problems.p.load.path": raw.path, "problems.p.report": {"title": "t"}}}
    before = {"load@p": load, "report@p": LockedStage("report@p", "", (raw, other), settings, ())}
    after = {"load@p": load, "report@p": LockedStage("report@p", "", (), {}, ())}
    found = find_changes(before, after, "p", [{}, {}])
    assert found.data == (FileChange("notes.csv", other.md5, None),)
    assert found.parameters == (ValueChange("report", {"title": "t"}, None),)
    back = find_changes(after, before, "p", [{}, {}])
    assert back.data == (FileChange("notes.csv", None, other.md5),)
    assert back.parameters == (ValueChange("report", None, {"title": "t"}),)
