"""python -m lockstep verify: what is here against what dvc.lock says."""

import os

from lockstep.__main__ import main

import pytest
import recorded


@pytest.fixture
def toy(tmp_path, monkeypatch):
    monkeypatch.chdir(recorded.make(tmp_path))
    return tmp_path


@pytest.fixture
def verify(capsys):
    """Run it: (exit code, findings, remedies)."""

    def run(*argv):
        code = main(["verify", *argv])
        captured = capsys.readouterr()
        return code, captured.out.splitlines()[:-1], captured.err

    return run


def test_all_as_recorded(toy, capsys):
    assert main(["verify"]) == 0
    assert capsys.readouterr().out == (
        "All is as recorded: 2 stages, 4 recorded files, 3 of them in the cache; 6 files hashed, 0.0 MB.\n"
    )


def test_an_edit_of_the_same_size_and_time_is_seen(toy, verify):
    path = toy / "models/toy/m_v1.joblib"
    before = path.stat()
    path.write_text("modle\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    code, (finding,), remedies = verify()
    assert code == 3
    assert finding.startswith("altered   models/toy/m_v1.joblib (train@toy): 6 bytes with MD5 ")
    assert "dvc checkout FILE" in " ".join(remedies.split())


def test_every_missing_file_is_named(toy, verify):
    (toy / "metrics/toy.json").unlink()
    (toy / "data/raw/toy.csv").unlink()
    assert verify()[:2] == (
        3,
        ["missing   data/raw/toy.csv (data/raw/toy.csv.dvc)", "missing   metrics/toy.json (train@toy)"],
    )


def test_an_altered_table_is_told_once_not_of_its_readers_too(toy, verify):
    (toy / "data/loaded/toy.parquet").write_text("other\n")
    code, findings, _ = verify()
    assert (code, len(findings)) == (3, 1)


def test_a_stage_that_is_out_of_date_is_no_failure_of_integrity(toy, verify):
    params = {"problems": {"toy": recorded.TOY | {"train": {"seed": 2, "hyperparameters": {}}}}}
    recorded.write(toy, "params.yaml", params)
    (toy / "code/load.py").write_text("# other\n")
    code, findings, remedies = verify()
    assert code == 1
    assert findings == [
        "outdated  load@toy: code/load.py changed",
        "outdated  train@toy: problems.toy.train.seed 1 → 2, problems.toy.train.hyperparameters.a 2 → (none)",
    ]
    assert remedies == "Run what is out of date: 'dvc repro'.\n"


def test_a_stage_that_was_not_run(toy, verify):
    lock = recorded.lock_of()
    del lock["stages"]["train@toy"]
    recorded.write(toy, "dvc.lock", lock)
    assert verify()[:2] == (1, ["not run   train@toy: dvc.lock records no run of it"])


def test_a_reader_of_an_older_table_is_out_of_date(toy, verify):
    """load was run again, train was not: each file is as recorded, but train's result is of another table."""
    lock = recorded.lock_of()
    lock["stages"]["load@toy"]["outs"][0] = recorded.locked("data/loaded/toy.parquet", "newer\n")
    recorded.write(toy, "dvc.lock", lock)
    (toy / "data/loaded/toy.parquet").write_text("newer\n")
    recorded.keep(toy, "newer\n")
    assert verify()[:2] == (1, ["outdated  train@toy: data/loaded/toy.parquet changed"])


def test_a_stage_of_a_removed_problem_promises_nothing(toy, verify):
    lock = recorded.lock_of()
    gone = {"outs": [recorded.locked("data/loaded/gone.parquet", "")]}
    lock["stages"]["load@gone"] = lock["stages"]["load@toy"] | gone
    recorded.write(toy, "dvc.lock", lock)
    assert verify()[:2] == (0, [])


@pytest.mark.parametrize(
    ("name", "text", "code", "message"),
    [
        ("dvc.lock", "stages: {", 3, "ERROR verify: dvc.lock line 2 is not valid YAML"),
        ("dvc.yaml", "stages: {", 2, "ERROR verify: dvc.yaml cannot be read: "),
        ("params.yaml", "a: *b", 2, "ERROR verify: "),
    ],
)
def test_damaged_files_are_one_message(toy, verify, name, text, code, message):
    (toy / name).write_text(text)
    found, _, error = verify()
    assert found == code
    assert error.startswith(message)
    assert error.count("\n") == 1


def test_no_lock_and_no_repository(toy, verify, tmp_path_factory, monkeypatch):
    (toy / "dvc.lock").unlink()
    code, _, error = verify()
    assert code == 2
    assert "nothing was run yet" in error
    monkeypatch.chdir(tmp_path_factory.mktemp("empty"))
    assert verify()[0] == 2
