"""Imputation, encoding, scaling: which columns come out, and with which values."""

import contextlib
import logging
import pickle
import tracemalloc

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.kernel.log import heartbeat
from lockstep.learning import preprocessing
from lockstep.learning.preprocessing import PreprocessSettings, categories_of, fit_preprocessor
from lockstep.saving.joblib_file import save_model
from lockstep.tables.table import ROW, Table

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.model_selection import KFold
from sklearn.preprocessing import TargetEncoder

NAN = np.nan
Y = ["u", "v"] * 10


@pytest.fixture
def fit(make_table):
    """(preprocessor, encoded frame) of the given columns; ``y`` is added."""

    def fit(columns, y=None, task="classification", scale_free=True, model=None, **settings):
        rows = len(next(iter(columns.values())))
        table = make_table(columns | {"y": Y[:rows] if y is None else y}, task)
        before = table.frame.copy(deep=True)
        found = fit_preprocessor(
            table, PreprocessSettings(**settings), model or ("random_forest" if scale_free else "mlp")
        )
        pd.testing.assert_frame_equal(table.frame, before)
        return found

    return fit


def column(frame):
    assert frame.shape[1] == 1
    return frame.iloc[:, 0].tolist()


@pytest.mark.parametrize(("how", "value"), [("mean", 4.0), ("median", 3.0), ("most_frequent", 1.0)])
def test_missing_numbers(fit, how, value):
    preprocessor, encoded = fit({"x": [1, 1, NAN, 3, 5, 10, NAN]}, numeric_impute=how)
    assert column(encoded) == [1, 1, value, 3, 5, 10, value]
    assert preprocessor.transform(pd.DataFrame({"x": [NAN, 7.0]})).tolist() == [[value], [7]]


def test_the_mean_is_the_default(fit):
    assert column(fit({"x": [1, NAN, 2, 9]})[1]) == [1, 4, 2, 9]


@pytest.mark.parametrize(
    ("how", "codes", "coded_gap"), [("most_frequent", [1, 0, 1, 1, 2], 1), ("missing", [1, 0, 1, 2, 3], 2)]
)
def test_missing_texts(fit, how, codes, coded_gap):
    """Ordinal codes follow the levels' sorted order; ``missing`` is a level of its own, between mid and zzz."""
    preprocessor, encoded = fit({"s": ["mid", "low", "mid", None, "zzz"]}, categorical_impute=how)
    assert column(encoded) == codes
    assert preprocessor.transform(pd.DataFrame({"s": ["zzz", None]})).tolist() == [[codes[-1]], [coded_gap]]


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("text", pd.Series([None], dtype="str")),
        ("text", pd.Series([NAN])),
        ("text", pd.Series([NAN], dtype="object")),
        ("text", pd.Series([None], dtype="object")),
        ("text", pd.Series([None], dtype="string")),
        ("flag", pd.Series([None], dtype="object")),
        ("flag", pd.Series([NAN])),
        ("flag", pd.Series([None], dtype="boolean")),
        ("number", pd.Series([None], dtype="object")),
        ("number", pd.Series([None], dtype="Int64")),
        ("number", pd.Series([NAN])),
    ],
)
def test_a_missing_value_of_any_kind_is_imputed(fit, name, missing):
    """At prediction a column of missing values only may have another dtype than the preprocessor was fitted with."""
    columns = {"number": [1.0, 2, 6], "flag": [True, False, True], "text": ["b", "a", "b"]}
    row = {"number": pd.Series([2.0]), "flag": pd.Series([False]), "text": pd.Series(["a"])} | {name: missing}
    expected = {"number": 2, "flag": 0, "text": 0} | {name: {"number": 3, "flag": 1, "text": 1}[name]}
    assert fit(columns)[0].transform(pd.DataFrame(row)).tolist() == [list(expected.values())]


def test_booleans_with_and_without_gaps(fit):
    flags = pd.Series([True, None, True, False], dtype="object")
    preprocessor, encoded = fit({"f": [True, False, True, True], "g": flags}, scale_free=False)
    assert encoded.to_dict("list") == {"boolean__f": [1, 0, 1, 1], "boolean__g": [1, 1, 1, 0]}
    other = pd.DataFrame({"f": pd.Series([None, False], dtype="object"), "g": [False, True]})
    assert preprocessor.transform(other).tolist() == [[1, 0], [0, 1]]


