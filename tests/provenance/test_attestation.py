"""Attestations: their form, and their check against what is here."""

import json

from lockstep.__main__ import main
from lockstep.kernel.environment import LIBRARIES
from lockstep.kernel.errors import DataError, IntegrityError
from lockstep.provenance import attestation

import pytest

COMMIT = "c" * 40


@pytest.fixture
def attested(tmp_path, monkeypatch):
    """A folder with files and their attestation."""
    monkeypatch.chdir(tmp_path)
    for name in ("models/a.joblib", "metrics/a.json", "data/raw/a.csv", "params.yaml", "dvc.lock"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    made = attestation.statement(
        tmp_path, COMMIT, ["models/a.joblib", "metrics/a.json"], ["params.yaml", "data/raw/a.csv"], {"load@a": 0.5},
        "2026-01-02T03:04:05Z", "2026-01-02T03:04:06Z",
    )  # fmt: skip
    (tmp_path / "attestation.json").write_bytes(attestation.encode(made))
    return tmp_path


def change(folder, edit):
    path = folder / "attestation.json"
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def test_the_form_is_that_of_in_toto_and_slsa(attested):
    content = json.loads((attested / "attestation.json").read_text())
    assert content["_type"] == "https://in-toto.io/Statement/v1"
    assert content["predicateType"] == "https://slsa.dev/provenance/v1"
    assert [subject["name"] for subject in content["subject"]] == ["metrics/a.json", "models/a.joblib"]
    assert set(content["subject"][0]["digest"]) == {"sha256", "md5"}
    definition, details = content["predicate"]["buildDefinition"], content["predicate"]["runDetails"]
    assert definition["externalParameters"] == {"revision": COMMIT, "command": "dvc repro"}
    assert [one["name"] for one in definition["resolvedDependencies"]] == [
        "git commit",
        "data/raw/a.csv",
        "params.yaml",
    ]
    machine = definition["internalParameters"]
    assert machine["threads"] >= 1
    assert machine["processor"]
    assert machine["zlib"]
    assert machine["pinned"]["OPENBLAS_CORETYPE"] == "Haswell"
    assert set(details["builder"]["version"]) == {"python", "dvc", *LIBRARIES}
    assert details["byproducts"][0]["annotations"] == {"seconds": {"load@a": 0.5}}
    assert str(attested) not in json.dumps(content)


def test_it_reads_back_and_is_true_here(attested, capsys):
    made = attestation.read_attestation(attested / "attestation.json")
    assert attestation.commit_of(made) == COMMIT
    assert attestation.check(made) == []
    assert main(["verify", "--attestation", "attestation.json"]) == 0
    assert capsys.readouterr().out.startswith("As attested (commit cccccccccccc, rebuilt 2026-01-02T03:04:06Z): 2 out")


def test_what_is_not_so_here_is_named(attested, capsys):
    (attested / "models/a.joblib").write_text("models/b.joblib")
    (attested / "params.yaml").unlink()
    assert main(["verify", "--attestation", "attestation.json"]) == 3
    assert capsys.readouterr().out.splitlines() == [
        "altered   models/a.joblib: other sha256, md5 than attested",
        "missing   params.yaml",
        "Not what is attested (commit cccccccccccc, rebuilt 2026-01-02T03:04:06Z): 2 of its files differ here.",
    ]


def test_a_machine_that_cannot_give_the_same_bits_is_recorded(monkeypatch):
    monkeypatch.setattr(attestation, "shortcoming", lambda: "the processor is a toy")
    assert attestation.machine()["portable"] is False
    assert attestation.machine()["not_portable_because"] == "the processor is a toy"


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.update(_type="https://in-toto.io/Statement/v0.1"), "its types are not"),
        (lambda c: c.update(predicateType="https://slsa.dev/provenance/v0.2"), "its types are not"),
        (lambda c: c.pop("subject"), "missing required field `subject`"),
        (lambda c: c.update(subject=[]), "length >= 1"),
        (lambda c: c.update(extra=1), "unknown field `extra`"),
        (lambda c: c["subject"].append(c["subject"][0]), "names a subject twice"),
        (lambda c: c["subject"][0].update(name="../x"), "leads out of the repository's files"),
        (lambda c: c["subject"][0].update(name="/etc/passwd"), "leads out of the repository's files"),
        (lambda c: c["subject"][0]["digest"].pop("sha256"), "missing required field `sha256`"),
        (lambda c: c["subject"][0]["digest"].update(md5="x"), "matching regex"),
        (lambda c: c["predicate"]["runDetails"]["metadata"].update(startedOn="now"), "matching regex"),
        (lambda c: c["predicate"]["buildDefinition"].pop("internalParameters"), "internalParameters"),
    ],
)
def test_what_is_no_such_attestation_is_refused(attested, edit, message):
    with pytest.raises(IntegrityError, match=message):
        attestation.read_attestation(change(attested, edit))


def test_no_json_and_no_file(attested, capsys):
    (attested / "attestation.json").write_text("{")
    with pytest.raises(IntegrityError, match="is not an attestation of a rebuild"):
        attestation.read_attestation(attested / "attestation.json")
    with pytest.raises(DataError, match="cannot be read: No such file"):
        attestation.read_attestation(attested / "nothing.json")
    assert main(["verify", "--attestation", "nothing.json"]) == 2
