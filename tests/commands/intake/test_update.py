"""python -m lockstep update, in a copy of the repository: what changes, what is refused, and the way back."""

import bz2
import contextlib
import csv
import gzip
import json
from pathlib import Path
from unittest import mock

from lockstep.intake.renewing import updating
from lockstep.kernel.files import Outputs
from lockstep.kernel.lock_file import md5_of
from lockstep.kernel.settings import Problem
from lockstep.reading.loading import LoadSettings, load_file
from lockstep.steps.splitting.parts import SplitSettings, split_table

import pyarrow.parquet as pq
import pytest
import yaml
from small import widened
from workspace import Repository

HEADER = "sepal_length,sepal_width,petal_length,petal_width,target\n"
NEW = "5.15,3.55,1.45,0.25,setosa\n6.15,2.55,4.45,1.25,versicolor\n"


@pytest.fixture(scope="module")
def committed(tmp_path_factory):
    """With a table of customers that has a key, which load.drop leaves out."""
    copy = Repository(tmp_path_factory.mktemp("update") / "copy")
    table = copy.folder.parent / "people.csv"
    table.write_bytes(people(range(150)))
    copy.lockstep("add", str(table))
    copy.commit("people")
    return copy


@pytest.fixture
def copy(committed, tmp_path):
    return committed.copy_to(tmp_path / "copy")


def people(numbers, changed=(), delimiter=","):
    """A CSV file of people, of whom those that are ``changed`` have another target."""
    rows = ["customer_id,visits,spent,churned"]
    for i in numbers:
        target = (i % 3 == 0) ^ (i in changed)
        rows.append(f"c{i:04},{i * 7 % 23},{i * 31 % 97 + 0.5},{'yes' if target else 'no'}")
    return ("\n".join(rows) + "\n").replace(",", delimiter).encode()


def update(copy, name, content, *arguments, check=True, suffix=".csv"):
    path = copy.folder.parent / f"new{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return copy.lockstep("update", name, str(path), *arguments, check=check)


def parts(copy, name, identity=None):
    """(training rows, test rows) as ``dvc repro`` would cut them, by number, or by the lines of the raw file."""
    with contextlib.chdir(copy.folder):
        problem = Problem(Path("params.yaml"), name)
        load = problem.section("load", LoadSettings)
        path = Path(load.path)
        cut = split_table(load_file(path, load).table, problem.section("split", SplitSettings), md5_of(path))
        lines = path.read_bytes().splitlines()
    train, _, test = ({lines[row].split(b",")[0] if identity else row for row in part.frame.index} for part in cut)
    return train, test


def undo(copy, done):
    line = next(line for line in done.stdout.splitlines() if line.startswith("Undo:"))
    copy.run("bash", "-c", line.removeprefix("Undo:"))


def test_appended_rows_leave_the_bytes_and_the_parts_as_they_are_and_can_be_taken_back(copy):
    before, (train, test) = copy.everything(), parts(copy, "iris")
    done = update(copy, "iris", HEADER + NEW, "--append")
    file = copy.folder.parent / "new.csv"
    assert done.stdout.startswith(f"Data of data/raw/iris.csv (before) and of data/raw/iris.csv with {file} (after)\n")
    old = before[Path("data/raw/iris.csv")]
    assert (copy.folder / "data/raw/iris.csv").read_bytes() == old.rstrip(b"\n") + b"\n" + NEW.encode()
    assert "Rows: 150 before, 152 after: 2 added" in done.stdout
    assert "iris: all 30 test rows stay test rows; of the 3" in done.stdout
    assert "Next:  dvc repro report@iris && python -m lockstep compare --problem iris" in done.stdout
    now_train, now_test = parts(copy, "iris")
    assert test <= now_test
    assert train <= now_train
    assert now_train | now_test == set(range(1, 153))
    pointer = yaml.safe_load((copy.folder / "data/raw/iris.csv.dvc").read_text())["outs"][0]
    assert pointer["md5"] == md5_of(copy.folder / "data/raw/iris.csv")
    assert "push" not in pointer  # it is no longer the table that comes with Lockstep
    assert copy.lockstep("check").returncode == 0
    undo(copy, done)
    assert copy.everything() == before


