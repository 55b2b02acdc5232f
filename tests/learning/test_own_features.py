"""Features of the user's own: what is accepted, what is refused, and that the model keeps them."""

import hashlib
import json
import shutil

from lockstep.kernel.errors import DataError, IntegrityError, SettingsError
from lockstep.learning.cross_validation import PipelineSettings, fit_fold
from lockstep.learning.own_features import OwnFeatures, defines_features, read_features
from lockstep.learning.preprocessing import PreprocessSettings, fit_preprocessor
from lockstep.saving.joblib_file import load_joblib, save_model
from lockstep.saving.sidecar import sidecar
from lockstep.tables.table import Table

import numpy as np
import pandas as pd
import pytest

HEAD = "import pandas as pd\nimport numpy as np\n"
RATIO = "def features(rows):\n    return rows.assign(ratio=rows['a'] / rows['b'])\n"
DATES = """
def features(rows):
    day = pd.to_datetime(rows["day"], format="%d.%m.%Y")
    return pd.DataFrame({"year": day.dt.year, "late": day.dt.month > 6, "text": rows["day"].str[:2]})
"""
CENTRED = """
from sklearn.base import BaseEstimator, TransformerMixin

class features(TransformerMixin, BaseEstimator):
    def fit(self, X, y=None):
        self.mean_ = X["a"].mean()
        return self

    def transform(self, X):
        return pd.DataFrame({"centred": X["a"] - self.mean_})
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Write a file of own features, and give the step that it makes."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "features").mkdir()

    def write(text, name="p"):
        (tmp_path / f"features/{name}.py").write_text(HEAD + text)
        return OwnFeatures(f"features/{name}.py")

    return write


@pytest.fixture
def table(make_table):
    random = np.random.default_rng(1)
    days = [f"{day:02}.{month:02}.20{year:02}" for day, month, year in random.integers(1, 13, (80, 3))]
    columns = {"a": random.normal(size=80), "b": random.integers(1, 9, 80), "day": days}
    columns["a"][::7] = np.nan
    return make_table(columns | {"y": random.integers(0, 2, 80)})


def test_a_function_makes_features_of_rows(write, table):
    made = write(DATES).fit_transform(table.features)
    assert list(made.dtypes.astype(str)) == ["int32", "bool", "str"] or list(made["year"]) == [
        int(day[-4:]) for day in table.frame["day"]
    ]
    assert made.index.equals(table.frame.index)
    assert made["late"].tolist() == [int(day[3:5]) > 6 for day in table.frame["day"]]


def test_a_transformer_is_fitted_on_the_rows_of_each_fold(write, table):
    own = write(CENTRED)
    for rows in (np.arange(40), np.arange(40, 80)):
        preprocessor, _ = fit_preprocessor(table.rows(rows), PreprocessSettings(), "random_forest", features=own)
        assert preprocessor[0].transformer_.mean_ == table.frame["a"].iloc[rows].mean()


def test_raw_rows_are_given_as_they_were_typed_and_predicted(write, table, make_settings):
    """A block of whole numbers is one of whole numbers, whatever a reader made of it; others are not seen."""
    own = write(
        "def features(rows):\n    return pd.DataFrame({'b': rows['b'].astype(str), 'n': rows.shape[1]}, rows.index)\n"
    )
    preprocessor, estimator = fit_fold(
        table,
        np.arange(80),
        PipelineSettings(PreprocessSettings(), make_settings("random_forest", "classification"), own),
        1,
    )
    rows = table.features.astype({"b": "float64"}).assign(other=1)[["other", "day", "b", "a"]]
    assert preprocessor[0].transform(rows)["b"].tolist() == [str(b) for b in table.frame["b"]]
    assert preprocessor[0].transform(rows)["n"].eq(3).all()
    assert len(estimator.predict(preprocessor.transform(rows.iloc[:1]))) == 1
    with pytest.raises(DataError, match=r"the rows lack columns that features/p.py is given: b"):
        preprocessor.transform(rows.drop(columns="b"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("return rows.dropna()", r"features/p.py: 'features' gives \d+ rows for 80. It must give one row for each"),
        ("return rows.sort_values('b')", "gives the rows in another order"),
        ("return rows.reset_index(drop=True)", "gives rows of another index"),
        ("return rows['a']", "gives a Series. It must give a DataFrame"),
        ("return rows[[]]", "gives no column"),
        ("return rows[['a', 'a']]", "two columns of the name 'a'"),
        ("return rows[['a']] - rows['a'].mean()", "for a row among other rows: .* leakage"),
        ("return rows[['a']].fillna(rows['a'].median())", "leakage"),
        ("return rows[['b']].rank()", "leakage"),
        ("return rows[['b']].cumsum()", "leakage"),
        ("return pd.get_dummies(rows[['day']])", "gives other columns .* leakage"),
        ("return rows.assign(r=np.random.rand(len(rows)))", "another 'r' .* when it is called again"),
        ("return rows.assign(d=pd.to_timedelta(rows['b'], 'D'))", "'d' is of the type timedelta64.*Allowed"),
        ("return rows.assign(c=rows['day'].astype('category'))", "'c' is of the type category"),
        ("return rows.assign(l=[[1]] * len(rows))", "'l' is of the type object, with values such as '.1.' .list."),
        ("return rows.assign(i=1 / (rows['b'] - rows['b']))", "'i' is infinite in data row 1: a division by zero"),
        ("return rows['nothing']", "features/p.py line 4, in features: KeyError: 'nothing'. Correct the file."),
        ("return int(rows['day'].iloc[0])", "features/p.py line 4, in features: ValueError: invalid literal"),
        ("return rows.assign(y=1)", "gives a column 'y', which is the target"),
    ],
)  # fmt: skip
def test_what_is_no_features_of_the_rows_is_refused(write, table, text, message):
    with pytest.raises(DataError, match=message):
        write(f"def features(rows):\n    {text}\n").apply(table)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def features(rows:\n", r"features/p.py line \d is not valid Python"),
        ("import features.other\ndef features(rows): ...\n", "line 3 imports 'features.other' from this repository"),
        ("from . import other\ndef features(rows): ...\n", r"line 3 imports '.' from this repository"),
    ],
)
def test_what_cannot_be_tracked_is_refused_before_it_is_run(write, text, message):
    with pytest.raises(SettingsError, match=message):
        defines_features(write(text).path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("features = 3\n", "'features' is a int. Allowed: a function of rows"),
        ("1 / 0\ndef features(rows): ...\n", "features/p.py line 3: ZeroDivisionError: division by zero"),
        ("class features:\n    def __init__(self, x): ...\n    fit = transform = None\n", "cannot be made"),
    ],
)
def test_what_is_no_function_of_rows_is_a_mistake_in_the_file(write, table, text, message):
    with pytest.raises(SettingsError, match=message):
        write(text).apply(table)


def test_a_file_that_defines_nothing_is_not_run_and_one_that_is_missing_is_said(write, tmp_path):
    write("raise SystemExit('it was run')\n")
    assert not defines_features("features/p.py")
    assert read_features(None) is None
    with pytest.raises(SettingsError, match=r"features/q.py, .* does not exist. .* 'touch features/q.py' makes one"):
        defines_features("features/q.py")


@pytest.mark.parametrize("text", [RATIO, CENTRED])
def test_a_saved_model_has_its_features_and_is_opened_with_the_very_code_alone(write, table, tmp_path, text):
    own = write(text)
    preprocessor, _ = fit_preprocessor(table, PreprocessSettings(), "random_forest", features=own)
    code = {own.path: hashlib.sha256((tmp_path / own.path).read_bytes()).hexdigest()}
    model = tmp_path / "m.joblib"
    save_model(preprocessor, model, code)
    (tmp_path / "m.joblib.json").write_text(json.dumps(sidecar(model.read_bytes(), model.name, {"code": code})))
    np.testing.assert_array_equal(load_joblib(model).transform(table.features), preprocessor.transform(table.features))

    ran = tmp_path / "ran"
    write(f"{text}\nopen({str(ran)!r}, 'w')\n")
    with pytest.raises(IntegrityError, match=r"m.joblib: .*features/p.py .*git checkout COMMIT -- features/p.py"):
        load_joblib(model)
    assert not ran.exists()
    shutil.rmtree(tmp_path / "features")
    with pytest.raises(
        IntegrityError,
        match=r"m.joblib: the model's code: features/p.py does not exist. .*The model needs it, and was not opened",
    ):
        load_joblib(model)


def test_what_cannot_be_pickled_is_said(write, table, tmp_path):
    own = write(
        "from sklearn.preprocessing import FunctionTransformer\nfeatures = FunctionTransformer(lambda X: X[['a']])\n"
    )
    preprocessor, _ = fit_preprocessor(table, PreprocessSettings(), "random_forest", features=own)
    with pytest.raises(SettingsError, match=r"the model cannot be saved: .*at the top of the file"):
        save_model(preprocessor, tmp_path / "m.joblib", {own.path: ""})


def test_missing_values_and_booleans_are_typed(write, table):
    text = (
        "def features(rows):\n    few = rows['b'] > 4\n"
        "    return pd.DataFrame({'n': few.where(few), 't': 'x', 'i': rows['b'].astype('Int64')})\n"
    )
    made = write(text).fit_transform(table.features)
    assert made.isna().sum().tolist() == [(table.frame["b"] <= 4).sum(), 0, 0]
    one = write(text).fit(table.features).transform(table.features[table.frame["b"] <= 4].iloc[:1])
    assert isinstance(Table(one, "y", "regression").frame, pd.DataFrame)
    assert one["n"].isna().all()


def test_a_file_that_defines_others_alone_is_asked_about(write):
    with pytest.raises(SettingsError, match=r"features/p.py defines no 'features', .* It defines: feature\."):
        defines_features(write("def feature(rows):\n    return rows\n").path)


def test_a_column_that_is_not_there_is_said_with_those_that_are(write, table):
    with pytest.raises(DataError, match=r"KeyError: 'nope'. Correct the file. The rows have the columns "):
        write("def features(rows):\n    return rows.assign(x=rows['nope'])\n").apply(table)
