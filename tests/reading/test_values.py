"""Values that stock readers change without a word: each is kept, read right, refused, or changed with a word."""

from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.csvfile import Dialect

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv

nan = np.nan
COMMA = Format(decimal=",")
GERMAN = Format(decimal=",", thousands=".")
ENGLISH = Format(thousands=",")
SWISS = Format(thousands="'")
NBSP, ZWSP, MINUS = "\u00a0", "\u200b", "\u2212"
REFUSED = object()
GAP = "are values, not missing; load.missing_texts with these words makes them missing values"


class Case:
    """Cells of a column and what they become: values of a dtype, REFUSED, and a part of the warning, if any."""

    def __init__(self, cells, expected, warning=None, form=None, types=None):
        self.cells, self.expected, self.warning = cells, expected, warning
        self.form, self.types = form or Format(), types


def text(*cells, warning=None, form=None, types=None):
    """Cells that are kept as they are, empty ones as gaps."""
    return Case(cells, [cell or nan for cell in cells], warning, form, types)


DIGITS = "9007199254740993"
CASES = {
    "leading zeros": text("00123", "04567"),
    "leading zeros in some": text("00123", "12", warning="1 of its 2 cells are not numbers"),
    "leading zeros beside a gap": text("00123", ""),
    "a leading zero and a sign": text("-007", "+08"),
    "zero is a number": Case(["0", "0.50", "-0"], [0.0, 0.5, -0.0]),
    "NA in a text column": text("NA", "DE", "FR", warning=GAP),
    "None in a text column": text("None", "Memorial Day", warning=GAP),
    "null, nan, n/a, ? in a text column": text("null", "nan", "n/a", "?", "x", warning=GAP),
    "NA alone": text("NA", "NA", warning=GAP),
    "None and empty": text("None", "", "None", warning=GAP),
    "NA among numbers": Case(["1", "NA", "2.5"], [1, nan, 2.5]),
    "None, null, ? among numbers": Case(["1", "None", "null", "?"], [1, nan, nan, nan]),
    "NA among booleans": Case(["true", "NA"], [True, None]),
    "- among numbers": text("1", "-", "2", warning="1 of its 3 cells are not numbers"),
    "missing among numbers": text("1", "missing", "2", warning="1 of its 3 cells are not numbers"),
    "-999 stays": Case(["1", "-999"], [1, -999]),
    "NA as a word for a gap in texts": Case(["NA", "x"], [nan, "x"], form=Format(missing_texts=("NA",))),
    "2^53": Case(["9007199254740992", "1"], [2**53, 1]),
    "2^53 + 1": Case([DIGITS, "1"], [int(DIGITS), 1], "beyond 2^53, which models see rounded"),
    "2^53 + 1 beside a gap": text(DIGITS, "", warning="too long to be computed with"),
    "2^53 + 1 beside a fraction": text(DIGITS, "0.5", warning="too long to be computed with"),
    "2^53 beside a gap": Case(["9007199254740992", ""], [2.0**53, nan]),
    "2^63 - 1": Case(["9223372036854775807"], [2**63 - 1], "beyond 2^53"),
    "-2^63": Case(["-9223372036854775808"], [-(2**63)], "beyond 2^53"),
    "2^63": text("9223372036854775808", warning="too long to be computed with"),
    "card numbers": text("4111111111111111999", "12345678901234567890", warning="too long"),
    "a long fraction": Case(["0.1234567890123456789"], [0.12345678901234568]),
    "codes as 1E5": Case(["1E5", "2E3"], [1e5, 2e3], "scientific notation, such as 1E5; if these are codes"),
    "codes as 1E5, declared": text("1E5", "2E3", types={"c": "string"}),
    "codes as 1E5 among others": text("1E5", "A12", warning="1 of its 2 cells are not numbers"),
    "numbers in scientific notation": Case(["1.5e3", "2", "-1e-3"], [1500, 2, -0.001]),
    "inf": Case(["1", "inf"], REFUSED),
    "-Infinity": Case(["-Infinity", "2.5"], REFUSED),
    "too big for a float": Case(["1.8e309", "2"], REFUSED),
    "inf in a text column": text("inf", "sup"),
    "inf in a text column, declared": text("inf", "1", types={"c": "string"}),
    "too small for a float": Case(["1e-400", "1"], [0.0, 1.0]),
    "hexadecimal": text("0x1F", "0xFF"),
    "hexadecimal without 0x": text("1F", "FF"),
    "octal and binary": text("0o17", "0b11"),
    "underscores": text("1_000", "2_000"),
    "one bad number among 1,000": text(
        *map(str, range(999)), "12O", warning="1 of its 1000 cells are not numbers, the first '12O' in line 1001"
    ),
    "a comment in a number column": text(
        *map(str, range(50)), "5 (approx.)", warning="the first '5 (approx.)' in line 52"
    ),
    "percent": text("5%", "7%"),
    "currency": text("$5", "€7"),
    "no-break space at a number": Case([f"{NBSP}12", f"7{NBSP}", "3"], [12, 7, 3]),
    "no-break space as thousands mark": text(f"1{NBSP}200", "5", warning="1 of its 2 cells are not numbers"),
    "Unicode minus": text(f"{MINUS}5", "3", "4", warning="1 of its 3 cells are not numbers"),
    "Arabic digits": text("\u0663", "3", "4", warning="1 of its 3 cells are not numbers"),
    "full-width digits": text("\uff13", "4", "5", warning="1 of its 3 cells are not numbers"),
    "space behind a level": text(
        "yes", "yes ", "no", warning="levels that look alike but are different: 'yes' and 'yes '"
    ),
    "zero-width space behind a level": text("yes", f"yes{ZWSP}", warning="levels that look alike"),
    "no-break space in a level": text("new york", f"new{NBSP}york", warning="levels that look alike"),
    "case of a level": text("Yes", "yes", "YES", warning="'YES' and 'Yes' and 'yes'"),
    "Unicode forms of a level": text("caf\u00e9", "cafe\u0301", warning="levels that look alike"),
    "yes, no, 1": text("yes", "no", "1"),
    "decimal comma": text("1,5", "2,75", warning="set load.decimal"),
    "decimal comma by setting": Case(["1,5", "2,75", "-0,5"], [1.5, 2.75, -0.5], form=COMMA),
    "decimal comma by setting, a point": text("1,5", "2.75", warning="1 of its 2 cells", form=COMMA),
    "thousands": text("1,234", "2,500,000", warning="decimal"),
    "thousands by setting": Case(["1,234", "2,500,000", "12"], [1234, 2_500_000, 12], form=ENGLISH),
    "German by setting": Case(["1.234,5", "0,5", "1.000"], [1234.5, 0.5, 1000], form=GERMAN),
    "Swiss by setting": Case(["1'234", "5"], [1234, 5], form=SWISS),
    "thousands at odd places": text("12,34", "5", "6", warning="1 of its 3 cells", form=ENGLISH),
    "thousands behind the decimal mark": text("1.234,5", "5", "6", warning="1 of its 3 cells", form=ENGLISH),
    "dates": text("2024-01-31", "2024-02-30"),
    "dates with slashes": text("01/02/2024", "31/12/2023"),
    "SEPT2 and MARCH1": text("SEPT2", "MARCH1", "2-Sep"),
    "times": text("12:30", "9:05"),
    "versions": text("1.10", "1.9.1", warning="the first '1.9.1' in line 3"),
    "IP addresses": text("10.0.0.1", "10.0.0.2"),
    "True and TRUE": Case(["True", "TRUE", "false"], [True, True, False]),
    "true among texts": text("true", "maybe"),
    "yes and no": text("yes", "no"),
    "1 and 0": Case(["1", "0"], [1, 0]),
    "true and 1": text("true", "1", warning="1 of its 2 cells are not numbers"),
    "t and f": text("t", "f"),
    "all gaps": Case(["", "", ""], [nan, nan, nan]),
    "a blank cell in a text column": text("a", "  "),
    "in single quotes": Case(["'a'", "'b'"], REFUSED),
    "an apostrophe": text("O'Neill", "'tis"),
    "spaces around a text": text(" a", "b "),
    "a formula": text("=1+1", "@cmd"),
    "1e": text("1e", "e1"),
    ".5 and 5.": Case([".5", "5."], [0.5, 5]),
    "a sign alone": text("+", "-"),
}


