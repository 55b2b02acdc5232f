"""Numbers with marks around them: read by exactly the form that the contract declares of their column, or refused."""

from decimal import Decimal

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.reading import csvfile
from lockstep.reading.blocks import read_typed
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.contract import read_contract
from lockstep.reading.csvfile import CsvFile, Dialect
from lockstep.reading.dataframes import typed_dataframe
from lockstep.reading.loading import LoadSettings, load_file, load_frame
from lockstep.reading.number_marks import Marks

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn

nan = np.nan
NBSP, MINUS = "\N{NO-BREAK SPACE}", "\N{MINUS SIGN}"
SEMICOLON = Dialect(";")


def form(decimal=".", thousands="", missing=Format().missing, **marks):
    return Format(decimal, thousands, missing, (), Marks(**marks))


DOLLAR = form(thousands=",", prefix="$")
EURO = form(",", ".", suffix="€")
RUPEE = form(thousands=",", prefix="₹", groups="indian")
PERCENT = form(suffix="%")
KILOGRAM = form(suffix="kg")
ACCOUNTS = form(thousands=",", prefix="$", negative="parentheses")
TRAILING = form(thousands=",", suffix="kg", negative="trailing minus")
UNICODE = form(negative="unicode minus")
MAGNITUDES = form(prefix="€", magnitudes=True)
SWISS = form(thousands="\N{RIGHT SINGLE QUOTATION MARK}", prefix="CHF")
GAPS = form(missing=("NA", "-"))
OTHERS = form(others="missing")


def write(path, cells):
    path.write_text("c;o\n" + "".join(f"{cell};1\n" for cell in cells), encoding="utf-8")
    return path


