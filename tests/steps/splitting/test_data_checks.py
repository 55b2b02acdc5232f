"""The checks of the data (docs/checks.md): each finds its case, and none of them cries wolf."""

import json

from lockstep.kernel.errors import DataError
from lockstep.kernel.log import heartbeat
from lockstep.steps.splitting.data_checks import CHECKS, CheckSettings, run_checks
from lockstep.steps.splitting.parts import Parts, SplitSettings, split_table
from lockstep.tables.table import Table
from stages.split import check_parts

import numpy as np
import pandas as pd
import pytest
from workspace import ROOT


def parts(task="regression", rows=600, **columns):
    rng = np.random.default_rng(0)
    data = {"x": rng.normal(size=rows), "level": rng.choice(["a", "b", "c"], rows), "flag": rng.random(rows) < 0.5}
    noise = data["x"] + rng.normal(size=rows)
    data["y"] = noise if task == "regression" else np.where(noise > 0, "yes", "no")
    made = {name: value(rng, data) if callable(value) else value for name, value in columns.items()}
    frame = pd.DataFrame(data | made)
    frame.index = pd.Index(np.arange(1, rows + 1), name="__row__")
    return split_table(Table(frame, "y", task), SplitSettings())


def found(split, settings=None):
    findings = run_checks(split.train, split.test, settings or CheckSettings())
    return {finding.check: finding for finding in findings if finding.found}


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_ordinary_data_has_no_finding(task):
    assert found(parts(task)) == {}


@pytest.mark.parametrize("seed", range(20))
def test_random_splits_are_rarely_called_shifted(seed):
    split = parts()
    whole = pd.concat([split.train.frame, split.test.frame])
    again = split_table(Table(whole, "y", "regression"), SplitSettings(seed=seed))
    assert "shifted_column" not in found(again)


@pytest.mark.parametrize(
    ("check", "task", "columns", "message"),
    [
        (
            "target_leak",
            "regression",
            {"after": lambda r, d: d["y"] * 3 + 0.01 * r.normal(size=600)},
            "'after' explains",
        ),
        (
            "target_leak",
            "classification",
            {"code": lambda r, d: np.where(d["y"] == "yes", 7, 3)},
            "'code' predicts 100.0%",
        ),
        (
            "target_leak",
            "regression",
            {"part": lambda r, d: r.normal(size=600), "rest": lambda r, d: np.zeros(600), "y": lambda r, d: d["y"]},
            None,
        ),
        ("constant_column", "regression", {"same": 1, "empty": None}, "'same', 'empty'"),
        ("nearly_unique_column", "regression", {"name": [f"n{i}" for i in range(600)]}, "'name'"),
        ("nearly_unique_column", "regression", {"number": np.arange(600)}, "'number'"),
        ("nearly_unique_column", "regression", {"file_code": lambda r, d: r.permutation(10**6)[:600]}, "'file_code'"),
        (
            "rare_class",
            "classification",
            {"y": ["rare"] * 10 + ["a", "b"] * 295},
            "1 class has fewer than 20 training rows: rare (8)",
        ),
    ],
)
def test_each_case_is_found(check, task, columns, message):
    findings = found(parts(task, **columns))
    if message is None:
        assert check not in findings
    else:
        assert message in findings[check].message


def test_a_column_of_free_text_is_no_identifier_of_rows_and_is_checked_for_all_else():
    names = [f"n{i} street" for i in range(600)]
    split = parts(name=names, title=names, empty=None)
    findings = run_checks(split.train, split.test, CheckSettings(), ["name", "empty"])
    said = {finding.check: finding.message for finding in findings if finding.found}
    assert list(said) == ["constant_column", "nearly_unique_column"]
    assert said["constant_column"].endswith(": 'empty'")
    assert said["nearly_unique_column"].endswith(": 'title' (nearly all values differ)")


def test_numbers_that_add_up_to_the_target():
    rng = np.random.default_rng(1)
    one, two = rng.integers(0, 50, 600), rng.integers(0, 50, 600)
    finding = found(parts(one=one, two=two, y=one + two))["target_leak"]
    assert finding.message == "the target is 'one' + 'two', within the rounding of their digits"


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_a_leak_of_many_rows_is_found_on_some_of_them_and_says_so(monkeypatch, task):
    split = parts(task, 6000, leak=lambda _, data: data["y"])
    assert "drawn" not in found(split)["target_leak"].message
    monkeypatch.setattr("lockstep.steps.splitting.data_checks.LEAK_ROWS", 3000)
    assert found(split)["target_leak"].message.endswith(" alone, of 3,000 training rows drawn at random")


def test_a_shift_of_many_rows_is_looked_for_on_some_of_them_and_says_so(monkeypatch):
    split = parts("regression", 6000)
    split.test.frame["x"] += 1.0
    assert "rows)" not in found(split)["shifted_column"].message
    monkeypatch.setattr("lockstep.steps.splitting.data_checks.SHIFT_ROWS", 3000)
    assert found(split)["shifted_column"].message.endswith(", of 3,000 and 1,200 rows)")


HOUSE = np.random.default_rng(2).integers(0, 900, 600)
LIKE_HOUSE = {"rooms": 1 + HOUSE % 7, "area": HOUSE * 37 % 101}


@pytest.mark.parametrize("columns", [{"house_id": HOUSE}, {"ticket": [f"t{i}" for i in HOUSE]}])
def test_identifiers_on_both_sides(columns):
    (name,) = columns
    finding = found(parts(**columns, **LIKE_HOUSE))["shared_identifier"]
    assert (
        f"test rows have a '{name}' that training rows have, and rows of one '{name}' are alike in" in finding.message
    )
    assert "'rooms', 'area' (set split.group to it?)" in finding.message
    assert "shared_identifier" not in found(parts(**columns))  # where rows of one value have nothing else in common


