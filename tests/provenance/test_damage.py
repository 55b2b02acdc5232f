"""Files of DVC's that are cut anywhere, or altered to YAML of another form: one command heals them, or is named."""

import copy
import hashlib
import json
import subprocess
from pathlib import Path

from lockstep.__main__ import main
from lockstep.kernel.lock_file import parse_lock, read_lock
from lockstep.provenance.damage import form_fault
from lockstep.repository.dvc import damaged_runs

import pytest
import recorded
import yaml
from dvc.repo import Repo
from workspace import ROOT

FIX = ["doctor", "--leftovers", "--fix"]
"""What ``make repro`` does first."""
POINTER = "data/raw/toy.csv.dvc"
FILES = ("dvc.lock", POINTER, "dvc.yaml", "params.yaml")


def git(*arguments):
    who = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    return subprocess.run(["git", *who, *arguments], check=True, capture_output=True, text=True).stdout


def commit():
    git("add", "-A")
    git("commit", "-q", "--allow-empty", "-m", "toy")


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The hand-made repository, committed."""
    folder = recorded.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    (folder / ".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n")
    commit()
    return folder


PLACES = pytest.mark.parametrize("places", ["some", pytest.param("others", marks=pytest.mark.exhaustive)])


def cuts(whole, places):
    """(the position, what is left) of cuts: at some thirty places, or at a third of all others."""
    some = range(0, len(whole), max(1, len(whole) // 30))
    chosen = some if places == "some" else [place for place in range(0, len(whole), 3) if place not in some]
    return [(place, whole[:place]) for place in chosen]


@PLACES
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut(toy, capsys, name, places):
    """Files that DVC writes are healed by 'make repro'; those that a user writes are named, with what to type."""
    whole = Path(name).read_bytes()
    for position, left in cuts(whole, places):
        Path(name).write_bytes(left)
        code, said = main(FIX), capsys.readouterr().out
        case = f"{left[-40:]!r}: {said}"
        if Path(name).read_bytes() == whole:
            assert code == 0, case
            assert name in ("dvc.lock", POINTER), "a user's file was touched"
            continue
        assert name != "dvc.lock", case
        assert Path(name).read_bytes() == left, "it is the user's"
        assert f"git checkout HEAD -- {name}" in said, case
        ends_with_line = position and b"\n" in (whole[position - 1 : position], whole[position : position + 1])
        assert code == (0 if ends_with_line else 1), case
        git("checkout", "HEAD", "--", name)
        assert Path(name).read_bytes() == whole


@pytest.mark.exhaustive
def test_this_repositorys_lock_that_was_cut(toy, capsys):
    whole = (ROOT / "dvc.lock").read_bytes()
    Path("dvc.lock").write_bytes(whole)
    commit()
    for position in range(0, len(whole), len(whole) // 60):
        Path("dvc.lock").write_bytes(whole[:position])
        assert main(FIX) == 0, whole[:position][-40:]
        assert Path("dvc.lock").read_bytes() == whole
    capsys.readouterr()


def changed_stages():
    """The stages that DVC would run, by its own reading of dvc.lock."""
    with Repo() as repo:
        return {name for name in repo.status() if not name.endswith(".dvc")}


@PLACES
def test_a_newer_lock_that_was_cut(toy, capsys, places):
    """It is no beginning of the last commit's: either its form shows it, or DVC runs again what it lacks."""
    committed, settings = Path("dvc.lock").read_bytes(), {"problems": {"toy": {"load": {"path": "data/raw/toy.csv"}}}}
    settings["problems"]["toy"]["train"] = {"seed": 2, "hyperparameters": {"a": 3}}
    recorded.write(Path(), "params.yaml", settings)
    whole = recorded.dump(recorded.lock_of(params=settings)).replace(b"schema: '2.0'", b'schema: "2.0"')
    stages = parse_lock(whole, "dvc.lock", "")
    for _, cut in cuts(whole, places):
        Path("dvc.lock").write_bytes(cut)
        assert main(FIX) == 0
        if Path("dvc.lock").read_bytes() != committed:
            left = read_lock()
            incomplete = {name for name in stages if left.get(name) != stages[name]}
            assert incomplete, cut[-40:]
            assert incomplete <= changed_stages(), cut[-40:]
    capsys.readouterr()


def altered(content, key=()):
    """Copies of nested lists and mappings with one thing of another form: (what, copy)."""
    at = content
    for part in key:
        at = at[part]
    for value in ([], {}, 7, None, True, "x", ["x"], {"x": "x"}):
        if key and value != at:
            changed = copy.deepcopy(content)
            inner = changed
            for part in key[:-1]:
                inner = inner[part]
            inner[key[-1]] = value
            yield f"{key}: {value!r}", changed
    if isinstance(at, dict):
        changed = copy.deepcopy(content)
        inner = changed
        for part in key:
            inner = inner[part]
        inner["unknown"] = 1
        yield f"{key}: an unknown key", changed
    for part in at if isinstance(at, dict) else range(len(at)) if isinstance(at, list) else ():
        yield from altered(content, (*key, part))


