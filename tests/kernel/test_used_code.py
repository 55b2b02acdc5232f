"""Which files of own code a problem's settings name, and what check records of them."""

import json

from lockstep.kernel.errors import IntegrityError, SettingsError
from lockstep.kernel.used_code import code_record, expected_record, is_record, parse_record, used_files
from lockstep.learning.own_code import find_file

import pytest


def sections(estimator=None, metrics=()):
    return {"train": {"estimator": estimator}, "evaluate": {"metrics": list(metrics)}}


def test_the_files_are_found_sorted_and_once():
    own = sections("estimators/mine.py:Mine", ["f1", "scorers/b.py:b", "scorers/a.py:a", "scorers/b.py:c"])
    assert used_files(own, "estimators") == ["estimators/mine.py"]
    assert used_files(own, "scorers") == ["scorers/a.py", "scorers/b.py"]


@pytest.mark.parametrize("name", ["mine.py", "/mine.py", "./mine.py", "sub/mine.py", "mine", "../scorers/mine.py"])
def test_it_is_found_however_it_is_written_if_a_stage_would_run_it(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "estimators/sub").mkdir(parents=True)
    for file in ("estimators/mine.py", "estimators/sub/mine.py", "estimators/mine"):
        (tmp_path / file).touch()
    try:
        runs = find_file(f"estimators/{name}", "train.estimator").is_file()
    except SettingsError:
        runs = False
    assert used_files(sections(f"estimators/{name}:Mine"), "estimators") == (["estimators/mine.py"] if runs else [])


@pytest.mark.parametrize(
    "wrong",
    [None, [], {"train": None}, {"train": {"estimator": 3}}, sections("sklearn.linear_model:Ridge"),
     {"evaluate": {"metrics": "f1"}}, {"evaluate": {"metrics": [None, 1, ["scorers/a.py:a"]]}}],
)  # fmt: skip
def test_settings_without_own_code_and_wrong_ones_name_none(wrong):
    assert used_files(wrong, "estimators") == used_files(wrong, "scorers") == []
    assert code_record(wrong, "scorers", str) == "{}\n"


def test_a_record_has_the_hashes_and_is_known_before_it_is_written():
    own, md5s = sections(metrics=["scorers/a.py:a", "scorers/gone.py:b"]), {"scorers/a.py": "1" * 32}
    text = code_record(own, "scorers", md5s.get)
    expected = {"scorers/a.py": "1" * 32, "scorers/gone.py": None}
    assert json.loads(text) == parse_record(text.encode(), "r") == expected
    params = {"problems": {"iris": own, "two": {}}}
    assert expected_record("data/checked/scorers/iris.json", params, md5s.get) == text.encode()
    assert expected_record("data/checked/scorers/two.json", params, md5s.get) == b"{}\n"
    assert expected_record("data/checked/scorers/iris.json", {}, md5s.get) == b"{}\n"


def test_which_files_are_records():
    assert is_record("data/checked/scorers/iris.json")
    assert is_record("data/checked/estimators/estimators.json")
    for path in ("data/checked/estimators.json", "data/checked/features/iris.json", "data/split/scorers/iris.json"):
        assert not is_record(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b"3"])
def test_what_is_no_record_is_said(content):
    with pytest.raises(IntegrityError, match=r"^x is not what the stage check writes. Run 'dvc repro --force check'"):
        parse_record(content, "x")
