"""The graph in dvc.yaml: exact code dependencies, no leak, nothing dangerous in it."""

import re
import subprocess
import sys
from itertools import filterfalse

from lockstep.kernel.paths import OWN_CODE
from lockstep.kernel.used_code import CHECKED, FOLDERS, is_record

import pytest
import yaml
from graph import (
    LIBRARIES_OF,
    NAMES,
    STAGES,
    all_outputs,
    code_deps,
    files_of,
    import_closure,
    is_code,
    is_own_code,
    libraries,
)
from workspace import ROOT, Repository


def test_one_script_per_stage():
    scripts = {path.stem for path in (ROOT / "stages").glob("*.py")} - {"__init__"}
    assert scripts == set(STAGES)


def test_check_comes_before_all_and_makes_none_rerun():
    check = STAGES["check"]["do"]
    assert check["params"] == ["problems.${key}"]
    assert check["deps"] == list(FOLDERS)  # of the user's own code, not of Lockstep's
    sound, *_ = all_outputs("check")
    assert [stage for stage in NAMES if sound in STAGES[stage]["do"]["deps"]] == ["load"]
    made = {path: stage for stage in NAMES for path in all_outputs(stage)}
    reached, todo = {"load"}, set(NAMES) - {"load"}
    while now := {stage for stage in todo if {made.get(path) for path in STAGES[stage]["do"]["deps"]} & reached}:
        reached, todo = reached | now, todo - now
    assert reached == set(NAMES)


def test_stages_depend_on_the_files_of_own_code_that_are_used_and_on_no_folder_of_it():
    """An estimator is fitted or opened by all of them; a metric is computed of folds and of test rows."""
    _, *records = all_outputs("check")
    assert records == [f"{CHECKED}/{folder}/${{key}}.json" for folder in FOLDERS]
    assert all(map(is_record, records))
    scoring = ["tune", "cross_validate", "evaluate"]
    for record, expected in zip(records, ({*scoring, "train", "diagnose"}, set(scoring)), strict=True):
        assert {stage for stage in NAMES if record in STAGES[stage]["do"]["deps"]} == expected
    for stage in NAMES:
        own = [path for path in STAGES[stage]["do"]["deps"] if path.split("/")[0] in OWN_CODE]
        assert own in ([], ["features/${key}.py"])
        imports = {"lockstep/learning/own_estimators.py", "lockstep/learning/own_metrics.py"}
        assert records[0] in STAGES[stage]["do"]["deps"] or not imports & set(import_closure(f"stages.{stage}"))


@pytest.mark.parametrize("stage", NAMES)
def test_code_deps_are_the_import_closure(stage):
    """Files below listed folders, and listed files, are what the script imports: none is missing, none superfluous."""
    listed = [file for path in code_deps(stage) for file in files_of(path)]
    assert sorted(listed) == import_closure(f"stages.{stage}")


def test_a_folder_is_listed_where_a_stage_needs_all_of_it():
    for stage in NAMES:
        closure = set(import_closure(f"stages.{stage}"))
        for folder in (path for path in (ROOT / "lockstep").iterdir() if (path / "__init__.py").exists()):
            name = str(folder.relative_to(ROOT))
            assert (name in code_deps(stage)) == (set(files_of(name)) <= closure), (stage, name)


@pytest.mark.parametrize("stage", NAMES)
def test_a_stage_tracks_the_versions_of_the_libraries_that_it_uses(stage):
    (tracked,) = [entry["versions.toml"] for entry in STAGES[stage]["do"]["params"] if isinstance(entry, dict)]
    assert tracked == sorted(["python", *libraries(stage)])


def test_every_recorded_version_is_tracked_by_a_stage():
    from lockstep.kernel.environment import LIBRARIES

    assert set().union(*(libraries(stage) for stage in NAMES)) == set(LIBRARIES)


def test_load_needs_no_scikit_learn_and_train_does():
    assert libraries("load") == {"numpy", "pandas", "pyarrow"}
    assert {"scikit-learn", "scipy", "joblib"} < libraries("train")


@pytest.mark.parametrize("stage", ["load", "train", "report"])
def test_what_a_stage_imports_is_among_what_it_tracks(stage):
    """The proof that the closure sees all: what is loaded when the stage is."""
    code = f"import sys, stages.{stage}; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = {LIBRARIES_OF[name] for name in done.stdout.split() if name in LIBRARIES_OF}
    assert loaded == libraries(stage) - {"lightgbm", "xgboost"}  # loaded where an estimator of theirs is built


def test_the_closure_sees_through_packages_and_names():
    assert "lockstep/kernel/errors.py" in import_closure("stages.load")
    assert import_closure("lockstep.kernel.errors") == [
        "lockstep/__init__.py",
        "lockstep/kernel/__init__.py",
        "lockstep/kernel/errors.py",
        "lockstep/kernel/portable.py",
    ]


@pytest.mark.parametrize("stage", NAMES)
def test_no_stage_imports_another_one(stage):
    assert [path for path in import_closure(f"stages.{stage}") if path.startswith("stages/")] == [
        f"stages/{stage}.py",
    ]


def test_test_rows_reach_evaluate_and_what_follows_it():
    """Everything that is downstream of the test rows, transitively, is evaluate, and the diagnosis and the report of
    what it found."""
    reached, todo = set(), ["data/split/${key}/test.parquet"]
    while todo:
        path = todo.pop()
        for stage in NAMES:
            if path in STAGES[stage]["do"]["deps"] and stage not in reached:
                reached.add(stage)
                todo += all_outputs(stage)
    assert reached == {"evaluate", "diagnose", "report"}
    assert set(all_outputs("evaluate")) & set(STAGES["diagnose"]["do"]["deps"])
    assert set(all_outputs("diagnose")) & set(STAGES["report"]["do"]["deps"])


