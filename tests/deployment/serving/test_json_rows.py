"""Rows in JSON: never misread, and each mistake with its column, its row and what is allowed."""

import json

from lockstep.deployment.serving.json_rows import read_rows
from lockstep.deployment.serving.mistakes import RequestError
from lockstep.deployment.serving.predicting import RowScorer, blocks_of
from lockstep.deployment.serving.row_schema import allowed, example_row, row_schema
from lockstep.kernel.errors import DataError
from lockstep.reading.column_types import Format
from lockstep.reading.contract import Constraints, Contract, Field, Own, Severities
from lockstep.reading.csvfile import Dialect
from lockstep.reading.number_marks import Marks

import jsonschema
import pandas as pd
import pytest

TYPES = {"number": "number", "count": "integer", "flag": "boolean", "text": "string", "day": "date"}
FIELDS = (
    Field("number", "number", constraints=Constraints(minimum=0, maximum=5)),
    Field("count", "integer"),
    Field("flag", "boolean"),
    Field("text", "string", missing_values=("none",), constraints=Constraints(required=True, enum=("low", "high"))),
    Field("day", "date", constraints=Constraints(minimum="2020-01-01")),
    Field("target", "string"),
)
ROW = {"number": 1.5, "count": 3, "flag": True, "text": "low", "day": "2024-01-31"}


def scorer(*, contract=True, **severity):
    own = Own(severity=Severities(**severity))
    return RowScorer(None, TYPES, Dialect(), Format(), Contract(FIELDS, own) if contract else None)


def read(rows, used=None, most=100, id_column="id"):
    text = rows if isinstance(rows, str) else json.dumps(rows)
    return read_rows(text.encode("utf-8", "surrogatepass"), used or scorer(), most, id_column)


def mistakes(rows, used=None, status=422):
    with pytest.raises(RequestError) as caught:
        read(rows, used)
    assert caught.value.status == status
    return caught.value.mistakes


def test_the_columns_are_those_of_a_csv_file(tmp_path):
    """Digits, missing values, words for them, and what is empty in every row."""
    numbers = ["0.1", "5e-324", "1.7976931348623157e308", "-0", "0.30000000000000004", "123456789012345678e-17", "null"]
    texts = ['"low"', '"none"', '""', "null", '"NA"', '"ünïcödé, \\"quoted\\""', '"null"']
    rows = [
        f'{{"number": {number}, "count": {place}, "flag": {flag}, "text": {text}, "day": null}}'
        for place, (number, text, flag) in enumerate(
            zip(numbers, texts, ["true", "false", "null"] * 3, strict=False), 9007199254740986
        )
    ]
    found = read(f"[{', '.join(rows)}]").frame
    table = pd.DataFrame(json.loads(f"[{', '.join(rows)}]", parse_float=str, parse_int=str))
    table["flag"] = table["flag"].map({True: "true", False: "false"})
    table.to_csv(tmp_path / "rows.csv", index=False)
    (block,) = blocks_of(scorer(), tmp_path / "rows.csv", "rows.csv")
    pd.testing.assert_frame_equal(found, block.frame, check_exact=True)
    assert found["number"].tolist()[:6] == [
        0.1,
        5e-324,
        1.7976931348623157e308,
        0,
        0.30000000000000004,
        1.23456789012345678,
    ]
    assert found["text"].isna().tolist() == [False, True, True, True, False, False, False]


@pytest.mark.parametrize(
    ("column", "values"),
    [
        ("number", ["1", "2", "-0", "999999999999999"]),
        ("number", ["1", "1000000000000000"]),
        ("number", ["1", "-9223372036854775808"]),
        ("number", ["1.5", "-1000000000000000"]),
        ("number", ["1", "9007199254740994"]),
        ("number", ["1", "2.50", "null", "-0.0", "1e5"]),
        ("number", ["1e5", "2e5"]),
        ("number", ["null", "null"]),
        ("count", ["3", "4.0", "null"]),
        ("flag", ["true", "false"]),
        ("flag", ["true", "null"]),
        ("flag", ["null", "null"]),
        ("text", ['"low"', '"high"', '"low"']),
        ("text", ['"low"', '"Low "']),
        ("text", ['"none"', '"low"', '""']),
        ("text", ['"é"', '"e\u0301"']),
        ("text", ['"\'low"', "\"'high'\""]),
    ],
)
def test_what_is_typed_at_sight_is_what_the_reader_of_cells_gives(monkeypatch, caplog, column, values):
    """Its values, types and warnings."""
    rows = "[" + ",".join(json.dumps({**ROW, column: "HERE"}).replace('"HERE"', value) for value in values) + "]"
    found, said = read(rows).frame, caplog.messages.copy()
    caplog.clear()
    monkeypatch.setattr("lockstep.deployment.serving.json_rows._at_sight", lambda *_: None)
    slow = read(rows).frame
    pd.testing.assert_frame_equal(found, slow, check_exact=True)
    assert found[column].astype(str).tolist() == slow[column].astype(str).tolist()  # -0.0 and 0.0 are equal
    assert said == caplog.messages


def test_how_files_write_numbers_does_not_matter():
    fields = (Field("number", "number", bare_number=False, decimal_char=",", lockstep=Marks(prefix="$")), *FIELDS[1:])
    used = scorer()._replace(contract=Contract(fields), form=Format(decimal=",", thousands="."))
    assert read({**ROW, "number": 1.234}, used).frame["number"].tolist() == [1.234]


