"""What load accepts, and what it says of what it does not."""

import json

from lockstep.kernel.errors import DataError, SettingsError
from lockstep.kernel.settings import convert
from lockstep.reading.contract import Contract
from lockstep.reading.loading import LoadSettings, load_file, load_frame
from lockstep.tables.table import class_counts, read_table
from stages.load import main

import msgspec
import numpy as np
import pandas as pd
import pytest

ROWS = 120
CLASSIFICATION = LoadSettings(path="-", task="classification")
REGRESSION = LoadSettings(path="-", task="regression")
ANYTHING = {"fields": [], "lockstep": {"severity": {"columns": "off"}}}  # a contract that every table keeps


def frame(rows=ROWS, **columns):
    base = {"a": np.arange(rows) * 0.5, "colour": ["red", "green", "blue"] * (rows // 3) + ["red"] * (rows % 3)}
    base["target"] = ["yes", "no"] * (rows // 2) + ["yes"] * (rows % 2)
    return pd.DataFrame(base | columns)


@pytest.fixture
def csv(tmp_path):
    def write(data, name="data.csv"):
        path = tmp_path / name
        if isinstance(data, pd.DataFrame):
            data.to_csv(path, index=False)
        else:
            path.write_text(data)
        return path

    return write


def test_a_csv_file_and_a_dataframe_give_the_same_table(csv):
    data = frame(flag=[True, False] * 60, gaps=[1.5, None, 2.5] * 40, text=["x", None] * 60)
    from_file, from_frame = load_file(csv(data), CLASSIFICATION).table, load_frame(data, CLASSIFICATION).table
    pd.testing.assert_frame_equal(from_file.frame, from_frame.frame)
    assert (from_file.target, from_file.task) == (from_frame.target, from_frame.task) == ("target", "classification")
    assert from_file.frame.index.tolist() == list(range(1, ROWS + 1))
    assert from_file.frame.index.name == "__row__"


def test_the_dataframe_is_not_changed():
    data = frame(gaps=[1.5, None] * 60)
    before = data.copy(deep=True)
    load_frame(data, CLASSIFICATION)
    pd.testing.assert_frame_equal(data, before)


@pytest.mark.parametrize(("task", "target"), [("classification", "target"), ("regression", "price")])
def test_the_default_target_is_the_tasks(task, target):
    table = load_frame(frame(price=np.arange(ROWS)), LoadSettings(path="-", task=task)).table
    assert table.target == target


@pytest.mark.parametrize("rows", [0, 1, 99])
def test_fewer_rows_than_the_minimum(csv, rows):
    path = csv(frame(rows))
    with pytest.raises(ValueError, match=rf"data\.csv has {rows} row{'s'[: rows != 1]}; at least 100 are"):
        load_file(path, CLASSIFICATION)


def test_exactly_the_minimum_of_rows(csv):
    assert len(load_file(csv(frame(100)), CLASSIFICATION).table) == 100


def test_one_class_only():
    with pytest.raises(ValueError, match="the target 'target' has only one class, 'yes': there is nothing to learn"):
        load_frame(frame(target="yes"), CLASSIFICATION)


def test_one_value_only():
    with pytest.raises(DataError, match="has only one value, 7"):
        load_frame(frame(price=7), REGRESSION)


def test_no_target_column_names_those_that_there_are(csv):
    path = csv(frame().rename(columns={"target": "label"}))
    with pytest.raises(DataError, match=r"no column 'target'.* It has: a, colour, label\. Set load\.target"):
        load_file(path, CLASSIFICATION)


def test_missing_targets_are_named_by_line(csv):
    target = np.array(["yes", "no"] * 60, dtype=object)
    target[[3, 7, 8, 20, 30, 40, 50]] = None
    with pytest.raises(DataError, match=r"in 7 of 120 rows, lines 5, 9, 10, 22, 32 and 2 more\. Fill those cells"):
        load_file(csv(frame(target=target)), CLASSIFICATION)
    with pytest.raises(
        DataError, match=r"the DataFrame has no value in the target 'target' in 7 of 120 rows, rows 4, 8"
    ):
        load_frame(frame(target=target), CLASSIFICATION)
    with pytest.raises(DataError, match=r"in any row\. Fill it, or set load\.target to another column\."):
        load_frame(frame(price=np.nan), REGRESSION)


def test_rows_without_a_target_are_left_out_if_the_settings_say_so(csv, caplog):
    target = np.array(["yes", "no"] * 60, dtype=object)
    target[[3, 7]] = None
    data, settings = frame(target=target), msgspec.structs.replace(CLASSIFICATION, missing_target="drop")
    with caplog.at_level("INFO"):
        from_file = load_file(csv(data), settings).table
    assert "has no value in the target 'target' in 2 of 120 rows, lines 5, 9: left out" in caplog.text
    assert load_file(csv(data), settings).rows_left_out == 2
    assert from_file.frame.index.tolist() == [row for row in range(1, ROWS + 1) if row not in (4, 8)]
    pd.testing.assert_frame_equal(load_frame(data, settings).table.frame, from_file.frame)
    numbers = frame(price=np.where(np.arange(ROWS) == 5, np.nan, np.arange(ROWS) / 2))
    assert len(load_frame(numbers, msgspec.structs.replace(REGRESSION, missing_target="drop")).table) == ROWS - 1
    target[9:] = None
    with pytest.raises(DataError, match="without the rows that have no target, has 7 rows; at least 100 are needed"):
        load_frame(frame(target=target), settings)


def test_lines_are_those_of_the_file_behind_rows_that_are_left_out(csv):
    settings = msgspec.structs.replace(CLASSIFICATION, missing_target="drop")
    data = frame(target=[None, "yes", "no", "yes ", *["yes", "no"] * 58])
    for load, given, place in (load_file, csv(data), "line 5"), (load_frame, data, "row 4"):
        with pytest.raises(DataError, match=rf"differ in white space only, such as 'yes ' in {place}\."):
            load(given, settings)


def test_gaps_are_no_classes_that_differ_in_white_space():
    with pytest.raises(DataError, match="has no value in the target 'target' in 1 of 120 rows, row 1"):
        load_frame(frame(target=[None, "yes", "no", "yes ", *["yes", "no"] * 58]), CLASSIFICATION)


@pytest.mark.parametrize(
    ("action", "classes"),
    [
        ("keep", {"a": 50, "b": 64, "c": 3, "d": 2, "e": 1}),
        ("drop", {"a": 50, "b": 64, "c": 3}),
        ("merge", {"a": 50, "b": 64, "c": 3, "other": 3}),
    ],
)
def test_rare_classes(csv, action, classes):
    data = frame(target=np.repeat(list("abcde"), [50, 64, 3, 2, 1]))
    settings = msgspec.structs.replace(CLASSIFICATION, rare_classes=action, class_rows=3)
    table = load_file(csv(data), settings).table
    assert class_counts(table.labels) == classes
    pd.testing.assert_frame_equal(load_frame(data, settings).table.frame, table.frame)


@pytest.mark.parametrize(
    ("target", "message"),
    [
        (["a"] * 60 + ["b"] * 59 + ["c"], r"\('c'\) have 1 row together, so they cannot be merged"),
        ([1] * 60 + [2] * 58 + [3, 4], r"\(3, 4\) are no texts, so they cannot be merged"),
    ],
)
def test_rare_classes_that_cannot_be_merged(target, message):
    with pytest.raises(DataError, match=rf"{message} into a class 'other'\. Set load\.rare_classes to drop"):
        load_frame(frame(target=target), msgspec.structs.replace(CLASSIFICATION, rare_classes="merge"))


@pytest.mark.parametrize("value", [3.5e38, -1e300])
def test_numbers_beyond_single_precision_are_named_with_their_lines(csv, value):
    target = np.array([None, "c", *["yes", "no"] * 59], dtype=object)
    data = frame(target=target, size=np.where(np.arange(ROWS) % 50 == 7, value, 3e38))
    settings = msgspec.structs.replace(CLASSIFICATION, missing_target="drop", rare_classes="drop")
    for load, given, where in (load_file, csv(data), "lines 9, 59, 109"), (load_frame, data, "rows 8, 58, 108"):
        with pytest.raises(DataError) as error:
            load(given, settings)
        assert f"column 'size': {value:g} in {where} is beyond 3.4e+38, too large" in str(error.value)
        assert len(load(given, msgspec.structs.replace(settings, drop=("size",))).table) == ROWS - 2
    declared = {"fields": [{"name": "size", "type": "string"}], "lockstep": {"severity": {"columns": "off"}}}
    assert len(load_file(csv(data), settings, convert(declared, Contract, "contract")).table) == ROWS - 2
    assert len(load_frame(frame(price=np.geomspace(1, 1e100, ROWS)), REGRESSION).table) == ROWS  # a target may be
    with pytest.raises(DataError, match=r"'price': 1e\+151 in row 120 is beyond 1e\+150, too large .* larger unit\.$"):
        load_frame(frame(price=np.geomspace(1, 1e151, ROWS)), REGRESSION)


def test_a_regression_has_no_rare_classes():
    with pytest.raises(SettingsError, match=r"load\.rare_classes is for classification\. Set it to keep\."):
        load_frame(frame(price=np.arange(ROWS)), msgspec.structs.replace(REGRESSION, rare_classes="drop"))


def test_lines_are_right_behind_cells_with_line_breaks(csv):
    text = "target,note\n" + '"yes","two\nlines"\n' * 3 + "yes,\nno,\n" * 60 + ",\n"
    with pytest.raises(DataError, match=r"in 1 of 124 rows, line 128\."):
        load_file(csv(text), CLASSIFICATION)


def test_a_text_target_is_no_regression():
    price = ["1"] * 60 + ["much"] * 60
    with pytest.raises(DataError, match=r"must hold numbers, but 60 of 120 cells do not, the first 'much' in row 61"):
        load_frame(frame(price=price), REGRESSION)


def test_a_target_of_a_regression_that_is_read_as_texts(csv):
    price = pd.Series([None, *range(2**60, 2**60 + ROWS - 1)], dtype="Int64")
    settings = msgspec.structs.replace(REGRESSION, missing_target="drop")
    message = r"hold numbers, but is read as texts: .* whole numbers beyond 9,007,199,254,740,992 .* in a larger unit"
    for load, given in (load_file, csv(frame(price=price))), (load_frame, frame(price=price)):
        with pytest.raises(DataError, match=message):
            load(given, settings)


@pytest.mark.parametrize("kind", [bool, int, float, str])
def test_the_target_without_its_gaps_has_the_type_of_one_that_had_none(csv, kind):
    """scikit-learn takes objects that are no texts for no classes at all."""
    whole = pd.Series([0, 1] * (ROWS // 2)).astype(kind)
    gaps = whole.astype(object).where(np.arange(ROWS) != 3, None)
    settings = msgspec.structs.replace(CLASSIFICATION, missing_target="drop")
    for load, write in (load_file, csv), (load_frame, lambda data: data):
        complete = load(write(frame(target=whole)), settings).table
        found = load(write(frame(target=gaps)), settings).table
        pd.testing.assert_frame_equal(found.frame, complete.frame.drop(index=4))
        assert found.labels.dtype == complete.labels.dtype


def test_fractions_are_no_classes_but_whole_floats_are():
    with pytest.raises(DataError, match=r"holds fractions, such as 0\.5 in row 2, .* Set load\.task to regression"):
        load_frame(frame(target=np.arange(ROWS) / 2), CLASSIFICATION)
    assert load_frame(frame(target=[0.0, 1.0] * 60), CLASSIFICATION).table.labels.dtype == np.int64
    with pytest.raises(DataError, match=r"holds numbers beyond 9,007,199,254,740,992, such as 1e\+300 in row 2, which"):
        load_frame(frame(target=[0.0, 1e300] * 60), CLASSIFICATION)


@pytest.mark.parametrize(
    ("drop", "message"),
    [
        (("b",), "no column 'b', which load.drop lists"),
        (("target",), "load.drop lists the target 'target'"),
        (("a", "colour"), "load.drop lists every column beside the target 'target'. Take one off load.drop"),
    ],
)
def test_drop(drop, message):
    with pytest.raises(DataError, match=message):
        load_frame(frame(), LoadSettings(path="-", task="classification", drop=drop))


def test_dropped_columns_are_gone_and_never_looked_at(csv):
    path = csv(frame(odd=["inf"] * ROWS))
    table = load_file(path, LoadSettings(path="-", task="classification", drop=("odd",))).table
    assert list(table.frame) == ["a", "colour", "target"]
    with pytest.raises(DataError, match="'odd' has infinite numbers"):
        load_file(path, CLASSIFICATION)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with a params.yaml; returns how to run the stage in it."""
    monkeypatch.chdir(tmp_path)

    def run(load, contract=None):
        (tmp_path / "params.yaml").write_text(json.dumps({"problems": {"p": {"load": load}}}))
        (tmp_path / "contract.yaml").write_text(json.dumps(contract or ANYTHING))
        files = ["--contract", "contract.yaml", "--table", "out/p.parquet", "--profile", "out/p.json"]
        return main(["--problem", "p", *files])

    return run


def test_the_stage_writes_table_and_profile(project, csv):
    csv(frame())
    assert project({"path": "data.csv", "task": "classification"}) == 0
    table = read_table(csv("", "x").parent / "out/p.parquet")
    assert (len(table), table.target) == (ROWS, "target")
    profile = json.loads((csv("", "x").parent / "out/p.json").read_text())
    assert profile["rows"] == ROWS
    assert profile["target"]["classes"] == {"no": 60, "yes": 60}


@pytest.mark.parametrize(
    ("load", "message"),
    [
        ({"task": "classification"}, "problems.p.load.path is missing. Allowed: a text that is not empty"),
        ({"path": "", "task": "classification"}, 'load.path is "". Allowed: a text that is not empty'),
        ({"path": "data.csv", "task": "clustering"}, 'load.task is "clustering". Allowed: one of classification, reg'),
        (
            {"path": "data.csv", "task": "regression", "tarjet": "x"},
            "load.tarjet is not a setting. Allowed, nearest first: target",
        ),
        ({"path": "data.csv", "task": "regression", "drop": "a"}, 'load.drop is "a". Allowed: a list'),
        ({"path": "none.csv", "task": "regression"}, "none.csv does not exist. Put the file there, or correct load"),
        ({"path": ".", "task": "regression"}, "load.path is '.', which does not lead to a file in the repository"),
        (
            {"path": "/dev/null", "task": "regression"},
            "load.path is '/dev/null', which does not lead to a file in the repository",
        ),
        (
            {"path": "http://localhost/x.csv", "task": "regression"},
            "load.path is the URL http://localhost/x.csv. Data is read from files in the repository only",
        ),
    ],
)
def test_a_mistake_is_one_message_exit_code_2_and_no_output(project, tmp_path, capfd, load, message):
    assert project(load) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("ERROR") == 1
    assert "Traceback" not in error
    assert not (tmp_path / "out").exists()


def test_the_positive_class_is_one_of_two():
    settings = msgspec.structs.replace(CLASSIFICATION, positive="no")
    labels = np.where(np.arange(ROWS) % 3, "no", "yes")
    assert load_frame(frame(target=labels), settings).table.positive == "no"
    assert load_frame(frame(target=labels), CLASSIFICATION).table.positive is None
    numbered = msgspec.structs.replace(CLASSIFICATION, positive="1")
    assert load_frame(frame(target=np.arange(ROWS) % 2), numbered).table.positive == 1
    other = msgspec.structs.replace(CLASSIFICATION, positive="nein")
    with pytest.raises(
        SettingsError, match=r"load\.positive is 'nein', but the target 'target' .*'no', 'yes'\. Set it to"
    ):
        load_frame(frame(target=labels), other)
    with pytest.raises(SettingsError, match=r"load\.positive: the target .* and only one of two .*Leave it empty\."):
        load_frame(frame(target=np.arange(ROWS) % 3), numbered)
    with pytest.raises(SettingsError, match=r"load\.positive is for classification\. Leave it empty\."):
        load_frame(frame(price=np.arange(ROWS)), msgspec.structs.replace(REGRESSION, positive="no"))


def test_weights_are_a_column_that_is_no_feature(csv):
    weights = np.arange(1.0, ROWS + 1)
    table = load_file(csv(frame(w=weights)), msgspec.structs.replace(CLASSIFICATION, weight="w")).table
    assert table.weight == "w"
    assert table.weights.tolist() == weights.tolist()
    assert list(table.features) == ["a", "colour"]
    assert load_frame(frame(w=weights), CLASSIFICATION).table.weights is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, 0.0, 2.0] * 40, r"must be positive numbers, but 40 of 120 are not, the first being 0: .*lines? 3"),
        ([1.0, -2.5, 2.0] * 40, r"the first being -2\.5"),
        ([1.0, None, 2.0] * 40, r"the first being missing"),
        (["much", "little"] * 60, r"must be positive numbers, but the column is read as texts"),
    ],
)  # fmt: skip
def test_weights_that_are_none(csv, values, message):
    with pytest.raises(DataError, match=message):
        load_file(csv(frame(w=values)), msgspec.structs.replace(CLASSIFICATION, weight="w"))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"weight": "v"}, r"has no column 'v', which load\.weight names"),
        ({"weight": "target"}, r"load\.weight is the target 'target'"),
        ({"weight": "w", "drop": ("w",)}, r"load\.drop lists 'w', which load\.weight names"),
        ({"weight": "w", "drop": ("a", "colour")}, r"has no feature: load\.drop lists every column"),
    ],
)
def test_a_weight_that_is_no_column_beside_the_target(csv, settings, message):
    with pytest.raises(DataError, match=message):
        load_file(csv(frame(w=1.5)), msgspec.structs.replace(CLASSIFICATION, **settings))
