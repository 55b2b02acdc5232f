"""Codes that look like numbers in scientific notation."""

from lockstep.intake.detecting.codes import codes_like_numbers
from lockstep.intake.detecting.file_format import look
from lockstep.reading.column_types import MISSING, NUMBER_TYPE, STRING_TYPE

import pyarrow as pa
import pytest


@pytest.mark.parametrize(
    ("cells", "example"),
    [
        (["53E39", "7E2"], "53E39"),
        ([" 12e04", "", "NA", "3"], "12e04"),
        (["12045", "10E45", "00123"], "10E45"),
        (["5E3", "7E2", "1"], None),
        (["5.3E39", "53E39"], None),
        (["53E-39"], None),
        (["53E39", "x"], None),
        (["", "NA"], None),
        (["123", "456"], None),
    ],
)
def test_which_columns_are_codes(cells, example):
    found = codes_like_numbers({"z": pa.array(cells)}, MISSING)
    why = f"cells such as {example} are rather codes than numbers"
    assert found == ({} if example is None else {"z": why})


def test_add_reads_them_as_texts_and_says_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,lot\n" + "".join(f"{i},{10 + i % 7}E{30 + i % 9}\n" for i in range(120)))
    facts = look(path, {})
    assert facts.frame["lot"].iloc[0] == "10E30"
    assert facts.warnings[0].startswith("'lot' is read as text: cells such as 10E30 are rather codes than numbers. If ")


NUMBERS = range(120)


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("tel", [f"+49176{i:07}" for i in NUMBERS], "+491760000000 are rather telephone numbers or other codes"),
        ("tel", [*[f"+49176{i:07}" for i in NUMBERS], "-", ""], "+491760000000 are rather telephone numbers"),
        ("x", [f"+{i}" for i in NUMBERS], None),
        ("x", [f"+{1000000 + i}" for i in NUMBERS], None),
        ("x", [str(49176000000 + i) for i in NUMBERS], None),
        (
            "zip",
            [f"{10000 + i}.0" for i in NUMBERS],
            "10000.0, and the column's name, are rather those of postal codes",
        ),
        ("zip", [*[f"{10000 + i}.0" for i in NUMBERS], "1910.0", ""], "10000.0, and the column's name, are rather"),
        ("ZipCode", [f"{10000 + i}" for i in NUMBERS], "10000, and the column's name, are rather those of postal"),
        ("plz_1", [f"{10000 + i}" for i in NUMBERS], "10000, and the column's name, are rather those of postal"),
        ("zip", [f"{i}" for i in NUMBERS], None),
        ("zip", [f"{10000 + i}.5" for i in NUMBERS], None),
        ("price", [f"{10000 + i}.0" for i in NUMBERS], None),
        ("zipped_files", [f"{10000 + i}" for i in NUMBERS], None),
    ],
)
def test_telephone_numbers_and_postal_codes(tmp_path, name, cells, why):
    path = tmp_path / "t.csv"
    path.write_text(f"{name},a\n" + "".join(f"{cell},{i % 7}\n" for i, cell in enumerate(cells)))
    facts = look(path, {})
    assert (facts.frame[name].dtype.kind in "if") == (why is None)
    assert [warning.split("cells such as ")[1][: len(why or "")] for warning in facts.warnings] == (
        [why] if why else []
    )
    assert look(path, {NUMBER_TYPE: [name]}).frame[name].dtype.kind in "if"
    assert look(path, {STRING_TYPE: [name]}).warnings == []
