"""Dates beside the other types of columns: split, checked, compared, described."""

from lockstep.comparing.tables.changes import compare_tables
from lockstep.kernel.errors import SettingsError
from lockstep.reading.profile import profile_of
from lockstep.steps.diagnosing.dependence import dependence_of
from lockstep.steps.diagnosing.settings import DiagnoseSettings
from lockstep.steps.diagnosing.subgroups import slices_of
from lockstep.steps.splitting.data_checks import CheckSettings, run_checks
from lockstep.steps.splitting.parts import SplitSettings, split_table
from lockstep.tables.dates import date_of, shown_date
from lockstep.tables.table import Table, column_type, read_table, write_table

import numpy as np
import pandas as pd
import pytest

DAYS = pd.Series(pd.date_range("2024-01-01", periods=200, freq="5h"), dtype="datetime64[us]")


def table(days=DAYS, **own):
    frame = pd.DataFrame({"when": days, "x": np.arange(len(days)) % 7, "y": np.arange(len(days)) * 1.5})
    return Table(frame.set_axis(pd.Index(np.arange(1, len(days) + 1), name="__row__")), "y", "regression", **own)


def test_dates_are_written_and_read_back(tmp_path):
    made = table(DAYS.where(DAYS.index != 3), time_is_feature=True, time="when")
    write_table(made, tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(found.frame, made.frame)
    assert (found.time_is_feature, column_type(found.frame["when"])) == (True, "date")


@pytest.mark.parametrize("is_feature", [False, True])
def test_the_column_that_orders_the_rows_is_a_feature_only_if_set(is_feature):
    parts = split_table(
        table(DAYS[::-1].reset_index(drop=True)), SplitSettings(time="when", time_is_feature=is_feature)
    )
    assert ("when" in parts.train.features) == is_feature
    assert parts.train.frame["when"].max() < parts.test.frame["when"].min()


def test_settings_that_contradict_the_table():
    with pytest.raises(SettingsError, match=r"time_is_feature is true, but there is no split\.time"):
        split_table(table(), SplitSettings(time_is_feature=True))
    texts = table(DAYS.dt.strftime("%Y-%m-%d %H:%M"))
    with pytest.raises(SettingsError, match=r"'when' is a column of texts.*\(type: date in the contract\)"):
        split_table(texts, SplitSettings(time="when", time_is_feature=True))


def test_dates_that_all_differ_are_no_identifiers_and_shift_as_numbers_do():
    parts = split_table(table(), SplitSettings(time="when", time_is_feature=True))
    found = {finding.check: finding for finding in run_checks(parts.train, parts.test, CheckSettings())}
    assert not found["nearly_unique_column"].found
    assert not found["shared_identifier"].found
    assert "'when' explains" in found["target_leak"].message
    days = DAYS.dt.floor("D")
    moved = compare_tables(table(days), table(days + pd.Timedelta(days=30)))
    (when,) = [item for item in moved.features if item.column == "when"]
    assert (when.type, when.verdict, when.values.test) == ("date", "shifted", "Kolmogorov-Smirnov")
    assert (when.range.before.min, when.range.before.max) == ("2024-01-01", "2024-02-11")


def test_a_changed_date_is_a_changed_cell():
    old = table()
    new = Table(old.frame.assign(when=DAYS.where(DAYS.index != 3).to_numpy()), "y", "regression")
    changed = compare_tables(old, new)
    assert changed.status == "changed"
    assert compare_tables(old, table()).status == "unchanged"


def test_the_profile_has_the_range():
    about = profile_of(table(DAYS.where(DAYS.index != 3)), {}, (), {}, {}, {})
    (when,) = [column for column in about["columns"] if column["column"] == "when"]
    assert (when["type"], when["missing"], when["distinct"]) == ("date", 1, 199)
    assert (when["min"], when["max"]) == ("2024-01-01", "2024-02-11 11:00:00")
    assert when["most_frequent"] is None


class Hours:
    """A model that knows the hour alone."""

    def predict(self, rows):
        return rows["when"].dt.hour.to_numpy(dtype="float64")


def test_dependence_and_subgroups():
    given = table()
    (entry,) = dependence_of(Hours(), given, given, ["when"], [], 0)
    assert entry.kind == "date"
    assert [24 * (day % 1) for day in entry.grid] == pytest.approx(entry.series[""])
    assert entry.low < entry.high
    errors = np.where(given.frame["when"] < pd.Timestamp("2024-01-11"), 9.0, 1.0)
    assert (
        slices_of(
            given.frame[["when"]],
            errors,
            np.zeros(len(errors)),
            "regression",
            DiagnoseSettings(slices=3, slice_rows=10),
        )
        .worst[0]
        .level.startswith("2024-01-01 to below ")
    )


def test_dates_for_a_reader():
    assert [shown_date(np.datetime64("2024-01-31")), date_of(19753.25)] == ["2024-01-31", "2024-01-31 06:00:00"]
