"""The data contract: inferred, written, read, and every rule of it broken once."""

import logging

from lockstep.intake.problems.contract_inference import CONTRACT_HEADER, infer_contract, write_contract
from lockstep.kernel.errors import DataError, LockstepError, SettingsError
from lockstep.reading.column_types import row_index, typed_frame
from lockstep.reading.contract import Constraints, Contract, Field, Own, Severities, read_contract, violations
from lockstep.reading.dataframes import normalised_frame
from lockstep.reading.loading import LoadSettings, load_file, load_frame

import numpy as np
import pandas as pd
import pytest
import yaml
from csv_cells import read_csv
from hypothesis import given
from hypothesis import strategies as st
from small import drawn
from workspace import ROOT

TABLES = sorted((ROOT / "data/raw").glob("*.csv"))


def table(**columns):
    rows = 120
    base = {
        "size": np.arange(rows) * 0.5,
        "count": [3, 1, 2] * 40,
        "flag": [True, False] * 60,
        "colour": ["red", "green", "blue"] * 40,
        "code": [f"{i:05d}" for i in range(rows)],
        "gaps": [1.5, None] * 60,
        "target": ["yes", "no"] * 60,
    }
    return pd.DataFrame(base | columns)


def changed(column, value, rows=(4, 7)):
    """The table with ``value`` in some rows of a column."""
    values = table()[column].astype(object)
    values.iloc[list(rows)] = value
    return table(**{column: values})


INFERRED = infer_contract(normalised_frame(table()))


def contract(severity=(), **constraints):
    """The inferred contract, the constraints of some columns or the severity of some rules changed."""
    fields = tuple(
        Field(name=f.name, type=f.type, constraints=Constraints(**constraints[f.name])) if f.name in constraints else f
        for f in INFERRED.fields
    )
    return Contract(fields=fields, lockstep=Own(severity=Severities(**dict(severity))))


def csv(path, frame):
    frame.to_csv(path, index=False)
    return path


LOAD = LoadSettings(path="-", task="classification")


def test_what_is_inferred():
    found = {field.name: (field.type, field.constraints) for field in INFERRED.fields}
    assert found == {
        "size": ("number", Constraints(required=True, minimum=0, maximum=59.5)),
        "count": ("integer", Constraints(required=True, minimum=1, maximum=3)),
        "flag": ("boolean", Constraints(required=True)),
        "colour": ("string", Constraints(required=True, enum=("blue", "green", "red"))),
        "code": ("string", Constraints(required=True, unique=True)),
        "gaps": ("number", Constraints(minimum=1.5, maximum=1.5)),
        "target": ("string", Constraints(required=True, enum=("no", "yes"))),
    }
    assert INFERRED.types["code"] == "string"
    numbered = infer_contract(normalised_frame(pd.DataFrame({"id": range(5), "x": np.arange(5) / 4})))
    assert [field.constraints.unique for field in numbered.fields] == [True, False]


def test_written_and_read_again(tmp_path):
    path = tmp_path / "c.yaml"
    write_contract(INFERRED, path)
    assert read_contract(path) == INFERRED
    text = path.read_text()
    assert text.startswith(CONTRACT_HEADER)
    write_contract(read_contract(path), path)
    assert path.read_text() == text
    assert max(map(len, text.splitlines())) <= 120


def test_levels_that_look_like_numbers_and_dates_are_read_again_as_texts(tmp_path):
    levels = ("0o17", "0x1F", "1_000", "1e5", "2024-1-5", "no", "null", "~")
    written = Contract(fields=(Field(name="1e5", type="string", constraints=Constraints(enum=levels)),))
    write_contract(written, tmp_path / "c.yaml")
    assert read_contract(tmp_path / "c.yaml") == written


@pytest.mark.parametrize("path", TABLES, ids=lambda path: path.stem)
def test_the_repositorys_tables_keep_what_is_inferred_from_them(tmp_path, path):
    frame = typed_frame(read_csv(path), path.name).frame
    found = infer_contract(frame)
    write_contract(found, tmp_path / "c.yaml")
    assert violations(frame, read_contract(tmp_path / "c.yaml")) == []


def test_the_committed_contracts_are_kept(caplog):
    problems = yaml.safe_load((ROOT / "params.yaml").read_text())["problems"]
    for name in ("iris", "housing"):
        load = problems[name]["load"]
        own = LoadSettings(**(load | {"drop": tuple(load["drop"])}))
        load_file(ROOT / load["path"], own, read_contract(ROOT / f"data/contracts/{name}.yaml"))
    assert [record for record in caplog.records if "contract" in record.message] == []


