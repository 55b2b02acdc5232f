"""Which column add takes for the target, and for which task; when it asks, and what it says then."""

from pathlib import Path

from lockstep.intake.choosing.target_choice import choose_target, choose_task
from lockstep.kernel.errors import DataError
from lockstep.reading.dataframes import normalised_frame

import numpy as np
import pandas as pd
import pytest

ROWS = 120
PATH = Path("my table.csv")


def frame_of(*names, **columns):
    """Numbers of any size under ``names``, and ``columns``."""
    random = np.random.default_rng(0)
    numbers = {name: random.normal(size=ROWS) for name in names}
    return normalised_frame(pd.DataFrame(numbers | columns))


@pytest.mark.parametrize(
    ("names", "target"),
    [
        ("a Target b", "Target"),
        ("amount class a", "class"),
        ("marital.status workclass income", "income"),
        ("Item_Type Outlet_Type Item_Outlet_Sales", "Item_Outlet_Sales"),
        ("Survived Fare", "Survived"),
        ("is_fraud amount type", "is_fraud"),
        ("amount isFraud isFlaggedFraud", "isFraud"),
        ("MSSubClass LotArea SalePrice", "SalePrice"),
        ("carat x y z price", "price"),
        ("x y", "y"),
        ("CustomerID MonthlyCharges TotalCharges Churn", "Churn"),
        ("unit_price units revenue", "revenue"),
        ("price zipcode grade condition view", "price"),
        ("age default balance deposit", "deposit"),
        ("capital-gain workclass income", "income"),
        ("temp hum casual registered cnt", "cnt"),
        ("cement water strength(MPa)", "strength(MPa)"),
        ("target_variable a b", "target_variable"),
        ("seats km_driven selling_price owner", "selling_price"),
    ],
)
def test_a_table_of_conventional_names_has_a_target(names, target):
    found, why = choose_target(frame_of(*names.split()), PATH)
    assert (found, why.split(",")[0]) == (target, "its name")


def test_a_name_with_spaces_around_it_is_one():
    assert choose_target(frame_of("a", " label", "b"), PATH) == (" label", "its name")


def test_a_weak_name_needs_the_last_place():
    assert choose_target(frame_of("a", "score"), PATH) == ("score", "its name, and it is the last column")
    with pytest.raises(DataError, match="does not show which column"):
        choose_target(frame_of("score", "a"), PATH)


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ({"stage": np.arange(ROWS) % 7}, r"'stage' \(it is the last column; 7 distinct whole"),
        ({"latitude": np.arange(ROWS) / 7}, r"'latitude' \(it is the last column; 120 distinct numbers"),
        ({"year": np.arange(ROWS) % 40 + 1980}, r"'year' \(it is the last column; 40 distinct whole"),
        ({"text": [f"c{i % 60}" for i in range(ROWS)]}, r"'text' \(it is the last column; text of 60 levels"),
        ({"class": np.arange(ROWS) / 9, "price": np.arange(ROWS) / 7}, r"be 'price' \(its name; .*'class' \(its name"),
        ({"left": np.arange(ROWS) / 9, "salary": np.arange(ROWS) / 7}, r"be 'salary' \(its name; .*'left' \(its "),
        ({"y": np.arange(ROWS) * 0.1, "price": np.arange(ROWS) * 0.1, "b": 1.5}, r"It could be 'y' \(its name; "),
        ({"when": pd.date_range("2024-01-01", periods=ROWS).astype(str)}, r"'when' \(it is the last column; dates\)"),
        ({"code": [f"c{i}" for i in range(ROWS)]}, r"Hardly 'code' \(it is the last column; an identifier\)"),
        ({"remark": [f"c{i}" for i in range(ROWS)]}, r"'remark' \(it is the last column; nearly all values differ"),
        ({"order": np.arange(ROWS)}, r"Hardly 'order' \(it is the last column; numbers the rows\)"),
        ({"class_id": np.arange(ROWS) % 50}, r"Hardly 'class_id' \(it is the last column; named as an identifier"),
        ({"label": 7}, r"Hardly 'label' \(its name; constant\)"),
        ({"label": None}, r"Hardly 'label' \(its name; empty\)"),
        ({"species": "dog"}, r"Hardly 'species' \(its name; constant\)"),
        (
            {"quality_good": np.arange(ROWS) % 2 == 0, "quality_bad": np.arange(ROWS) % 2 == 1},
            r"'quality_bad' \(it is the last column; one of several one-hot columns\)",
        ),
    ],
)  # fmt: skip
def test_no_evident_target_is_a_question_with_candidates_reasons_and_a_command(columns, said):
    with pytest.raises(DataError, match=said) as error:
        choose_target(frame_of("a", **columns), PATH)
    assert "Give it with --target, for instance: python -m lockstep add 'my table.csv' --target " in str(error.value)


