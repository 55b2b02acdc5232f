"""What decides the results of a process: as it was loaded, and what has become of it on the disk since."""

import sys

from lockstep.learning.computing import fingerprints as module
from lockstep.learning.computing.fingerprints import (
    CODE,
    DISK,
    LIBRARIES,
    NEWER,
    OWN,
    SAME,
    ability,
    fingerprint,
    installed,
    loaded,
    own_code_sha256,
)

import pytest


@pytest.fixture(autouse=True)
def asked_anew():
    loaded.cache_clear()
    yield
    loaded.cache_clear()


def test_it_names_what_decides_results():
    found = fingerprint()
    assert list(found) == ["Python", LIBRARIES, CODE, "the processor", OWN, DISK]
    assert found[DISK] == SAME
    assert {len(found[name]) for name in (LIBRARIES, CODE, OWN)} == {12}


@pytest.mark.parametrize(("function", "name"), [("code_sha256", CODE), ("installed", LIBRARIES)])
def test_what_is_loaded_stays_while_the_disk_changes(function, name, monkeypatch):
    before, able = fingerprint(), ability()
    monkeypatch.setattr(module, function, lambda *_, **__: {"numpy": "0"} if function == "installed" else "f" * 64)
    assert fingerprint() == {**before, DISK: NEWER}
    assert ability() == able
    loaded.cache_clear()  # as a process that is started now
    after = fingerprint()
    assert after[DISK] == SAME
    assert [key for key in before if before[key] != after[key]] == [name]
    assert ability() != able


def test_libraries_are_all_that_are_installed_and_the_first_of_two_counts(tmp_path, monkeypatch):
    assert {"numpy", "msgspec", "pytest"} <= set(installed())
    for folder, version in (("a", "2.0"), ("b", "1.0")):
        (tmp_path / folder / f"own_library-{version}.dist-info").mkdir(parents=True)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "a"), str(tmp_path / "b"), str(tmp_path / "none")])
    assert installed() == {"own_library": "2.0"}


def test_code_of_ones_own_is_hashed_as_it_is_now_and_as_it_would_be_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "ROOT", tmp_path / "clone")
    (tmp_path / "clone/features").mkdir(parents=True)
    (tmp_path / "clone/features/p.py").write_text("a = 1\n")
    clone = own_code_sha256()
    (tmp_path / "features").mkdir()
    (tmp_path / "features/p.py").write_text("a = 1\n")
    assert own_code_sha256() == clone
    (tmp_path / "features/p.py").write_text("a = 2\n")
    assert own_code_sha256() != clone
