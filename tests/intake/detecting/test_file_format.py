"""What add finds out of how a CSV file is written."""

import contextlib
import gzip
import re
from pathlib import Path

from lockstep.intake.detecting import file_format
from lockstep.intake.detecting.file_format import check_header, detect_csv, look
from lockstep.kernel.errors import DataError
from lockstep.reading import source
from lockstep.reading.column_types import Format
from lockstep.reading.csvfile import Dialect
from lockstep.reading.dataframes import normalised_frame

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn


@pytest.fixture
def file(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "f.csv"
        path.write_bytes(text.encode(encoding))
        return path

    return write


def rows(text):
    return list(zip(*(column.to_pylist() for column in text.cells.columns), strict=True))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("load.target", "{path} has no column 'Colour'. It has: size, colour, 'y '. Did you mean 'colour'?"),
        ("load.drop", "load.drop: {path} has no column 'Colour'. It has: size, colour, 'y '. Did you mean 'colour'?"),
        ("load.weight", "load.weight: 'Colour' is no column beside the target. It has: size, colour. Did you mean"),
        ("split.group", "split.group: 'Colour' is no column beside the target. It has: size, colour. Did you mean"),
        ("split.time", "split.time: 'Colour' is no column beside the target. It has: size, colour. Did you mean"),
    ],
)
def test_columns_that_are_not_there_are_refused_before_the_table_is_typed(
    tmp_path, monkeypatch, kind, setting, message
):
    frame = pd.DataFrame({"size": [1, 2], "colour": ["a", "b"], "y ": [0, 1]}, index=pd.Index([7, 8], name="Colour"))
    path = tmp_path / f"f.{kind}"
    frame.to_parquet(path) if kind == "parquet" else frame.to_csv(path, index=False)
    monkeypatch.setattr(file_format, "read_parquet", None)
    monkeypatch.setattr(file_format, "find_date_forms", None)
    given = {setting: ["size", "Colour"] if setting == "load.drop" else "Colour"}
    with pytest.raises(DataError, match=re.escape(message.format(path=path))):
        look(path, {"load.target": "y "} | given)


def test_a_file_that_is_no_parquet_file_is_said_to_be_none_whatever_is_given(tmp_path):
    path = tmp_path / "f.parquet"
    path.write_bytes(b"a,b\n1,2\n")
    with pytest.raises(DataError, match="is not a parquet file that can be read"):
        look(path, {"load.target": "none"})


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


RUSSIAN = "name;town\nПётр;Москва\nАнна;Тула\n"  # noqa: RUF001
HEBREW = "name;town\nשלום;תל אביב\nמרים;חיפה\nאברהם;ירושלים\n"  # noqa: RUF001
TURKISH = "ad;şehir\nAyşe;İstanbul\nÇağla;Muğla\nIşıl;Şanlıurfa\n"  # noqa: RUF001
ICELANDIC = "nafn;borg\nÞórður;Ísafjörður\nGuðrún;Vík í Mýrdal\n"
GREEK = "name;town\nΝίκος;Αθήνα\nΕλένη;Πάτρα\n"  # noqa: RUF001


@pytest.mark.parametrize(
    ("text", "written", "read"),
    [
        ("name;town\nHélène;Nîmes\n", "cp1252", "cp1252"),
        (RUSSIAN, "cp1251", "cp1251"),
        (RUSSIAN, "koi8-r", "koi8-r"),
        (GREEK, "cp1253", "cp1253"),
        (HEBREW, "cp1255", "cp1255"),
        (TURKISH, "cp1254", "cp1254"),
        (ICELANDIC, "cp1252", "cp1252"),
        ("p;n\n£5;1\n£6;2\n", "cp850", "cp850"),
        ("p;n\n5 €;1\n6 €;2\n", "mac-roman", "mac-roman"),
        ("p;n\n5 €;1\n6 €;2\n", "iso8859-15", "iso8859-15"),
        ("name;note\nAnn;25 °C ± 1\nBob;½ £\n", "cp1252", "cp1252"),
    ],
)
def test_of_several_encodings_of_one_byte_the_likeliest_is_taken_and_the_difference_said(tmp_path, text, written, read):
    path = tmp_path / "f.csv"
    path.write_bytes(text.encode(written))
    found = detect_csv(path)
    assert found.dialect.encoding == read
    assert rows(found.text) == [tuple(line.split(";")) for line in text.splitlines()[1:]]
    assert re.match(
        r"it is the likeliest of [0-9]+ that read the text: line |the text is plausible in no other",
        found.reasons["encoding"],
    )


