"""Typed values to columns of a snapshot: one type each, nothing rounded, nothing through text."""

from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal

from lockstep.intake.sources.values import Origin, snapshot_table, write_snapshot
from lockstep.kernel.errors import DataError
from lockstep.reading.dataframes import normalised_frame, read_parquet

import pyarrow as pa
import pytest

ORIGIN = Origin("the source", lambda row, column: f"cell {'ABC'[column]}{row + 2}", "Mend the source")
LARGE = 2**53 + 1
MORNING = datetime.fromisoformat("2024-01-31T07:00")
MIDNIGHT = datetime.fromisoformat("2024-01-31")


def column(values, missing=None, texts=()):
    table, notes = snapshot_table({"a": values}, ORIGIN, missing=missing, texts=texts)
    return table["a"].type, table["a"].to_pylist(), notes


@pytest.mark.parametrize(
    ("values", "kind", "made"),
    [
        ([1, 2], pa.int64(), [1, 2]),
        ([1, None], pa.int64(), [1, None]),
        ([1, 0.5], pa.float64(), [1.0, 0.5]),
        ([0.1 + 0.2, float("nan")], pa.float64(), [0.1 + 0.2, None]),
        ([Decimal("1.10"), Decimal(3)], pa.float64(), [1.1, 3.0]),
        ([Decimal("12.0"), Decimal("1E+3")], pa.int64(), [12, 1000]),
        (["00123", "", None, "7"], pa.large_string(), ["00123", None, None, "7"]),
        (["NA", "x"], pa.large_string(), ["NA", "x"]),
        ([True, None], pa.bool_(), [True, None]),
        ([None, None], pa.float64(), [None, None]),
        ([date(2024, 1, 31), None], pa.date32(), [date(2024, 1, 31), None]),
        (
            [date(2024, 1, 31), MORNING],
            pa.timestamp("us"),
            [MIDNIGHT, MORNING],
        ),
    ],
)
def test_a_type(values, kind, made):
    assert column(values) == (kind, made, [])


def test_times_with_an_offset_are_in_utc_and_it_is_said():
    there = datetime(2024, 1, 31, 1, tzinfo=timezone(timedelta(hours=2)))
    kind, made, notes = column([there, None])
    assert (kind, made) == (pa.timestamp("us", "UTC"), [datetime(2024, 1, 30, 23, tzinfo=UTC), None])
    assert notes == ["'a': times with a time zone are converted to UTC"]


def test_large_whole_numbers_are_exact():
    assert column([LARGE, 1])[:2] == (pa.int64(), [LARGE, 1])
    assert "which models see rounded" in column([LARGE, 1])[2][0]
    for values in [LARGE, None], [LARGE, 0.5], [2**64, 1], [Decimal(LARGE), Decimal("0.5")]:
        kind, made, notes = column(values)
        assert kind == pa.large_string()
        assert made[0] == str(int(values[0]))
        assert "'a' is read as text" in notes[0]


def test_words_for_a_missing_value_amid_others():
    kind, made, notes = column([1, "n/a", " NA ", 2])
    assert (kind, made) == (pa.int64(), [1, None, None, 2])
    assert notes == ["'a': ' NA ', 'n/a' is missing (2 cells; --missing WORD ... says which)"]
    assert column([1, "-"], missing=("-",))[1] == [1, None]
    with pytest.raises(DataError, match="'a' holds"):
        column([1, "n/a"], missing=("-",))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1, 2, "x"], r"the source: column 'a' holds text \(1, such as 'x' in cell A4\) and number \(2, .* cell A2\)"),
        ([1, True], "boolean"),
        ([date(2024, 1, 31), "2024-01-31"], "date .* and text|text .* and date"),
        (["1", 2], r"Mend the source; or, to read all of it as texts, give --text 'a'\."),
        ([time(1, 2)], r"holds time \(1, such as '01:02:00' in cell A2\); a column is of numbers"),
        ([b"x"], "holds bytes"),
        ([1.0, float("inf")], "infinite number in cell A3"),
        ([MORNING, MORNING.astimezone(UTC)], r"a time zone \(cell A3\) and without one \(cell A2\)"),
        (["\ud800"], "no character"),
    ],
)  # fmt: skip
def test_what_is_no_column(values, message):
    with pytest.raises(DataError, match=message):
        column(values)


def test_columns_that_the_user_says_are_texts():
    values = ["A1", 12, 12.0, 0.5, True, date(2024, 1, 31), None, ""]
    assert column(values, texts=["a"])[1] == ["A1", "12", "12", "0.5", "True", "2024-01-31", None, None]
    with pytest.raises(DataError, match=r"--text: the source has no column 'b'\. There are: a\."):
        column(values, texts=["b"])


def test_the_bytes_are_a_function_of_the_content_and_are_read_as_they_are(tmp_path):
    columns = {"n": [1, None, 3], "t": ["007", None, "x"], "d": [date(2024, 1, 31)] * 3, "b": [True, False, None]}
    for name in "one", "two":
        write_snapshot(snapshot_table(columns, ORIGIN, missing=None, texts=())[0], tmp_path / name)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    frame = normalised_frame(read_parquet(tmp_path / "one"))
    assert frame["t"].tolist()[0] == "007"
    assert [frame[name].dtype.kind for name in "ntdb"] == ["f", frame["t"].dtype.kind, "M", "O"]