def test_constant_and_empty_columns_are_left_out_and_not_asked_for_again(fit, caplog):
    caplog.set_level(logging.WARNING)
    columns = {"x": [1, 2, 3, 4], "one": [7, NAN, 7, 7], "none": [NAN] * 4, "word": ["a", "a", None, "a"]}
    preprocessor, encoded = fit(columns | {"flag": [True] * 4})
    assert list(encoded) == ["number__x"]
    expected = "left out, being constant or empty in the training rows: 'one', 'none', 'word', 'flag'"
    assert caplog.messages == [expected]
    assert preprocessor.transform(pd.DataFrame({"x": [5.0]})).tolist() == [[5]]
    assert preprocessor.transform(pd.DataFrame({"more": ["?"], "one": [0], "x": [5.0]})).tolist() == [[5]]


def test_a_text_with_gaps_is_not_constant_if_missing_is_a_level(fit):
    assert column(fit({"s": ["a", None, "a"]}, categorical_impute="missing")[1]) == [0, 1, 0]


def test_a_boolean_with_gaps_is_constant_even_then(fit):
    columns = {"x": [1, 2, 3], "f": pd.Series([True, None, True], dtype="object")}
    assert list(fit(columns, categorical_impute="missing")[1]) == ["number__x"]


def test_nothing_left_to_learn_from(fit):
    message = r"every feature is constant or empty in the training rows: there is nothing to learn from\. Add columns\."
    with pytest.raises(DataError, match=message):
        fit({"one": [1, 1, 1], "none": [NAN] * 3})


@pytest.mark.parametrize(
    ("encode", "scale_free", "codes"),
    [("auto", True, [-1]), ("auto", False, [0, 0]), ("ordinal", True, [-1]), ("onehot", True, [0, 0])],
)
def test_unknown_levels(fit, encode, scale_free, codes):
    preprocessor, _ = fit({"s": ["a", "b", "a", "b"]}, encode=encode, scale_free=scale_free)
    assert preprocessor.transform(pd.DataFrame({"s": ["c"]})).tolist() == [codes]


def test_an_unknown_level_is_target_encoded_as_the_mean(fit):
    preprocessor, _ = fit({"s": ["a", "b"] * 10}, y=np.arange(20.0), task="regression", encode="target")
    assert preprocessor.transform(pd.DataFrame({"s": ["c"]})).tolist() == [[9.5]]


@pytest.mark.parametrize(
    ("levels", "encode", "scale_free", "kind", "n_encoded"),
    [
        (30, "auto", True, "ordinal", 1),
        (30, "auto", False, "onehot", 30),
        (31, "auto", True, "target", 1),
        (31, "auto", False, "target", 1),
        (3000, "auto", False, "target", 1),
        (3000, "onehot", False, "onehot", 30),
        (3000, "ordinal", False, "ordinal", 1),
        (3000, "target", True, "target", 1),
        (10, "target", True, "target", 1),
        (10, "onehot", True, "onehot", 10),
    ],
)
def test_encodings_and_their_width(fit, levels, encode, scale_free, kind, n_encoded):
    s = [f"l{number}" for number in range(levels)] * 2
    _, encoded = fit({"s": s}, y=["u", "v"] * levels, encode=encode, scale_free=scale_free)
    assert encoded.shape == (2 * levels, n_encoded)
    assert all(name.startswith(f"{kind}__s") for name in encoded)


def test_rare_levels_share_a_column(fit):
    preprocessor, encoded = fit({"s": ["a"] * 3 + ["b"] * 2 + ["c", "d", "e"]}, encode="onehot", max_levels=3)
    assert list(encoded) == ["onehot__s_a", "onehot__s_b", "onehot__s_infrequent_sklearn"]
    assert preprocessor.transform(pd.DataFrame({"s": ["d", "new", "a"]})).tolist() == [[0, 0, 1], [0, 0, 1], [1, 0, 0]]


def test_several_classes_are_target_encoded_one_by_one(fit):
    y = np.array(["u"] * 20 + ["v"] * 20 + ["w"] * 20)
    preprocessor, encoded = fit({"s": ["a"] * 20 + ["b"] * 40}, y=y, encode="target")
    assert list(encoded) == ["target__s_u", "target__s_v", "target__s_w"]
    seen = preprocessor.transform(pd.DataFrame({"s": ["a", "b"]}))
    np.testing.assert_allclose(seen, [[1, 0, 0], [0, 0.5, 0.5]], atol=0.02)