@pytest.mark.parametrize("way", ["--append", "--replace"])
def test_a_dry_run_changes_nothing(copy, way):
    before = copy.everything()
    content = (
        NEW if way == "--append" else before[Path("data/raw/iris.csv")].decode().partition("\n")[2].strip() + "\n" + NEW
    )
    done = update(copy, "iris", HEADER + content, way, "--dry-run")
    assert "Would write data/raw/iris.csv, data/raw/iris.csv.dvc, data/kept/iris.txt, params.yaml." in done.stdout
    assert copy.everything() == before


def test_whatever_is_added_or_replaced_no_row_leaves_its_part(copy):
    """By key, in another order, once and again; rows of before are neither from nor to the test rows."""
    train, test = parts(copy, "people", "key")
    steps = [
        (people(range(150, 190)), ["--append"]),
        (people([*range(400, 430), *range(189, 19, -1)]), ["--replace", "--allow-vanished"]),
        (people(range(500, 503)), ["--append", "--key", "customer_id"]),
    ]
    for content, arguments in steps:
        update(copy, "people", content, *arguments)
        now_train, now_test = parts(copy, "people", "key")
        assert not now_train & test
        assert not now_test & train
        assert now_test - test
        train, test = now_train, now_test
        copy.commit("updated")


def test_a_new_row_is_the_same_part_beside_whatever_it_comes(copy, committed, tmp_path):
    other = committed.copy_to(tmp_path / "other")
    update(copy, "people", people(range(150, 200)), "--append")
    for numbers in (range(199, 170, -1), range(150, 171)):
        update(other, "people", people(numbers), "--append")
        other.commit("updated")
    assert parts(copy, "people", "key") == parts(other, "people", "key")


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (
            people([3, 150]),
            ["--append"],
            "1 row (1) of {file} stands in the table already, or twice there, cell by cell",
        ),
        (people([150, 150]), ["--append"], "1 row (2) of {file} stands in the table already"),
        (
            people([4, 150], changed=[4]),
            ["--append"],
            "has another target than the row of the same 'customer_id' has now",
        ),
        (people(range(150), changed=[4, 5]), ["--replace"], "2 rows (5, 6) of {file} have another target"),
        (people(range(2, 150)), ["--replace"], "2 rows (1, 2) of data/raw/people.csv are gone"),
    ],
)
def test_what_only_a_flag_allows(copy, content, arguments, message):
    before = copy.everything()
    done = update(copy, "people", content, *arguments, check=False)
    assert done.returncode == 2
    assert message.format(file=copy.folder.parent / "new.csv") in done.stderr
    assert copy.everything() == before


def test_repeated_rows_are_left_out_or_kept(copy):
    old = (copy.folder / "data/raw/people.csv").read_bytes()
    update(copy, "people", people([3, 150, 150]), "--append", "--repeated", "drop")
    assert (copy.folder / "data/raw/people.csv").read_bytes() == old + people([150]).partition(b"\n")[2]
    copy.commit("updated")
    update(copy, "people", people([3]), "--append", "--repeated", "keep")
    train, test = parts(copy, "people", "key")
    assert not train & test  # twins are not parted