@pytest.mark.parametrize("cell", ["{} €", "€{}", "1\xa0{}", "{}‰", "{} °C", "£{}", "{}†"])
def test_a_sign_beside_digits_is_no_letter_of_another_encoding(tmp_path, cell):
    """The number column would be one of texts, and nobody would be told."""
    path = tmp_path / "f.csv"
    path.write_bytes(("price;n\n" + "".join(f"{cell.format(100 + i)};{i}\n" for i in range(30))).encode("cp1252"))
    found = detect_csv(path)
    assert (found.dialect.encoding, rows(found.text)[0]) == ("cp1252", (cell.format(100), "0"))
    assert "same model" not in found.reasons["encoding"]


def test_a_reading_that_differs_is_shown_where_it_does(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(("note;x\n" + "a long text before it " * 5 + "Hélène;1\n").encode("cp1252"))
    assert "before it Hélène' as cp1252" in detect_csv(path).reasons["encoding"]
    assert "before it Hélčne' as cp1250" in detect_csv(path).reasons["encoding"]


def test_a_text_that_was_damaged_before_is_told_apart_all_the_same(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes("name;x\nPenÌ©lope;1\nRodrÌ_guez;2\nPenÌ©lopeÌ;3\n".encode("cp1252"))
    found = detect_csv(path)
    assert found.dialect.encoding == "cp1252"
    assert found.reasons["encoding"] == "the text is plausible in no encoding; this one keeps apart what differs in it"
    assert len(set(rows(found.text))) == 3


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            "name;town\nBrühl;Plön\nMüller;Köln\n".encode() + "Schäfer;Görlitz\nWeiß;Fürth\n".encode("cp1252"),
            r"f\.csv mixes encodings: line 2 is UTF-8, others are not\. Convert it to UTF-8 first, or give",
        ),
        (
            "name;town\n田中さくら;東京都\n鈴木一郎;大阪府\n".encode("cp932"),
            r"f\.csv is not UTF-8, and can be read in [0-9]+ ways: line 2 reads '",
        ),
        (
            b"name;town\n" + bytes(range(128, 256)) + b";\x00x\n",
            r"f\.csv",
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


def table(delimiter=";", rows=0, **columns):
    """Columns of texts, each repeated to ``rows`` rows, or to those of the longest."""
    rows = rows or max(map(len, columns.values()))
    lines = [[cells[row % len(cells)] for cells in columns.values()] for row in range(rows)]
    quoted = [[f'"{cell}"' if delimiter in cell else cell for cell in line] for line in lines]
    return "".join(delimiter.join(line) + "\n" for line in [list(columns), *quoted])


@pytest.mark.parametrize("mark", [".", ","])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("cells", [POPULATION, ["343.704", "508.715", "127.001"], ["12.345", "7", "950"]])
def test_marks_that_may_stand_between_thousands_are_asked_about(file, cells, delimiter, mark):
    """Read as decimal marks, 4,067 inhabitants are 4, and nobody is told."""
    if mark == "." and delimiter != ";":
        return  # a point is a decimal mark, unless something speaks for a decimal comma: see below
    shown = {".": "[.]", ",": ","}
    other = {".": ",", ",": "."}[mark]
    path = file(table(delimiter, inhabitants=[cell.replace(".", mark) for cell in cells], place=["A"]))
    cell, whole = cells[0].replace(".", shown[mark]), cells[0].replace(".", "")
    flags = (
        f"--decimal {other} --thousands {mark} if it is {whole}, or --decimal {mark} if it is {cells[0]}; or --text "
    )
    with pytest.raises(DataError, match=rf"f\.csv column 'inhabitants': {cell} can be read in two ways") as error:
        detect_csv(path)
    assert f"Give {flags}inhabitants if it is no number." in str(error.value)
    assert detect_csv(path, texts=["inhabitants"]).form == Format()
    for flags in ({"decimal": other, "thousands": mark}, {"thousands": mark}, {"decimal": other}):
        facts = look(path, {f"load.{name}": value for name, value in flags.items()})
        assert facts.frame["inhabitants"].iloc[0] == int(whole)
        assert facts.warnings == []
    for flags in ({"decimal": mark}, {"decimal": mark, "thousands": ""}, {"decimal": mark, "thousands": other}):
        facts = look(path, {f"load.{name}": value for name, value in flags.items()})
        assert facts.frame["inhabitants"].iloc[0] == float(cells[0])
        assert facts.warnings == []


OPEN = ["10,100", "12,250", "7"]
DECIDING = {
    "two groups": (["1,100,200"], 10100),
    "two groups in the last row": (["5"] * 2000 + ["1,100,200"], 10100),
    "a group and a fraction": (["1,100.5"], 10100),
    "groups by Indian custom": (["1,19,873"], 10100),
    "a point in another column": (["1.5"], 10100),
    "a comma in another column": (["1,5"], 10.1),
    "a zero before it": (["0,123"], 10.1),
    "four digits before it": (["1234,567"], 10.1),
    "four digits behind it": (["1,2345"], 10.1),
    "a point between thousands": (["1.100,5"], 10.1),
    "two points between thousands": (["1.100.500"], 10.1),
    "blanks between thousands": (["1 100,500"], 10.1),
}


@pytest.mark.parametrize("case", DECIDING)
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_another_column_decides_what_a_comma_is_and_it_is_said(file, delimiter, case):
    cells, value = DECIDING[case]
    facts = look(file(table(delimiter, p=OPEN, q=cells, rows=max(60, len(cells)))), {})
    assert facts.frame["p"].iloc[0] == value
    assert [warning[:12] for warning in facts.warnings] == ["'p' is read "]
    assert (
        "such as 10,100: if that is 10100, " if value == 10.1 else "if that is the decimal number 10.100, "
    ) in facts.warnings[0]


@pytest.mark.parametrize("cell", [cells[-1] for cells, _ in DECIDING.values() if "." not in cells[-1]])
def test_one_cell_of_the_column_decides_even_in_its_last_row(file, cell):
    facts = look(file(table(p=[*OPEN * 700, cell], q=["x"])), {})
    grouped = cell.count(",") == 2
    if facts.frame["p"].dtype.kind in "if":
        assert facts.frame["p"].iloc[0] == (10100 if grouped else 10.1)
        # One cell in 2,100 may be a slip, which is said; two commas are none.
        assert [warning[:60] for warning in facts.warnings] == (
            [] if grouped else ["'p' is read with decimal commas, but all of them but 1 are b"]
        )
    else:
        assert "p" in facts.doubts  # one such cell in 2,100 may be a mistake


def test_advice_for_a_column_that_another_one_decided_on_is_followed_by_that_column_alone(file):
    path = file(table(",", p=["51.220", "7.125"], q=["1.5"], rows=60))
    (warning,) = look(path, {}).warnings
    assert warning.endswith("51.220: if that is 51220, add the table with --decimal , --thousands .")
    again = look(path, {"load.decimal": ",", "load.thousands": "."})
    assert again.frame[["p", "q"]].iloc[0].tolist() == [51220, 1.5]
    (warning,) = look(file(table(p=["51,220", "7,125"], q=["1,5"], rows=60)), {}).warnings
    assert warning.endswith(
        "51,220: if that is 51220, declare decimalChar: '.' and groupChar: ',' in the contract, once it is added"
    )


def test_the_convention_of_one_column_is_said_of_another(file):
    facts = look(file(table(p=["1.234,50", "12,75"], q=["51.220", "7.125"], rows=60)), {})
    assert facts.frame["q"].iloc[0] == 51220
    (warning,) = facts.warnings
    assert warning == (
        "'q' is read with points between thousands, but all of them are before three digits, such as 51.220: if that "
        "is the decimal number 51.220, add the table with --decimal . --thousands ,"
    )
    again = look(file(table(p=["1.234,50", "12,75"], q=["51.220", "7.125"], rows=60)), {"load.decimal": "."})
    assert again.frame[["p", "q"]].iloc[0].tolist() == [1234.5, 51.22]


def test_a_column_in_a_form_of_its_own_is_not_said_to_be_read_in_the_usual_one(file):
    facts = look(file(table(",", p=["$1.234,50", "$7,5"], q=["1.234,5", "22,75"], r=["x"], rows=60)), {})
    assert facts.frame[["p", "q"]].iloc[0].tolist() == [1234.5, 1234.5]
    assert facts.warnings == []


def test_a_decimal_comma_elsewhere_leaves_points_open_unless_both_stand_in_one_number(file):
    rows = "".join(f"{cell}|{price}\n" for cell, price in zip(POPULATION, ["1,5", "2,25", "3", "4", "5"], strict=True))
    with pytest.raises(DataError, match="can be read in two ways"):
        detect_csv(file("inhabitants|price\n" + rows))
    form = detect_csv(file("inhabitants|price\n" + rows.replace("|4", "|1.234,5"))).form
    assert (form.decimal, form.thousands) == (",", ".")


def test_two_points_in_one_cell_decide(file):
    facts = look(file(table(p=["1.234.567", "4.067", "2.500"], q=["x"])), {})
    assert facts.frame["p"].tolist() == [1234567, 4067, 2500]
    assert facts.warnings == []


def test_without_a_hint_points_before_three_digits_are_a_warning(file):
    (warning,) = look(file(table(",", inhabitants=POPULATION, place=["A"], rows=60)), {}).warnings
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
        ["Rs.345/-", "Rs.918/-", "Rs.250/-", "Rs.100/-"],  # a point of the unit
    ],
)
@pytest.mark.parametrize("delimiter", [";", ","])
def test_ordinary_decimals_are_not_asked_about(file, delimiter, cells):
    facts = look(file(table(delimiter, a=cells, b=["1"])), {})
    assert (facts.settings.get("decimal", "."), facts.settings.get("thousands", ""), facts.warnings) == (".", "", [])


