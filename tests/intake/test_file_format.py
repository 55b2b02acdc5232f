"""What add finds out of how a CSV file is written."""

import gzip
from pathlib import Path

from lockstep.intake.file_format import check_header, detect_csv
from lockstep.kernel.errors import DataError
from lockstep.reading import source
from lockstep.reading.column_types import Format
from lockstep.reading.dataframes import normalised_frame

import pandas as pd
import pytest


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "f.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def rows(text):
    return list(zip(*(column.to_pylist() for column in text.cells.columns), strict=True))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_delimiters(file, delimiter, newline):
    lines = ["a b,c d", 'x,"1,2;3|4\t5"', "y,"]
    text = newline.join(line.replace(",", delimiter, 1) for line in lines) + newline
    found = detect_csv(file(text))
    assert found.dialect.delimiter == delimiter
    assert rows(found.text) == [("x", "1,2;3|4\t5"), ("y", "")]
    assert found.form == Format()
    assert found.reasons == {}


@pytest.mark.parametrize(
    ("encoding", "name"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8"), ("utf-16", "utf-8"), ("cp1252", "cp1252"), ("latin-1", "cp1252")],
)
def test_encodings(file, encoding, name):
    text = "Straße;Größe\n" + "Müllerstraße;mäßig\nJörg-Bäcker-Weg;größer\n" * 20
    found = detect_csv(file(text, encoding))
    assert rows(found.text)[:2] == [("Müllerstraße", "mäßig"), ("Jörg-Bäcker-Weg", "größer")]
    assert found.text.cells.column_names == ["Straße", "Größe"]
    assert found.dialect.encoding == name
    assert found.reasons == ({"encoding": "the text is plausible in no other one"} if name != "utf-8" else {})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "name;town\nHélène;Nîmes\n".encode("cp1252"),
            r"f\.csv is not UTF-8, and can be read in 3 ways: line 2 reads 'Hélène' as cp1252, 'Hélčne' as cp1250, 'H",
        ),
        (
            "name;town\nBrühl;Plön\nMüller;Köln\n".encode() + "Schäfer;Görlitz\nWeiß;Fürth\n".encode("cp1252"),
            r"f\.csv mixes encodings: line 2 is UTF-8, others are not\. Convert it to UTF-8 first, or give",
        ),
        (
            b"name;town\n" + bytes(range(128, 256)) + b";x\n",
            r"f\.csv is not UTF-8, and plausible in none of the usual encodings",
        ),
    ],
)
def test_an_encoding_that_cannot_be_told_is_asked_for(tmp_path, content, message):
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        detect_csv(path)


def test_another_fitting_delimiter_is_said(file):
    found = detect_csv(file("a,b;c,d\n1,2;3,4\n"))
    other = {",": ";", ";": ","}[found.dialect.delimiter]
    assert found.reasons["delimiter"] == f"it fits best, though {other!r} would fit too"


def test_decimal_commas_are_no_delimiters(file):
    text = "size, in cm;price, in EUR\n" + "".join(f"{i},5;{i},25\n" for i in range(20))
    found = detect_csv(file(text))
    assert found.dialect.delimiter == ";"


@pytest.mark.parametrize(
    ("cells", "decimal"),
    [
        (["1,5", "2,75"], ","),
        (["1.234,5", "0,5"], ","),
        (["1,5", "2.75"], "."),
        (["1.5", "2"], "."),
        (["a", "b"], "."),
        (["1,5", "x"], ","),
    ],
)
def test_decimal_marks(file, cells, decimal):
    assert detect_csv(file("a;b\n" + "".join(f"{cell};1\n" for cell in cells))).form.decimal == decimal


def test_thousands_marks(file):
    form = detect_csv(file("a;b\n1.234,5;1\n22.000,0;1\n")).form
    assert (form.decimal, form.thousands) == (",", ".")


POPULATION = ["4.067", "950", "12.100", "NA", "7.670"]