@pytest.mark.parametrize("whole", [False, True])
def test_target_encoding_is_cross_fitted(fit, whole):
    """A level per row: a row's encoding that had seen its target would be near it; here it is a mean of others."""
    y = np.arange(50) % 7 if whole else np.random.default_rng(0).normal(size=50)
    s = np.array([f"l{number}" for number in range(50)], dtype=object)
    preprocessor, encoded = fit({"s": pd.Series(s, dtype="str")}, y=y, task="regression", seed=3)
    folds = KFold(5, shuffle=True, random_state=3)
    expected = TargetEncoder(target_type="continuous", cv=folds).fit_transform(s[:, None], y)
    np.testing.assert_array_equal(encoded.to_numpy(), expected)
    for fitted_on, encoded_rows in folds.split(s):
        np.testing.assert_allclose(encoded.iloc[encoded_rows], np.mean(y[fitted_on]))
    seen = preprocessor.transform(pd.DataFrame({"s": s}))
    assert np.corrcoef(seen[:, 0], y)[0, 1] > 0.99


def test_the_seed_decides_the_folds(fit):
    columns, y = {"s": ["a", "b", "c"] * 20}, np.arange(60) ** 2
    encodings = [column(fit(columns, y, "regression", encode="target", seed=seed)[1]) for seed in (1, 1, 2)]
    assert encodings[0] == encodings[1] != encodings[2]


def test_target_encoding_of_classes_that_are_all_rare(fit):
    """A column per class: the share that each level has of it in the other folds, hence 1 in all."""
    levels = {"s": [f"l{number}" for number in range(60)] * 2}
    _, encoded = fit(levels, y=[f"c{number}" for number in range(40)] * 3)
    assert encoded.shape == (120, 40)
    assert encoded.min(axis=None) == 0
    np.testing.assert_allclose(encoded.sum(axis=1), 1)


SPREAD = [0.0, 1.0, 2.0, 3.0, 100.0]


@pytest.mark.parametrize(
    ("scale", "scale_free", "expected"),
    [
        ("auto", True, SPREAD),
        ("auto", False, (np.array(SPREAD) - np.mean(SPREAD)) / np.std(SPREAD)),
        ("none", False, SPREAD),
        ("standard", True, (np.array(SPREAD) - np.mean(SPREAD)) / np.std(SPREAD)),
        ("minmax", True, np.array(SPREAD) / 100),
        ("robust", True, (np.array(SPREAD) - 2) / 2),
    ],
)
def test_scales(fit, scale, scale_free, expected):
    columns = {"x": SPREAD, "f": [True, False, True, True, True], "s": ["a", "b", "b", "b", "b"]}
    _, encoded = fit(columns, scale=scale, scale_free=scale_free, encode="onehot")
    np.testing.assert_allclose(encoded["number__x"], expected)
    assert encoded.drop(columns="number__x").isin([0, 1]).all(axis=None)  # booleans and one-hot columns stay


@pytest.mark.parametrize("encode", ["ordinal", "target"])
def test_encoded_texts_are_scaled_too(fit, encode):
    _, encoded = fit({"s": ["a", "b", "c", "c"] * 5}, scale="minmax", encode=encode)
    assert (encoded.min().item(), encoded.max().item()) == (0, 1)


def test_only_the_given_rows_are_learned_from(make_table):
    table = make_table({"x": [1.0, NAN, 3.0, 1000.0], "s": ["a", "b", "a", "c"], "y": Y[:4]})
    preprocessor, encoded = fit_preprocessor(table.rows(np.array([2, 0, 1])), PreprocessSettings(), "random_forest")
    assert (encoded["number__x"].tolist(), encoded.index.tolist()) == ([3, 1, 2], [3, 1, 2])
    assert preprocessor.transform(table.features)[3].tolist() == [1000, -1]


def test_target_group_and_time_are_no_features(make_table):
    columns = {"x": [1, 2, 3, 4], "g": ["a", "b", "a", "b"], "t": [1, 2, 3, 4], "y": Y[:4]}
    _, encoded = fit_preprocessor(make_table(columns, group="g", time="t"), PreprocessSettings(), "random_forest")
    assert list(encoded) == ["number__x"]


def test_names_that_would_stand_twice_are_numbered(make_table):
    columns = {"a": ["b_c", "d", "d"], "a_b": ["c", "d", "d"], "y": Y[:3]}
    _, encoded = fit_preprocessor(make_table(columns), PreprocessSettings(encode="onehot"), "random_forest")
    assert list(encoded) == ["onehot__a_b_c", "onehot__a_d", "onehot__a_b_c_2", "onehot__a_b_d"]
    table = make_table({"x": [1, 2, 3], "y": Y[:3]})
    frame = table.frame.rename(columns={"y": "number__x"})
    named = type(table)(frame, "number__x", "classification")
    assert list(fit_preprocessor(named, PreprocessSettings(), "random_forest")[1]) == ["number__x_2"]