@pytest.mark.parametrize("classes", [["yes", "no", None], [0, 1], ["low", "middle", "high"]])
def test_the_first_candidate_is_a_last_column_of_classes_before_one_that_may_be_named_as_a_target(classes):
    last = np.resize(np.array(classes, dtype=object), ROWS)
    with pytest.raises(DataError, match=r"It could be 'answered' .*, 'income' \(its name.*--target answered$"):
        choose_target(frame_of("age", "income", "shoe", answered=last), PATH)
    with pytest.raises(DataError, match=r"It could be 'income' .*--target income$"):
        choose_target(frame_of("age", "income", "shoe", region=last), PATH)
    with pytest.raises(DataError, match=r"It could be 'income' .*--target income$"):
        choose_target(frame_of("age", "income", "shoe"), PATH)


@pytest.mark.parametrize("cells", [np.arange(ROWS) / 7, ["yes", "no"], [0, 1], [True, False], ["a", "b", "c"]])
def test_the_last_column_is_the_target_where_no_column_is_named_as_one(cells):
    frame = frame_of("a", "b", w=np.resize(np.array(cells), ROWS))
    assert choose_target(frame, PATH) == ("w", "it is the last column, and no column is named as a target")


def test_prices_written_as_texts_are_still_what_the_name_says():
    """So that the next question is how to read them, and not which column it is."""
    prices = [f"{1 + i % 9},{10 + i % 80},{100 + 7 * i}" for i in range(ROWS)]
    frame = frame_of("a", price=prices, b=np.arange(ROWS) / 7)
    assert choose_target(frame, PATH)[0] == "price"
    with pytest.raises(DataError, match=r"hardly classes\. If these are numbers, write them as plain numbers"):
        choose_task(frame["price"], PATH)


@pytest.mark.parametrize(
    ("name", "column", "task", "why"),
    [
        ("y", ["yes", "no"], "classification", "a text column"),
        ("y", [True, False], "classification", "a boolean column"),
        ("n", [0, 1], "classification", "2 distinct whole numbers"),
        ("n", [1], "classification", "1 distinct whole number"),
        ("n", [1.5], "regression", "1 distinct number"),
        ("y", [0.0, 1.0, None], "classification", "2 distinct whole numbers"),
        ("y", range(20), "classification", "20 distinct whole numbers, about as frequent as each other"),
        ("crop class", [1, 1, 1, 1, 1, 1, 5, 2, 3], "classification", "4 distinct whole numbers, named as classes"),
        ("n_visits", range(6), "regression", "6 distinct whole numbers, named as a count or a measure"),
        ("rings", range(30), "regression", "30 distinct whole numbers, named as a count or a measure"),
        ("y", range(24), "regression", "24 distinct numbers"),
        ("class", [0.5, 1.5], "regression", "2 distinct numbers"),
        ("y", [f"k{i}" for i in range(5)], "classification", "a text column"),
        ("ages", ["18-25", "26-40", "41-60", "61+"], "classification", "a text column"),
    ],
)  # fmt: skip
def test_tasks(name, column, task, why):
    frame = normalised_frame(pd.DataFrame({name: np.resize(np.array(column, dtype=object), ROWS)}))
    assert choose_task(frame[name], PATH) == (task, why)


@pytest.mark.parametrize(
    ("name", "counts"),
    [("claims", [50, 30, 20, 10, 5, 4, 1]), ("y", [50, 30, 20, 10, 5, 4, 1]), ("claims", [20, 20, 20, 20, 20, 20])],
)
def test_a_few_whole_numbers_are_classes_or_a_count_and_the_user_is_asked(name, counts):
    column = pd.Series(np.repeat(np.arange(len(counts)), counts), name=name)
    with pytest.raises(DataError, match=f"'{name}' has {len(counts)} distinct whole numbers, 0 to ") as error:
        choose_task(column, PATH)
    for task in ("regression", "classification"):
        assert f"python -m lockstep add 'my table.csv' --target {name} --task {task}" in str(error.value)


@pytest.mark.parametrize(
    ("column", "said"),
    [
        ([f"k{i % 60}" for i in range(240)], "60 different ones in 240 rows: hardly classes. If another column is"),
        ([f"2024-01-{1 + i % 28:02d}" for i in range(2800)], "and dates: hardly classes. If another column is"),
        ([f"${i % 70}" for i in range(14000)], "If these are numbers, write them as plain numbers in the file. If "),
        ([f"1,{i % 70:02d},000" for i in range(14000)], "If these are numbers, write them as plain numbers"),
        ([f"{i % 70}.5 kg" for i in range(14000)], "If these are numbers, write them as plain numbers in the file"),
        ([f"word {i % 70}" for i in range(14000)], ""),
        ([f"10.0.0.{i % 70}" for i in range(14000)], ""),
        ([f"10.20.30.{i % 70}" for i in range(14000)], ""),
        ([f"1.{i % 7}.{i % 70}" for i in range(14000)], ""),
        ([f"{i % 70}.125.000" for i in range(1, 14000)], "If these are numbers, write them as plain numbers"),
    ],
)  # fmt: skip
def test_texts_that_are_hardly_classes(column, said):
    target = pd.Series(column, name="y", dtype="str")
    if not said:
        assert choose_task(target, PATH) == ("classification", "a text column")
        return
    with pytest.raises(DataError) as error:
        choose_task(target, PATH)
    assert said in str(error.value)
