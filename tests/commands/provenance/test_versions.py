"""python -m lockstep versions, and what make calls it for."""

from lockstep.__main__ import main
from lockstep.commands.provenance import versions
from lockstep.commands.provenance.versions import pinned_versions, write_versions
from lockstep.kernel.environment import PYTHON, VERSIONS, read_versions
from lockstep.kernel.errors import DataError, SettingsError

import pytest
from workspace import ROOT


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A versions.toml of its own."""
    path = tmp_path / "versions.toml"
    path.write_bytes(VERSIONS.read_bytes())
    monkeypatch.setattr(read_versions, "__defaults__", (path,))
    monkeypatch.setattr(write_versions, "__defaults__", (path,))
    monkeypatch.chdir(ROOT)
    return path


def test_the_committed_file_is_what_the_lock_pins():
    recorded = read_versions()
    assert {name: version for name, version in recorded.items() if name != "python"} == pinned_versions(
        ROOT / "requirements.lock"
    )


def test_it_shows_what_is_recorded_and_what_is_here(own, capsys):
    assert main(["versions"]) == 0
    assert f"numpy          {read_versions()['numpy']}" in capsys.readouterr().out
    write_versions(read_versions() | {"numpy": "1.0", "python": "3.9"})
    assert main(["versions"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split() == ["python", "3.9", "here:", PYTHON]
    assert [line.split()[0] for line in shown if "here:" in line] == ["python", "numpy"]


def test_writing_records_the_lock_and_this_python(own, capsys):
    before = own.read_bytes()
    assert main(["versions", "--write"]) == 0
    assert capsys.readouterr().out == ""
    recorded = read_versions()
    write_versions(recorded | {"python": "3.9", "scipy": "1.0"})
    assert main(["versions", "--write"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"versions.toml: python 3.9 → {PYTHON}",
        f"versions.toml: scipy 1.0 → {recorded['scipy']}",
        "The stages that use it will run again. 'git checkout versions.toml' takes that back.",
    ]
    assert own.read_bytes() == before
    own.write_text("damaged")
    assert main(["versions", "--write"]) == 0
    assert own.read_bytes() == before


def test_a_lock_without_one_version_for_all(tmp_path):
    with pytest.raises(DataError, match="does not exist"):
        pinned_versions(tmp_path / "requirements.lock")
    lines = [f"{name}==1.0 \\\n    --hash=sha256:0\n" for name in versions.LIBRARIES]
    path = tmp_path / "requirements.lock"
    path.write_text("".join(lines))
    assert set(pinned_versions(path).values()) == {"1.0"}
    path.write_text("".join([*lines, "numpy==2.0 ; python_version < '3.12' \\\n"]))
    with pytest.raises(SettingsError, match=r"must pin one version of numpy for every machine, and has 1\.0, 2\.0"):
        pinned_versions(path)
    path.write_text("".join(line for line in lines if "numpy" not in line))
    with pytest.raises(SettingsError, match="and has none"):
        pinned_versions(path)
