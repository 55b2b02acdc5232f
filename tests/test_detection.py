"""What add finds out by itself: how a file is written, its target and task, identifiers, leaks."""

import gzip

import numpy as np
import pandas as pd
import pytest

from lockstep import source
from lockstep.columns import Format
from lockstep.detection import detect_csv, guess_target, guess_task, inspect_columns
from lockstep.errors import DataError
from lockstep.frames import normalised_frame

ROWS = 120


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
    assert found.notes == []


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
    assert found.notes == ([f"encoding {name}, the only one it looks natural in"] if name != "utf-8" else [])


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
        (b"name;town\n" + bytes(range(128, 256)) + b";x\n", r"f\.csv is not UTF-8, and in none of the usual encodings"),
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
    assert found.notes[0].startswith(f"delimiter {found.dialect.delimiter!r}, though {other!r} would fit too")


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


def test_a_file_is_unpacked_once_however_many_delimiters_are_tried(tmp_path, monkeypatch):
    path = tmp_path / "f.csv.gz"
    path.write_bytes(gzip.compress("Größe;y\nköln;2\n".encode("cp1252")))
    calls = []
    monkeypatch.setattr(source, "_unpack", lambda path, unpack=source._unpack: calls.append(path) or unpack(path))
    assert rows(detect_csv(path).text) == [("köln", "2")]
    assert calls == [path]


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


@pytest.mark.parametrize(
    ("names", "target", "why"),
    [
        (["a", "Target", "b"], "Target", "its name"),
        (["price", "class", "a"], "class", "its name"),
        (["Survived", "a"], "Survived", "its name"),
        (["a", "b"], "b", "it is the last column"),
    ],
)
def test_targets(names, target, why):
    assert guess_target(pd.DataFrame(columns=names)) == (target, why)


@pytest.mark.parametrize(
    ("column", "task", "why"),
    [
        (["yes", "no"] * 60, "classification", "a text column"),
        ([True, False] * 60, "classification", "a boolean column"),
        ([0, 1] * 60, "classification", "2 distinct whole numbers"),
        ([0.0, 1.0, None] * 40, "classification", "2 distinct whole numbers"),
        (list(range(20)) * 6, "classification", "20 distinct whole numbers"),
        (list(range(21)) * 6, "regression", "21 distinct numbers"),
        ([0.5, 1.5] * 60, "regression", "2 distinct numbers"),
    ],
)
def test_tasks(column, task, why):
    frame = normalised_frame(pd.DataFrame({"y": column}))
    assert guess_task(frame["y"]) == (task, why)


def inspect(target, task, **columns):
    frame = normalised_frame(pd.DataFrame(columns | {"y": target}))
    return inspect_columns(frame, "y", task)


@pytest.fixture
def random():
    return np.random.default_rng(0)


def test_identifiers_constants_and_dates(random):
    found = inspect(
        ["u", "v"] * 60,
        "classification",
        row=np.arange(ROWS),
        customer_id=random.permutation(10**6)[:ROWS],
        ticket=[f"t{i}" for i in range(ROWS)],
        constant=7,
        empty=[None] * ROWS,
        sold=[f"2024-01-{1 + i % 28:02d}" for i in range(ROWS)],
        american=[f"{1 + i % 12}/15/2024" for i in range(ROWS)],
        size=random.normal(size=ROWS),
        integer=random.permutation(10**6)[:ROWS],
        colour=["red", "green", "blue"] * 40,
    )
    assert found.identifiers == ["row", "customer_id", "ticket"]
    assert found.constants == ["constant", "empty"]
    assert found.dates == ["sold", "american"]
    assert (found.leaks, found.suspects, found.repeating) == ([], [], [])


def test_identifiers_that_repeat(random):
    found = inspect(
        random.normal(size=ROWS), "regression", house_id=np.repeat(np.arange(60), 2), size=random.normal(size=ROWS)
    )
    assert found.repeating == ["house_id"]
    assert found.identifiers == []


def test_leaks_of_a_class(random):
    target = random.choice(["u", "v"], ROWS)
    found = inspect(target, "classification", code=np.where(target == "u", 1, 2), other=random.choice(["a", "b"], ROWS))
    assert found.leaks == ["code"]


def test_leaks_of_a_number(random):
    day, night = random.integers(0, 100, ROWS), random.integers(0, 100, ROWS)
    found = inspect(day + night, "regression", day=day, night=night, size=random.normal(size=ROWS))
    assert sorted(found.leaks) == ["day", "night"]
    price = random.normal(size=ROWS)
    found = inspect(
        price, "regression", value=price + random.normal(scale=0.1, size=ROWS), size=random.normal(size=ROWS)
    )
    assert found.leaks == []
    assert [name for name, _ in found.suspects] == ["value"]
    assert found.suspects[0][1] > 0.95


def test_a_number_column_of_one_value_does_not_disturb_the_search_for_leaks(random):
    target = random.normal(size=ROWS)
    found = inspect(target, "regression", same=3.5, copy=target * 2 + 1, gaps=[None] * ROWS)
    assert found.leaks == ["copy"]
    assert found.constants == ["same", "gaps"]


def test_a_target_with_gaps_is_no_crash(random):
    target = pd.Series(random.normal(size=ROWS))
    target[3] = None
    inspect(target, "regression", a=random.normal(size=ROWS), b=random.normal(size=ROWS))