def test_decimals_in_another_column_are_no_reason_to_refuse_but_to_warn(file):
    facts = look(file("x;y\n" + "".join(f"{x};{y}\n" for x in ("12.345", "3.250", "4.067") for y in ("0.5", "1"))), {})
    assert facts.frame["x"].iloc[0] == 12.345
    assert len(facts.warnings) == 1


@drawn(40)
@given(
    decimal=st.sampled_from(".,"),
    delimiter=st.sampled_from(",;\t|"),
    places=st.lists(st.integers(0, 4), min_size=2, max_size=4),
    grouped=st.booleans(),
    seed=st.integers(0, 10**6),
)
def test_a_table_is_read_back_or_refused_or_every_column_that_is_not_is_said(
    tmp_path_factory, decimal, delimiter, places, grouped, seed
):
    """No number is another one in silence, whatever the marks are, and however little the file shows of them."""
    random = np.random.default_rng(seed)
    group = {".": ",", ",": "."}[decimal] if grouped else ""
    values = {f"c{i}": random.uniform(-3000, 30_000, 40).round(place) for i, place in enumerate(places)}
    mark = str.maketrans({",": group, ".": decimal})
    columns = {
        name: [f"{value:,.{place}f}".translate(mark) for value in numbers]
        for (name, numbers), place in zip(values.items(), places, strict=True)
    }
    path = tmp_path_factory.mktemp("t") / "f.csv"
    path.write_text(table(delimiter, **columns, y=["u", "v"]))
    try:
        facts = look(path, {})
    except DataError as error:
        assert "can be read in two ways" in str(error)
        return
    for name, numbers in values.items():
        if facts.frame[name].dtype.kind in "if":
            is_said = any(f"'{name}'" in warning for warning in facts.warnings)
            assert is_said or facts.frame[name].tolist() == numbers.tolist()
        else:
            assert name in facts.doubts


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        ("sep=;\n", "line 1 is 'sep=;', which names the delimiter"),
        ("Report 2024\n", "line 1, 'Report 2024', is no header but a title"),
        ("Report;;\n\n", "line 1, 'Report;;', and those behind it are a title"),
        ("# made by a script\n# units: mm; s\n", "these lines begin with #"),
        ("#\n" * 40, "these lines begin with #"),
        ("# made by a script\n\n", "these lines begin with # or are empty"),
        ("# a\n\n# b\n  \n", "these lines begin with # or are empty"),
        ("\n\n", "these lines are empty"),
        (";;\n", "these lines are empty"),
        ("sep=;\n\n", "line 1 is 'sep=;', which names the delimiter; the lines behind it are empty"),
        ("# made by a script\nReport 2024\n", "line 2, 'Report 2024', is no header but a title"),
    ],
)
def test_what_is_above_the_header_is_skipped_and_said(file, head, reason):
    found = detect_csv(file(f"{head}a;b;c\n" + "1;2;x\n" * 5))
    assert found.dialect.skip_lines == head.count("\n")
    assert found.reasons["skip_lines"] == reason
    assert found.text.cells.column_names == ["a", "b", "c"]
    assert found.text.line_starts[0] == head.count("\n") + 2


