"""The record of a rebuild: its form, and the comparison with what is here."""

import json

from lockstep.__main__ import main
from lockstep.kernel.environment import LIBRARIES
from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.provenance import rebuild_record
from lockstep.provenance.rebuild_record import deviations_from, encode_record, read_rebuild_record, record_rebuild

import pytest

COMMIT = "c" * 40


@pytest.fixture
def recorded(tmp_path, monkeypatch):
    """A folder with files and their record."""
    monkeypatch.chdir(tmp_path)
    for name in ("models/a.joblib", "metrics/a.json", "data/raw/a.csv", "params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    made = record_rebuild(
        tmp_path, COMMIT, ["models/a.joblib", "metrics/a.json"], ["params.yaml", "data/raw/a.csv"], {"load@a": 0.5}
    )
    (tmp_path / "rebuild.json").write_bytes(encode_record(made))
    return tmp_path


def test_what_it_says(recorded):
    content = json.loads((recorded / "rebuild.json").read_text())
    assert list(content["outputs"]) == ["metrics/a.json", "models/a.joblib"]
    assert set(content["outputs"]["metrics/a.json"]) == {"sha256", "md5"}
    assert list(content["inputs"]) == ["data/raw/a.csv", "params.yaml"]
    assert (content["commit"], content["seconds"]) == (COMMIT, {"load@a": 0.5})
    assert set(content["versions"]) == {"python", "dvc", *LIBRARIES}
    machine = content["machine"]
    assert machine["threads"] >= 1
    assert machine["processor"]
    assert machine["zlib"]
    assert machine["pinned"]["OPENBLAS_CORETYPE"] == "Haswell"
    assert str(recorded) not in json.dumps(content)


def test_a_machine_that_cannot_give_the_same_bits_is_recorded(recorded, monkeypatch):
    monkeypatch.setattr(rebuild_record, "shortcoming", lambda: "the processor is a toy")
    made = record_rebuild(recorded, COMMIT, ["metrics/a.json"], [], {})
    assert made.machine["not_portable_because"] == "the processor is a toy"


def test_it_reads_back_and_is_true_here(recorded, capsys):
    assert deviations_from(read_rebuild_record(recorded / "rebuild.json")) == []
    assert main(["verify", "--record", "rebuild.json"]) == 0
    assert capsys.readouterr().out.startswith("The files of the rebuild of commit cccccccccccc: 2 outputs, and the in")


def test_what_is_not_so_here_is_named(recorded, capsys):
    (recorded / "models/a.joblib").write_text("models/b.joblib")
    (recorded / "params.yaml").unlink()
    assert main(["verify", "--record", "rebuild.json"]) == 3
    altered, missing, last = capsys.readouterr().out.splitlines()
    assert altered.startswith("altered   models/a.joblib: its SHA-256 is ")
    assert missing == "missing   params.yaml"
    assert last == "Not the files of the rebuild of commit cccccccccccc: 2 differ here."


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("outputs"), "missing required field `outputs`"),
        (lambda c: c.update(outputs={}), "length >= 1"),
        (lambda c: c.update(extra=1), "unknown field `extra`"),
        (lambda c: c.update(commit="HEAD"), "matching regex"),
        (lambda c: c["outputs"].update({"../x": c["outputs"]["metrics/a.json"]}), "leads out of the repository's"),
        (lambda c: c["inputs"].update({"/etc/passwd": c["inputs"]["params.yaml"]}), "leads out of the repository's"),
        (lambda c: c["inputs"]["params.yaml"].pop("sha256"), "missing required field `sha256`"),
        (lambda c: c["inputs"]["params.yaml"].update(md5="x"), "matching regex"),
    ],
)
def test_what_is_no_such_record_is_refused(recorded, edit, message):
    path = recorded / "rebuild.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(IntegrityError, match=message):
        read_rebuild_record(path)


def test_no_json_and_no_file(recorded):
    (recorded / "rebuild.json").write_text("{")
    with pytest.raises(IntegrityError, match="is not the record of a rebuild"):
        read_rebuild_record(recorded / "rebuild.json")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        read_rebuild_record(recorded / "nothing.json")
    assert main(["verify", "--record", "nothing.json"]) == 2
