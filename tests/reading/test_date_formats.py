"""Dates are read by exactly the form that the contract declares of their column, or refused with their lines."""

from datetime import UTC, date, datetime, timedelta, timezone

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.reading import csvfile
from lockstep.reading.blocks import read_typed
from lockstep.reading.column_types import Format, typed_frame
from lockstep.reading.contract import Contract, Field, read_contract, violations
from lockstep.reading.csvfile import CsvFile
from lockstep.reading.dataframes import normalised_frame, typed_dataframe
from lockstep.reading.loading import LoadSettings, load_file, load_frame
from lockstep.reading.number_marks import Marks

import numpy as np
import pandas as pd
import pytest
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn, widened

moment = datetime.fromisoformat
MOMENTS = st.datetimes(moment("1583-01-01"), moment("2500-12-31T23:59:59.999999"))
WHOLE = {
    "%d.%m.%Y": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "%B %d, %Y": {"hour": 0, "minute": 0, "second": 0, "microsecond": 0},
    "%m/%d/%Y %H:%M": {"second": 0, "microsecond": 0},
    "%d %b %Y %I:%M:%S %p": {"microsecond": 0},
    "%Y-%m-%d %H:%M:%S.%f": {},
    "%d/%m/%Y %H:%M:%S%z": {"microsecond": 0},
}
"""{pattern: what it does not write}"""
OFFSET = Marks(offset=True)


def write(path, cells):
    path.write_text("d\n" + "".join(f'"{cell}"\n' for cell in cells), encoding="utf-8")
    return path


def read(path, cells, declared="datetime", **form):
    """The dates in the file; as a whole, and block by block."""
    file, forms = write(path / "f.csv", cells), {"d": Format(**form)}
    whole = typed_frame(read_csv(file), "f.csv", Format(), {"d": declared}, forms)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csvfile, "CHUNK", 64)
        try:
            blocks = read_typed(CsvFile(file), Format(), {"d": declared}, (), forms)
        except DataError as error:
            raise DataError(f"block by block alone: {error}") from None
    pd.testing.assert_frame_equal(blocks.frame, whole.frame)
    assert blocks.missing_as == whole.missing_as
    assert str(whole.frame["d"].dtype) == "datetime64[us]"
    return whole.frame["d"].tolist()


@pytest.mark.parametrize("pattern", widened(WHOLE, ("%d/%m/%Y %H:%M:%S%z",)))
@drawn(100)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=20), hours=st.integers(-12, 14))
def test_dates_of_each_format_read_back_equal(tmp_path, pattern, moments, hours):
    moments = [one.replace(**WHOLE[pattern]) for one in moments]
    zone = timezone(timedelta(hours=hours)) if "%z" in pattern else UTC
    cells = [one.replace(tzinfo=UTC).astimezone(zone).strftime(pattern) for one in moments]
    assert read(tmp_path, cells, dates=pattern) == moments


@drawn(100)
@given(moments=st.lists(MOMENTS, min_size=1, max_size=20), mark=st.sampled_from("T "))
def test_iso_dates_read_back_equal(tmp_path, moments, mark):
    assert read(tmp_path, [one.isoformat(mark) for one in moments]) == moments
    assert read(tmp_path, [f"{one.isoformat(mark)}Z" for one in moments], marks=OFFSET) == moments
    assert read(tmp_path, [str(one.date()) for one in moments], "date") == [
        one.replace(hour=0, minute=0, second=0, microsecond=0) for one in moments
    ]


POLLUTED = [
    ("2023-02-30", {}, "date"),
    ("31.01.2024", {}, "date"),
    ("2024-1-31", {}, "date"),
    ("2024", {}, "date"),
    ("0001-01-01", {}, "date"),
    ("9999-12-31", {}, "date"),
    ("2024-01-31T24:00", {}, "datetime"),
    ("2024-01-31 x", {}, "datetime"),
    ("13/13/2024", {"dates": "%d/%m/%Y"}, "date"),
    ("01/31/2024", {"dates": "%d/%m/%Y"}, "date"),
    ("31/01/24", {"dates": "%d/%m/%Y"}, "date"),
    ("31.12.9999", {"dates": "%d.%m.%Y"}, "date"),
    ("60", {"marks": Marks(epoch="excel")}, "date"),
    ("1706659200000", {"marks": Marks(epoch="seconds")}, "datetime"),
    ("2024-01-31", {"marks": Marks(epoch="seconds")}, "datetime"),
]


