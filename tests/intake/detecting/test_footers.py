"""A total below the rows is found by evidence that no row gives; what is no total stays a row."""

import contextlib

from lockstep.intake.detecting import footers, settled_columns
from lockstep.intake.detecting.file_format import look
from lockstep.kernel.errors import DataError
from lockstep.reading import csvfile

import numpy as np
import pytest
from small import widened

N = 120
UNITS = [1 + number * 7 % 13 for number in range(N)]
CENTS = [1999 + 3107 * number % 90001 for number in range(N)]
SUM_UNITS, SUM_CENTS = sum(UNITS), sum(CENTS)


def money(cents):
    return f'"${cents / 100:,.2f}"'


def german(cents):
    return f"{cents / 100:,.2f} €".translate(str.maketrans(",.", ".,"))


def plain(cents):
    return f"{cents / 100:.2f}"


@pytest.fixture
def found(tmp_path):
    """What add finds in a table of N rows with more lines below it."""

    def of(*below, form=money, delimiter=",", above=("Sales report",), newline="\n", regions="NSEW", **given):
        rows = [
            delimiter.join([regions[number % len(regions)], str(UNITS[number]), "ab"[number % 2], form(CENTS[number])])
            for number in range(N)
        ]
        path = tmp_path / "t.csv"
        text = newline.join([*above, delimiter.join(["region", "units", "kind", "amount"]), *rows, *below, ""])
        path.write_bytes(text.encode())
        return look(path, {f"load.{name}": value for name, value in given.items()})

    return of


@pytest.mark.parametrize(
    "word", ["Total", "TOTALS:", "Grand Total", "sub-total", "Gesamtsumme", "Somme", "Total général", "*** Suma ***"]
)
def test_a_total_is_none_of_the_rows_and_it_is_said(found, word):
    facts = found(f"{word},,,{money(SUM_CENTS)}")
    assert len(facts.frame) == N
    assert facts.settings == {"skip_lines": 1, "skip_footer_lines": 1}
    assert facts.reasons["skip_footer_lines"] == (
        f"line {N + 3} is a total: '{word}' stands in 'region', as in no other row, and '{money(SUM_CENTS)[1:-1]}' in "
        "'amount' is the sum of the numbers above it; 'update' asks for such a line below a new table"
    )
    assert facts.warnings == []
    assert (facts.frame["amount"].sum() * 100).round() == SUM_CENTS


@pytest.mark.parametrize(
    ("below", "n_lines"),
    [
        (["", f"Total,{SUM_UNITS},,{money(SUM_CENTS)}"], 2),
        ([",,,", f"Total,,,{money(SUM_CENTS)}", ",,,"], 3),
        ([f"Total,,,{money(SUM_CENTS)}", "", ""], 1),
        ([f"Total,,,{money(SUM_CENTS)}", f"Average,,,{money(SUM_CENTS // N)}"], 2),
        (["", f"Average,{SUM_UNITS / N:.1f},,", f"Total,{SUM_UNITS},,"], 3),
        ([f",,Total,{money(SUM_CENTS)}"], 1),
        ([f"Total,{SUM_UNITS}"], 1),
        ([f"Total,,,$ {SUM_CENTS / 100:.0f}"], 1),
    ],
)
@pytest.mark.parametrize("newline", widened(["\n", "\r\n", "\r"], ["\r\n"]))
def test_footers_of_several_lines_and_of_other_forms(found, below, n_lines, newline):
    facts = found(*below, newline=newline)
    assert (len(facts.frame), facts.settings["skip_footer_lines"]) == (N, n_lines)


@pytest.mark.parametrize(("form", "delimiter"), [(german, ";"), (plain, "|"), (german, "\t")])
def test_other_ways_of_writing(found, form, delimiter):
    facts = found(delimiter.join(["Summe", "", "", form(SUM_CENTS)]), form=form, delimiter=delimiter)
    assert (len(facts.frame), facts.settings["skip_footer_lines"]) == (N, 1)


def test_another_encoding(tmp_path):
    path = tmp_path / "t.csv"
    rows = "".join(f"Größe {number % 7},{number}\n" for number in range(N))
    path.write_bytes(f"name,n\n{rows}Total général,{N * (N - 1) // 2}\n".encode("utf-16"))
    assert (len(look(path, {}).frame), look(path, {}).settings["skip_footer_lines"]) == (N, 1)


