"""What a report says of the data and of its checks."""

import re
from dataclasses import replace

from lockstep.steps.reporting.data import check_facts, data_facts
from lockstep.steps.reporting.sources import Checks
from lockstep.steps.splitting.parts import SplitSettings
from reports import made_of, noisy, sources_of, table_of

import msgspec
import numpy as np
import pandas as pd
import pytest

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def binary():
    return made_of(noisy(rows=400), split=SplitSettings(validation_size=0.1))


def test_the_data_in_numbers(binary):
    data = data_facts(binary.sources)
    assert data.rows == (400, 0, noisy(rows=400).frame.duplicated().sum(), 280, 40, 80, None, None, None)
    assert (data.n_columns, data.n_features, data.features) == (4, 3, ["number", "text", "flag"])
    assert data.missing_cells == int(noisy(rows=400).frame.isna().sum().sum())
    assert data.columns_with_missing == 2
    assert [(column.name, column.role, column.type) for column in data.columns] == [
        ("number", "feature", "number"), ("text", "feature", "text"), ("flag", "feature", "boolean"),
        ("y", "target", "text"),
    ]  # fmt: skip


def test_columns_left_out_and_descriptions_are_named(binary):
    given = binary.sources
    columns = [msgspec.structs.replace(column, description="in words") for column in given.profile.columns]
    profile = msgspec.structs.replace(given.profile, dropped={"id": "load.drop"}, columns=columns)
    data = data_facts(replace(given, profile=profile))
    assert data.dropped == ["id"]
    assert {column.description for column in data.columns} == {"in words"}


def test_the_unit_of_a_column_is_shown(binary):
    given = binary.sources
    columns = [
        msgspec.structs.replace(column, unit="kg") for column in given.profile.columns if column.type == "number"
    ]
    given = replace(given, profile=msgspec.structs.replace(given.profile, columns=columns))
    assert columns
    assert {column.type for column in data_facts(given).columns} == {"number in kg"}
    assert "number" in {column.type for column in data_facts(binary.sources).columns}


def test_checks_that_did_not_run_are_named():
    given = sources_of(noisy("regression", rows=200), "ridge")
    assert "rare class" not in check_facts(given).quiet
    off = [
        msgspec.structs.replace(check, severity="off", found=0) if check.code == "C2" else check
        for check in given.checks.checks
    ]
    checks = check_facts(replace(given, checks=Checks(off)))
    assert checks.off == ["duplicate rows"]
    assert "duplicate rows" not in checks.quiet


def test_groups_and_time_are_named_and_are_no_features():
    frame = pd.DataFrame({"x": RNG.normal(size=200), "t": np.arange(200), "y": RNG.normal(size=200)})
    data = data_facts(sources_of(table_of(frame, "regression"), "ridge", split=SplitSettings(time="t")))
    assert (data.rows.time, data.rows.group, data.n_features) == ("t", None, 1)
    assert {column.name: column.role for column in data.columns} == {"x": "feature", "t": "time", "y": "target"}


def test_a_time_that_the_model_sees_is_a_feature_too():
    frame = pd.DataFrame({"x": RNG.normal(size=200), "t": np.arange(200), "y": RNG.normal(size=200)})
    table, split = table_of(frame, "regression"), SplitSettings(time="t", time_is_feature=True)
    data = data_facts(sources_of(table, "ridge", split=split))
    assert {column.name: column.role for column in data.columns}["t"] == "time, feature"
    assert sum("feature" in column.role for column in data.columns) == data.n_features == 2


def test_the_mean_of_days_is_a_day():
    days = pd.Series(np.datetime64("2021-01-01") + np.arange(200) // 3 * np.timedelta64(1, "D"))
    frame = pd.DataFrame({"day": days, "time": days + pd.Timedelta(hours=5), "y": RNG.normal(size=200)})
    dates = dict.fromkeys(["day", "time"], "datetime64[us]")
    columns = {
        entry.name: entry for entry in data_facts(sources_of(table_of(frame.astype(dates), "regression"))).columns
    }
    assert columns["day"].typical == "2021-01-01 to 2021-03-08, mean 2021-02-02"
    assert re.fullmatch(r"2021-01-01 05.* to 2021-03-08 05.*, mean 2021-02-0\d \d\d:.*", columns["time"].typical)
