"""python -m lockstep remove and rename, in a copy of the repository: what changes, what does not, and the way back."""

import os
from unittest import mock

from lockstep.kernel.files import Outputs

import pytest
import yaml
from workspace import Repository


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    return Repository(tmp_path_factory.mktemp("remove") / "copy")


@pytest.fixture
def copy(committed, tmp_path):
    """With something in the workspace that DVC's cache has, and a model that is nowhere else."""
    copy = committed.copy_to(tmp_path / "copy")
    model = copy.folder / "models/iris/old.skops"
    model.parent.mkdir(parents=True)
    model.write_bytes((copy.folder / "data/raw/iris.csv").read_bytes())
    return copy


def tracked(copy):
    return copy.run("git", "ls-files").stdout.splitlines()


def lines_of(copy, file):
    return (copy.folder / file).read_text().splitlines(keepends=True)


def undo(copy, done):
    line = next(line for line in done.stdout.splitlines() if line.startswith("Undo:"))
    return line.removeprefix("Undo:").strip().split("    (")[0]


def test_all_of_a_problem_goes_and_git_brings_it_back(copy):
    before = {file: lines_of(copy, file) for file in ("params.yaml", "dvc.yaml", "dvc.lock", "data/raw/.gitignore")}
    done = copy.lockstep("remove", "iris")
    for file, lines in before.items():
        now = iter(lines_of(copy, file))
        line = next(now, None)
        gone = []
        for old in lines:
            if old == line:
                line = next(now, None)
            else:
                gone.append(old)
        assert line is None, file  # what is left stands in the file that was, in its order
        assert any("iris" in old for old in gone), file
    problems = yaml.safe_load((copy.folder / "params.yaml").read_text())["problems"]
    assert list(problems) == ["housing"]
    left = [str(path) for path in copy.everything() if "iris" in path.name or "iris" in path.parts]
    assert left == ["benchmarks/plain_iris.py"]
    assert copy.lockstep("check").stdout == "params.yaml is sound: housing\n"
    assert copy.dvc("status", "--json", "load@housing").returncode == 0
    assert list((copy.folder / ".dvc/cache/files/md5").rglob("*"))
    checkout, then = undo(copy, done).split(" && ")
    assert then == "dvc checkout"
    copy.run("bash", "-c", checkout)
    assert copy.status() == []


def test_the_last_problem_leaves_none_and_one_can_be_added(copy, tmp_path):
    for name in ("iris", "housing"):
        copy.lockstep("remove", name, "--yes")
    assert yaml.safe_load((copy.folder / "dvc.yaml").read_text())["artifacts"] == {}
    assert "has no problem yet: python -m lockstep add FILE" in copy.lockstep("check").stdout
    for command in ("summary", "index"):
        assert copy.lockstep(command).stdout == "params.yaml has no problem yet: python -m lockstep add FILE\n"
    assert copy.repro() == []
    failed = copy.lockstep("sweep", "iris", check=False)
    assert (failed.returncode, "no problem yet" in failed.stderr) == (2, True)
    table = tmp_path / "new.csv"
    table.write_text("a,target\n" + "".join(f"{i % 17},{'yes' if i % 3 else 'no'}\n" for i in range(200)))
    copy.lockstep("add", str(table))
    assert copy.lockstep("check").stdout == "params.yaml is sound: new\n"


def test_a_table_that_another_problem_uses_stays(copy):
    copy.set("housing", "load", path="data/raw/iris.csv")
    copy.commit("shared")
    copy.lockstep("remove", "iris")
    assert (copy.folder / "data/raw/iris.csv.dvc").exists()
    assert (copy.folder / "data/raw/iris.csv").exists()
    assert "/iris.csv\n" in lines_of(copy, "data/raw/.gitignore")


@pytest.mark.parametrize("file", ["features/iris.py", "params.yaml", "models/iris/old.skops", "data/raw/iris.csv"])
def test_what_nothing_could_give_back_is_not_removed_unasked(copy, file):
    with (copy.folder / file).open("a") as handle:
        handle.write("# mine\n")
    before = copy.everything()
    assert (
        f"Neither the last commit nor DVC's cache has: {file}." in copy.lockstep("remove", "iris", "--dry-run").stdout
    )
    done = copy.lockstep("remove", "iris", check=False)
    assert done.returncode == 2
    assert f"neither the last commit nor DVC's cache has what is in {file}. Commit first" in done.stderr
    assert copy.everything() == before
    done = copy.lockstep("remove", "iris", "--yes")
    assert f"(without what is lost: {file})" in done.stdout
    assert not (copy.folder / "models/iris").exists()
    assert file not in undo(copy, done).split()