@pytest.mark.parametrize(
    ("below", "more"),
    [
        ([f"Total,1,a,{money(SUM_CENTS + 1000)}"], {}),
        ([f"Total,1,a,{money(1999)}"], {}),
        ([f"Totalitarian,,,{money(SUM_CENTS)}"], {}),
        ([f"X,,,{money(SUM_CENTS)}"], {}),
        ([f"Average,,,{money(SUM_CENTS // N)}"], {}),
        ([f"Total,,,{money(SUM_CENTS)}"], {"regions": ["N", "Total"]}),
        ([f"Total,,,{money(SUM_CENTS)}"], {"regions": ["Total"]}),
        ([f"Total,,,{money(SUM_CENTS)}"], {"regions": ["N", "Subtotal:"]}),
        ([f"Total,,,{money(SUM_CENTS)}", "N,1,a,$2.00"], {}),
        ([f"Total,,,{money(SUM_CENTS)}"], {"skip_footer_lines": 0}),
    ],
)
def test_what_may_be_a_row_stays_one(found, below, more):
    facts = found(*below, **more)
    assert (len(facts.frame), facts.settings) == (N + len(below), {"skip_lines": 1})


@pytest.mark.parametrize(("n_rows", "n_lines"), [(1, 0), (9, 0), (10, 1)])
def test_a_few_rows_have_a_sum_by_chance(tmp_path, n_rows, n_lines):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "k,2\n" * n_rows + "x,0\n" * 50 + f"Total,{2 * n_rows}\n")
    assert look(path, {}).settings.get("skip_footer_lines", 0) == n_lines


def test_cells_may_be_rounded_and_whole_numbers_are_not(tmp_path):
    values, path = np.random.default_rng(0).normal(50, 20, 400), tmp_path / "t.csv"

    def n_lines(decimals, off):
        cells = [f"{value:.{decimals}f}" for value in values]
        total = sum(map(float, cells)) + off if decimals == 0 else values.sum() + off
        path.write_text("a,b\n" + "".join(f"k,{cell}\n" for cell in cells) + f"Total,{total:.{decimals}f}\n")
        return look(path, {}).settings.get("skip_footer_lines", 0)

    assert [n_lines(2, 0), n_lines(1, 0), n_lines(2, 1), n_lines(0, 0), n_lines(0, 1)] == [1, 1, 0, 1, 0]


def test_a_row_that_may_be_a_total_is_warned_of(found):
    (said,) = found(f"Total,,,{money(5)}").warnings
    assert said == (
        f"line {N + 3} is read as a row, and may be a total: 'Total' stands in 'region', as in no other row, and "
        "'units', 'kind' are empty there, as in hardly any. If it is none of the rows, add the table with "
        "--skip-footer-lines 1"
    )
    assert found(f"Total,1,,{money(5)}").warnings == []
    assert found(f"N,,,{money(5)}").warnings == []
    assert found(f"Total,,,{money(5)}", regions=["N", "Total"]).warnings == []
    assert len(found(f"Total,,,{money(5)}", skip_footer_lines=1).frame) == N


def test_the_rows_are_read_once_where_no_word_says_so(found, monkeypatch):
    monkeypatch.setattr(footers, "evidence_of_total", None)
    monkeypatch.setattr(footers, "_sums", None)
    assert len(found(f"X,,,{money(SUM_CENTS)}").frame) == N + 1
    with pytest.raises(TypeError):
        found(f"Total,,,{money(SUM_CENTS)}")


@pytest.mark.parametrize("total", [SUM_UNITS, SUM_UNITS + 1])
def test_a_file_of_many_blocks(tmp_path, monkeypatch, total):
    """Columns of plain numbers keep no texts: what is summed is read once more."""
    monkeypatch.setattr(csvfile, "CHUNK", 300)
    monkeypatch.setattr(footers, "_END", 60)
    monkeypatch.setattr(settled_columns, "SAMPLE", 20)
    monkeypatch.setattr(settled_columns, "BLOCK_ROWS", 1)
    path = tmp_path / "t.csv"
    path.write_text("id,units,x\n" + "".join(f"{row},{UNITS[row]},0.5\n" for row in range(N)) + f"Total,{total},\n")
    facts = look(path, {})
    assert len(facts.frame) == N + (total != SUM_UNITS)
    assert facts.reasons.get("skip_footer_lines", "").startswith(f"line {N + 2} " if total == SUM_UNITS else "")


@pytest.mark.parametrize("line", ["Total,1\r2", 'Total,"1\r2"', 'Total,"6', "Total,\x001"])
def test_a_last_line_that_is_no_line_of_a_table_is_told_as_before(tmp_path, line):
    path = tmp_path / "t.csv"
    path.write_bytes(f"a,b\n1,2\n3,4\n{line}\n".encode())
    with contextlib.suppress(DataError):
        assert len(look(path, {}).frame) == 3


def test_what_is_no_table_without_its_last_line_is_told_as_before(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\nTotal,4\n")
    with pytest.raises(DataError, match="line 3: 1 cells, the header has 2"):
        look(path, {})
