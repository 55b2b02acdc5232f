"""Dates become numbers: their parts that vary, days since 1970, days between two of them; missing ones stay missing."""

import io
import subprocess
import sys

from lockstep.deployment.exchange import skops_file
from lockstep.learning.date_parts import MAX_COMPARED, date_parts
from lockstep.learning.preprocessing import PreprocessSettings, fit_preprocessor

import joblib
import numpy as np
import pandas as pd
import pytest

nan = np.nan


def frame(**columns):
    return pd.DataFrame({name: pd.Series(cells, dtype="datetime64[us]") for name, cells in columns.items()})


def parts_of(dates, rows=None):
    """{part__column: values}"""
    parts = date_parts(dates).fit(dates)
    found = parts.transform(dates if rows is None else rows)
    assert found.dtype == np.float64
    return dict(zip(parts.get_feature_names_out(), found.T.tolist(), strict=True))


STAYS = frame(came=["2024-01-31T06:00", None, "2023-12-31T18:30"], left=["2024-02-02", "2024-02-03", "2024-02-04"])


def test_parts_that_vary_elapsed_days_and_differences():
    found = parts_of(STAYS)
    expected = {
        "year__came": [2024, nan, 2023],
        "month__came": [1, nan, 12],
        "day__left": [2, 3, 4],
        "weekday__came": [2, nan, 6],
        "weekday__left": [4, 5, 6],
        "day_of_year__came": [31, nan, 365],
        "day_of_year__left": [33, 34, 35],
        "hour__came": [6, nan, 18],
        "minute__came": [0, nan, 30],
        "days_since_1970__came": [19753.25, nan, 19722 + 18.5 / 24],
        "days_since_1970__left": [19755, 19756, 19757],
        "days_since_1_before__left": [1.75, nan, 34 + 5.5 / 24],
    }
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name], values, rtol=0, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    "came",
    [
        pd.Series(["2024-01-31T06:00"], dtype="datetime64[ns]"),
        pd.Series(pd.to_datetime(["2024-01-31T07:00+01:00"], utc=True)).dt.tz_convert("Europe/Berlin"),
        pd.Series([pd.Timestamp("2024-01-31T06:00")], dtype=object),
        pd.Series(["2024-01-31T06:00:00"]),
    ],
    ids=lambda column: str(column.dtype),
)
def test_rows_to_predict_may_hold_dates_of_any_kind(came):
    found = parts_of(STAYS, pd.DataFrame({"came": came, "left": pd.Series(["2024-02-02"], dtype="datetime64[s]")}))
    assert (found["hour__came"], found["days_since_1_before__left"]) == ([6], [1.75])


@pytest.mark.parametrize("missing", [None, nan, pd.NaT])
def test_a_missing_date_of_any_kind_is_missing(missing):
    found = parts_of(STAYS, pd.DataFrame({"came": [missing], "left": [missing]}))
    assert np.isnan(list(found.values())).all()


def test_texts_that_pandas_would_guess_at_are_refused():
    with pytest.raises(ValueError, match="01/02/2024"):
        parts_of(STAYS, pd.DataFrame({"came": ["01/02/2024"], "left": ["01/02/2024"]}))


def test_few_columns_are_compared():
    many = frame(**{f"d{place}": ["2024-01-01", f"2024-02-{1 + place**2 % 28:02}"] for place in range(8)})
    compared = [name for name in parts_of(many) if name.startswith("days_since_") and "1970" not in name]
    assert len(compared) <= MAX_COMPARED * (MAX_COMPARED - 1) / 2
    assert not any(name.endswith(("d5", "d6", "d7")) for name in compared)


def test_dates_are_imputed_and_scaled_as_numbers_are(make_table):
    table = make_table({"came": STAYS["came"], "x": [1.0, 2, 3], "y": [1.0, 2, 4]}, "regression")
    preprocessor, encoded = fit_preprocessor(table, PreprocessSettings(), "mlp")
    assert encoded.notna().all(axis=None)
    np.testing.assert_allclose(encoded["date__hour__came"].mean(), 0, atol=1e-12)
    assert [kind for kind, *_ in preprocessor.transformers_ if kind != "remainder"] == ["number", "date"]


def test_missing_dates_stay_missing_and_are_indicated_where_the_settings_say_so(make_table):
    came = STAYS["came"].mask(STAYS.index == STAYS.index[1])
    table = make_table({"came": came, "x": [1.0, 2, 3], "y": [1.0, 2, 4]}, "regression")
    settings = PreprocessSettings(numeric_impute="native", missing_indicator=True)
    _, encoded = fit_preprocessor(table, settings, "hist_gradient_boosting")
    assert encoded["date__days_since_1970__came"].isna().tolist() == [False, True, False]
    assert encoded["missing__came"].tolist() == [0, 1, 0]


def test_a_saved_model_of_dates_needs_nothing_of_lockstep_and_no_pickle(tmp_path):
    parts = date_parts(STAYS).fit(STAYS)
    first, second = io.BytesIO(), io.BytesIO()
    joblib.dump(parts, first)
    joblib.dump(date_parts(STAYS).fit(STAYS), second)
    assert first.getvalue() == second.getvalue()
    (tmp_path / "parts.joblib").write_bytes(first.getvalue())
    code = "import joblib, sys; joblib.load('parts.joblib'); assert not [n for n in sys.modules if 'lockstep' in n]"
    subprocess.run([sys.executable, "-P", "-c", code], cwd=tmp_path, check=True)
    loaded = skops_file.loads(skops_file.dumps(parts), "parts.skops")
    np.testing.assert_array_equal(loaded.transform(STAYS), parts.transform(STAYS))