@pytest.mark.parametrize(("cell", "form", "declared"), widened(POLLUTED, POLLUTED[::3]))
def test_a_polluted_cell_at_row_900_is_refused_with_its_line(tmp_path, cell, form, declared):
    usual = {"%d/%m/%Y": "31/01/2024", "%d.%m.%Y": "31.01.2024"}.get(form.get("dates"), "2024-01-31")
    usual = "45322" if "marks" in form else usual
    cells = [usual] * 1000
    cells[899] = cell
    with pytest.raises(DataError, match=r"column 'd': 1 of 1000 cells are not of the type \w+,.*, line 901, the first"):
        read(tmp_path, cells, declared, **form)
    assert pd.isna(read(tmp_path, cells, declared, missing=("NA", cell), **form)).sum() == 1


def test_a_date_has_no_time_of_day(tmp_path):
    with pytest.raises(DataError, match=r"has times of day, line 3, but the contract declares it date\. Declare it"):
        read(tmp_path, ["2024-01-31", "2024-01-31 10:00"], "date")


def test_times_with_and_without_an_offset_do_not_mix(tmp_path, caplog):
    caplog.set_level("INFO")
    assert read(tmp_path, ["2024-01-31T01:00+02:00", "2024-01-31 10:00Z"], marks=OFFSET) == [
        moment("2024-01-30T23:00:00"),
        moment("2024-01-31T10:00:00"),
    ]
    assert "column 'd': times with an offset are converted to UTC" in caplog.text
    with pytest.raises(DataError, match=r"with and without an offset from UTC: only some cells have none, line 4\."):
        read(tmp_path, ["2024-01-31T01:00+02:00", "2024-01-31 10:00Z", "2024-01-31 10:00"], marks=OFFSET)


def test_times_have_an_offset_only_where_the_contract_says_so(tmp_path):
    """Without one they are taken as they stand, with one they are converted: a model would see other hours."""
    with pytest.raises(DataError, match=r"has times with an offset from UTC, .* add lockstep: {offset: true}"):
        read(tmp_path, ["2024-01-31T01:00+02:00", ""])
    with pytest.raises(DataError, match=r"has times without an offset from UTC, .* would be taken for UTC"):
        read(tmp_path, ["2024-01-31T01:00", ""], marks=OFFSET)
    assert len(read(tmp_path, ["", "NA"], marks=OFFSET)) == 2
    zoned = pd.DataFrame({"d": pd.to_datetime(["2024-01-31T01:00+02:00", None])})
    for frame, other in ((zoned, Marks()), (zoned.assign(d=zoned["d"].dt.tz_localize(None)), OFFSET)):
        with pytest.raises(DataError, match="the DataFrame column 'd' has times with"):
            typed_dataframe(frame, "the DataFrame", {"d": "datetime"}, {"d": Format(marks=other)})
    assert typed_dataframe(zoned, "x", {"d": "datetime"}, {"d": Format(marks=OFFSET)}).frame["d"].notna().sum() == 1


@pytest.mark.parametrize(
    ("epoch", "number", "expected"),
    [
        ("excel", "45322.75", moment("2024-01-31T18:00:00")),
        ("excel", "61", moment("1900-03-01")),
        ("seconds", "1706659200.5", moment("2024-01-31T00:00:00.500000")),
        ("milliseconds", "1706659200123", moment("2024-01-31T00:00:00.123000")),
    ],
)
def test_numbers_are_dates_only_as_declared(tmp_path, epoch, number, expected):
    form = {"marks": Marks(epoch=epoch)}
    assert read(tmp_path, [number, ""], **form)[0] == expected
    frame = pd.DataFrame({"d": [float(number), np.nan]})
    assert typed_dataframe(frame, "f", {"d": "datetime"}, {"d": Format(**form)}).frame["d"].tolist()[0] == expected
    with pytest.raises(DataError, match="row 2 counts to no date in the years 1583 to 2500"):
        typed_dataframe(pd.DataFrame({"d": [float(number), 1e300]}), "f", {"d": "datetime"}, {"d": Format(**form)})
    assert typed_frame(read_csv(write(tmp_path / "f.csv", ["20240131"])), "f").frame["d"].tolist() == [20240131]


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["2024-01-31", None], dtype="datetime64[ns]"),
        pd.Series(["2024-01-31", None], dtype="datetime64[s]"),
        pd.Series(pd.to_datetime(["2024-01-31T01:00+01:00", None], utc=True)).dt.tz_convert("Europe/Berlin"),
        pd.Series([date(2024, 1, 31), None]),
        pd.Series([date(2024, 1, 31), None], dtype="date32[pyarrow]"),
        pd.Series([pd.Timestamp("2024-01-31"), pd.NaT], dtype=object),
        pd.Series([np.datetime64("2024-01-31"), None], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_dates_of_a_dataframe_are_of_one_unit_in_utc(column):
    found = normalised_frame(pd.DataFrame({"d": column}))["d"]
    assert str(found.dtype) == "datetime64[us]"
    assert found.tolist()[0] == moment("2024-01-31")
    assert found.isna().tolist() == [False, True]


def test_no_date_at_all_is_a_column_of_dates():
    assert str(normalised_frame(pd.DataFrame({"d": pd.Series([pd.NaT])}))["d"].dtype) == "datetime64[us]"


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([date(9999, 12, 31), None], r"dates outside of the years 1583 to 2500, such as 9999-12-31 in row 1\."),
        ([pd.Timestamp("2024-01-31", tz="UTC"), pd.Timestamp("2024-01-31")], "times with and without a time zone"),
        ([date(2024, 1, 31), "x"], "holds date, str"),
    ],
)
def test_dates_of_a_dataframe_that_are_refused(values, message):
    with pytest.raises(DataError, match=message):
        normalised_frame(pd.DataFrame({"d": pd.Series(values, dtype=object)}))


