"""JSON lines to columns: flat objects, in whatever order their keys come."""

import gzip

from lockstep.intake.sources.json_lines import read_json_lines
from lockstep.kernel.errors import DataError

import pytest


@pytest.fixture
def file(tmp_path):
    def written(content):
        path = tmp_path / "rows.jsonl"
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    return written


def test_types_and_keys_that_are_missing(file):
    text = '{"a": 1, "b": "007"}\n\n{"c": 0.5, "b": null}\r\n{"b": "ä", "a": true}'
    columns, origin = read_json_lines(file("\ufeff" + text))
    assert columns == {"a": [1, None, True], "b": ["007", None, "ä"], "c": [None, 0.5, None]}
    assert [origin.place(row, 0) for row in range(3)] == ["line 1", "line 3", "line 4"]


def test_packed(file):
    assert read_json_lines(file(gzip.compress(b'{"a": 1}\n')))[0] == {"a": [1]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"a": {"b": 1, "c": 2}}', r"line 1: the key 'a' holds another object \(in it: b, c\), which is no cell"),
        ('{"a": 1}\n{"a": [1]}', "line 2: the key 'a' holds a list, which is no cell"),
        ('{"a": 1, "a": 2}', "line 1: the key 'a' is there twice"),
        ('{"a": 1}\n{"a": 1', "line 2 is no JSON: "),
        ('[{"a": 1}]', "line 1 is no object but a list"),
        ('{\n"a": 1}', "line 1 is no JSON: "),
        ("3", "is no object but 3"),
        ('{"a": NaN}', "NaN is no JSON. Write null"),
        (b'{"a": "\xe4"}', "line 1: the byte 0xE4 is not UTF-8"),
        ("\n \n", "has no row"),
        ("", "is empty"),
    ],
)
def test_what_is_refused(file, content, message):
    with pytest.raises(DataError, match=message):
        read_json_lines(file(content))