@pytest.mark.parametrize(
    ("text", "skipped", "header"),
    [
        ("# made by a script\n#a,b\n1,2\n", 1, ["#a", "b"]),
        ("#a,b\n1,2\n", 0, ["#a", "b"]),
        ("#name,town\nAnn,Rome\nBob,Oslo\n", 0, ["#name", "town"]),
        ("# name,size\nAnn,1.5\nBob,2\n", 0, ["# name", "size"]),
        ("# fields: name, town\nname,town\nAnn,Rome\n", 1, ["name", "town"]),
        ("#1,2\na,b\n", 0, ["#1", "2"]),
        ("# city,kind\nRome,a\nOslo,b\nParis,a\n", 0, ["# city", "kind"]),
        ("# by me\n# city,day\nRome,2024-05-01\nOslo,2024-05-02\n", 1, ["# city", "day"]),
        ("#by me,today\ncity,size\nRome,1\nOslo,2\n", 1, ["city", "size"]),
        ("#by me,today\ncity,kind\nRome,a\nOslo,b\nParis,a\nBari,b\n", 1, ["city", "kind"]),
        ("# by me, today\ncity,name\nRome,Ann\nOslo,Bob\n", 1, ["city", "name"]),
        ("# city,name\ncity,name\nRome,Ann\nOslo,Bob\n", 1, ["city", "name"]),
        ("# by,me,now\ncountry,2018,2019\nA,1,2\nB,3,4\n", 1, ["country", "2018", "2019"]),
        ("#,name,size\n1,Ann,NA\n2,Bob,3\n", 0, ["#", "name", "size"]),
        ("#name size\nAnn  1\nBob 20\n", 0, ["#name", "size"]),
        ("# by me\nname size\nAnn  1\nBob 20\n", 1, ["name", "size"]),
        ("# name:size\nAnn:1\nBob:20\n", 0, ["# name", "size"]),
    ],
)
def test_a_header_that_begins_with_a_hash_is_no_comment(file, text, skipped, header):
    found = detect_csv(file(text))
    assert (found.dialect.skip_lines, found.text.cells.column_names) == (skipped, header)
    if header[0].startswith("#"):
        assert found.reasons["skip_lines"] == f"line {skipped + 1} names the columns, though it begins with #"
    else:
        assert found.reasons["skip_lines"] == "these lines begin with #"