@pytest.mark.parametrize("name", CASES)
def test_value(tmp_path, caplog, name):
    case = CASES[name]
    path = tmp_path / "f.csv"
    path.write_text("c;o\n" + "".join(f"{cell};1\n" for cell in case.cells), encoding="utf-8")
    caplog.set_level("WARNING")
    table = read_csv(path, Dialect(";"))
    if case.expected is REFUSED:
        with pytest.raises(DataError, match=r"f\.csv column 'c'"):
            typed_frame(table, "f.csv", case.form, case.types)
        return
    found = typed_frame(table, "f.csv", case.form, case.types).frame["c"]
    expected = pd.Series(case.expected)
    if expected.map(lambda value: isinstance(value, str)).any():
        expected = expected.astype("str")
    pd.testing.assert_series_equal(found.reset_index(drop=True), expected, check_names=False)
    assert len(caplog.messages) == (case.warning is not None), caplog.messages
    if case.warning:
        assert case.warning in caplog.messages[0]
        assert "column 'c'" in caplog.messages[0]


def test_words_for_gaps_are_counted(tmp_path):
    path = tmp_path / "f.csv"
    path.write_text("a,b,c\n1,NA,\nNA,None,x\n?,,y\n,z,NA\n")
    found = typed_frame(read_csv(path), "f.csv", Format(missing_texts=("None",)))
    assert found.missing_as == {"a": {"": 1, "?": 1, "NA": 1}, "b": {"": 1, "None": 1}, "c": {"": 1}}


def test_latin_1_is_text_never_bytes_or_other_letters(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes("c,o\ncafé,1\nniño,2\n".encode("latin-1"))
    with pytest.raises(DataError, match=r"line 2: the byte 0xE9 is not UTF-8"):
        read_csv(path)
    found = typed_frame(read_csv(path, Dialect(encoding="latin-1")), "f.csv").frame
    assert found["c"].tolist() == ["café", "niño"]