BOOSTING = "hist_gradient_boosting"


def test_native_missing_numbers_and_booleans_stay_missing(fit):
    columns = {"x": [1.0, NAN, 3.0, 3.0], "f": pd.Series([True, None, False, True], dtype="object")}
    preprocessor, encoded = fit(columns, model=BOOSTING, numeric_impute="native")
    np.testing.assert_array_equal(encoded.to_numpy(), [[1, 1], [NAN, NAN], [3, 0], [3, 1]])
    row = {"x": pd.Series([None], dtype="Int64"), "f": pd.Series([None], dtype="boolean")}
    np.testing.assert_array_equal(preprocessor.transform(pd.DataFrame(row)), [[NAN, NAN]])


def test_native_categories_are_codes_of_which_missing_and_unknown_levels_are_none(fit):
    s = ["mid", "low", None, "zzz", "low"]
    preprocessor, encoded = fit({"x": [1.0, 2, 3, 4, 5], "s": s}, model=BOOSTING, encode="native")
    np.testing.assert_array_equal(encoded["native__s"], [1, 0, NAN, 2, 0])
    assert categories_of(preprocessor) == [1]
    rows = pd.DataFrame({"x": 0.0, "s": ["zzz", "never seen", None]})
    np.testing.assert_array_equal(preprocessor.transform(rows)[:, 1], [2, NAN, NAN])


@pytest.mark.parametrize(("levels", "most", "kind"), [(10, 10, "native"), (11, 10, "target"), (255, 1000, "target")])
def test_native_categories_end_at_max_levels_and_at_254(fit, levels, most, kind):
    s = [f"l{number}" for number in range(levels)] * 2
    preprocessor, encoded = fit({"s": s}, y=["u", "v"] * levels, model=BOOSTING, encode="native", max_levels=most)
    assert list(encoded) == [f"{kind}__s"]
    assert categories_of(preprocessor) == ([0] if kind == "native" else None)


def test_what_is_constant_but_for_gaps_tells_something_natively(fit):
    columns = {"x": [7, NAN, 7, 7], "s": ["a", None, "a", "a"]}
    _, encoded = fit(columns, model=BOOSTING, numeric_impute="native", encode="native")
    np.testing.assert_array_equal(encoded.to_numpy(), [[7, 0], [NAN, NAN], [7, 0], [7, 0]])


def test_missing_indicators(fit):
    """For numbers and booleans with gaps, those that are constant beside them included; none for texts."""
    flags = pd.Series([True, None, True, False], dtype="object")
    columns = {
        "x": [1.0, NAN, 3.0, 8.0],
        "one": [7, 7, NAN, 7],
        "full": [1, 2, 3, 4],
        "f": flags,
        "s": [*list("abc"), None],
    }
    preprocessor, encoded = fit(columns, missing_indicator=True)
    found = encoded.filter(like="missing__")
    assert [name.removeprefix("missing__") for name in found] == ["x", "one", "f"]
    assert found.to_numpy().tolist() == [[0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 0]]
    assert list(encoded)[:3] == ["number__x", "number__full", "boolean__f"]
    row = pd.DataFrame({"x": [2.0], "one": [NAN], "full": [1], "f": pd.Series([None], dtype="object"), "s": ["a"]})
    assert preprocessor.transform(row)[0, -3:].tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    ("key", "model", "what", "instead"),
    [("numeric_impute", "gradient_boosting", "missing values", "mean"), ("encode", "ridge", "categories", "auto")],
)
def test_what_a_model_type_cannot_take_is_refused(fit, key, model, what, instead):
    with pytest.raises(SettingsError) as caught:
        fit({"x": [1.0, 2.0]}, model=model, **{key: "native"})
    assert str(caught.value).startswith(
        f"preprocess.{key} is native, but the model type {model} does not take {what} as they are. Set it to "
        f"{instead}, or train.model to one that does: random_forest, "
    )


SIZES = ["low", "middle", "high"]


@pytest.mark.parametrize(
    ("settings", "gap"),
    [
        ({}, 0),  # the most frequent level
        ({"categorical_impute": "missing"}, -1),  # a level of its own
        ({"encode": "onehot"}, 0),
        ({"encode": "target"}, 0),
        ({"encode": "native", "model": BOOSTING}, NAN),
    ],
)
def test_declared_levels_are_numbers_in_their_order(make_table, settings, gap):
    settings = {"model": "random_forest"} | settings
    model = settings.pop("model")
    sizes = ["low", "middle", None, "high", "low", "low"]
    table = make_table({"size": sizes, "x": range(6), "y": Y[:6]}, levels={"size": SIZES})
    preprocessor, encoded = fit_preprocessor(table, PreprocessSettings(**settings), model)
    np.testing.assert_array_equal(encoded["ordered__size"], [0, 1, gap, 2, 0, 0])
    assert categories_of(preprocessor) == ([] if gap is NAN else None)
    rows = pd.DataFrame({"x": 0, "size": pd.Series(["high", "not declared", None], dtype="str")})
    np.testing.assert_array_equal(preprocessor.transform(rows)[:, -1], [2, gap, gap])


