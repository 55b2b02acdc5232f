"""Columns of dates: how they are written is found if the whole column tells, else said with the flag that decides."""

from lockstep.intake.detecting.date_columns import find_date_forms
from lockstep.intake.problems.contract_inference import infer_contract, write_contract
from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.contract import read_contract
from lockstep.reading.csvfile import TEXT, TextTable
from lockstep.tables.dates import shown_date

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

DAYS = pd.date_range("2023-11-20", periods=60, freq="29h37min13s")
LINES = np.arange(2, 62)


def find(cells, *, given=None, texts=()):
    """How column c is read, or what is said of it; None for nothing."""
    found, warnings = find_date_forms(
        {"c": pa.array(cells, TEXT)}, Format(), LINES[: len(cells)], given={"c": given} if given else {}, texts=texts
    )
    return found.get("c") or (warnings[0] if warnings else None)


@pytest.mark.parametrize("rest", ["", " %H:%M", " %H:%M:%S", " %I:%M %p"])
@pytest.mark.parametrize("day", ["%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y", "%d-%m-%Y", "%d-%b-%Y", "%B %d, %Y", "%d %b %Y"])
def test_a_form_that_the_whole_column_has_is_found(tmp_path, day, rest):
    cells = DAYS.strftime(day + rest).tolist()
    found = find(cells)
    assert (found.form.dates, found.type) == (day + rest, "datetime" if rest else "date")
    text = TextTable(pa.table({"c": pa.array(cells, TEXT)}), LINES)
    typed = typed_frame(text, "f", Format(), {"c": found.type}, {"c": found.form}).frame
    assert typed["c"].dt.strftime(day + rest).tolist() == cells
    write_contract(infer_contract(typed, dates={"c": found}), tmp_path / "c.yaml")
    assert read_contract(tmp_path / "c.yaml").forms(Format())["c"] == found.form


@pytest.mark.parametrize(
    "pattern", ["%A, %B %d, %Y", "%a, %d %b %Y", "%a %b %d %H:%M:%S %Y", "%a %b %d %H:%M:%S %z %Y"]
)
def test_dates_with_a_weekday_are_found(pattern):
    days = (DAYS + pd.Timedelta(minutes=5 if "%H" in pattern else 0)).tz_localize("+02:00")
    found = find(days.strftime(pattern).tolist())
    assert found.form.dates == pattern
    assert found.read == shown_date(days[0].tz_convert(None) if "%z" in pattern else days[0].tz_localize(None))


@pytest.mark.parametrize("pattern", ["%Y-%m", "%Y/%m", "%m/%Y"])
def test_months_are_dates_and_seasons_are_not(pattern):
    months = pd.date_range("1949-01-01", periods=40, freq="MS")
    found = find(months.strftime(pattern).tolist())
    assert (found.form.dates, found.type) == (pattern, "date")
    seasons = pd.Series([pd.Timestamp(year=year, month=year - 1999, day=1) for year in range(2000, 2011)] * 3)
    assert find(seasons.dt.strftime(pattern).tolist()) is None


@pytest.mark.parametrize(
    ("pattern", "kind"),
    [
        ("%Y-%m-%d", "date"),
        ("%Y-%m-%dT%H:%M:%S", "datetime"),
        ("%Y%m%dT%H%M%S", "datetime"),
        ("%Y-%m-%d %H:%MZ", "datetime"),
    ],
)
def test_iso_dates_are_found(pattern, kind):
    found = find(DAYS.strftime(pattern).tolist())
    assert (found.form.dates, found.type, found.converted) == ("default", kind, pattern.endswith("Z"))


def test_a_date_that_tells_day_from_month_is_shown():
    found = find(["01/02/2024", *DAYS.strftime("%m/%d/%Y")][:60])
    assert (found.example, found.read) == ("11/20/2023", "2023-11-20")


def test_one_day_above_twelve_decides_and_without_one_it_is_asked():
    open_ = [f"{1 + number % 12:02}/{1 + number // 5:02}/2024" for number in range(60)]
    assert find([*open_[:59], "13/01/2024"]).form.dates == "%d/%m/%Y"
    assert find([*open_[:59], "01/13/2024"]).form.dates == "%m/%d/%Y"
    said = find(open_)
    assert "'c' is text: it seems to hold dates, but no day is above 12" in said
    assert "(lines 2, 3, 4, 5, 6 and 55 more, the first '01/01/2024')" in said
    assert said.endswith("say it with --dates c=%d/%m/%Y or --dates c=%m/%d/%Y")
    assert find(open_, given="%d/%m/%Y").form.dates == "%d/%m/%Y"
    assert find(open_, texts=["c"]) is None