@pytest.mark.parametrize(
    "columns",
    [
        {"cholesterol": HOUSE},  # a measurement, however alike rows of one value are
        {"income": HOUSE * 1000},
        {"order_value": HOUSE},
        {"zip_code": HOUSE},
        {"price": [f"${i},000" for i in HOUSE]},
        {"sold": [f"20{10 + i // 300}-{1 + i // 25 % 12:02}-{1 + i % 25:02}" for i in HOUSE]},
        {"id": HOUSE / 7},
    ],
)
def test_what_is_continuous_is_no_identifier(columns):
    assert "shared_identifier" not in found(parts(**columns, **LIKE_HOUSE))
    assert "nearly_unique_column" not in found(parts(**columns, **LIKE_HOUSE))


def test_the_leak_of_the_shipped_houses():
    frame = pd.read_csv(ROOT / "data/raw/housing.csv")
    frame.index = pd.Index(np.arange(1, len(frame) + 1), name="__row__")
    split = split_table(Table(frame, "price", "regression"), SplitSettings())
    assert "'avalue' explains 9" in found(split)["target_leak"].message
    assert found(split)["target_leak"].found == 1


def test_duplicates_on_both_sides():
    split = parts()
    twice = pd.concat([split.train.frame.iloc[:3], split.test.frame])
    test = Table(twice, "y", "regression").with_copies(split.train)
    finding = found(Parts(split.train, split.validation, test))["duplicate_rows"]
    assert finding.found == 3
    rows = ", ".join(f"data row {row}" for row in split.train.frame.index[:3])
    said = "3 test rows equal training rows in all columns that load.drop does not leave out, target included"
    assert finding.message == f"{said}: {rows}; of the training rows, 0.0% equal another one"


def test_of_few_columns_with_few_values_most_training_rows_equal_each_other():
    y = np.where(np.arange(300) % 2, "yes", "no")
    few = pd.DataFrame({"x": np.arange(300) % 7, "w": np.arange(300), "y": y}).astype({"y": "str"})
    few.iloc[0, 0] = 99  # equals no other
    few.index = pd.Index(np.arange(1, 301), name="__row__")
    split = split_table(Table(few, "y", "classification", weight="w"), SplitSettings())
    share = "100.0%" if 1 not in split.train.frame.index else f"{1 - 1 / len(split.train):.1%}"
    assert found(split)["duplicate_rows"].message.endswith(
        f", 'w' aside; of the training rows, {share} equal another one"
    )


def test_a_shift_is_found():
    split = parts()
    moved = split.test.frame.assign(x=split.test.frame["x"] + 1, level="a")
    findings = found(Parts(split.train, split.validation, Table(moved, "y", "regression")))
    assert findings["shifted_column"].found == 2


def test_an_error_stops_a_warning_is_logged_and_off_is_silent(caplog):
    split = parts(same=1)
    check_parts(split, CheckSettings())
    assert (
        "C4 constant_column: 1 column has one value or none in the training rows: 'same' (docs/checks.md)"
        in caplog.text
    )
    caplog.clear()
    assert check_parts(split, CheckSettings(constant_column="off"))[3].found == 0
    assert caplog.text == ""
    with pytest.raises(
        DataError, match=r"C4 constant_column: 1 column has .* training rows: 'same'\. docs/checks\.md says what to do"
    ):
        check_parts(split, CheckSettings(constant_column="error"))


def test_the_page_explains_every_check_and_the_results_name_it():
    page = (ROOT / "docs/checks.md").read_text()
    written = json.loads((ROOT / "metrics/iris_checks.json").read_text())["checks"]
    assert [finding["check"] for finding in written] == list(CHECKS)
    for number, name in enumerate(CHECKS, 1):
        assert f"| C{number} | `{name}` |" in page


@pytest.mark.parametrize("share", [0.5, 0.3, 0.43])
@pytest.mark.parametrize("rows", [150, 300, 1000])
def test_a_number_that_gives_the_class_away_shows_in_few_rows(rows, share):
    """Of few rows, the one bin in which the class changes holds more than the hundredth that may be wrong."""
    random = np.random.default_rng(1)
    y = np.where(random.random(rows) < share, "yes", "no")
    score = np.where(y == "yes", random.uniform(0.9, 0.95, rows), random.uniform(0, 0.05, rows))
    score[: rows // 1000] = np.nan
    split = parts("classification", rows, y=y, score=score)
    assert "'score' predicts" in found(split)["target_leak"].message


def test_numbers_that_say_nothing_are_no_leak_in_few_rows():
    for seed in range(20):
        random = np.random.default_rng(seed)
        y = np.where(random.random(200) < 0.1, "yes", "no")
        assert "target_leak" not in found(parts("classification", 200, y=y, score=random.normal(size=200)))


@pytest.mark.parametrize("task", ["regression", "classification"])
def test_checks_and_their_columns_are_counted(task, monkeypatch):
    split, shares = parts(task), []
    with heartbeat("checks") as progress:
        for name, check in CHECKS.items():
            monkeypatch.setitem(CHECKS, name, lambda *of, own=check: (own(*of), shares.append(progress.so_far))[0])
        monkeypatch.setattr(
            "lockstep.steps.splitting.data_checks.values_differ", lambda *_, **__: shares.append(progress.so_far)
        )
        run_checks(split.train, split.test, CheckSettings())
    assert str(progress).startswith("7 of 7 checks, ")
    # What a check has done is kept until the check is counted: two of them do not go through columns.
    assert shares == [1, 1, 3, 4, 5, 5, *(6 + np.arange(4) / 4), 7]