@pytest.mark.parametrize("cells", [POPULATION, ["343.704", "508.715", "127.001"], ["1.234.567", "4.067", "2.500"]])
def test_points_that_may_stand_between_thousands_are_asked_about(file, cells):
    """Read as decimal points, 4.067 inhabitants are 4, and nobody is told."""
    path = file("inhabitants;place\n" + "".join(f"{cell};A\n" for cell in cells))
    whole = cells[0].replace(".", "")
    with pytest.raises(
        DataError,
        match=rf"f\.csv column 'inhabitants': {cells[0]} can be read in two ways.* Give --decimal , --thousands \. if "
        rf"it is {whole}, or --decimal \. if the point is the decimal mark",
    ):
        detect_csv(path)
    for given in ({"decimal": ","}, {"thousands": "."}, {"decimal": ",", "thousands": "."}):
        assert detect_csv(path, **given).form == Format(",", ".")
    for given in ({"decimal": "."}, {"thousands": ""}, {"decimal": ".", "thousands": ","}):
        found = detect_csv(path, **given)
        assert (found.form.decimal, found.form.thousands) == (".", given.get("thousands", ""))
        assert found.warnings == []


def test_a_decimal_comma_elsewhere_leaves_points_open_unless_both_stand_in_one_number(file):
    rows = "".join(f"{cell}|{price}\n" for cell, price in zip(POPULATION, ["1,5", "2,25", "3", "4", "5"], strict=True))
    with pytest.raises(DataError, match="can be read in two ways"):
        detect_csv(file("inhabitants|price\n" + rows))
    form = detect_csv(file("inhabitants|price\n" + rows.replace("|4", "|1.234,5"))).form
    assert (form.decimal, form.thousands) == (",", ".")


def test_without_a_hint_points_before_three_digits_are_a_warning(file):
    found = detect_csv(file("inhabitants,place\n" + "".join(f"{cell},A\n" for cell in POPULATION)))
    assert found.form == Format()
    (warning,) = found.warnings
    assert warning == (
        "'inhabitants' is read with decimal points, but all of them are before three digits, such as 4.067: if that "
        "is 4067, add the table with --decimal , --thousands ."
    )


@pytest.mark.parametrize(
    "cells",
    [
        ["0.123", "12.345", "3.250", "4.067"],  # no thousands begin with 0
        ["1.5", "12.345", "3.250", "4.067"],
        ["1.2345", "12.345", "3.250", "4.067"],
        ["12.345", "x", "3.250", "4.067"],  # a text anyway
        ["12.345", "7", "3.250"],  # too few to say
    ],
)
@pytest.mark.parametrize("delimiter", [";", ","])
def test_ordinary_decimals_are_not_asked_about(file, delimiter, cells):
    found = detect_csv(file(f"a{delimiter}b\n" + "".join(f"{cell}{delimiter}1\n" for cell in cells)))
    assert (found.form, found.warnings) == (Format(), [])


def test_decimals_in_another_column_are_no_reason_to_refuse_but_to_warn(file):
    found = detect_csv(
        file("x;y\n" + "".join(f"{x};{y}\n" for x in ("12.345", "3.250", "4.067") for y in ("0.5", "1")))
    )
    assert found.form == Format()
    assert len(found.warnings) == 1


@pytest.mark.parametrize(
    ("head", "message"),
    [
        ("sep=;\n", r"line 1 is 'sep=;', which tells Excel the delimiter.* --skip-lines 1\."),
        ("Report 2024\n", r"line 1, 'Report 2024', seems to be a title: the table of 3 columns .* --skip-lines 1\."),
        ("Report;;\n\n", r"line 1, 'Report;;', seems to be a title: .* begins in line 3\. .* --skip-lines 2\."),
    ],
)
def test_what_stands_above_the_header_is_named(file, head, message):
    path = file(f"{head}a;b;c\n" + "1;2;x\n" * 5)
    with pytest.raises(DataError, match=message):
        detect_csv(path)
    found = detect_csv(path, skip_lines=head.count("\n"))
    assert found.text.cells.column_names == ["a", "b", "c"]