def test_the_report_computes_nothing_from_rows():
    """It reads what stages have written of the rows, and imports no library that fits, scores or counts."""
    assert libraries("report") == {"jinja2", "matplotlib", "numpy"}
    assert not [path for path in STAGES["report"]["do"]["deps"] if path.endswith((".parquet", ".joblib", ".yaml"))]
    importing = {"lockstep/kernel", "lockstep/steps/reporting"}
    assert importing < set(code_deps("report"))


def test_the_loaded_table_reaches_split_and_nothing_else():
    """Whoever read the unsplit table would see test rows too."""
    readers = [stage for stage in NAMES if "data/loaded/${key}.parquet" in STAGES[stage]["do"]["deps"]]
    assert readers == ["split"]


@pytest.mark.parametrize("stage", NAMES)
def test_commands_are_one_plain_command_with_nothing_but_the_key_in_it(stage):
    command = STAGES[stage]["do"]["cmd"]
    assert set(re.findall(r"\$\{.*?\}", command)) == {"${key}"}
    assert command.startswith(f"python -m stages.{stage} --problem '${{key}}' ")
    assert not re.search(r"[;&|<>`\n]", command)
    # Quoted, so that a name that our own check has not seen yet does nothing in the shell.
    assert all(re.fullmatch(r"'[^']*'", word) for word in command.split() if "${" in word)


@pytest.mark.parametrize("stage", NAMES)
def test_every_path_of_the_command_is_declared_and_every_declared_path_is_in_it(stage):
    do = STAGES[stage]["do"]
    arguments = [word.strip("'") for word in do["cmd"].split()[3:] if "/" in word]
    declared = [
        path
        for path in [*do["deps"], *all_outputs(stage)]
        if not is_code(path) and path not in ("${item.load.path}", all_outputs("check")[0])
    ]
    for argument in arguments:
        assert any(path == argument or path.startswith(f"{argument}/") for path in declared), argument
    for path in filterfalse(is_own_code, declared):
        named = path.replace(".joblib.json", ".joblib")  # a sidecar stands beside its model
        assert any(named == argument or named.startswith(f"{argument}/") for argument in arguments), path


@pytest.mark.parametrize("stage", NAMES)
def test_outputs_are_files_and_only_small_ones_stand_in_git(stage):
    for path in all_outputs(stage):
        assert re.search(r"\.(parquet|joblib|json|csv|html|md|svg)$", path), path
    for kind in ("metrics", "plots"):
        for entry in STAGES[stage]["do"].get(kind, []):
            assert next(iter(entry.values()))["cache"] is False
    # A plain output outside the cache would switch the run cache off for its stage.
    assert all(isinstance(entry, str) for entry in STAGES[stage]["do"].get("outs", []))


@pytest.mark.parametrize("stage", NAMES)
def test_every_stage_says_what_it_does_and_plots_have_templates_and_titles(stage):
    do = STAGES[stage]["do"]
    assert "${key}" in do["desc"]
    for entry in do.get("plots", []):
        path, properties = next(iter(entry.items()))
        if path.endswith(".svg"):  # a picture: DVC shows it as it is
            continue
        assert {"template", "title", "x", "y"} <= set(properties)
        for task in ("classification", "regression"):
            name = properties["template"].replace("${item.load.task}", task)
            built_in = name in {"bar_horizontal", "bar_horizontal_sorted"}
            assert built_in or (ROOT / f".dvc/plots/{name}.json").exists()


def test_artifacts_are_the_models_of_the_problems():
    from dvc.repo import Repo

    problems = yaml.safe_load((ROOT / "params.yaml").read_text())["problems"]
    with Repo(str(ROOT)) as repo:
        (found,) = repo.artifacts.read().values()
    for name, problem in problems.items():
        train = problem["train"]
        assert found[name].path == f"models/{name}/{train['model']}_{train['kind']}_v{train['version']}.joblib"


def test_the_bundled_tables_are_served_by_their_own_remote_alone():
    config = (ROOT / ".dvc/config").read_text()
    assert "verify = true" in config
    assert "analytics = false" in config
    assert 'type = "reflink,copy"' in config
    assert "remote =" not in config.split("[core]")[1].split("[")[0]  # no default remote: that is the user's to choose
    for name in ("iris", "housing"):
        out = yaml.safe_load((ROOT / f"data/raw/{name}.csv.dvc").read_text())["outs"][0]
        assert (out["remote"], out["push"]) == ("bundled", False)
        bundled = ROOT / "data/bundled/files/md5" / out["md5"][:2] / out["md5"][2:]
        assert bundled.stat().st_size == out["size"]


def test_the_users_code_is_what_dvc_tracks_in_its_folders(tmp_path):
    """A folder of which DVC ignored all would be the same, whatever is in it: ``check`` would not run."""
    repository = Repository(tmp_path / "copy")
    names = [f"{folder}/{name}" for folder in ("estimators", "scorers") for name in ("mine.py", "README.md")]
    for name in names:
        (repository.folder / name).touch()
    ignored = repository.dvc("check-ignore", *names).stdout.split()
    assert ignored == [name for name in names if name.endswith("README.md")]