CELL = {
    "number": st.floats(allow_nan=False, allow_infinity=False) | st.none(),
    "integer": st.integers(-(2**60), 2**60),
    "text": st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.none(),
    "boolean": st.booleans() | st.none(),
}


@drawn(200)
@given(
    data=st.data(),
    names=st.lists(st.text("ab:#-? \u00e9\n'\"01{[", min_size=1, max_size=5), min_size=1, max_size=4, unique=True),
)
def test_any_table_keeps_what_is_inferred_from_it(tmp_path_factory, data, names):
    names = [name for name in names if name.strip()] or ["a"]
    rows = data.draw(st.integers(1, 12))
    columns = {}
    for name in names:
        kind = data.draw(st.sampled_from(sorted(CELL)))
        cells = data.draw(st.lists(CELL[kind], min_size=rows, max_size=rows))
        columns[name] = pd.Series(cells, dtype={"number": "float64", "integer": "int64"}.get(kind, object))
    frame = normalised_frame(pd.DataFrame(columns))
    found = infer_contract(frame)
    path = tmp_path_factory.mktemp("c") / "c.yaml"
    write_contract(found, path)
    assert read_contract(path) == found
    lax = Contract(fields=read_contract(path).fields, lockstep=Own(minimum_rows=1))
    assert violations(frame, lax) == []


BROKEN = {
    "columns: missing": (
        table().drop(columns=["size", "flag"]),
        {},
        ("columns", "columns are missing: size, flag"),
    ),
    "columns: extra": (
        table(extra=1),
        {},
        ("columns", "columns are not in the contract: extra"),
    ),
    "required": (
        changed("colour", None),
        {},
        ("required", "column 'colour': a value is required, in lines 6, 9, 2 rows in all"),
    ),
    "unique": (
        changed("code", "00050"),
        {},
        ("unique", "column 'code': not unique: '00050', in lines 6, 9, 52, 3 rows in all"),
    ),
    "minimum": (
        changed("count", -5),
        {},
        ("range", "column 'count': below the minimum 1: -5, in lines 6, 9, 2 rows in all"),
    ),
    "maximum": (
        changed("size", 60.5),
        {},
        ("range", "column 'size': above the maximum 59.5: 60.5, in lines 6, 9, 2 rows in all"),
    ),
    "maximum, with gaps": (
        changed("gaps", 2.0),
        {},
        ("range", "column 'gaps': above the maximum 1.5: 2.0, in lines 6, 9, 2 rows in all"),
    ),
    "enum": (
        changed("colour", "pink", range(4, 12)),
        {},
        ("enum", "column 'colour': not in the list of categories: 'pink', in lines 6, 7, 8, 9, 10 and 3 more, 8 rows"),
    ),
    "pattern": (
        changed("code", "A1"),
        {"code": {"pattern": "[0-9]{5}"}},
        ("pattern", "column 'code': not of the form [0-9]{5}: 'A1', in lines 6, 9, 2 rows in all"),
    ),
    "pattern, the whole text": (
        changed("code", "000001"),
        {"code": {"pattern": "[0-9]{5}"}},
        ("pattern", "column 'code': not of the form [0-9]{5}: '000001', in lines 6, 9, 2 rows in all"),
    ),
    "one row": (
        changed("colour", "pink", [0]),
        {},
        ("enum", "column 'colour': not in the list of categories: 'pink', in line 2"),
    ),
}


@pytest.mark.parametrize(("frame", "constraints", "expected"), BROKEN.values(), ids=BROKEN)
def test_each_rule_is_an_error_a_warning_or_off(tmp_path, caplog, frame, constraints, expected):
    rule, message = expected
    path = csv(tmp_path / "f.csv", frame)
    with pytest.raises(DataError) as caught:
        load_file(path, LOAD, contract({rule: "error"}, **constraints))
    assert str(caught.value).startswith(f"{path} breaks its contract in 1 point: {message}")
    assert "or change the contract in data/contracts/" in str(caught.value)
    caplog.clear()
    assert len(load_file(path, LOAD, contract({rule: "warning"}, **constraints)).table) == 120
    (said,) = [record for record in caplog.records if "contract" in record.message]
    assert (said.levelno, said.message.startswith(f"{path} breaks its contract: {message}")) == (logging.WARNING, True)
    caplog.clear()
    load_file(path, LOAD, contract({rule: "off"}, **constraints))
    assert [record for record in caplog.records if "contract" in record.message] == []