@pytest.mark.parametrize(
    ("column", "value", "what"),
    [
        ("number", '"1.5"', "'1.5' is a text. Allowed: a number from 0 to 5, or null."),
        ("number", "true", "true is a boolean"),
        ("number", "NaN", "NaN is no finite number"),
        ("number", "-Infinity", "-Infinity is no finite number"),
        ("number", "1e400", "1e400 is no finite number"),
        ("number", "9007199254740993", "9007199254740993 is a number that no model sees exactly"),
        ("number", "9007199254740993.0", "is a number that no model sees exactly"),
        ("number", "1" * 5000, "is a number that no model sees exactly"),
        ("number", "[1]", "the value is a list"),
        ("number", '{"a": 1}', "the value is an object"),
        ("count", '"3"', "'3' is a text. Allowed: a whole number, or null."),
        ("flag", '"true"', "'true' is a text. Allowed: true or false, or null."),
        ("flag", "1", "1 is a number"),
        ("text", "105", "105 is a number. Allowed: one of low, high."),
        ("day", "20240131", "20240131 is a number. Allowed: a date as text, such as '2024-01-31' from 2020-01-01"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_row_and_what_is_allowed(column, value, what):
    rows = json.dumps([ROW, ROW, {**ROW, column: "HERE"}]).replace('"HERE"', value)
    (found,) = mistakes(rows)
    assert (found.reason, found.column, found.rows, found.row_count) == ("type", column, (3,), 1)
    assert f"the request column '{column}', row 3: " in found.message
    assert what in found.message
    assert found.allowed in found.message


def test_a_fraction_where_whole_numbers_are_declared_and_a_date_that_is_none():
    for column, value, what in (("count", 1.5, "not of the type integer"), ("day", "31.01.2024", "of the type date")):
        with pytest.raises(DataError, match=rf"column '{column}': 1 of 2 cells are .*{what}.*, row 2"):
            read([ROW, {**ROW, column: value}])


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "Expecting value in line 1, character 1"),
        ('{"number": 1', "in line 1"),
        ("[" * 100_000, "nested too deep"),
        ("[]", "the request has no rows. Send one row, an object {column: value}, or a list of such rows."),
        ("3", "it must be one row"),
        ("[1]", "it must be one row"),
        ('[{"number": 1}, []]', "it must be one row"),
        ('{"number": 1, "number": 2}', "the key 'number' twice in one row"),
        ('{"number": 01}', "in line 1"),
    ],
)
def test_what_is_no_table_is_refused(text, what):
    (found,) = mistakes(text)
    assert found.reason == "json"
    assert what in found.message


def test_bytes_that_are_no_unicode():
    with pytest.raises(RequestError, match="byte 2 is not UTF-8"):
        read_rows(b'"\xff"', scorer(), 9, "id")
    with pytest.raises(DataError, match=r"'text' has a text that is not Unicode"):
        read('{"number": 1, "count": 1, "flag": true, "text": "\\ud800", "day": null}')


def test_columns_that_nobody_declared_and_columns_that_some_rows_lack():
    (unknown,) = mistakes([ROW, {**ROW, "numbr": 1}])
    assert (unknown.reason, unknown.column, unknown.rows) == ("unknown_column", "numbr", (2,))
    assert "Did you mean 'number'?" in unknown.message
    (lacking,) = mistakes([ROW, {name: ROW[name] for name in ROW if name != "flag"}])
    assert (lacking.reason, lacking.column, lacking.rows) == ("columns", "flag", (2,))
    assert read([ROW, {"number": 1}], scorer(columns="warning")).frame["text"].isna().tolist() == [False, True]
    assert "text" not in read({"number": 1}).frame  # which score() refuses, or not, as it does of a file
    assert read({**ROW, "target": ["not", "looked at"]}).others == ("target",)


def test_ids_come_back_as_they_are():
    ids = ["a", 12345678901234567890, None, "007"]
    assert read([{**ROW, "id": id_} for id_ in ids]).ids == ids
    assert read({**ROW, "key": 3}, id_column="key").ids == [3]
    assert read(ROW).ids is None
    (found,) = mistakes([{**ROW, "id": 1}, {**ROW, "id": 1.5}])
    assert "column 'id', row 2: an id must be a text or a whole number" in found.message


def test_more_rows_than_are_taken():
    with pytest.raises(RequestError, match="has 4 rows, at most 3 are taken at once") as caught:
        read([ROW] * 4, most=3)
    assert caught.value.status == 413


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("contract", [True, False])
def test_the_schema_takes_the_example_and_refuses_what_a_request_is_refused_for(strict, contract):
    severity = "error" if strict else "warning"
    used = scorer(contract=contract, columns=severity, range=severity, enum=severity, required=severity)
    check = jsonschema.Draft202012Validator(row_schema(used))
    row = example_row(used)
    check.validate(row)
    assert len(read(row, used).frame) == 1
    assert not check.is_valid({**row, "unknown": 1})
    assert not check.is_valid({**row, "number": "1"})
    assert (
        check.is_valid({**row, "number": 99}) == check.is_valid({**row, "text": "new"}) == (not (strict and contract))
    )
    assert check.is_valid({}) == (not strict and contract)
    assert check.is_valid({**row, "text": None}) == (not (strict and contract))
    assert allowed(used, "number") == ("a number from 0 to 5, or null" if contract else "a number, or null")