def test_changed_targets_and_vanished_rows_are_allowed_when_asked(copy):
    train, test = parts(copy, "people", "key")
    flags = ["--allow-changed-targets", "--allow-vanished"]
    done = update(copy, "people", people(range(5, 150), changed=[5]), "--replace", *flags)
    assert "matched by the key customer_id" in done.stdout
    now_train, now_test = parts(copy, "people", "key")
    assert now_train <= train
    assert now_test <= test


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (people([150], delimiter=";"), ["--append"], "Write ',' between its cells instead of ';'"),
        (b"", ["--append"], "is empty"),
        (people([150]).replace(b"spent", b"sent"), ["--append"], "columns are missing: spent (is it sent?)"),
        (people([150]).replace(b",15,", b",many,"), ["--append"], "line 2"),
        (
            people([150]).replace(b",yes", b",perhaps"),
            ["--append"],
            "not in the list of categories: 'perhaps', in line 2",
        ),
        (people(range(150)), ["--replace"], "there is nothing to update"),
        (people(range(150)).replace(b"churned", b"left"), ["--replace"], "/new.csv has no column 'churned'"),
        (people([150]), ["--append", "--key", "customer"], "has no column 'customer' (--key). It has: "),
        (people([150]), ["--append", "--key", "churned"], "--key churned is the target"),
        (people([150]), ["--append", "--key", "spent"], "holds neither texts nor whole numbers"),
    ],
)
def test_refused_with_one_message_and_nothing_changed(copy, content, arguments, message):
    contract = copy.folder / "data/contracts/people.yaml"
    contract.write_text(contract.read_text().replace("enum: warning", "enum: error"))
    before = copy.everything()
    done = update(copy, "people", content, *arguments, check=False)
    assert done.returncode == 2
    assert message in done.stderr
    assert ".tmp/" not in done.stderr + done.stdout
    assert done.stderr.count("ERROR") == 1
    assert copy.everything() == before


def test_unknown_problems_and_files_are_refused(copy):
    done = copy.lockstep("update", "irs", "none.csv", "--append", check=False)
    assert (done.returncode, "has no problem 'irs'" in done.stderr) == (2, True)
    done = copy.lockstep("update", "iris", "none.csv", "--append", check=False)
    assert (done.returncode, "none.csv" in done.stderr) == (2, True)


@pytest.mark.parametrize("file", ["params.yaml", "data/raw/people.csv.dvc", "data/raw/people.csv"])
def test_what_is_not_committed_is_refused(copy, file):
    with (copy.folder / file).open("a") as handle:
        handle.write("# mine\n")
    done = update(copy, "people", people([150]), "--append", check=False)
    assert done.returncode == 2
    assert f"{file}: not as in the last commit" in done.stderr or f"{file} is not what" in done.stderr


@pytest.mark.parametrize("place", ["write", "__exit__"])
def test_a_failure_leaves_everything_as_it_was(copy, place):
    before = copy.everything()
    with mock.patch.object(Outputs, place, side_effect=OSError(28, "No space left on device")):
        done = update(copy, "people", people([150]), "--append", check=False)
    assert done.returncode == 4
    assert {path: data for path, data in copy.everything().items() if path.suffix != ".tmp"} == before


def test_a_failure_of_dvcs_leaves_everything_as_it_was(copy):
    before = copy.everything()
    with mock.patch.object(updating, "dvc_add", side_effect=OSError(13, "Permission denied")):
        assert update(copy, "people", people([150]), "--append", check=False).returncode == 4
    assert copy.everything() == before


def test_by_time_the_last_rows_are_the_test_rows_and_that_is_said(copy):
    copy.set("people", "split", time="visits")
    copy.set("people", "load", drop=["customer_id"])
    copy.commit("by time")
    later = people(range(150, 200)).replace(b"c0", b"d0")
    lines = later.splitlines()
    rows = [line.split(b",") for line in lines[1:]]
    content = b"\n".join([lines[0], *(b",".join([a, b"%d" % (40 + i), c, d]) for i, (a, _, c, d) in enumerate(rows))])
    done = update(copy, "people", content + b"\n", "--append")
    assert "the test rows are the last in time (split.time)" in done.stdout
    assert "32 before, 40 now, of which 100.0" in done.stdout
    assert "32 test rows become training rows" in done.stdout
    assert "goes by the 0 test rows that are the same before and after, fewer than 10" in done.stdout
    assert yaml.safe_load((copy.folder / "params.yaml").read_text())["problems"]["people"]["split"]["kept"] is None


def test_data_that_were_changed_without_update_are_not_split(copy):
    update(copy, "people", people([150]), "--append")
    with (copy.folder / "data/raw/people.csv").open("ab") as handle:
        handle.write(people([151]).partition(b"\n")[2])
    with pytest.raises(ValueError, match=r"lists test rows of other data than these .* lockstep update"):
        parts(copy, "people")


