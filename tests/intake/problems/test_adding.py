"""What a problem takes to be added to the repository: how far it has come."""

from lockstep.intake.problems.adding import _copy, _try_stages
from lockstep.kernel.log import heartbeat
from lockstep.steps.splitting.parts import SplitSettings

import pytest


def test_a_copy_is_counted_in_bytes(tmp_path, counts):
    path, copy = tmp_path / "table.csv", tmp_path / "raw" / "table.csv"
    path.write_bytes(b"x" * 3_000_000)
    _copy(path, copy)
    assert copy.read_bytes() == path.read_bytes()
    assert counts() == ["3 of 3 MB"]


def test_an_empty_file_is_copied(tmp_path):
    (tmp_path / "table.csv").touch()
    _copy(tmp_path / "table.csv", tmp_path / "raw" / "table.csv")
    assert (tmp_path / "raw" / "table.csv").read_bytes() == b""


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_what_comes_next_is_counted(make_table, task):
    table = make_table({"x": list(range(40)), "y": ["a", "b"] * 20 if task == "classification" else range(40)}, task)
    with heartbeat("trying") as progress:
        _try_stages(table, SplitSettings(), {"folds": 4, "repeats": 2})
    assert str(progress).startswith("11 of 11 steps, ")