def without_sizes(stages):
    return {
        name: stage._replace(
            deps=tuple(file._replace(size=0) for file in stage.deps),
            outs=tuple(file._replace(size=0) for file in stage.outs),
        )
        for name, stage in stages.items()
    }


@PLACES
def test_an_altered_lock_is_healed_or_runs_again(toy, capsys, places):
    whole, stages = Path("dvc.lock").read_bytes(), read_lock()
    cases = list(altered(recorded.lock_of()))
    assert len(cases) > 400
    cases = cases[::12] if places == "some" else cases[1::3]
    healed = 0
    for what, content in cases:
        Path("dvc.lock").write_bytes(recorded.dump(content))
        assert main(FIX) == 0, what
        if Path("dvc.lock").read_bytes() == whole:
            healed += 1
            continue
        if "'params.yaml'): an unknown key" in what:  # of no setting that a stage reads
            continue
        now = read_lock()  # DVC takes it: what differs from the files and settings that are here runs again
        differs = {name for name in stages if without_sizes(now).get(name) != without_sizes(stages)[name]}
        assert differs <= changed_stages(), what
    assert healed > len(cases) / 2
    capsys.readouterr()


def test_an_altered_pointer_is_healed_or_named(toy, capsys):
    whole = Path(POINTER).read_bytes()
    for what, content in altered(yaml.safe_load(whole)):
        Path(POINTER).write_text(yaml.safe_dump(content))
        code, said = main(FIX), capsys.readouterr().out
        if Path(POINTER).read_bytes() != whole:
            sound = form_fault(Path(POINTER)) is None
            assert (code, f"git checkout HEAD -- {POINTER}" in said) == ((0, False) if sound else (1, True)), what
            assert not sound or "'size'" in what or "unknown" in what, what


def test_a_pointer_of_no_commit_is_named(toy, capsys):
    Path("data/raw/new.csv").write_text("a\n1\n")
    Path("data/raw/new.csv.dvc").write_text("outs:\n- md5: 60b725f10c9c85c70d97880dfe8191b3\n  size:\n")
    assert main(FIX) == 1
    assert "to have DVC write it anew: rm data/raw/new.csv.dvc && dvc add data/raw/new.csv\n" in capsys.readouterr().out


def test_dvc_yaml_of_another_form_is_named(toy, capsys):
    for what, content in list(altered(yaml.safe_load(Path("dvc.yaml").read_bytes())))[::9]:
        recorded.write(Path(), "dvc.yaml", content)
        if form_fault(Path("dvc.yaml")) is None:
            continue
        assert main(["doctor", "--fix"]) == 1, what
        assert "or: git checkout HEAD -- dvc.yaml" in capsys.readouterr().out, what


def test_a_lock_whose_commit_is_damaged_too_is_removed(toy, capsys):
    whole = Path("dvc.lock").read_text()
    Path("dvc.lock").write_text(whole[:-3])
    commit()
    assert main(FIX) == 0
    assert not Path("dvc.lock").exists()
    assert main(["doctor", "--leftovers"]) == 0


def bare(data):
    """What an entry of the run cache says, sizes apart, which DVC reads from the files; None of what is no YAML."""

    def without(value):
        if isinstance(value, dict):
            return {key: without(inner) for key, inner in value.items() if key != "size"}
        return [without(inner) for inner in value] if isinstance(value, list) else value

    try:
        return without(yaml.safe_load(data))
    except yaml.YAMLError:
        return None


def run_entry(folder):
    """An entry of the run cache, under the name that DVC gives it."""
    data = recorded.dump(recorded.lock_of()["stages"]["train@toy"])
    name = hashlib.sha256(json.dumps(bare(data), sort_keys=True).encode()).hexdigest()
    path = folder / "runs/ab" / ("ab" * 32) / name
    path.parent.mkdir(parents=True)
    path.write_bytes(data)
    return path


def test_entries_of_the_run_cache(tmp_path):
    path, cache = run_entry(tmp_path), tmp_path / "files/md5"
    whole = path.read_bytes()
    cut = [whole[:position] for position in range(len(whole) + 1)]
    changed = [recorded.dump(content) for _, content in altered(yaml.safe_load(whole))]
    for data in cut + changed:
        path.write_bytes(data)
        assert damaged_runs(cache) == ([] if bare(data) == bare(whole) else [path]), data[-60:]


def test_a_cut_entry_of_the_run_cache_is_removed(toy, capsys):
    path = run_entry(Path(".dvc/cache"))
    path.write_bytes(path.read_bytes()[:200])
    assert main(FIX) == 0
    assert "1 entries of DVC's run cache were cut or altered: " in capsys.readouterr().out
    assert not path.parent.exists()  # DVC fails over an empty one, as it leaves it itself
    path.parent.mkdir()
    (path.parent.parent / "another").mkdir()
    (path.parent.parent / "another/.abcdefghijklmnopqrstuv.tmp").write_text("cmd: a\n")  # of a killed DVC
    assert main(FIX) == 0
    assert "2 entries of DVC's run cache" in capsys.readouterr().out
    assert list(path.parent.parent.iterdir()) == []