@pytest.mark.parametrize(("frame", "constraints", "expected"), BROKEN.values(), ids=BROKEN)
def test_a_dataframe_is_checked_alike_and_its_rows_are_numbered_from_1(frame, constraints, expected):
    rule, message = expected
    with pytest.raises(DataError) as caught:
        load_frame(frame, LOAD, contract({rule: "error"}, **constraints))
    for line, row in ((f" {line}", f" {line - 1}") for line in (2, *range(6, 11), 52)):
        message = message.replace(line + ",", row + ",").replace(line + " and", row + " and")
        message = message.removesuffix(line) + (row if message.endswith(line) else "")
    message = message.replace("in line", "in row")
    assert str(caught.value).startswith(f"the DataFrame breaks its contract in 1 point: {message}")


def test_too_few_rows():
    frame = normalised_frame(table().head(99))
    (found,) = violations(frame, INFERRED)
    assert (found.column, found.rule, found.severity, len(found.rows)) == (None, "rows", "error", 0)
    assert found.message == "99 rows, at least 100 are demanded"
    assert violations(normalised_frame(table().head(100)), INFERRED) == []
    (found,) = violations(normalised_frame(table().head(1)), INFERRED)
    assert found.message == "1 row, at least 100 are demanded"


def test_a_number_column_in_another_numbers_place(tmp_path):
    """Texts in a number column, when a DataFrame brings them: no type was checked when they were made."""
    frame = table(size=["much"] * 120)
    with pytest.raises(DataError, match="'size'"):
        load_file(csv(tmp_path / "f.csv", frame), LOAD, INFERRED)


@pytest.mark.parametrize(
    ("column", "values"),
    [("size", ["much"] * 120), ("flag", ["perhaps"] * 120), ("count", [0.5] * 120), ("code", list(range(120)))],
)
def test_a_dataframe_of_another_type_is_refused(column, values):
    with pytest.raises(DataError, match=f"'{column}'"):
        load_frame(table(**{column: values}), LOAD, contract({"range": "off"}))


def test_every_violation_is_told_at_once(tmp_path):
    frame = changed("colour", None).assign(count=[9] * 120, extra=1)
    with pytest.raises(DataError) as caught:
        load_file(csv(tmp_path / "f.csv", frame), LOAD, contract({"range": "error"}))
    message = str(caught.value)
    assert "breaks its contract in 3 points: columns are not in the contract: extra, column 'colour'" not in message
    for part in ("extra", "column 'colour': a value is required", "column 'count': above the maximum 3: 9", "120 rows"):
        assert part in message


def test_dropped_columns_need_not_keep_it(tmp_path):
    frame = changed("colour", None)
    settings = LoadSettings(path="-", task="classification", drop=("colour",))
    loaded = load_file(csv(tmp_path / "f.csv", frame), settings, INFERRED).table.frame
    assert len(loaded) == len(frame)
    assert "colour" not in loaded


def typed(tmp_path, cells, kind, form=None):
    path = tmp_path / "f.csv"
    path.write_text("c,o\n" + "".join(f"{cell},1\n" for cell in cells))
    own = (form,) if form else ()
    return typed_frame(read_csv(path), "f.csv", *own, types={"c": kind}).frame["c"]


@pytest.mark.parametrize(
    ("kind", "cells", "values", "dtype"),
    [
        ("string", ["00123", "1e5", "12", " 7 ", "NA", ""], ["00123", "1e5", "12", " 7 ", "NA", np.nan], "str"),
        ("string", ["1", "2"], ["1", "2"], "str"),
        ("string", ["true", "false"], ["true", "false"], "str"),
        ("string", ["inf", "1"], ["inf", "1"], "str"),
        ("string", ["", ""], [np.nan, np.nan], "str"),
        ("number", ["1", "2"], [1, 2], "int64"),
        ("number", ["1", "2.5", "NA", ""], [1, 2.5, np.nan, np.nan], "float64"),
        ("number", ["NA", "NA"], [np.nan, np.nan], "float64"),
        ("integer", ["1", "", "3"], [1, np.nan, 3], "float64"),
        ("integer", ["1.0", "2.", "3"], [1, 2, 3], "float64"),
        ("boolean", ["TRUE", "false"], [True, False], "bool"),
        ("boolean", ["true", "NA", ""], [True, None, None], "object"),
        ("boolean", ["", ""], [None, None], "object"),
    ],
)
def test_declared_types(tmp_path, kind, cells, values, dtype):
    found = typed(tmp_path, cells, kind)
    pd.testing.assert_series_equal(
        found, pd.Series(values, dtype=dtype, index=row_index(len(cells))), check_names=False
    )


