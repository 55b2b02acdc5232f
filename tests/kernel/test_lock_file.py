"""dvc.lock and the .dvc files, read strictly."""

import hashlib
import os
import subprocess
import sys
import threading

from lockstep.kernel.dvc_locks import locked
from lockstep.kernel.errors import DataError, IntegrityError, MachineError
from lockstep.kernel.lock_file import LockedFile, outputs, parse_lock, read_lock, read_pointers
from lockstep.repository.hashes import present

import pytest
import recorded
from workspace import ROOT


def text(change=lambda stages: None):
    content = recorded.lock_of()
    change(content["stages"])
    return recorded.dump(content)


def test_the_committed_lock_is_read_as_dvc_reads_it():
    from dvc.utils.serialize import load_yaml

    theirs = load_yaml(str(ROOT / "dvc.lock"))["stages"]
    ours = read_lock(ROOT / "dvc.lock")
    assert list(ours) == list(theirs)
    for name, stage in ours.items():
        assert stage.cmd == theirs[name]["cmd"]
        assert stage.params == theirs[name]["params"]
        for files, entries in ((stage.deps, theirs[name].get("deps", [])), (stage.outs, theirs[name]["outs"])):
            assert [file._asdict() for file in files] == [
                {key: entry[key] for key in ("path", "md5", "size")} for entry in entries
            ]


def test_outputs_say_who_wrote_them():
    found = outputs(parse_lock(text(), "dvc.lock", "").values())
    assert list(found) == ["data/loaded/toy.parquet", "metrics/toy.json", "models/toy/m_v1.joblib"]
    file, stage = found["metrics/toy.json"]
    assert stage == "train@toy"
    assert file == LockedFile("metrics/toy.json", hashlib.md5(b"{}\n").hexdigest(), 3)


def test_a_hash_that_looks_like_a_number_is_a_hash():
    """0b95... is a binary number to some readers of YAML, 1e10... a float to others; DVC quotes what it has to."""
    from dvc.utils.serialize import dumps_yaml

    for md5 in ("0b95d888a51e3f8244fc29034d63b3a4", "12345678e90123456789012345678901", "1" * 32, "0x" + "a" * 30):
        content = {"stages": {"load@toy": {"cmd": "true"}}}
        content["stages"]["load@toy"]["outs"] = [{"path": "a", "md5": md5, "size": 1}]
        if md5.startswith("0x"):
            with pytest.raises(IntegrityError, match="is no MD5"):
                parse_lock(dumps_yaml(content).encode(), "dvc.lock", "")
        else:
            assert parse_lock(dumps_yaml(content).encode(), "dvc.lock", "")["load@toy"].outs[0].md5 == md5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["load@toy"]["outs"][0].update(md5="0" * 32 + ".dir"), "records a directory for data/loaded"),
        (lambda s: s["load@toy"]["outs"][0].update(md5="../../x"), "'../../x', which is no MD5"),
        (lambda s: s["load@toy"]["outs"][0].update(md5="A" * 32), "which is no MD5"),
        (lambda s: s["load@toy"]["outs"][0].pop("md5"), "'None', which is no MD5"),
        (lambda s: s["load@toy"]["outs"][0].update(path="../x"), "'../x', which leads out of"),
        (lambda s: s["load@toy"]["outs"][0].update(path="data/../../x"), "which leads out of"),
        (lambda s: s["load@toy"]["deps"][0].update(path="/etc/passwd"), "'/etc/passwd', which leads out of"),
        (lambda s: s["load@toy"]["outs"][0].update(path=".git/hooks/pre-commit"), "which leads out of"),
        (lambda s: s["load@toy"]["outs"][0].update(path="a\\..\\b"), "which leads out of"),
        (lambda s: s["load@toy"]["outs"][0].update(path="."), "which leads out of"),
        (lambda s: s["load@toy"]["outs"][0].update(path=3), "not of the form that DVC writes .TypeError: 3 is not"),
        (lambda s: s["load@toy"]["outs"][0].update(size=-1), "records the size -1"),
        (lambda s: s["load@toy"].pop("cmd"), "not of the form that DVC writes .KeyError: 'cmd'"),
        (lambda s: s.update({"load@toy": []}), "not of the form that DVC writes"),
    ],
)
def test_what_dvc_would_not_write_is_refused(change, message):
    with pytest.raises(IntegrityError, match=message):
        parse_lock(text(change), "dvc.lock", "'git checkout HEAD -- dvc.lock' brings the last commit's back")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not of the form that DVC writes"),
        (b"stages: {a: [}", r"dvc.lock line 1 is not valid YAML.*git checkout HEAD -- dvc\.lock"),
        (b"<<<<<<< HEAD\nstages:\n=======\n>>>>>>> a\n", "is not valid YAML"),
        (b"a: &x [1]\nb: *x\n", "anchors and aliases"),
        (b"\xff", "is not UTF-8"),
    ],
)
def test_a_damaged_lock_says_how_to_get_it_back(data, message):
    with pytest.raises(IntegrityError, match=message):
        parse_lock(data, "dvc.lock", "'git checkout HEAD -- dvc.lock' brings the last commit's back")


def test_no_lock(tmp_path):
    with pytest.raises(DataError, match="does not exist: nothing was run yet"):
        read_lock(tmp_path / "dvc.lock")


def test_pointers(tmp_path):
    recorded.make(tmp_path)
    assert [file.path for file in read_pointers(tmp_path)] == ["data/raw/toy.csv"]
    (tmp_path / "data/raw/toy.csv.dvc").write_text("outs:\n- md5: 1\n  path: ../../../x\n")
    with pytest.raises(IntegrityError, match=r"data/raw/toy.csv.dvc records the path '\.\./\.\./\.\./x'"):
        read_pointers(tmp_path)


def test_present_hashes_each_file_once(tmp_path):
    (tmp_path / "a").write_bytes(b"x")
    known = {}
    first = present("a", tmp_path, known)
    assert first == LockedFile("a", hashlib.md5(b"x").hexdigest(), 1)
    (tmp_path / "a").write_bytes(b"y")
    assert present("a", tmp_path, known) == first
    assert present("b", tmp_path) == LockedFile("b", None, None)
    assert present(".", tmp_path).md5 is None


def test_it_costs_no_import_of_dvc():
    code = (
        "import sys, lockstep.kernel.lock_file; sys.exit(any(m.split('.')[0] in ('dvc', 'numpy') for m in sys.modules))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_a_lock_that_dvc_is_writing_is_waited_for(tmp_path, monkeypatch):
    """DVC writes over the file that is there, in pieces, while it holds the workspace's lock."""
    whole, lock = text(), tmp_path / ".dvc/tmp/lock"
    lock.parent.mkdir(parents=True)
    (tmp_path / "dvc.lock").write_bytes(whole[:-40])
    with locked(lock, 0, str):
        lock.write_text(f"{os.getpid()}\n")
        monkeypatch.setattr("lockstep.kernel.lock_file.WRITING", 0.2)
        with pytest.raises(MachineError, match=r"dvc.lock is being written by DVC. Run this again"):
            read_lock(tmp_path / "dvc.lock")
        monkeypatch.setattr("lockstep.kernel.lock_file.WRITING", 60)
        written = threading.Timer(0.2, (tmp_path / "dvc.lock").write_bytes, [whole])
        written.start()
        assert list(read_lock(tmp_path / "dvc.lock")) == list(parse_lock(whole, "", ""))
        written.join()
    (tmp_path / "dvc.lock").write_bytes(whole[:-40])
    with pytest.raises(IntegrityError, match="which is no MD5"):
        read_lock(tmp_path / "dvc.lock")
