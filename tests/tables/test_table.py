"""A Table's views of its columns, and its parquet file."""

import hashlib
import json
import os
import subprocess
import sys
from dataclasses import replace

from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.tables.table import (
    ROW,
    Table,
    positive_class,
    read_hashed_table,
    read_table,
    table_sha256,
    with_columns,
    write_table,
)

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

COLUMNS = {
    "whole": [2**53 + 1, -1, 0, 5],
    "decimal": [0.1, np.nan, -1e-300, 1e300],
    "flag": [True, False, True, True],
    "holes": pd.Series([True, None, False, None], dtype="object"),
    "text": ["a", None, "\u4e2d, \n\"'", "NA"],
    "y": ["no", "yes", "no", "yes"],
}


@pytest.fixture
def table(make_table):
    return make_table(COLUMNS, group="text", time="whole")


@pytest.fixture
def saved(table, tmp_path):
    write_table(table, tmp_path / "t.parquet")
    return tmp_path / "t.parquet"


def test_features_are_neither_target_nor_group_nor_time(table, make_table):
    assert list(table.features) == ["decimal", "flag", "holes"]
    assert list(make_table(COLUMNS).features) == ["whole", "decimal", "flag", "holes", "text"]


@pytest.mark.parametrize(
    ("target", "task", "dtype"),
    [
        (["a", "b"], "classification", "object"),
        ([1, 2], "classification", "int64"),
        ([True, False], "classification", "bool"),
        ([1, 2], "regression", "float64"),
        ([1.5, 2.5], "regression", "float64"),
    ],
)
def test_labels_are_numpy_arrays(make_table, target, task, dtype):
    labels = make_table({"a": [1, 2], "y": target}, task).labels
    assert type(labels) is np.ndarray
    assert (labels.dtype, labels.tolist()) == (dtype, target)


def test_rows_come_in_the_order_asked_for(table):
    part = table.rows(np.array([3, 0]))
    assert (len(part), part.frame.index.tolist(), part.labels.tolist()) == (2, [4, 1], ["yes", "no"])
    assert (part.target, part.task, part.group, part.time) == ("y", "classification", "text", "whole")


def test_parquet_brings_everything_back(table, saved):
    found = read_table(saved)
    pd.testing.assert_frame_equal(found.frame, table.frame, check_exact=True)
    assert found.frame["holes"].tolist() == [True, None, False, None]
    assert (found.target, found.task, found.group, found.time) == (table.target, table.task, table.group, table.time)