def test_the_list_goes_with_its_problem(copy):
    update(copy, "people", people([150]), "--append")
    copy.commit("updated")
    copy.lockstep("rename", "people", "folk")
    assert parts(copy, "folk")
    assert (copy.folder / "data/kept/folk.txt").exists()
    copy.commit("renamed")
    copy.lockstep("remove", "folk")
    assert not (copy.folder / "data/kept/folk.txt").exists()


PACKED = [(".csv.gz", gzip.compress), (".csv.bz2", bz2.compress)]


@pytest.mark.parametrize(("suffix", "pack"), widened(PACKED, PACKED[:1]))
def test_a_packed_table_gets_a_second_packed_part(copy, suffix, pack):
    table = copy.folder.parent / f"packed{suffix}"
    table.write_bytes(pack(people(range(150))))
    copy.lockstep("add", str(table))
    copy.commit("packed")
    update(copy, "packed", people([150]), "--append")
    opened = gzip.open if suffix.endswith("gz") else bz2.open
    raw = copy.folder / f"data/raw/packed{suffix}"
    assert raw.read_bytes().startswith(table.read_bytes())
    with opened(raw) as file:
        assert file.read() == people(range(151))


def json_lines(numbers):
    """The people of a CSV file as JSON lines."""
    rows = csv.DictReader(people(numbers).decode().splitlines())
    typed = ({**row, "visits": int(row["visits"]), "spent": float(row["spent"])} for row in rows)
    return "".join(json.dumps(row) + "\n" for row in typed)


def test_a_table_of_json_lines_is_extended_and_replaced_by_more_of_them(copy):
    table = copy.folder.parent / "folk.jsonl"
    table.write_text(json_lines(range(150)))
    copy.lockstep("add", str(table), "--target", "churned")
    copy.commit("folk")
    raw, pointer = copy.folder / "data/raw/folk.parquet", copy.folder / "data/raw/folk.parquet.dvc"
    old = pq.read_table(raw)
    done = update(copy, "folk", json_lines([150, 151]), "--append", suffix=".jsonl")
    assert "Rows: 150 before, 152 after: 2 added" in done.stdout
    assert pq.read_table(raw).slice(0, 150) == old
    undo(copy, done)
    assert pq.read_table(raw) == old
    update(copy, "folk", json_lines(range(160)), "--replace", suffix=".jsonl")
    source = yaml.safe_load(pointer.read_text())["meta"]["source"]
    assert source["file"] == "new.jsonl"
    assert source["snapshot_md5"] == md5_of(raw)


def test_json_lines_are_no_rows_of_a_csv_file(copy):
    done = update(copy, "people", json_lines([150]), "--append", check=False, suffix=".jsonl")
    assert done.returncode
    assert "data/raw/people.csv is a CSV file, behind which rows of" in done.stderr
    assert "new.jsonl cannot be written as they are. Save them as CSV (UTF-8)." in done.stderr
    done = update(copy, "people", people([150]), "--append", "--sheet", "May", check=False)
    assert "--sheet is of an Excel workbook (.xlsx), and none is named" in done.stderr


def test_a_row_is_not_taken_for_the_total_of_the_table_before(copy):
    """The settings leave out the line below the rows: of a new table without one, that would be a row."""
    header, *rows = people(range(150)).decode().splitlines()
    total = f"Total,,{sum(float(row.split(',')[2]) for row in rows)},"
    table = copy.folder.parent / "sales.csv"
    table.write_text("\n".join([header, *rows, total]) + "\n")
    assert "Skip footer lines: 1, since " in copy.lockstep("add", str(table), "--target", "churned").stdout
    copy.commit("sales")
    more = people(range(170))
    done = update(copy, "sales", more, "--replace", check=False)
    assert done.returncode == 2
    assert "may have rows in its last line, which load.skip_footer_lines leaves out" in done.stderr
    assert "Rows: 150" in update(copy, "sales", more + b"Total\n", "--replace").stdout