@pytest.mark.parametrize(
    ("kind", "cells", "message"),
    [
        (
            "number",
            ["1", "x", "2", "y"],
            "2 of 4 cells are not of the type number that the contract declares, lines 3, 5, the first 'x'",
        ),
        (
            "number",
            ["a", "b"],
            "2 of 2 cells are not of the type number that the contract declares, lines 2, 3, the first 'a'",
        ),
        (
            "number",
            ["00123", "1"],
            "1 of 2 cells are not of the type number that the contract declares, line 2, the first '00123'",
        ),
        ("number", ["true", "false"], "2 of 2 cells are not of the type number"),
        ("number", ["1", "inf"], "has infinite numbers, line 3."),
        (
            "integer",
            ["1", "2.5"],
            "1 of 2 cells are not of the type integer that the contract declares, line 3, the first '2.5'",
        ),
        (
            "integer",
            ["1", "x"],
            "1 of 2 cells are not of the type integer that the contract declares, line 3, the first 'x'",
        ),
        (
            "boolean",
            ["true", "yes"],
            "1 of 2 cells are not of the type boolean that the contract declares, line 3, the first 'yes'",
        ),
        (
            "boolean",
            ["1", "0"],
            "2 of 2 cells are not of the type boolean that the contract declares, lines 2, 3, the first '1'",
        ),
    ],
)
def test_cells_that_are_not_of_the_declared_type(tmp_path, kind, cells, message):
    with pytest.raises(DataError) as caught:
        typed(tmp_path, cells, kind)
    assert str(caught.value).startswith("f.csv column 'c'")
    assert message in str(caught.value)


@pytest.mark.parametrize("cells", [["99999999999999999999", "1"], ["9007199254740993", ""]])
def test_a_declared_number_that_cannot_be_held_is_refused(tmp_path, cells):
    with pytest.raises(DataError):
        typed(tmp_path, cells, "number")


@pytest.mark.parametrize("cells", [["1e3", "2"], ["1.5e1", "2"]])
def test_a_declared_integer_in_scientific_notation_is_refused_or_right(tmp_path, cells):
    try:
        found = typed(tmp_path, cells, "integer").tolist()
    except DataError:
        return
    assert found == [float(cell) for cell in cells]


FIELD = "fields:\n- {name: a, type: number"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fields: []\nrows: 3\n", "rows is not a setting. Allowed, nearest first: "),
        (FIELD + ", format: x}\n", "format"),
        (FIELD + ", constraints: {min: 3}}\n", "min"),
        (FIELD + ", constraints: {minimum: low}}\n", "minimum"),
        ("fields:\n- {name: a, type: text}\n", "type"),
        ("fields:\n- {type: number}\n", "fields"),
        ("fields:\n- {name: '', type: number}\n", "fields"),
        ("fields: []\nlockstep: {severity: {enum: fatal}}\n", "severity"),
        ("fields: []\nlockstep: {minimum_rows: 0}\n", "minimum_rows"),
        (
            "fields: []\nlockstep: {severity: {1: 2}}\n",
            "lockstep.severity.1 is not a setting. Allowed, nearest first: ",
        ),
        (FIELD + ", constraints: {1: 2}}\n", "fields[0].constraints.1 is not a setting. Allowed, nearest first: "),
        ("fields: 3\n", "fields"),
        ("[]\n", "c.yaml"),
        (
            "fields:\n- {name: a, type: number}\n- {name: b, type: number}\n- {name: a, type: string}\n",
            "the field 'a' is there twice. Remove one.",
        ),
        (FIELD + ", constraints: {minimum: 3, minimum: 4}}\n", "stands twice"),
        ("fields: &x []\n", "anchors and aliases"),
        ("fields: [\n", "is not valid YAML"),
    ],
)
def test_mistakes_in_a_contract(tmp_path, text, message):
    path = tmp_path / "c.yaml"
    path.write_text(text)
    with pytest.raises(LockstepError) as caught:
        read_contract(path)
    assert caught.value.exit_code == 2
    assert str(caught.value).startswith(str(path))
    assert message in str(caught.value)