@pytest.mark.parametrize(
    "text",
    [
        "# city,name\nRome,Ann\nOslo,Bob\n",  # nothing tells
        "# by me, today\nRome,a\nOslo,b\nParis,a\n",  # the next line is a row, and this one reads like a sentence
        "# a,b\nsize,kind\n1,x\n2,kind\n3,x\n",  # one cell is a name, the other one is met below
    ],
)
def test_a_line_with_a_hash_that_may_be_the_header_is_asked_about(file, text):
    path = file(text)
    with pytest.raises(
        DataError, match=r"f\.csv line 1: this line begins with #.* Give --skip-lines 0 if it names the columns, --skip"
    ):
        detect_csv(path)
    for skipped in (0, 1):
        assert detect_csv(path, skip_lines=skipped).dialect.skip_lines == skipped


@pytest.mark.parametrize("text", ["# name size\nAnn 1\nBob 20\n", "# by me\n#  name  size\n Ann  1\n Bob 20\n"])
def test_a_hash_that_would_be_a_name_of_its_own_is_to_be_removed(file, text):
    with pytest.raises(DataError, match=r"seems to name the columns, .* Remove the # and the blank behind it"):
        detect_csv(file(text))
    assert detect_csv(file(re.sub("# +(?=name)", "", text))).text.cells.column_names == ["name", "size"]