@pytest.mark.parametrize("command", [["remove", "iris"], ["rename", "iris", "flowers"]])
@pytest.mark.parametrize("place", ["write", "__exit__"])
def test_a_failure_leaves_everything_as_it_was(copy, command, place):
    before = copy.everything()
    with mock.patch.object(Outputs, place, side_effect=OSError(28, "No space left on device")):
        done = copy.lockstep(*command, check=False)
    assert done.returncode == 4
    assert {path: data for path, data in copy.everything().items() if path.suffix != ".tmp"} == before


def test_a_failed_move_leaves_everything_as_it_was(copy):
    before = copy.everything()
    rename = os.rename
    moved = []

    def fail_late(source, place):
        moved.append(source)
        if len(moved) == 4:
            raise OSError(13, "Permission denied")
        return rename(source, place)

    with mock.patch("os.rename", fail_late):
        done = copy.lockstep("rename", "iris", "flowers", check=False)
    assert (done.returncode, len(moved) > 4) == (4, True)
    assert copy.everything() == before


def test_a_dry_run_changes_nothing(copy):
    before = copy.everything()
    assert "All could be brought back.\nNothing was changed." in copy.lockstep("remove", "iris", "--dry-run").stdout
    assert "features/iris.py -> features/flowers.py" in copy.lockstep("rename", "iris", "flowers", "--dry-run").stdout
    assert copy.everything() == before


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (["remove", "irs"], "params.yaml has no problem 'irs'. It has: iris, housing. Did you mean 'iris'?"),
        (["rename", "irs", "x"], "params.yaml has no problem 'irs'."),
        (["rename", "iris", "housing"], "params.yaml has problems.housing already. Give another name."),
        (["rename", "iris", "2x"], 'the new name: "2x" is not a problem name.'),
        (["rename", "iris", "housing_tune"], "problems.housing_tune would write to files of 'housing'."),
        (["rename", "iris", "taken"], "features/taken.py exists already."),
    ],
)
def test_refused(copy, command, message):
    (copy.folder / "features/taken.py").touch()
    done = copy.lockstep(*command, check=False)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_pipeline_that_names_the_problem_elsewhere_is_refused(copy):
    with (copy.folder / "dvc.yaml").open("a") as file:
        file.write("  best:\n    path: models/${problems.iris.train.model}.joblib\n")
    for command in (["remove", "iris", "--yes"], ["rename", "iris", "flowers"]):
        done = copy.lockstep(*command, check=False)
        assert done.returncode == 2
        assert "dvc.yaml names the problem 'iris' elsewhere, too: path: models/" in done.stderr


def test_renamed_keeps_results_and_can_be_renamed_back(copy):
    before = copy.everything()
    done = copy.lockstep("rename", "iris", "flowers")
    settings = yaml.safe_load(before[next(path for path in before if path.name == "params.yaml")])["problems"]
    problems = yaml.safe_load((copy.folder / "params.yaml").read_text())["problems"]
    assert list(problems) == ["flowers", "housing"]
    assert problems["flowers"]["load"].pop("path") == "data/raw/flowers.csv"
    del settings["iris"]["load"]["path"]
    assert problems["flowers"] == settings["iris"]
    assert copy.lockstep("check").stdout == "params.yaml is sound: flowers, housing\n"
    assert "flowers: models/flowers/random_forest" in copy.lockstep("summary").stdout
    assert "of the problem 'flowers'" in (copy.folder / "features/flowers.py").read_text()
    assert copy.dvc("status", "-q", "data/raw/flowers.csv.dvc").returncode == 0
    copy.run("git", "add", "-A")
    moved = copy.run("git", "diff", "--cached", "--name-status", "-M").stdout
    assert "R100\tmetrics/iris.json\tmetrics/flowers.json" in moved
    copy.run("git", "reset", "-q")
    back, then, build = undo(copy, done).split(" && ")
    copy.lockstep(*back.split()[3:])
    assert (then, build) == ("git checkout dvc.lock", "dvc repro report@iris")
    copy.run(*then.split())
    assert copy.status() == []
    assert copy.everything() == before


def test_the_record_of_watch_goes_with_its_problem(copy):
    record = copy.folder / "metrics/iris_watch.csv"
    record.write_text("date\n")
    copy.lockstep("rename", "iris", "flowers")
    assert not record.exists()
    assert record.with_name("flowers_watch.csv").read_text() == "date\n"
    assert copy.lockstep("remove", "flowers", check=False).returncode != 0  # nothing could give it back