def test_declared_levels_are_scaled_where_numbers_are(make_table):
    table = make_table({"size": SIZES * 2, "y": Y[:6]}, levels={"size": SIZES})
    _, encoded = fit_preprocessor(table, PreprocessSettings(), "ridge")
    np.testing.assert_allclose(encoded["ordered__size"], [-1.224745, 0, 1.224745] * 2, rtol=1e-6)


def test_an_order_is_not_that_of_other_texts_of_the_same_name(make_table):
    """As features of the user's own may make them."""
    table = make_table({"size": ["s", "m", "l"] * 2, "y": Y[:6]}, levels={"size": SIZES})
    assert list(fit_preprocessor(table, PreprocessSettings(), "random_forest")[1]) == ["ordinal__size"]


@pytest.mark.parametrize(
    ("overwrite", "missing", "most"),
    # To fit the mean of numbers of which some are missing, scikit-learn fills a copy of them with zeros.
    [(True, False, 0.5), (False, False, 1.5), (True, True, 1.4)],
)
def test_encoding_takes_one_copy_of_the_numbers_or_none(overwrite, missing, most):
    cells = np.random.default_rng(0).random((20, 100_000))  # one piece of memory
    if missing:
        cells[:, 7] = NAN
    frame = pd.DataFrame(cells.T, columns=[f"x{place}" for place in range(20)], copy=False)
    frame.index = pd.RangeIndex(1, 100_001, name=ROW)
    frame["y"] = np.arange(100_000) % 2
    table = Table(frame, "y", "classification")
    tracemalloc.start()
    try:
        fit_preprocessor(table, PreprocessSettings(), "random_forest", overwrite=overwrite)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < most * cells.nbytes


@pytest.mark.parametrize("model", ["random_forest", "mlp", "xgboost"])
@pytest.mark.parametrize(
    "values",
    [{}, {"missing_indicator": True}, {"numeric_impute": "median", "scale": "robust"}, {"scale": "minmax"}],
)
def test_overwriting_the_raw_cells_changes_no_result(make_table, tmp_path, model, values):
    def encoded(*, overwrite):
        columns = {"a": [1.5, NAN, 3.5, 9.5] * 5, "t": ["u", None, "v", "u"] * 5, "b": [NAN, 2.5, 7.5, 8.5] * 5}
        table = make_table(columns | {"flag": [True, None, False, True] * 5, "y": Y})
        preprocessor, found = fit_preprocessor(table, PreprocessSettings(**values), model, overwrite=overwrite)
        save_model(preprocessor, tmp_path / "p.joblib")
        return found, (tmp_path / "p.joblib").read_bytes(), type(preprocessor)

    (copied, one, kind), (in_place, other, _) = encoded(overwrite=False), encoded(overwrite=True)
    pd.testing.assert_frame_equal(in_place, copied, check_exact=True)
    assert one == other
    assert kind is ColumnTransformer


def test_columns_are_counted_and_leave_no_trace(fit, monkeypatch):
    columns = {
        "number": [1.5, NAN, 2.5, 4] * 5,
        "flag": [True, False] * 10,
        "level": list("abab") * 5,
        "many": [f"level {number % 9}" for number in range(20)],
        "date": pd.date_range("2024-01-01", periods=20, freq="37h"),
        "title": [f"{word} {number}" for number in range(10) for word in ("firefighter", "nurse of the night")],
        "memo": [f"{word} {number}" for number in range(10) for word in ("paid late", "never paid")],
    }
    given = {"text_columns": ("title", "memo"), "max_levels": 5, "missing_indicator": True, "scale_free": False}
    with heartbeat("encoding") as progress:
        counted = fit(columns, **given)
    assert str(progress).startswith("8 of 8 columns, ")
    unseen = fit(columns, **given)
    monkeypatch.setattr(preprocessing, "_columns_counted", contextlib.nullcontext)
    plain = fit(columns, **given)
    assert pickle.dumps(counted[0]) == pickle.dumps(unseen[0]) == pickle.dumps(plain[0])
    pd.testing.assert_frame_equal(counted[1], plain[1], check_exact=True)