QUIRKY = {
    "numbered_names": (
        ",x,,y,x\n0,1,2,3,4\n1,5,6,7,8\n",
        ["column_1", "x", "column_3", "y", "x_2"],
        ["0", "1", "2", "3", "4"],
    ),
    "row_names": ('"x","y"\n"a",1,2\n"b",3,4\n', ["row_names", "x", "y"], ["a", "1", "2"]),
    "row_names, counting": ("x y\n1 10 2\n2 30 4\n5 30 4\n", ["row_names", "x", "y"], ["1", "10", "2"]),
    "header_end": ('"x","y",\n1,"a"\n3,4\n', ["x", "y"], ["1", "a"]),
    "empty_rows": ("x,y\n1,2\n3,\n,\n,\n\n", ["x", "y"], ["1", "2"]),
    "empty_rows, blank": ("x,y\n1,2\n3,4\n  \n\t\n\n", ["x", "y"], ["1", "2"]),
    "blank_lines": ("x,y\r\n\r\n1,2\r\n\r\n3,\r\n\r\n4,5\r\n", ["x", "y"], ["1", "2"]),
    "doubled_returns": ('x,y\r\r\n1,"a\r\r\nb"\r\r\n3,4\r\r\n', ["x", "y"], ["1", "a\r\nb"]),
    "spaced_cells": ('x, y, z\n1, "a, b", \n2, c, d\n', ["x", "y", "z"], ["1", "a, b", ""]),
    "spaced_quotes": ('x,y,  "z"\n1,2,  "a, ""b"" c"\n3,4,5\n', ["x", "y", "z"], ["1", "2", 'a, "b" c']),
    "aligned": ("  x    y\n 10    a\n  9  bcd   \n", ["x", "y"], ["10", "a"]),
}


def test_a_name_that_lacks_is_told_from_one_that_is_there_twice(file):
    text, _, _ = QUIRKY["numbered_names"]
    said = "column_1, column_3 had no name, x_2 had a name that another column has"
    assert detect_csv(file(text)).reasons["quirks"] == said


@pytest.mark.parametrize("case", QUIRKY)
def test_quirks_are_found_and_said_and_read_alike_when_they_are_declared(file, case):
    text, names, first = QUIRKY[case]
    path, quirk = file(text), case.split(",")[0]
    found = detect_csv(path)
    assert quirk in found.dialect.quirks
    assert found.text.cells.column_names == names
    assert rows(found.text)[0] == tuple(first)
    assert found.reasons["quirks"]
    declared = read_csv(path, found.dialect)
    assert declared.cells.equals(found.text.cells)
    if quirk != "empty_rows":  # without it, they are rows of missing values
        with pytest.raises(DataError):
            read_csv(path, found.dialect._replace(quirks=()))


@pytest.mark.parametrize(
    ("quirk", "text", "line"),
    [
        ("blank_lines", "x,y\n\n1,2\n\n3,4\n5,6\n\n7,8\n", 6),
        ("blank_lines", "x,y\n\n1,2\n\n\n3,4\n", 5),
        ("blank_lines", "x,y\n1,2\n\n3,4\n", 3),
        ("doubled_returns", "x,y\r\r\n1,2\r\n3,4\r\r\n", 2),
        ("spaced_cells", "x, y\n1, 2\n3,4\n", 3),
        ("spaced_quotes", 'x, "y"\n1, "2"\n3,"4"\n', 3),
        ("empty_rows", "x,y,z\n1,2,3\n,\n", 3),
        ("row_names", "x,y\n1,2,3\n4,5\n", 3),
    ],
)
def test_a_file_that_does_not_keep_to_its_quirk_is_refused_with_the_line(file, quirk, text, line):
    path = file(text)
    with pytest.raises(DataError, match=rf"f\.csv line {line}: "):
        read_csv(path, Dialect(quirks=(quirk,)))
    with contextlib.suppress(DataError):
        assert quirk not in detect_csv(path).dialect.quirks