def test_a_header_without_a_name_is_no_title(file):
    with pytest.raises(DataError, match="column 1 of 3 has no name"):
        detect_csv(file(",a,b\n" + "0,x,y\n" * 5))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_byte_order_mark(file, encoding):
    found = detect_csv(file("Größe;y\n" + "1;köln\n" * 20, encoding))
    assert found.text.cells.column_names == ["Größe", "y"]
    assert found.reasons == {"encoding": "its bytes are in that order, though no byte-order mark says so"}


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (["5.1", "3.5", "1.4", "0.2", "setosa"], [5.0, 3.1, 1.5, 0.1, "setosa"]),
        (["2011-01-01", "1", "16"], ["2011-01-02", 1, 40]),
        (["3", "1200", "7", "Peter"], [2, 900, 9, "Paul"]),
        (["x", "s", "n"], ["x", "s", "n"]),
    ],
)
def test_a_missing_header_is_refused(names, row):
    frame = normalised_frame(pd.DataFrame([row] * 5, columns=names))
    with pytest.raises(DataError, match=r"f\.csv: the first line looks like a row, not like column names: '"):
        check_header(frame, Format(), Path("f.csv"))


@pytest.mark.parametrize(
    ("names", "row"),
    [
        (["country", "2018", "2019", "2020", "label"], ["Italy", 1.5, 2.5, 3.5, "u"]),
        (["sample", "400.5", "401"], ["s1", 0.25, 0.5]),
        (["age", "churned"], [5, "churned"]),
        (["a1", "b", "0"], [1, 2, 3]),
    ],
)
def test_numbers_that_are_names_are_no_missing_header(names, row):
    check_header(normalised_frame(pd.DataFrame([row] * 5, columns=names)), Format(), Path("f.csv"))


def test_a_file_is_unpacked_once_however_many_delimiters_are_tried(tmp_path, monkeypatch):
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress("Größe;y\nköln;2\n".encode("cp1252")))
    calls = []
    monkeypatch.setattr(source, "_unpack", lambda path, unpack=source._unpack: calls.append(path) or unpack(path))
    assert rows(detect_csv(path).text) == [("köln", "2")]
    assert calls == [path]


AMBIGUOUS = "Größe;Näme\n1,5;Hélène\n2,75;Nîmes\n".encode("cp1252")  # an encoding that cannot be told


@pytest.mark.parametrize("delimiter", [None, ";"])
def test_what_is_not_given_is_found(tmp_path, delimiter):
    path = tmp_path / "f.csv"
    path.write_bytes(AMBIGUOUS)
    found = detect_csv(path, "cp1252", delimiter)
    assert (found.dialect.delimiter, found.dialect.encoding, found.form.decimal) == (";", "cp1252", ",")
    assert rows(found.text) == [("1,5", "Hélène"), ("2,75", "Nîmes")]


def test_the_encoding_is_found_where_only_the_delimiter_is_given(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes("Straße:Größe\nMüllerstraße:1,5\n".encode("cp1252"))
    found = detect_csv(path, delimiter=":")
    assert (found.dialect.encoding, found.form.decimal) == ("cp1252", ",")
    assert rows(found.text) == [("Müllerstraße", "1,5")]
    with pytest.raises(DataError, match=r"f\.csv has one column only, cut at '\|': there is nothing to predict from"):
        detect_csv(path, delimiter="|")


@pytest.mark.parametrize("text", ["a,b\n1,2\n3\n", "a\n1\n2\n", "a;b\n1;2\n3;4;5\n"])
def test_a_small_file_without_a_delimiter(file, text):
    with pytest.raises(DataError, match=r"f\.csv (line 3: .* cells, the header has 2|has one column only)"):
        detect_csv(file(text))


def test_a_large_file_that_is_broken_is_refused_with_its_line(file):
    with pytest.raises(DataError, match=r"f\.csv line 40002: 3 cells, the header has 2\."):
        detect_csv(file("a;b\n" + "1;2\n" * 40_000 + "1;2;3\n"))


def test_what_is_no_text(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(DataError, match=r"f\.csv"):
        detect_csv(path)