def contract(path, field):
    path.write_text(f"fields:\n- {{name: d, {field}}}\nlockstep: {{minimum_rows: 1}}\n")
    return read_contract(path)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("type: date, format: any", "cannot be used: it is neither default"),
        ("type: date, format: '%d.%m'", "cannot be used: it is neither default"),
        ("type: date, format: '%Y %Q'", "it is no pattern of strptime"),
        ("type: datetime, format: '%Y-%m-%d %H:%M %Z'", "names of time zones"),
        ("type: string, format: '%Y-%m-%d'", "is of the type string, but has a format"),
        ("type: number, lockstep: {epoch: seconds}", "is of the type number, but has a format, lockstep.epoch"),
        ("type: date, format: '%Y-%m-%d', lockstep: {epoch: excel}", "either written by a format or counted"),
        ("type: date, lockstep: {suffix: d}", "which say how numbers are written"),
        ("type: date, lockstep: {offset: true}", "lockstep.offset is for times in ISO 8601"),
        ("type: string, lockstep: {offset: true}", "is of the type string, but has a format"),
        ("type: date, constraints: {minimum: '31.01.2024'}", "the minimum '31.01.2024' is no date such as"),
        ("type: number, constraints: {maximum: '2024-01-31'}", "a minimum or maximum of text"),
    ],
)
def test_a_contract_that_contradicts_itself(tmp_path, field, message):
    with pytest.raises(SettingsError, match=message):
        contract(tmp_path / "c.yaml", field)


def test_limits_of_dates(tmp_path):
    found = contract(tmp_path / "c.yaml", "type: date, constraints: {minimum: '2000-01-01', maximum: '2024-01-31'}")
    dates = pd.DataFrame(
        {"d": pd.to_datetime(["1999-12-31", "2000-01-01", "2024-02-01", None]).astype("datetime64[us]")}
    )
    assert [(violation.message, violation.rows.tolist()) for violation in violations(dates, found)] == [
        ("below the minimum 2000-01-01: '1999-12-31'", [0]),
        ("above the maximum 2024-01-31: '2024-02-01'", [2]),
    ]


def test_a_parquet_file_with_dates_is_loaded(tmp_path):
    days = pd.Series(pd.date_range("2024-01-01", periods=120), name="d")
    frame = pd.DataFrame({"d": days, "y": ["a", "b"] * 60})
    frame.to_parquet(tmp_path / "f.parquet")
    settings_ = LoadSettings(path="-", task="classification", target="y")
    declared = Contract(fields=(Field(name="d", type="date"), Field(name="y", type="string")))
    table = load_file(tmp_path / "f.parquet", settings_, declared).table
    assert table.frame["d"].tolist() == days.tolist()
    frame.assign(d=days.dt.strftime("%Y-%m-%d")).to_csv(tmp_path / "f.csv", index=False)
    pd.testing.assert_frame_equal(load_file(tmp_path / "f.csv", settings_, declared).table.frame, table.frame)
    pd.testing.assert_frame_equal(load_frame(frame, settings_, declared).table.frame, table.frame)
    with pytest.raises(DataError, match="'d' is datetime, the contract declares date"):
        load_frame(frame.assign(d=days + pd.Timedelta(hours=1)), settings_, declared)
    with pytest.raises(DataError, match="the target 'd' holds dates, which are neither classes nor numbers"):
        load_frame(frame, LoadSettings(path="-", task="classification", target="d"))