def read(path, cells, own, declared="number"):
    """The column's values, read at once and in blocks, which must give the same or the same message."""
    file, types, forms = write(path / "f.csv", cells), {"c": declared}, {"c": own}
    results = []
    for chunk in (csvfile.CHUNK, max(24, file.stat().st_size // 50)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(csvfile, "CHUNK", chunk)
            try:
                found = read_typed(CsvFile(file, SEMICOLON), Format(), types, (), forms)
                results.append((found.frame["c"].tolist(), str(found.frame["c"].dtype), found.missing_as))
            except DataError as error:
                results.append(str(error))
    text = read_csv(file, SEMICOLON)
    assert repr(results[0]) == repr(results[1])
    if isinstance(results[0], str):
        raise DataError(results[0])
    whole = typed_frame(text, "f.csv", Format(), types, forms)
    np.testing.assert_array_equal(whole.frame["c"], results[0][0])
    return results[0][0]


READ = {
    "dollars": (DOLLAR, ["$1,235.81", "-$5", "$-5", "+$5", "$ 7", "$1234"], [1235.81, -5, -5, 5, 7, 1234]),
    "gaps": (DOLLAR, ["$1,235.81", "", "NA", "  "], [1235.81, nan, nan, nan]),
    "euros": (EURO, ["1.234,56 €", "-5€", f"7{NBSP}€"], [1234.56, -5, 7]),
    "rupees": (RUPEE, ["₹1,19,873", "₹95,000", "₹ 12,34,56,789.5", "₹0,79,932"], [119873, 95000, 123456789.5, 79932]),
    "per cent": (PERCENT, ["53%", "5.5 %", "-1%"], [53, 5.5, -1]),
    "a unit": (KILOGRAM, ["12.4 kg", "12kg", "1.5e3 kg", " 7 kg "], [12.4, 12, 1500, 7]),
    "parentheses": (ACCOUNTS, ["($1,200.5)", "$(5)", "($ 5 )", "$7"], [-1200.5, -5, -5, 7]),
    "a trailing minus": (TRAILING, ["1,200-kg", "5kg-", "7 kg", "8 -kg"], [-1200, -5, 7, -8]),
    "the minus of Unicode": (UNICODE, [f"{MINUS}5", "5", "+6", "-7"], [-5, 5, 6, -7]),
    "magnitudes": (MAGNITUDES, ["€1.2k", "€3M", "€950", "-€1.5 B", "€0", "€1.1K"], [1200, 3e6, 950, -1.5e9, 0, 1100]),
    "Swiss": (SWISS, ["CHF 1\N{RIGHT SINGLE QUOTATION MARK}234.50", "CHF5"], [1234.5, 5]),
    "words": (GAPS, ["1", "-", "NA", "-5", "2.5"], [1, nan, nan, -5, 2.5]),
    "others": (OTHERS, ["1", "400 - 520", "x", "-5", "x"], [1, nan, nan, -5, nan]),
}  # fmt: skip


@pytest.mark.parametrize("name", READ)
def test_a_declared_form_is_read(tmp_path, name):
    own, cells, expected = READ[name]
    np.testing.assert_array_equal(read(tmp_path, cells, own), expected)


REFUSED = {
    "another currency": (DOLLAR, "€5"),
    "no currency": (DOLLAR, "5"),
    "two signs": (DOLLAR, "-$-5"),
    "two prefixes": (DOLLAR, "$$5"),
    "an Indian group among Western ones": (DOLLAR, "$1,19,873"),
    "a Western group among Indian ones": (RUPEE, "₹213,795"),
    "groups of two digits": (RUPEE, "₹12,34"),
    "a leading zero": (RUPEE, "₹01,234"),
    "per cent without its sign": (PERCENT, "53"),
    "another unit": (KILOGRAM, "12.4 lb"),
    "another case": (KILOGRAM, "12.4 KG"),
    "a minus among parentheses": (ACCOUNTS, "-$5"),
    "half a parenthesis": (ACCOUNTS, "($5"),
    "a minus before among those behind": (TRAILING, "-5kg"),
    "another minus": (UNICODE, "\N{EN DASH}5"),
    "an unknown magnitude": (MAGNITUDES, "€5T"),
    "a range": (KILOGRAM, "400 - 520 kg"),
    "another decimal mark": (EURO, "1,234.56 €"),
    "a word that is not declared": (GAPS, "."),
    "infinity": (KILOGRAM, "inf kg"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_cell_of_another_form_is_refused_with_its_line(tmp_path, name):
    own, cell = REFUSED[name]
    good = next(cells[0] for other, cells, _ in READ.values() if other is own)
    cells = [*[good] * 900, cell, *[good] * 20]
    with pytest.raises(DataError, match=r"column 'c': 1 of 921 cells are not of the type number") as error:
        read(tmp_path, cells, own)
    assert "line 902, the first " + repr(cell) in str(error.value)


def test_the_message_shows_how_a_number_is_written(tmp_path):
    with pytest.raises(DataError, match=r"number, written as '₹1,23,456\.5' is, that the contract declares"):
        read(tmp_path, ["€5"], RUPEE)
    with pytest.raises(DataError, match=r"written as '\(\$1,234\.5\)' is"):
        read(tmp_path, ["€5"], ACCOUNTS)


@pytest.mark.parametrize("cell", ["9007199254740.993k", "9007199254.740993M", "12345678901B", "9007199254740993"])
def test_no_digit_is_lost(tmp_path, cell):
    with pytest.raises(DataError, match="too long to be computed with"):
        read(tmp_path, [f"€{cell}", "€0.5"], MAGNITUDES)


def test_magnitudes_multiply_exactly(tmp_path):
    cells = ["1.1k", "2.675M", "9007199254740.992k", "1.2341k", "0.1B", "4.35k"]
    expected = [float(Decimal(cell[:-1]) * {"k": 10**3, "M": 10**6, "B": 10**9}[cell[-1]]) for cell in cells]
    assert read(tmp_path, [f"€{cell}" for cell in cells], MAGNITUDES) == expected


def test_whole_numbers_stay_whole(tmp_path):
    file = write(tmp_path / "f.csv", ["$9,007,199,254,740,993", "$1"])
    found = typed_frame(read_csv(file, SEMICOLON), "f.csv", Format(), {"c": "integer"}, {"c": DOLLAR})
    assert found.frame["c"].tolist() == [9007199254740993, 1]
    with pytest.raises(DataError, match=r"not of the type integer.*line 3, the first '\$1\.5'"):
        read(tmp_path, ["$1", "$1.5"], DOLLAR, "integer")


def test_what_is_taken_for_missing_is_counted_and_listed(tmp_path, caplog):
    caplog.set_level("WARNING")
    file = write(tmp_path / "f.csv", ["1", "400 - 520", "x", "x", "NA", ""])
    found = typed_frame(read_csv(file, SEMICOLON), "f.csv", Format(), {"c": "number"}, {"c": OTHERS})
    assert found.missing_as["c"] == {"": 1, "400 - 520": 1, "NA": 1, "x": 2}
    what = "has 3 cells that are no numbers, and are missing as the contract says"
    assert caplog.messages == [f"f.csv column 'c' {what}: '400 - 520' (line 3), 'x' (line 4)"]


@pytest.mark.parametrize("name", READ)
def test_a_dataframe_is_read_the_same_way(name):
    own, cells, expected = READ[name]
    found = typed_dataframe(pd.DataFrame({"c": cells}), "the DataFrame", {"c": "number"}, {"c": own})
    np.testing.assert_array_equal(found.frame["c"], expected)
    numbers = pd.DataFrame({"c": [1.5, 2.5]})
    assert typed_dataframe(numbers, "the DataFrame", {"c": "number"}, {"c": own}).frame["c"].tolist() == [1.5, 2.5]


def test_a_dataframe_with_a_cell_of_another_form_is_refused_with_its_row():
    frame = pd.DataFrame({"c": ["$1", "$2", "€3"]})
    with pytest.raises(DataError, match=r"the DataFrame column 'c': 1 of 3 .*row 3, the first '€3'"):
        typed_dataframe(frame, "the DataFrame", {"c": "number"}, {"c": DOLLAR})


def grouped(whole, mark, kind):
    digits, parts = str(whole), []
    parts.append(digits[-3:])
    digits, width = digits[:-3], 2 if kind == "indian" else 3
    while digits:
        parts.append(digits[-width:])
        digits = digits[:-width]
    return mark.join(reversed(parts))


def written(number, own):
    """A Decimal as the form writes it."""
    marks, text = own.marks, f"{abs(number):f}"
    whole, _, fraction = text.partition(".")
    whole = grouped(whole, own.thousands, marks.groups) if own.thousands else whole
    text = marks.prefix + whole + (own.decimal + fraction if fraction else "") + marks.suffix
    if number >= 0:
        return text
    before, behind = {
        "minus": "- ", "unicode minus": f"{MINUS} ", "parentheses": "()", "trailing minus": " -"
    }[marks.negative]  # fmt: skip
    return before.strip() + text + behind.strip()


FORMS = st.builds(
    lambda marks, prefix, suffix, negative, groups: form(
        *marks, prefix=prefix, suffix=suffix, negative=negative, groups=groups
    ),
    st.sampled_from([(".", ""), (".", ","), (",", "."), (",", ""), (".", " "), (".", "'"), (",", NBSP)]),
    st.sampled_from(["", "$", "US$", "Rs.", "EUR", "₹"]),
    st.sampled_from(["", "%", "kg", "m²", "km/h", "per month", "/-"]),
    st.sampled_from(["minus", "unicode minus", "parentheses", "trailing minus"]),
    st.sampled_from(["western", "indian"]),
)
NUMBERS = st.lists(
    st.decimals(-(10**9), 10**9, allow_nan=False, places=2) | st.integers(-(10**7), 10**7).map(Decimal), min_size=1
)


@drawn(60)
@given(own=FORMS, numbers=NUMBERS)
def test_any_table_in_any_form_is_read_back(tmp_path, own, numbers):
    assert read(tmp_path, [written(number, own) for number in numbers], own) == [float(number) for number in numbers]


@drawn(60)
@given(own=FORMS, other=FORMS, numbers=NUMBERS, at=st.integers(0, 100))
def test_a_cell_in_another_form_is_refused_or_says_the_same(tmp_path, own, other, numbers, at):
    at %= len(numbers)
    cells = [written(number, own) for number in numbers]
    cells[at] = written(numbers[at], other)
    try:
        found = read(tmp_path, cells, own)
    except DataError as error:
        assert repr(cells[at])[:40] in str(error)
    else:
        assert found[:at] + found[at + 1 :] == [float(number) for number in numbers[:at] + numbers[at + 1 :]]
        alike = own.decimal == other.decimal or not {".", ","} & set(cells[at])
        assert not alike or found[at] == float(numbers[at])


CONTRACT = """\
fields:
- {name: price, type: number, bareNumber: false, groupChar: ',', missingValues: ['-'], lockstep: {prefix: $}}
- {name: gap, type: string, missingValues: [unknown]}
- {name: y, type: string}
"""
LOAD = LoadSettings(path="-", task="classification", target="y")


def test_a_contract_declares_forms_for_files_and_dataframes(tmp_path):
    (tmp_path / "c.yaml").write_text(CONTRACT)
    contract = read_contract(tmp_path / "c.yaml")
    prices = [["$1,200.50", 1200.5], ["-", nan], ["-$5", -5.0], ["$7", 7.0]] * 30
    frame = pd.DataFrame({"price": [cell for cell, _ in prices], "gap": ["unknown", "a"] * 60, "y": ["u", "v"] * 60})
    frame.to_csv(tmp_path / "f.csv", index=False)
    frame.to_parquet(tmp_path / "f.parquet")
    for loaded in (
        load_file(tmp_path / "f.csv", LOAD, contract),
        load_file(tmp_path / "f.parquet", LOAD, contract),
        load_frame(frame, LOAD, contract),
    ):
        np.testing.assert_array_equal(loaded.table.frame["price"], [value for _, value in prices])
        assert loaded.table.frame["gap"].isna().sum() == 60
        assert loaded.missing_as["price"] == {"-": 30}
        assert loaded.missing_as["gap"] == {"unknown": 60}


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("type: string, groupChar: ','", "is of the type string, but has decimalChar, groupChar"),
        ("type: number, bareNumber: false", "must have bareNumber: false if, and only if"),
        ("type: number, lockstep: {prefix: $}", "must have bareNumber: false if, and only if"),
        ("type: number, bareNumber: false, lockstep: {suffix: ' kg'}", "cannot stand around a number"),
        ("type: number, bareNumber: false, lockstep: {suffix: 2x}", "cannot stand around a number"),
        (
            "type: number, lockstep: {negative: red}",
            'lockstep.negative is "red". Allowed: one of minus, parentheses',
        ),
        ("type: number, groupChars: ','", "groupChars is not a setting. Allowed, nearest first: groupChar"),
        ("type: number, group_char: ','", "group_char is not a setting. Allowed, nearest first: groupChar"),
        ("type: number, missingValues: 5", "missingValues is 5. Allowed: a list, each item a text"),
    ],
)
def test_a_field_that_contradicts_itself_is_refused(tmp_path, field, message):
    (tmp_path / "c.yaml").write_text(f"fields:\n- {{name: a, {field}}}\n")
    with pytest.raises(SettingsError) as error:
        read_contract(tmp_path / "c.yaml")
    assert message in str(error.value)


def test_a_decimal_mark_that_groups_too_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("fields:\n- {name: a, type: number, groupChar: .}\n- {name: y, type: string}\n")
    with pytest.raises(SettingsError, match="the decimal mark of 'a' and the mark between its groups are the same"):
        load_frame(pd.DataFrame({"a": ["1"] * 120, "y": ["u", "v"] * 60}), LOAD, read_contract(tmp_path / "c.yaml"))
