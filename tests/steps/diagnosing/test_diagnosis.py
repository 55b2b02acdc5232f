"""What the stage diagnose hands on: the same numbers after they were written and read, and nothing else is taken."""

import json

from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.kernel.files import Outputs
from lockstep.steps.diagnosing.diagnosis import MAX_TEXT, OfClasses, OfNumbers, Slice, Slices, read_diagnosis
from reports import made_of, noisy, table_of
from stages.diagnose import summary_of

import msgspec
import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)


def written(diagnosis, folder):
    with Outputs() as outputs:
        outputs.json(folder / "d.json", msgspec.to_builtins(diagnosis))
    return folder / "d.json"


@pytest.fixture(scope="module")
def binary():
    return made_of(noisy(rows=300), learning_curve_rows=60).sources.diagnosis


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_it_reads_as_it_was_written(tmp_path, binary, task):
    found = binary if task == "classification" else made_of(noisy(task, rows=600), "ridge").sources.diagnosis
    assert isinstance(found.own, OfClasses if task == "classification" else OfNumbers)
    assert read_diagnosis(written(found, tmp_path)) == found


def test_whatever_type_a_cell_has_json_can_hold_it(tmp_path):
    """Classes and features of numbers, booleans with missing values, texts of any length."""
    long = "x" * 5000
    columns = {
        "whole": RNG.integers(0, 9, 200), "flag": pd.Series(RNG.choice(np.array([True, False, None]), 200)),
        "text": RNG.choice([f"a{long}", f"b{long}"], 200), "y": RNG.random(200) < 0.4,
    }  # fmt: skip
    found = made_of(table_of(pd.DataFrame(columns)), worst_rows=100).sources.diagnosis
    path = written(found, tmp_path)
    assert read_diagnosis(path) == found
    assert "x" * (MAX_TEXT + 1) not in path.read_text()
    assert {type(row.actual) for row in found.worst.rows} == {bool}


def test_switched_off_there_is_no_single_row_in_it(tmp_path):
    found = made_of(noisy(rows=200), worst_rows=0, slices=0, top_features=0).sources.diagnosis
    assert (found.worst, found.slices, found.dependence, found.learning) == (None, None, [], [])


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content.pop("copies"),
        lambda content: content.update(copies={"rows": "many", "error_of_others": None, "among_training": None}),
        lambda content: content.update(more=1),
        lambda content: content["own"].update(task="clustering"),
    ],
)
def test_another_file_is_refused(tmp_path, binary, change):
    path = written(binary, tmp_path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match=r"d\.json is not what a stage wrote .* Run 'dvc repro' to remake it\."):
        read_diagnosis(path)


def test_no_file_and_half_a_file_are_one_message_each(tmp_path, binary):
    with pytest.raises(DataError, match=r"d\.json does not exist\. Run 'dvc repro', which makes it\."):
        read_diagnosis(tmp_path / "d.json")
    path = written(binary, tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(IntegrityError, match="is not what a stage wrote"):
        read_diagnosis(path)


@pytest.mark.parametrize("out", [0, 2])
def test_the_log_says_of_the_subgroups_what_the_page_says(binary, out):
    part = Slice("text", "low", rows=30, error=0.5, ratio=None, low=0.4, high=0.6, stands_out=False)
    worst = [msgspec.structs.replace(part, stands_out=place < out) for place in range(4)]
    found = msgspec.structs.replace(binary, slices=Slices(worst, 10, 20, 0.2))
    assert f"10 subgroups looked at, {out} of the 4 worst stand out, " in summary_of(found)
    none = msgspec.structs.replace(binary, slices=Slices([], 10, 20, 0.2))
    assert "10 subgroups looked at, 10 worst rows" in summary_of(none)
    assert "subgroups" not in summary_of(msgspec.structs.replace(found, slices=None))