def test_blanks_behind_every_delimiter_are_no_part_of_names_and_texts(file):
    found = detect_csv(file("x, y\n1, red\n2, green\n"))
    assert (found.dialect.quirks, found.text.cells.column_names) == (("spaced_cells",), ["x", "y"])
    assert rows(found.text) == [("1", "red"), ("2", "green")]
    found = detect_csv(file("x, y\n1, red\n2,green\n"))
    assert (found.dialect.quirks, found.text.cells.column_names) == ((), ["x", " y"])


def test_a_row_of_numbers_is_no_header_however_its_names_would_be_numbered(file):
    with pytest.raises(DataError, match="line 1: all column names are numbers: the header is missing"):
        detect_csv(file("0,0,1\n1,2,3\n4,5,6\n"))
    with pytest.raises(DataError, match="line 1: no column has a name"):
        read_csv(file(",,\n1,2,3\n"), Dialect(quirks=("numbered_names",)))


def test_a_quirk_is_declared_once(file):
    """Undone twice, it would take a blank that belongs to a cell."""
    path = file('x, y, z\n1, "a, b", 2\n3,  c, 4\n')
    found = detect_csv(path)
    assert (found.dialect.quirks, rows(found.text)) == (("spaced_cells",), [("1", "a, b", "2"), ("3", " c", "4")])
    assert found.reasons["quirks"] == "a blank is behind every delimiter"
    assert read_csv(path, Dialect(quirks=("spaced_cells",) * 2)).cells.equals(found.text.cells)


def test_a_column_that_is_really_named_row_names(file):
    found = detect_csv(file("row_names,y\nred,2\ngreen,4\n"))
    assert (found.dialect.quirks, found.reasons) == ((), {})
    found = detect_csv(file('"y","row_names"\n"1",2,"red"\n"2",4,"blue"\n'))
    assert found.text.cells.column_names == ["row_names", "y", "row_names_2"]
    assert found.reasons["quirks"].startswith("row_names_2 had a name that another column has; ")


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "Unnamed: 0.1"])
@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("0 1 2 3 4 5", "numbers the rows"),
        ("0 1 - 3 4 5", "numbers the rows"),
        ("4 0 3 - 1 2", "holds no whole number twice"),
        ("0 1 2 0 1 2", "counts up from 0 2 times"),
        ("3 3 3 3 3 3", None),
        ("0 2 1 1 2 0", None),
        ("0.5 1 2 3 4 5", None),
    ],
)
def test_a_saved_index_is_left_out_for_what_is_true_of_it(file, name, cells, why):
    rows = [f"{cell.strip('-')},{x}\n" for cell, x in zip(cells.split(), "aabbab", strict=True)]
    unneeded = look(file(f"{name},x\n" + "".join(rows)), {}).unneeded
    said = {"": f"it has no name and {why}, as a saved index does"}
    expected = {name or "column_1": said.get(name, f"it is named as pandas names a saved index and {why}")}
    assert unneeded == (expected if why else {})


def test_a_lost_name_is_no_sign_of_row_names(file):
    for text in (
        "id,x,y\n1,5,6,7\n2,6,7,8\n",
        "x,y\n5.1,3,4\n4.9,3,2\n",
        "x,y\n1,2,\n2,3,\n",
        "x,y\n7,2,1\n9,3,1\n",
    ):
        with pytest.raises(DataError, match="cells, the header has"):
            detect_csv(file(text))


def test_rare_delimiters_are_taken_where_the_header_has_no_other(file):
    for mark in "^~:":
        found = detect_csv(file(f"a{mark}b\n1{mark}x,y\n2{mark}z\n"))
        assert (found.dialect.delimiter, rows(found.text)) == (mark, [("1", "x,y"), ("2", "z")])
    with pytest.raises(DataError, match="line 3: 2 cells, the header has 3"):
        detect_csv(file("t:u,v,w\n10:00,1,2\n10:01,2\n"))


def test_backslashes_before_quotes_are_found(file):
    found = detect_csv(file('a,b\n1,"he said \\"ok\\", I think"\n2,x\n'))
    assert (found.dialect.escape, rows(found.text)[0]) == ("\\", ("1", 'he said "ok", I think'))
    found = detect_csv(file('a^b\n1^"he said \\"ok\\"^ I think"\n2^x\n'))
    assert (found.dialect.escape, rows(found.text)[0]) == ("\\", ("1", 'he said "ok"^ I think'))


