"""Several CSV files of one layout as one: their cells as they are, or refused with the difference."""

from lockstep.intake.detecting.csv_detection import detect_dialect
from lockstep.intake.sources.csv_files import write_joined
from lockstep.kernel.errors import DataError, SettingsError

import pytest


@pytest.fixture
def join(tmp_path):
    def joined(*contents, column=None, **given):
        files = [tmp_path / f"{number}.csv" for number in range(len(contents))]
        for file, content in zip(files, contents, strict=True):
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
        rows, notes = write_joined(files, tmp_path / "all.csv", given, column)
        assert list(rows) == files
        return (tmp_path / "all.csv").read_text(), list(rows.values()), notes

    return joined


def test_cells_stay_as_they_are(join):
    text, rows, _ = join('a;b\n007;"x;""y"""\n1,5;\n', 'a;b\r\n" z ";"two\nlines"\r\n')
    assert text == 'a;b\n007;"x;""y"""\n1,5;\n z ;"two\nlines"\n'
    assert rows == [2, 1]


def test_a_total_below_the_rows_of_each_is_left_out_and_said(join):
    body = "".join(f"k{i},{i}.5\n" for i in range(20))
    text, rows, notes = join(f"a,b\n{body}Total,200.0\n", f"a,b\n{body}x,0.5\n")
    assert text == f"a,b\n{body}{body}x,0.5\n"
    assert rows == [20, 21]
    (note,) = notes
    assert note.startswith(
        "0.csv: line 22 is a total: 'Total' stands in 'a', as in no other row, and '200.0' in 'b' is"
    )
    assert note.endswith("and is left out (--skip-footer-lines 0 keeps it)")
    assert join(f"a,b\n{body}Total,200.0\n", f"a,b\n{body}", skip_footer_lines=0)[1:] == ([21, 20], [])


def test_lines_above_the_header_and_other_encodings(join):
    """Each file is decoded by itself; one of ASCII alone goes with any."""
    latin = "# März\na,name\n1,Käse für Müller\n2,Größe über Ähren\n".encode("cp1252")
    assert join(latin, "a,name\n3,x\n")[0] == "a,name\n1,Käse für Müller\n2,Größe über Ähren\n3,x\n"


def test_the_file_as_a_column(join):
    assert join("a,b\n1,2\n", "a,b\n3,4\n", column="part")[0] == "a,b,part\n1,2,0.csv\n3,4,1.csv\n"
    with pytest.raises(SettingsError, match="has a column 'b' already"):
        join("a,b\n1,2\n", "a,b\n3,4\n", column="b")


def test_columns_without_a_name_are_found_again(join, tmp_path):
    assert join(",b\n1,2\n", ",b\n3,4\n")[0] == ",b\n1,2\n3,4\n"
    assert detect_dialect(tmp_path / "all.csv", {}).text.cells.column_names == ["column_1", "b"]


@pytest.mark.parametrize(
    ("one", "other", "message"),
    [
        (
            "a,b\n1,2\n",
            "b,a\n1,2\n",
            r"1\.csv has other columns than .*0\.csv: the order differs, column 1 is 'b'",
        ),
        ("a,b\n1,2\n", "a,c\n1,2\n", "it lacks 'b' and it has 'c' more"),
        ("a,b\n1,2\n", "a,b,c\n1,2,3\n", "it has 'c' more"),
        (
            "a,b\n1,2\n",
            "a;b\n1;2\n",
            r"1\.csv is not written as the files before it: delimiter ';', not ','",
        ),
        ("a,b\n1,2\n", "a,b\n1,2,3\n", r"1\.csv line 2"),
    ],
)
def test_another_layout(join, one, other, message):
    with pytest.raises(DataError, match=message):
        join(one, other)