def test_a_mistake_in_a_field_says_which_field_and_key(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("fields:\n- {name: a, type: number}\n- {name: b, type: number, constraints: {minimun: 3}}\n")
    with pytest.raises(SettingsError, match=r"minimun.*minimum") as caught:
        read_contract(path)
    assert "fields" in str(caught.value)


def test_a_pattern_that_is_no_regular_expression(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("fields:\n- {name: a, type: string, constraints: {pattern: '['}}\n")
    with pytest.raises(LockstepError, match="pattern"):
        found = read_contract(path)
        violations(normalised_frame(pd.DataFrame({"a": ["x"]})), found)


def test_no_contract_file(tmp_path):
    with pytest.raises(SettingsError, match=r"c\.yaml does not exist"):
        read_contract(tmp_path / "c.yaml")


def test_a_column_of_almost_the_name_is_proposed():
    found = violations(normalised_frame(table().rename(columns={"size": "Size"})), INFERRED)
    assert [violation.message for violation in found] == [
        "columns are missing: size (is it Size?)",
        "columns are not in the contract: Size",
    ]


def ordered(severity="error", **own):
    """The inferred contract, the levels of 'colour' in an order."""
    field = Field(name="colour", type="string", categories=("red", "green", "blue"), categories_ordered=True, **own)
    fields = tuple(field if one.name == "colour" else one for one in INFERRED.fields)
    return Contract(fields=fields, lockstep=Own(severity=Severities(enum=severity)))


def test_the_order_of_levels_is_written_read_again_and_travels_with_the_table(tmp_path):
    write_contract(ordered(), tmp_path / "c.yaml")
    text = (tmp_path / "c.yaml").read_text()
    assert "categories: [red, green, blue]\n  categoriesOrdered: true\n" in text
    contract = read_contract(tmp_path / "c.yaml")
    assert contract == ordered()
    path = csv(tmp_path / "f.csv", table())
    for loaded in (load_file(path, LOAD, contract), load_frame(table(), LOAD, contract)):
        assert loaded.table.levels == {"colour": ("red", "green", "blue")}
    assert load_file(path, LoadSettings(path="-", task="classification", target="colour"), contract).table.levels == {}
    dropped = LoadSettings(path="-", task="classification", drop=("colour",))
    assert load_file(path, dropped, contract).table.levels == load_file(path, LOAD, INFERRED).table.levels == {}


def test_a_level_that_is_not_declared_breaks_the_rule_of_categories(tmp_path, caplog):
    path = csv(tmp_path / "f.csv", changed("colour", "pink"))
    with pytest.raises(DataError, match="column 'colour': not in the list of categories: 'pink', in lines 6, 9"):
        load_file(path, LOAD, ordered())
    load_file(path, LOAD, ordered("warning"))
    assert "not in the list of categories: 'pink'" in caplog.text


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("categories: [a, b]", "has categories without an order. Add categoriesOrdered: true"),
        ("categoriesOrdered: true", "categories must be two or more different texts in their order, such as"),
        ("categoriesOrdered: true\n  categories: [a]", "must be two or more different texts"),
        ("categoriesOrdered: true\n  categories: [a, b, a]", "must be two or more different texts"),
        ("categoriesOrdered: true\n  categories: [a, '']", "An empty cell is a missing value, and no level."),
        (
            "categoriesOrdered: true\n  categories: [a, b]\n  constraints: {enum: [a, b]}",
            "has categoriesOrdered: true, and constraints.enum, too. Remove enum; categories: [low, middle, high] says",
        ),
        (
            "categoriesOrdered: true\n  categories: ['1', '2']\n  type: number",
            "has categoriesOrdered: true, and is of the type number. Only texts have levels in an order: set",
        ),
    ],
)
def test_an_order_of_levels_that_contradicts_itself(tmp_path, field, message):
    kind = "" if "type" in field else "type: string\n  "
    (tmp_path / "c.yaml").write_text(f"fields:\n- name: size\n  {kind}{field}\n")
    with pytest.raises(SettingsError, match="the field 'size'") as caught:
        read_contract(tmp_path / "c.yaml")
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ("type: integer, constraints: {enum: ['1', '2']}", "is of the type integer, of which an enum cannot be asked"),
        ("type: number, constraints: {pattern: '[0-9]+'}", "of which a pattern cannot be asked"),
        ("type: string, constraints: {minimum: 1}", "of which a minimum cannot be asked"),
        ("type: boolean, constraints: {maximum: 1}", "of which a maximum cannot be asked"),
        ("type: number, constraints: {minimum: 1, maximum: 'x'}", "a minimum or maximum of text"),
    ],
)
def test_a_constraint_that_the_type_cannot_be_held_to(tmp_path, field, message):
    """It would do nothing, or refuse every row."""
    (tmp_path / "c.yaml").write_text(f"fields:\n- {{name: a, {field}}}\n")
    with pytest.raises(SettingsError, match=message):
        read_contract(tmp_path / "c.yaml")