def test_single_quotes_are_found_where_the_file_has_no_others(file):
    text = "id,'kind'\n1,'a'\n2,'it''s'\n3,\n"
    found = detect_csv(file(text))
    assert (found.dialect.quote, found.header, rows(found.text)) == (
        "'",
        ["id", "kind"],
        [("1", "a"), ("2", "it's"), ("3", "")],
    )
    assert found.reasons["quote"] == "every cell of \"'kind'\" is in single quotes, and none is in others"
    assert detect_csv(file(text), quote='"').text.cells.column_names == ["id", "'kind'"]
    assert detect_csv(file(text.replace("'a'", "a"))).dialect.quote == '"'


@pytest.mark.parametrize("cell", ["\"'='\"", "'it's'", "'a'b'"])
def test_single_quotes_that_cannot_be_those_of_the_file_are_said_without_advice_that_does_not_work(file, cell):
    with pytest.raises(DataError, match=r"column 'k': every cell is in single quotes, .* Remove them") as error:
        look(file(table(",", k=[cell], y=["u", "v"])), {})
    assert "--quote" not in str(error.value)


def test_a_mark_of_dos_at_the_end_is_said(file):
    assert detect_csv(file("x,y\n1,a\n2,b\n\x1a")).beside == ["ends with Ctrl-Z, read past"]
    assert detect_csv(file("x,y\n1,a\n2,b\n")).beside == []


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("name", ["Größe", "ś", "一Ā"])  # the second is UTF-8 as well, the third has other zeros
def test_utf_16_without_a_byte_order_mark(file, encoding, name):
    found = detect_csv(file(f"{name};y\n" + "1;k ln\n" * 20, encoding))
    assert found.text.cells.column_names == [name, "y"]
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
    monkeypatch.setattr(
        source, "_unpack", lambda path, packed, unpack=source._unpack: calls.append(path) or unpack(path, packed)
    )
    assert rows(detect_csv(path).text) == [("köln", "2")]
    assert calls == [path]


AMBIGUOUS = "Größe;Näme\n1,5;Hélène\n2,75;Nîmes\n".encode("cp1252")  # an encoding that cannot be told


@pytest.mark.parametrize("delimiter", [None, ";"])
def test_what_is_not_given_is_found(tmp_path, delimiter):
    path = tmp_path / "f.csv"
    path.write_bytes(AMBIGUOUS)
    found = detect_csv(path, encoding="cp1252", **({"delimiter": delimiter} if delimiter else {}))
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


def test_a_mistake_far_below_is_told_without_trying_other_ways_of_writing(file, monkeypatch):
    """Each of them would read all of a large file."""
    opened = []
    whole = file_format.settled_table
    monkeypatch.setattr(
        file_format, "settled_table", lambda file, **of: opened.append(file.dialect) or whole(file, **of)
    )
    with pytest.raises(DataError, match=r"f\.csv line 40002: 3 cells, the header has 2\."):
        detect_csv(file('a;"b"\n' + "1;2\n" * 40_000 + "1;2;3\n"))
    assert len(opened) == 2  # the first lines once more; cut at other delimiters, the header is refused


def test_a_delimiter_that_the_header_lacks_costs_no_reading(file, monkeypatch):
    found = []
    whole = file_format.settled_table
    monkeypatch.setattr(
        file_format, "settled_table", lambda file, **of: found.append(file.dialect) or whole(file, **of)
    )
    assert detect_csv(file("a;b\n" + "1;2\n" * 200)).dialect.delimiter == ";"
    assert [dialect.delimiter for dialect in found] == [";"]


def test_what_is_no_text(tmp_path):
    path = tmp_path / "f.csv"
    path.write_bytes(bytes(range(256)) * 20)
    with pytest.raises(DataError, match=r"f\.csv"):
        detect_csv(path)


def test_rows_cut_by_blanks_without_a_header_are_told_so(tmp_path):
    path = tmp_path / "housing.data"
    path.write_text("".join(f" {number / 7:8.4f}  {number / 3:8.4f} {number % 5:d}\n" for number in range(1, 150)))
    with pytest.raises(
        DataError, match=r"is cut by blanks, and its first line looks like a row, .*: '0\.1429'\. Put a"
    ):
        look(path, {})