def test_two_formats_and_polluted_cells_are_said_with_their_lines():
    cells = DAYS.strftime("%d/%m/%Y").tolist()
    assert "'c' is text, though 59 of its 60 cells are dates written as %d/%m/%Y" in find([*cells[:59], "soon"])
    assert "line 61, the first 'soon'" in find([*cells[:59], "soon"])
    assert "line 61, the first '30/02/2023'" in find([*cells[:59], "30/02/2023"])
    mixed = find([*cells[:40], *DAYS[40:].strftime("%Y-%m-%d")])
    assert "'c' is text, though 40 of its 60 cells are dates written as %d/%m/%Y" in mixed
    with pytest.raises(DataError, match=r"--dates c=%d/%m/%Y: 1 cell is no such date, line 61, the first 'soon'"):
        find([*cells[:59], "soon"], given="%d/%m/%Y")


def test_of_two_formats_neither_is_taken_for_the_right_one():
    open_ = [f"{1 + number % 12:02}/{1 + number // 5:02}/2024" for number in range(58)]
    assert find([*open_, "25/03/2024", "03/25/2024"]) == (
        "'c' is text, since its dates seem to be written in two ways: 59 of its 60 cells are dates as %d/%m/%Y says, "
        "all but line 61, the first '03/25/2024'; and 59 of its 60 cells are dates as %m/%d/%Y says, all but line 60, "
        "the first '25/03/2024'. Write them in one way in the file"
    )
    nearly = find([*open_[:54], *["25/03/2024"] * 2, *["03/25/2024"] * 4])
    assert "58 of its 60 cells are dates as %m/%d/%Y says" in nearly
    assert "56 of its 60 cells are dates as %d/%m/%Y says" in nearly
    assert "are dates as" not in find([*open_[:40], *["03/25/2024"] * 19, "25/03/2024"])


def test_years_that_stand_for_a_missing_date_are_missing():
    cells = DAYS.strftime("%Y-%m-%d").tolist()
    found = find([*cells[:55], "9999-12-31", "9999-12-31", "0000-00-00", "-", "NA"])
    assert found.words == {"9999-12-31": 2, "0000-00-00": 1, "-": 1}
    assert set(found.words) < set(found.form.missing)


@pytest.mark.parametrize("odd", ["1/2/2020", "31/02/2020", "2020-01-05"])
def test_one_cell_with_a_whole_year_does_not_hide_those_of_two_digits(odd):
    said = find([odd, *DAYS.strftime("%d/%m/%y")[1:]])
    assert "59 of its 60 cells are dates written as %d/%m/%y says: the others are not, line 2, the first" in said


def test_years_of_two_digits_are_asked():
    said = find(DAYS.strftime("%m/%d/%y").tolist())
    assert "its dates have years of two digits, which --dates c=%m/%d/%y reads as 1969 to 2068" in said


@pytest.mark.parametrize(
    "cells",
    [
        [str(20240101 + number) for number in range(28)],
        [str(1990 + number) for number in range(30)],
        [f"{number}.{number}" for number in range(30)],
        [f"report of 2024-01-{1 + number:02}" for number in range(28)],
        ["a", "b"] * 15,
        [""] * 30,
        [f"2024-01-{1 + number:02}" for number in range(5)],
    ],
)
def test_numbers_texts_and_a_few_dates_are_no_dates(cells):
    assert find(cells) is None


@pytest.mark.parametrize(
    ("cells", "given", "kind", "read"),
    [
        (["20240131", "20240201"], "iso", "date", "2024-01-31"),
        (["20240131", "20240201"], "%Y%m%d", "date", "2024-01-31"),
        (["45322", "45323.5"], "excel", "datetime", "2024-01-31"),
        (["1706659200", "1706659201"], "seconds", "datetime", "2024-01-31"),
        (["01/31/24", "02/01/24"], "%m/%d/%y", "date", "2024-01-31"),
    ],
)
def test_the_user_may_say_it(cells, given, kind, read):
    found = find(cells, given=given)
    assert (found.type, found.read) == (kind, read)


def test_a_format_that_is_none():
    with pytest.raises(DataError, match=r"--dates: the format 'dd.mm.yyyy' cannot be used.*Allowed: iso, a pattern"):
        find(["31.01.2024"], given="dd.mm.yyyy")
