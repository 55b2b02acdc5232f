"""A lock that is read and written stage by stage has the bytes that DVC writes."""

import copy
from types import SimpleNamespace

from lockstep.repository.quick_yaml import quicken_yaml

import pytest
import yaml
from dvc.utils.serialize import _yaml
from dvc.utils.serialize._common import _modify_data
from small import widened
from workspace import ROOT

STAGES = ("check@iris", "load@iris", "train@iris", "report@housing", "train@housing")
RECORDED = yaml.safe_load((ROOT / "dvc.lock").read_text())
LOCK = _yaml.dumps_yaml(RECORDED | {"stages": {name: RECORDED["stages"][name] for name in STAGES}})
NEW = {
    "cmd": "python -m stages.train --problem 'a' " + "--long 'data/some folder/üß.csv' " * 9,
    "deps": [{"path": "a: b", "hash": "md5", "md5": "0" * 32, "size": 3}],
    "params": {"params.yaml": {"problems.a.load": {"missing": ["", "?", "null", "\t", "1e3", "*id001", "&id1"]}}},
}


@pytest.fixture
def quick():
    own = ("parse_yaml", "parse_yaml_for_update", "_dump", "YAMLFileCorruptedError")
    module = SimpleNamespace(**{name: getattr(_yaml, name) for name in own})
    quicken_yaml(module, SimpleNamespace(), SimpleNamespace(parse_expr=str))
    return module


def changed(module, path, change):
    with _modify_data(path, module.parse_yaml_for_update, module._dump) as data:
        change(data)
    return path.read_bytes()


def one(data):
    data["stages"].update({"train@iris": NEW})


def several(data):
    data["stages"].update({"check@iris": NEW, "report@housing": copy.deepcopy(NEW) | {"cmd": "echo"}})


def added(data):
    data["stages"].update({"train@a b": NEW, "'": NEW, "ä#": NEW})


def removed(data):
    del data["stages"]["load@iris"]


def all_new(data):
    data["stages"] = {name: NEW | {"cmd": name} for name in data["stages"]}


def equal(data):
    data["stages"].update({"train@iris": copy.deepcopy(data["stages"]["train@iris"])})


def of_data(data):
    data.setdefault("datasets", []).append({"name": "a", "type": "url"})


def twice_the_same(data):
    data["stages"].update({"train@iris": NEW, "train@housing": NEW})


def nothing(data):
    data["schema"] = "2.0"


CHANGES = [one, several, added, removed, all_new, equal, of_data, twice_the_same, nothing]


@pytest.mark.parametrize("first", widened(CHANGES, [several, added, removed, twice_the_same]))
@pytest.mark.parametrize("second", widened([one, added, nothing], [one, nothing]))
def test_the_bytes_are_those_of_dvc(tmp_path, quick, first, second):
    ours, dvcs = tmp_path / "a/dvc.lock", tmp_path / "b/dvc.lock"
    for path in (ours, dvcs):
        path.parent.mkdir()
        path.write_text(LOCK)
    for change in (first, second, one):
        assert changed(quick, ours, change) == changed(_yaml, dvcs, change)


@pytest.mark.parametrize(
    "text",
    ["", "schema: '2.0'\nstages: {}\n", "stages:\n  a:\n    cmd: b\nschema: '2.0'\n", LOCK + "  # a remark\n"],
)
def test_another_form_is_written_as_dvc_does(tmp_path, quick, text):
    path = tmp_path / "dvc.lock"
    path.write_text(text)

    def change(data):
        data.update({"schema": "2.0", "stages": {**data.get("stages", {}), "new": NEW}})

    found = changed(quick, path, change)
    path.write_text(text.replace("  # a remark\n", ""))
    assert found == changed(_yaml, path, change)


def test_only_what_changed_is_written_anew(tmp_path, quick, monkeypatch):
    dumped = []
    path = tmp_path / "dvc.lock"
    path.write_text(LOCK)
    monkeypatch.setattr(_yaml, "_get_yaml", lambda real=_yaml._get_yaml: dumped.append(1) or real())
    with _modify_data(path, quick.parse_yaml_for_update, quick._dump) as data:
        # what cannot be written stands for a stage that is not looked at
        data["stages"]["train@iris"] = NEW
        data["stages"]["load@iris"]["cmd"] = object()
    assert dumped
    assert "object" not in path.read_text()


def test_another_file_keeps_its_comments(tmp_path, quick):
    path = tmp_path / "dvc.yaml"
    path.write_text("# why\nstages:\n  a:\n    cmd: b  # so\n")
    assert b"# why" in changed(quick, path, lambda data: data["stages"].update({"c": {"cmd": "d"}}))
    assert b"# so" in path.read_bytes()


def test_one_text_is_parsed_once_and_what_becomes_of_it_is_another_matter(quick, monkeypatch):
    parsed = []
    monkeypatch.setattr(_yaml, "reraise", lambda *given, real=_yaml.reraise: parsed.append(1) or real(*given))
    text = "a: {b: [1, x]}\n"
    for _ in range(3):
        found = quick.parse_yaml(text, "params.yaml")
        assert found == {"a": {"b": [1, "x"]}}
        found["a"]["b"].append(2)
    assert len(parsed) == 1
    for number in range(40):
        assert quick.parse_yaml(f"a: {number}", "params.yaml") == {"a": number}
    with pytest.raises(_yaml.YAMLFileCorruptedError, match="other"):
        quick.parse_yaml("a: [", "other.yaml")
