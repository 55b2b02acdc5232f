"""Codes that look like numbers in scientific notation."""

from lockstep.intake.codes import codes_like_numbers
from lockstep.intake.file_format import look
from lockstep.reading.column_types import MISSING
from lockstep.reading.csvfile import TextTable

import numpy as np
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
    text = TextTable(pa.table({"z": cells}), np.arange(len(cells)) + 2)
    assert codes_like_numbers(text, MISSING) == ({} if example is None else {"z": example})


def test_add_reads_them_as_texts_and_says_it(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,lot\n" + "".join(f"{i},{10 + i % 7}E{30 + i % 9}\n" for i in range(120)))
    facts = look(path, {})
    assert facts.frame["lot"].iloc[0] == "10E30"
    assert facts.warnings[0].startswith("'lot' is read as text: cells such as 10E30 are rather codes than numbers. If ")
