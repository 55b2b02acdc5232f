"""python -m lockstep merge: what stages write is built anew, what a person decided is never touched."""

import subprocess
from pathlib import Path

from lockstep.__main__ import main
from lockstep.commands.pipeline import check
from lockstep.kernel.lock_file import parse_lock, read_lock
from lockstep.provenance import merging
from lockstep.repository.dvc_process import Ended

import pytest
import recorded
import yaml
from quick import QUICK_OUTPUTS, QuickRepository

WHO = {f"GIT_{who}_{what}": "test@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
GO_ON = {
    "merge": "git commit",
    "rebase": "git rebase --continue",
    "cherry-pick": "git cherry-pick --continue",
    "stash": "git commit",
}

RESULTS = ("dvc.lock", "metrics/toy.json")


def git(*arguments, check=True):
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0 or not check, done.stderr
    return done.stdout


def content(settings, name="toy"):
    """Everything that stages and git read, as of these settings: {path: bytes}."""
    params = {"problems": {"toy": recorded.TOY | settings}}
    made = recorded.CONTENT | {"metrics/toy.json": f"{settings}\n", "models/toy/m_v1.joblib": f"model {settings}\n"}
    return {
        "params.yaml": recorded.dump(params),
        "dvc.lock": recorded.dump(recorded.lock_of(made, params)),
        "metrics/toy.json": made["metrics/toy.json"].encode(),
    }


def write(files):
    for path, data in files.items():
        Path(path).write_bytes(data)


def commit(files, message):
    write(files)
    git("add", "-A")
    git("commit", "-q", "-m", message)


def params_of(settings):
    return content(settings)["params.yaml"]


MAIN, SIDE = {"train": {"seed": 2}}, {"train": {"seed": 3}}
BOTH = {"train": {"seed": 4}}
"""What the rebuild gives: of settings that somebody merged."""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """The hand-made repository with two branches that rebuilt: their settings merge, their results do not."""
    folder = recorded.make(tmp_path / "toy")
    monkeypatch.chdir(folder)
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    Path(".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n/data/loaded\n/models\n")
    Path("code/both.py").write_text("a = 1\n" * 20)
    commit({}, "base")
    git("branch", "side")
    return folder


def diverge(main_files=None, side_files=None, delete=()):
    """Commit to both branches; end on main."""
    main_results, side_results = ({path: content(settings)[path] for path in RESULTS} for settings in (MAIN, SIDE))
    git("checkout", "-q", "side")
    commit(side_results | (side_files or {}), "side")
    git("checkout", "-q", "main")
    for path in delete:
        git("rm", "-q", path)
    commit({path: data for path, data in (main_results | (main_files or {})).items() if path not in delete}, "main")


def stop(operation):
    """Begin an operation, which stops at conflicts."""
    if operation == "stash":
        git("checkout", "-q", "side~1")
        write(content(SIDE) | {"params.yaml": params_of({})})
        git("stash")
        git("checkout", "-q", "main")
        git("stash", "pop", check=False)
    else:
        git(operation, "side", check=False)
    assert unmerged()


def unmerged():
    return sorted(set(git("diff", "--name-only", "--diff-filter=U").split()))


@pytest.fixture
def repro(monkeypatch):
    """In place of 'dvc repro': what it was called on, and that it writes what BOTH gives, or fails."""
    seen = []

    def run(arguments, **options):
        assert arguments == ["repro"]
        seen.append({path: Path(path).read_bytes() for path in RESULTS if Path(path).exists()})
        if run.fails:
            return Ended(1, ["ERROR: no space left"])
        write({path: content(BOTH)[path] for path in RESULTS})
        return Ended(0, [])

    run.fails, run.seen = False, seen
    monkeypatch.setattr(merging, "run_dvc", run)
    monkeypatch.setattr(check, "main", lambda arguments: yaml.safe_load(Path("params.yaml").read_bytes()))
    return run


def built():
    return all(Path(path).read_bytes() == content(BOTH)[path] for path in RESULTS)


def tree():
    """Every file, and git's index."""
    kept = [
        path for path in Path().rglob("*") if path.is_file() and path.parts[0] != ".git" and "tmp" not in path.parts
    ]
    files = {path: path.read_bytes() for path in kept}
    return files, git("ls-files", "--stage")


def test_without_a_conflict_nothing_happens(toy, repro, capsys):
    diverge()
    before = tree()
    assert main(["merge"]) == 0
    assert capsys.readouterr().out == "Nothing is in conflict.\n"
    assert tree() == before
    assert repro.seen == []


@pytest.mark.parametrize("operation", GO_ON)
def test_what_stages_write_is_built_anew(toy, repro, capsys, operation):
    diverge()
    stop(operation)
    assert unmerged() == ["dvc.lock", "metrics/toy.json"]
    assert main(["merge"]) == 0
    assert capsys.readouterr().out.endswith(f"\nNext: {GO_ON[operation]}\n")
    for path, data in repro.seen[0].items():  # whole, of the side of HEAD
        assert data.decode() == git("show", f"HEAD:{path}")
    parse_lock(repro.seen[0]["dvc.lock"], "dvc.lock", "")
    assert built()
    assert unmerged() == []
    assert git("diff", "--name-only") == ""
    before = tree()
    assert main(["merge"]) == 0  # typed twice
    assert built()
    assert tree() == before


def test_settings_in_conflict_are_never_touched(toy, repro, capsys):
    diverge({"params.yaml": params_of(MAIN)}, {"params.yaml": params_of(SIDE)})
    stop("merge")
    before = tree()
    assert main(["merge"]) == 1
    assert capsys.readouterr().out == (
        "Nothing was changed. For you to settle, since no run can decide it:\n"
        "  params.yaml: edit the lines between <<<<<<< and >>>>>>>, then git add params.yaml\n"
        "Then type 'python -m lockstep merge' again, which rebuilds dvc.lock, metrics/toy.json.\n"
    )
    assert tree() == before
    git("add", "params.yaml")  # too early
    assert main(["merge"]) == 1
    assert "params.yaml: edit the lines between" in capsys.readouterr().out
    write({"params.yaml": params_of(BOTH)})
    git("add", "params.yaml")
    assert main(["merge"]) == 0
    assert built()
    assert yaml.safe_load(git("show", ":params.yaml"))["problems"]["toy"]["train"] == BOTH["train"]


def test_the_two_sides_are_named_as_they_are(toy, repro, capsys):
    """In a rebase 'ours' is not what one thinks."""
    pointers = [
        {"data/raw/toy.csv.dvc": yaml.safe_dump({"outs": [recorded.locked("toy.csv", text)]}).encode()}
        for text in ("x", "yy")
    ]
    diverge(*pointers)
    stop("rebase")
    before = tree()
    assert main(["merge"]) == 1
    said = capsys.readouterr().out
    assert (
        "data/raw/toy.csv.dvc: two versions of a table. Take one: git checkout --ours -- data/raw/toy.csv.dvc (the "
        "branch that you rebase onto), or --theirs (your own commit); then git add data/raw/toy.csv.dvc && dvc "
        "checkout data/raw/toy.csv.dvc\n"
    ) in said
    assert tree() == before


def test_a_file_that_one_side_deleted(toy, repro, capsys):
    diverge(delete=["code/train.py"], side_files={"code/train.py": b"# changed\n"})
    stop("merge")
    assert main(["merge"]) == 1
    advice = "one side deleted or renamed it. Keep it: git add code/train.py; or not: git rm code/train.py"
    assert f"  code/train.py: {advice}\n" in capsys.readouterr().out


def test_a_result_that_one_side_deleted_is_built(toy, repro):
    diverge(delete=["metrics/toy.json"])
    stop("merge")
    assert main(["merge"]) == 0
    assert built()
    assert unmerged() == []


def test_a_run_that_fails_leaves_the_conflict_and_what_was_built(toy, repro, capsys):
    diverge()
    stop("merge")
    repro.fails = True
    assert main(["merge"]) == 4
    assert (
        "'dvc repro' failed: no space left. The files are still in conflict, and nothing is lost. Correct that, then "
        "type 'python -m lockstep merge' again." in capsys.readouterr().err
    )
    assert unmerged() == ["dvc.lock", "metrics/toy.json"]
    Path("metrics/toy.json").write_text("built meanwhile\n")
    repro.fails = False
    assert main(["merge"]) == 0
    assert repro.seen[1]["metrics/toy.json"] == b"built meanwhile\n"
    assert built()


def test_markers_that_were_added_or_committed(toy, repro):
    """By 'git add -A', without a look."""
    diverge()
    stop("merge")
    git("add", "-A")
    assert main(["merge"]) == 0
    assert built()
    git("checkout", "-q", "--force", "main")
    git("merge", "side", check=False)
    git("add", "-A")
    git("commit", "-q", "-m", "markers")
    assert main(["merge"]) == 0
    assert built()
    read_lock()


def test_a_lock_that_calls_other_files_outputs_is_not_believed(toy, repro, capsys):
    """A branch of somebody's: nothing but what dvc.yaml's stages write is replaced."""
    lock = recorded.lock_of()
    mine, their = {"code/both.py": b"a = 2\n"}, {"code/both.py": b"a = 3\n"}
    for path in ("code/both.py", "params.yaml"):
        lock["stages"]["train@toy"]["outs"].append(recorded.locked(path, "x"))
    settings = [{"params.yaml": params_of(MAIN)}, {"params.yaml": params_of(SIDE)}]
    diverge(mine | settings[0], their | settings[1] | {"dvc.lock": recorded.dump(lock)})
    stop("merge")
    conflicted = Path("code/both.py").read_bytes()
    assert main(["merge"]) == 1
    assert "params.yaml: edit the lines" in capsys.readouterr().out
    write({"params.yaml": params_of(BOTH)})
    git("add", "params.yaml")
    assert main(["merge"]) == 1
    assert (
        "No stage writes these any more, so they are for you to settle:\n  code/both.py: edit the lines between"
        in capsys.readouterr().out
    )
    assert Path("code/both.py").read_bytes() == conflicted
    assert unmerged() == ["code/both.py"]


def test_files_of_a_larger_repository(tmp_path, monkeypatch, repro, capsys):
    """What is in conflict beside this folder is named too: git goes on with nothing before."""
    folder = recorded.make(tmp_path / "large/ml", top=tmp_path / "large")
    monkeypatch.chdir(folder)
    for name, value in WHO.items():
        monkeypatch.setenv(name, value)
    Path(".gitignore").write_text("/.dvc/tmp\n/.dvc/cache\n/data/loaded\n/models\n")
    commit({"../notes.md": b"x\n"}, "base")
    git("branch", "side")
    diverge({"../notes.md": b"y\n"}, {"../notes.md": b"z\n"})
    stop("merge")
    assert main(["merge"]) == 1
    assert (
        "  ../notes.md: edit the lines between <<<<<<< and >>>>>>>, then git add ../notes.md\n"
        in capsys.readouterr().out
    )
    write({"../notes.md": b"yz\n"})
    git("add", "../notes.md")
    assert main(["merge"]) == 0
    assert built()
    assert unmerged() == []


A = ("text = args.source.read_bytes()", "text = args.source.read_bytes() + b'a\\n'")
B = ('{"lines": text.count(b"\\n")}', '{"lines": text.count(b"\\n"), "b": 1}')


@pytest.mark.slow
@pytest.mark.exhaustive
@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick"])
def test_the_result_is_that_of_a_clean_run(tmp_path, operation):
    """Two branches changed the code of a stage and built it: with DVC, from the conflict to the commit."""
    repository = QuickRepository(tmp_path / "repository")
    stage = repository.folder / "stages/quick.py"
    repository.repro()
    repository.commit("base")
    for branch, change in (("side", B), ("main", A)):
        repository.run("git", "checkout", "-q", *(["-b"] if branch == "side" else []), branch)
        stage.write_text(stage.read_text().replace(*change))
        repository.repro()
        repository.commit(branch)
    repository.environment |= {"GIT_EDITOR": "true"}
    assert repository.run("git", operation, "side", check=False).returncode == 1
    assert repository.run("git", "diff", "--name-only", "--diff-filter=U").stdout.split() == [
        "dvc.lock",
        "metrics/one.json",
        "metrics/two.json",
    ]
    done = repository.run("python", "-m", "lockstep", "merge")
    assert f"Next: {GO_ON[operation]}\n" in done.stdout
    repository.run(*GO_ON[operation].split(), *(["--no-edit"] if operation == "merge" else []))
    assert all(new in stage.read_text() for _, new in (A, B))
    assert repository.run("git", "status", "--porcelain").stdout == ""
    assert repository.changed() == set()
    for path in QUICK_OUTPUTS:
        (repository.folder / path).unlink()
    assert repository.repro("--force") == ["one", "two"]
    assert repository.run("git", "status", "--porcelain").stdout == ""
