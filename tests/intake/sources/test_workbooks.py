"""A sheet of a workbook to columns: cells keep their types; what has no value, or no one place, is refused."""

import os
import sys
import zipfile
from datetime import datetime, time

from lockstep.intake.sources.workbooks import read_workbook
from lockstep.kernel.errors import DataError, MachineError, SettingsError

import pytest


@pytest.fixture
def workbook(tmp_path):
    """Writes a workbook: {sheet: rows}, edited by ``change`` before."""
    try:
        import openpyxl
    except ImportError:
        message = "openpyxl is not installed: make sources"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)

    def written(change=None, **sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
        if change is not None:
            change(book)
        book.save(tmp_path / "book.xlsx")
        return tmp_path / "book.xlsx"

    return written


MORNING = datetime.fromisoformat("2024-01-31T07:30:05")
ROWS = [["code", "n", "price", "at", "ok"], ["00123", 1, 0.5, MORNING, True], [None] * 5]


def test_cells_keep_their_types(workbook):
    sheet = read_workbook(workbook(A=[*ROWS[:2], ["x", None, 2, None, None]], B=[]), None)
    assert sheet.columns == {
        "code": ["00123", "x"], "n": [1, None], "price": [0.5, 2],
        "at": [MORNING, None], "ok": [True, None],
    }  # fmt: skip
    assert [type(value) for value in sheet.columns["price"]] == [float, int]
    assert (sheet.name, sheet.notes) == ("A", [])
    assert sheet.origin.place(1, 2) == "cell C3"


def test_a_table_that_begins_elsewhere(workbook):
    rows = [[], [None, "Sales of 2024"], [], [None, "a", None, 2024], [None, 1, None, 2], [None, "", None, 9], [], []]
    sheet = read_workbook(workbook(A=rows), None, skip_lines=1, skip_footer_lines=1)
    assert sheet.columns == {"a": [1], "2024": [2]}
    assert sheet.origin.place(0, 1) == "cell D5"
    found = read_workbook(workbook(A=rows), None, skip_footer_lines=1)
    assert (found.columns, found.notes) == (
        sheet.columns, ["row 2 is taken for a title above the header (--skip-lines N)"]
    )  # fmt: skip
    with pytest.raises(DataError, match=r"the column of cell D2 has no name\. .* --skip-lines N"):
        read_workbook(workbook(A=rows), None, skip_lines=0)


def test_the_sheet_is_chosen_by_its_name_unless_one_only_is_filled(workbook):
    path = workbook(A=[["a"], [1]], B=[["a", "b"], [2, 3], [4, 5]], C=[])
    with pytest.raises(DataError, match=r"has 2 sheets that are not empty: 'A' \(2 rows, 1 column\), 'B' \(3 r"):
        read_workbook(path, None)
    assert read_workbook(path, "B").columns == {"a": [2, 4], "b": [3, 5]}
    with pytest.raises(SettingsError, match=r"--sheet: .* has no sheet 'b'\. Those that are not empty: 'A'"):
        read_workbook(path, "b")
    with pytest.raises(DataError, match="has no cell with something in it"):
        read_workbook(workbook(A=[]), None)


def cell(place, value, data_type=None, number_format=None):
    def change(book):
        book["A"][place] = value
        if number_format:
            book["A"][place].number_format = number_format
        if data_type:
            book["A"][place].data_type = data_type

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (cell("B3", "=A1"), r"sheet 'A': 1 cell with a formula without its value: B3\. Open the workbook"),
        (cell("B3", "#DIV/0!", "e"), r"column 'b' has 1 cell with an error: #DIV/0! in B3"),
        (cell("B3", 99999999, number_format="yyyy-mm-dd"), r"1 cell with an error: #VALUE! in B3"),
        (cell("B1", None), "the column of cell B1 has no name"),
        (cell("B1", "a"), "two columns are named 'a'"),
        (cell("B1", 1.5), r"the name in cell B1 is no text but '1\.5'"),
        (cell("A8", 1), "row 5 is empty, amid the rows"),
        (lambda book: book["A"].merge_cells("A3:A4"), "merged cells in the table: A3:A4"),
        (lambda book: book["A"].merge_cells("A1:B1"), "merged cells in the table: A1:B1"),
        (lambda book: book["A"].delete_rows(2, 9), "no row below its header"),
    ],
)
def test_what_is_refused(workbook, change, message):
    with pytest.raises(DataError, match=message):
        read_workbook(workbook(change, A=[["a", "b"], [1, 2], [3, 4], [5, 6]]), None)


def test_what_is_missing_or_hidden_is_said(workbook):
    def change(book):
        cell("B3", "#N/A", "e")(book)
        book["A"].row_dimensions[2].hidden = True
        book["A"].merge_cells("A9:B9")  # below the table

    sheet = read_workbook(workbook(change, A=[["a", "b"], [1, 2], [3, 4]]), None)
    assert sheet.columns["b"] == [2, None]
    assert sheet.notes == ["1 cell with #N/A is missing", "1 hidden row is read too, the first being row 2"]


def test_a_sheet_whose_recorded_size_is_wrong_is_read_whole(workbook, tmp_path):
    path = workbook(cell("B4", "=A1"), A=[["a", "b"], [1, 2], [3, 4], [5, 6]])
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(tmp_path / "wrong.xlsx", "w") as new:
        for name in old.namelist():
            new.writestr(name, old.read(name).replace(b'<dimension ref="A1:B4"', b'<dimension ref="A1:A2"'))
    with pytest.raises(DataError, match="a formula without its value: B4"):
        read_workbook(tmp_path / "wrong.xlsx", None)


def test_no_workbook(workbook, tmp_path):
    workbook(A=[])
    for content in b"PK\x03\x04", b"a,b\n1,2\n", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(999):
        (tmp_path / "no.xlsx").write_bytes(content)
        with pytest.raises(DataError, match=r"no\.xlsx is not an Excel workbook that can be read"):
            read_workbook(tmp_path / "no.xlsx", None)
    with zipfile.ZipFile(tmp_path / "bomb.xlsx", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", bytes(1 << 27))
    with pytest.raises(DataError, match=r"^\S+bomb\.xlsx unpacks to 134,217,728 bytes, more than 200 times"):
        read_workbook(tmp_path / "bomb.xlsx", None)


def test_times_of_day_are_handed_on_to_be_refused(workbook):
    assert read_workbook(workbook(A=[["a"], [time(3, 4)]]), None).columns == {"a": [time(3, 4)]}


def test_without_openpyxl_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    with pytest.raises(MachineError, match=r"openpyxl, which reads it, is not installed .* 'make sources'"):
        read_workbook(tmp_path / "book.xlsx", None)
