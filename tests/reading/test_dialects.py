"""Files that are written in their own way as a whole: with that way declared in the settings, they load exactly, or are
refused."""

import csv
import io

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.kernel.settings import convert
from lockstep.reading.loading import LoadSettings, load_file

import pandas as pd
import pytest

HEADER = ["id", "name", "size", "note", "price"]
ROWS = [
    [
        str(i),
        ["Ann", "Zoë, the 2nd", 'Bob "B" B', "semi;colon|pipe\ttab"][i % 4],
        f"{i}.25",
        ["", "two\nlines"][i % 2],
        f"{i * 7}",
    ]
    for i in range(1, 121)
]
PLAIN = [[row[0], "ab'c"[i % 4] * 3, row[2], "-", row[4]] for i, row in enumerate(ROWS)]
"""The same without a character that has a meaning in any of the dialects; the quote character is a letter here."""


def text(rows=ROWS, **own):
    stream = io.StringIO()
    csv.writer(stream, **{"lineterminator": "\n", **own}).writerows([HEADER, *rows])
    return stream.getvalue()


def commas(rows):
    return [[row[0], row[1], row[2].replace(".", ","), *row[3:]] for row in rows]


def one_line(rows):
    return [[cell.replace("\n", " ") for cell in row] for row in rows]


CR = [[cell.replace("\n", "\r") for cell in row] for row in ROWS]
CRLF = [[cell.replace("\n", "\r\n") for cell in row] for row in ROWS]
TOTAL = ",".join(["Total", "", "", "", "50820"])

LOADABLE = {
    "semicolons": (text(delimiter=";"), {"delimiter": ";"}, ROWS),
    "tabs": (text(delimiter="\t"), {"delimiter": "\t"}, ROWS),
    "pipes": (text(delimiter="|"), {"delimiter": "|"}, ROWS),
    "blanks": (text(delimiter=" "), {"delimiter": " "}, ROWS),
    "single quotes": (text(quotechar="'"), {"quote": "'"}, ROWS),
    "no quotes": (text(PLAIN, quoting=csv.QUOTE_NONE, quotechar=None), {"quote": ""}, PLAIN),
    "escaped quotes": (text(escapechar="\\", doublequote=False), {"escape": "\\"}, ROWS),
    "escapes, no quotes": (
        text(one_line(ROWS), quoting=csv.QUOTE_NONE, escapechar="\\", quotechar=None),
        {"quote": "", "escape": "\\"},
        one_line(ROWS),
    ),
    "CR": (text(CR, lineterminator="\r"), {}, CR),
    "CRLF": (text(CRLF, lineterminator="\r\n"), {}, CRLF),
    "no line break at the end": (text().rstrip("\n"), {}, ROWS),
    "empty lines at the end": (text() + "\n\n", {}, ROWS),
    "a preamble": ('Prices, "as sold"\n\n' + text(), {"skip_lines": 2}, ROWS),
    "a footer": (text() + f"{TOTAL}\n(120 rows)\n\n", {"skip_footer_lines": 2}, ROWS),
    "decimal commas": (text(commas(ROWS), delimiter=";"), {"delimiter": ";", "decimal": ","}, ROWS),
    "Windows-1252": (text().encode("cp1252"), {"encoding": "cp1252"}, ROWS),
    "UTF-16": (text().encode("utf-16"), {"encoding": "utf-16"}, ROWS),
}
REFUSED = {
    "nothing": ("", {}, "is empty"),
    "no rows": (text([]), {}, "has 0 rows"),
    "no header": (text().split("\n", 1)[1], {}, "has no column 'price'"),
    "a header of two lines": (
        text([["", "", "cm", "", "EUR"], *ROWS]),
        {},
        r"line 2 holds texts in 2 columns that hold numbers in all other lines \(size, price\): it seems to be the",
    ),
    "a preamble as wide as the header": (
        "a,b,c,d,price\n" + text(),
        {},
        r"line 2 holds texts in 3 columns .* it seems to be the header, or a line of units. If it is the header, set",
    ),
    "a footer as wide as the header": (
        text() + "Sum,,of all,,unknown\n",
        {},
        r"line 182 holds texts in 3 columns .* it seems to be a footer. Set load.skip_footer_lines to skip it.",
    ),
    "a second table of another width": (text() + "x,y\n1,2\n", {}, "line 182: 2 cells, the header has 5"),
    "a second table of the same width": (
        text() + "v,w,x,y,z\n" + "1,2,3,4,5\n",
        {},
        r"line 182 holds texts in 3 columns .* it seems to be the header of a second table, or a remark",
    ),
    "an escape of a letter": (
        text([["1", "a\\n", "2", "", "3"]]),
        {"escape": "\\"},
        r"line 2: an escape character '\\\\' b",
    ),
    "an escape at the end": (text() + "1,a,2,b,3\\", {"escape": "\\"}, r"line 182: an escape character '\\\\' before"),
    "an escape undeclared": (text(escapechar="\\", doublequote=False), {}, "line 4: a quote inside a cell"),
    "more footer lines than lines": (
        "a,price\n",
        {"skip_footer_lines": 3},
        "has 1 lines, load.skip_footer_lines is 3. Lo",
    ),
}