def test_no_rows_keep_their_types(table, tmp_path):
    write_table(table.rows(np.array([], dtype=int)), tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert len(found) == 0
    assert found.frame.drop(columns="holes").dtypes.equals(table.frame.drop(columns="holes").dtypes)


READ = """
import sys
from pathlib import Path
from lockstep.tables import table
def peak():  # not ru_maxrss, which begins at that of the process that started this one
    return int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
before = peak()
getattr(table, sys.argv[2])(Path(sys.argv[1]))
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("read", ["read_table", "read_hashed_table"])
def test_reading_holds_the_table_once(tmp_path, read):
    rows, columns = 100_000, 80
    numbers = np.random.default_rng(0).random((rows, columns))  # random, so that they cannot be compressed
    frame = pd.DataFrame(numbers, columns=[f"x{place}" for place in range(columns)])
    frame.index = pd.RangeIndex(1, rows + 1, name=ROW)
    write_table(Table(frame, "x0", "regression"), tmp_path / "table.parquet")
    command = [sys.executable, "-c", READ, str(tmp_path / "table.parquet"), read]
    peak = int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    # With the libraries that reading loads. Reading all columns at once took 3.2 times the table.
    assert peak < 2.4 * numbers.nbytes


def test_the_target_alone(table, saved):
    found = read_table(saved, only_target=True)
    assert list(found.frame) == ["y"]
    assert found.frame.index.tolist() == [1, 2, 3, 4]
    np.testing.assert_array_equal(found.labels, table.labels)


def test_the_same_table_gives_the_same_bytes(table, saved, tmp_path):
    write_table(read_table(saved), tmp_path / "again.parquet")
    assert (tmp_path / "again.parquet").read_bytes() == saved.read_bytes()


def test_copies_are_rows_of_the_other_table_target_included(make_table):
    other = make_table({"a": [1.0, np.nan, 3.0], "t": ["u", None, "w"], "y": ["no", "no", "yes"]})
    table = make_table({"a": [np.nan, 3.0, 3.0, 9.0], "t": [None, "w", "w", "w"], "y": ["no", "no", "yes", "yes"]})
    found = table.with_copies(other)
    assert (table.copies, found.copies) == ((), (1, 3))
    assert found.is_copy.tolist() == [True, False, True, False]
    assert found.rows(np.array([2, 3])).is_copy.tolist() == [True, False]


def test_copies_stand_in_the_file_only_where_there_are_any(table, saved, tmp_path):
    other = replace(table, copies=(2, 4))
    write_table(other, tmp_path / "copies.parquet")
    assert (read_table(saved).copies, read_table(tmp_path / "copies.parquet").copies) == ((), (2, 4))
    assert b"copies" not in pq.read_schema(saved).metadata[b"lockstep"]


def test_the_hash_is_of_the_bytes_that_were_read_and_would_be_written(saved, table):
    found, sha256 = read_hashed_table(saved)
    assert sha256 == hashlib.sha256(saved.read_bytes()).hexdigest() == table_sha256(table)
    pd.testing.assert_frame_equal(found.frame, read_table(saved).frame)
    assert (found.target, found.task, found.group) == (table.target, table.task, table.group)


def test_numbers_of_one_type_are_one_piece_of_memory(make_table, tmp_path):
    columns = {"a": [0.5, np.nan, 2.5], "n": [1, 2, 3], "t": ["u", "v", None], "b": [4.5, 5.5, 6.5], "y": [7, 8, 9]}
    write_table(make_table(columns, "regression"), tmp_path / "t.parquet")
    frame = read_hashed_table(tmp_path / "t.parquet")[0].frame
    assert list(frame) == list(columns)
    for one, other in (("a", "b"), ("n", "y")):
        first, second = (frame[name].to_numpy() for name in (one, other))
        assert second.ctypes.data - first.ctypes.data == first.nbytes


def test_a_file_that_changes_while_it_is_read_is_refused(saved, monkeypatch):
    def digest(file, name):
        found = original(file, name)
        os.utime(saved, ns=(0, 0))  # as whoever writes to it does
        return found

    original = hashlib.file_digest
    monkeypatch.setattr(hashlib, "file_digest", digest)
    with pytest.raises(IntegrityError, match="it changed while it was read"):
        read_hashed_table(saved)


READERS = pytest.mark.parametrize("read", [read_table, read_hashed_table])


@READERS
def test_a_missing_file(tmp_path, read):
    with pytest.raises(DataError, match=r"none.parquet does not exist\. Run 'dvc repro', which makes it\."):
        read(tmp_path / "none.parquet")


FOREIGN = "is not a table that Lockstep wrote"


@READERS
@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: b"a,b\n1,2\n", lambda data: data[:-100]])
def test_a_damaged_file(saved, damage, read):
    saved.write_bytes(damage(saved.read_bytes()))
    with pytest.raises(IntegrityError, match=rf"{saved} {FOREIGN} \(.*\)\. Run 'dvc repro' to remake it\."):
        read(saved)


@pytest.fixture
def outcomes(saved, table):
    """What reading gives, one bit flipped, for each byte of the first column."""
    data, found = saved.read_bytes(), set()
    for position in range(4, 4 + pq.read_metadata(saved).row_group(0).column(0).total_compressed_size):
        saved.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        try:
            found.add("same" if read_table(saved).frame.equals(table.frame) else "different")
        except Exception as error:
            found.add(type(error))
    return found


def test_what_cannot_be_read_is_an_integrity_error(outcomes):
    assert outcomes <= {"same", "different", IntegrityError}


def test_altered_cells_are_noticed(outcomes):
    assert "different" not in outcomes


@pytest.mark.parametrize(
    "own",
    [
        None,
        {},
        {"target": "y"},
        {"target": "y", "task": "classification", "more": 1},
    ],
)
def test_a_table_of_another_program(tmp_path, own):
    columns = pa.table({"__row__": [1], "y": [1]})
    if own is not None:
        columns = columns.replace_schema_metadata({b"lockstep": json.dumps(own).encode()})
    pq.write_table(columns, tmp_path / "t.parquet")
    with pytest.raises(IntegrityError, match=FOREIGN):
        read_table(tmp_path / "t.parquet")


@pytest.mark.parametrize(
    ("classes", "named", "positive"),
    [
        (["no", "yes"], None, "yes"),
        (["no", "yes"], "no", "no"),
        ([0, 1], 0, 0),
        ([0, 1], "0", 0),
        ([False, True], False, False),
        ([False, True], "True", True),
        ([False, True], 1, None),
        (["no", "yes"], "maybe", None),
        (["a", "b", "c"], None, None),
        (["a", "b", "c"], "a", None),
    ],
)
def test_the_positive_class_is_the_one_named_else_the_last_of_two(classes, named, positive):
    found = positive_class(np.array(classes), named)
    assert found == positive
    assert type(found) is type(positive)


def test_the_positive_class_is_kept_with_the_rows_and_changes_no_other_bytes(make_table, tmp_path):
    plain = make_table(COLUMNS)
    write_table(replace(plain, positive="no"), tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").positive == "no"
    write_table(plain, tmp_path / "u.parquet")
    assert "positive" not in json.loads(pq.read_schema(tmp_path / "u.parquet").metadata[b"lockstep"])
    assert read_table(tmp_path / "u.parquet").positive is None


def test_the_order_of_levels_is_kept_with_the_rows_and_changes_no_other_bytes(make_table, tmp_path):
    table = make_table({"size": ["low", "high"] * 2, "y": ["u", "v"] * 2}, levels={"size": ("low", "high")})
    for name, given in (("plain", replace(table, levels={})), ("ordered", table.rows(np.array([2, 1])))):
        write_table(given, tmp_path / name)
    assert read_table(tmp_path / "ordered").levels == {"size": ["low", "high"]}
    assert b"levels" not in pq.read_schema(tmp_path / "plain").metadata[b"lockstep"]


def test_a_column_of_any_name_can_be_put_into_a_frame():
    frame = pd.DataFrame({"a": [1, 2], "self": [3, 4]})
    found = with_columns(frame, {"self": [5, 6], "cls": [7, 8]})
    assert found.to_dict("list") == {"a": [1, 2], "self": [5, 6], "cls": [7, 8]}
    assert frame.to_dict("list") == {"a": [1, 2], "self": [3, 4]}
