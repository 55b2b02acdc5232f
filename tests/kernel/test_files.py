"""Outputs appear together, whole, or not at all."""

import json
import math

from lockstep.kernel.files import Outputs, temporary_beside

import numpy as np
import pytest


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_all_outputs_appear_at_the_end_of_the_block(tmp_path):
    (tmp_path / "a.json").write_text("old")
    with Outputs() as outputs:
        outputs.json(tmp_path / "a.json", {"x": 1})
        outputs.csv(tmp_path / "new/folder/b.csv", ["x"], [[1]])
        outputs.write(tmp_path / "c", lambda path: path.write_bytes(b"c"))
        assert (tmp_path / "a.json").read_text() == "old"
        assert not (tmp_path / "c").exists()
    assert files(tmp_path) == ["a.json", "c", "new", "new/folder", "new/folder/b.csv"]
    assert json.loads((tmp_path / "a.json").read_text()) == {"x": 1}


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_none_appears_if_the_block_raises(tmp_path, error):
    (tmp_path / "a.json").write_text("old")
    with pytest.raises(error), Outputs() as outputs:
        outputs.json(tmp_path / "a.json", {"x": 1})
        raise error
    assert files(tmp_path) == ["a.json"]
    assert (tmp_path / "a.json").read_text() == "old"


def test_none_appears_if_a_writer_fails_half_way(tmp_path):
    def writer(path):
        path.write_text("half")
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"), Outputs() as outputs:
        outputs.json(tmp_path / "a.json", {"x": 1})
        outputs.write(tmp_path / "b", writer)
    assert files(tmp_path) == []


def test_none_appears_if_a_value_cannot_be_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"), Outputs() as outputs:
        outputs.csv(tmp_path / "a.csv", ["x"], [[1]])
        outputs.json(tmp_path / "b.json", {"x": math.nan})
    assert files(tmp_path) == []


def test_none_appears_if_a_path_is_taken_by_a_folder(tmp_path):
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError, match="directory"), Outputs() as outputs:
        for name in "abc":
            outputs.json(tmp_path / name, {"x": 1})
    assert files(tmp_path) == ["b"]


def test_json_keeps_the_order_full_precision_and_texts(tmp_path):
    with Outputs() as outputs:
        outputs.json(tmp_path / "a", {"b": 0.1 + 0.2, "a": [None, True, "é"]})
    expected = '{\n  "b": 0.30000000000000004,\n  "a": [\n    null,\n    true,\n    "é"\n  ]\n}\n'
    assert (tmp_path / "a").read_bytes() == expected.encode()


def test_csv_reads_back_the_same(tmp_path):
    with Outputs() as outputs:
        outputs.csv(tmp_path / "a", ["x", "y, z"], ([x, "é"] for x in (0.1 + 0.2, np.float64(1e-5), None, 3)))
    assert (tmp_path / "a").read_bytes().decode() == 'x,"y, z"\n0.30000000000000004,é\n1e-05,é\n,é\n3,é\n'


def test_the_leftovers_of_killed_processes_go_at_the_next_write(tmp_path):
    left, others = tmp_path / f".b.{2**22 - 1}.0123abcd.tmp", tmp_path / ".notes.tmp"
    alive = temporary_beside(tmp_path / "b")
    for path in (left, others, alive):
        path.write_text("half")
    with Outputs() as outputs:
        outputs.json(tmp_path / "a", {"x": 1})
    assert [path.exists() for path in (left, others, alive)] == [False, True, True]


def test_none_appears_if_a_check_refuses(tmp_path):
    def check():
        raise ValueError("changed")

    with pytest.raises(ValueError, match="changed"), Outputs(check) as outputs:
        outputs.json(tmp_path / "a", {"x": 1})
    assert files(tmp_path) == []
    with Outputs() as outputs:
        outputs.json(tmp_path / "a", {"x": 1})
    assert files(tmp_path) == ["a"]


@pytest.mark.parametrize("links", [True, False])
def test_what_was_there_stands_again_if_a_later_file_cannot_take_its_place(tmp_path, monkeypatch, links):
    """As where params.yaml and a contract are edited together; on file systems without hard links, too."""
    if not links:
        monkeypatch.setattr("os.link", lambda *_, **__: (_ for _ in ()).throw(OSError("no hard links")))
    (tmp_path / "a").write_text("old")
    (tmp_path / "b").mkdir()
    with pytest.raises(OSError, match="b"), Outputs() as outputs:
        outputs.text(tmp_path / "a", "new")
        outputs.text(tmp_path / "new", "new")
        outputs.text(tmp_path / "b", "new")
    assert (tmp_path / "a").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