@pytest.fixture
def load(tmp_path):
    def read(data, own):
        path = tmp_path / "f.csv"
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return load_file(path, convert({"path": str(path), "task": "regression", **own}, LoadSettings, "load")).table

    return read


@pytest.mark.parametrize("name", LOADABLE)
def test_a_declared_dialect_loads_exactly(load, name):
    data, own, rows = LOADABLE[name]
    identifiers, names, sizes, notes, prices = zip(*rows, strict=True)
    expected = pd.DataFrame(
        {
            "id": [int(cell) for cell in identifiers],
            "name": names,
            "size": [float(cell) for cell in sizes],
            "note": [cell or None for cell in notes],
            "price": [int(cell) for cell in prices],
        }
    ).astype({"name": "str", "note": "str"})
    pd.testing.assert_frame_equal(load(data, own).frame.reset_index(drop=True), expected)


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_dialect_makes_a_table_is_refused(load, name):
    data, own, message = REFUSED[name]
    with pytest.raises(DataError, match=message):
        load(data, own)


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"delimiter": ", "}, 'load.delimiter is ", ". Allowed: one character.'),
        ({"delimiter": ""}, 'load.delimiter is "". Allowed: one character.'),
        ({"escape": "\\\\"}, "Allowed: one character, or '' for none."),
        ({"quote": ","}, "load.delimiter, load.quote and load.escape must be different ASCII characters"),
        ({"escape": '"'}, "load.delimiter, load.quote and load.escape must be different ASCII characters"),
        (
            {"skip_footer_lines": -1},
            "load.skip_footer_lines is -1. Allowed: a whole number at least 0 and at most 1000",
        ),
    ],
)
def test_dialects_that_there_are_not(load, own, message):
    with pytest.raises(SettingsError) as caught:
        load(text(), own)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "encoding",
    ["punycode", "idna", "base64", "rot13", "zip", "unicode_escape", "utf-7", "undefined", "none", "a\0b", ""],
)
def test_encodings_that_are_no_character_sets(load, encoding):
    with pytest.raises(SettingsError, match=r"load\.encoding: .* is no character set that Python knows\. Allowed are"):
        load(text(), {"encoding": encoding})


@pytest.mark.parametrize("title", ["a,b\n", 'width 5"\n'])
def test_quirks_are_those_of_the_table_and_not_of_its_title_and_footer(load, title):
    own = {"skip_lines": 1, "skip_footer_lines": 1, "quirks": ["spaced_cells"]}
    plain, spaced = text(PLAIN), text(PLAIN).replace(",", ", ")
    assert load(title + spaced + title, own).frame.equals(load(plain, {}).frame)
    with pytest.raises(DataError, match=r"line 2: this line is not written as load\.quirks declares, spaced_cells"):
        load(title + spaced.replace(", ", ",", 1) + title, own)


def test_one_text_among_the_numbers_of_one_column_is_a_row(load, caplog):
    caplog.set_level("WARNING")
    table = load(text([["1", "Ann", "big", "", "5"], *ROWS]), {})
    assert table.frame["size"].iloc[0] == "big"
    assert "column 'size' is read as text: 1 of its 121 cells are not numbers, the first 'big' in line 2" in caplog.text
