"""One flipped bit in the cache or the workspace: it is always found, named, and put back the same."""

import os
import random
import stat
from pathlib import Path

from lockstep.__main__ import main
from lockstep.commands.provenance.verify import exit_code
from lockstep.kernel.lock_file import read_lock
from lockstep.provenance import repairing
from lockstep.provenance.repairing import REPLACED
from lockstep.provenance.verifying import check_cache, read_recorded
from lockstep.repository.cache import object_path
from lockstep.repository.dvc import Repository as Opened

import pytest
import recorded
import yaml
from servers import hanging

RAW, SPLIT, MODEL = (
    "data/raw/iris.csv",
    "data/split/iris/train.parquet",
    "models/iris/random_forest_classifier_v1.joblib",
)
NOWHERE = "data/raw/housing.csv"
"""Cut to 400 rows in the copy, so that no remote has it."""
BUILT = [f"{stage}@iris" for stage in ("check", "load", "split", "preprocess", "tune", "cross_validate", "train")]
FLIPS = 100
SEED = 8


@pytest.fixture(scope="module")
def repository(built_repository, tmp_path_factory):
    """A copy in which the model of iris is built, and no stage that comes after it or of another problem."""
    repository = built_repository.copy_to(tmp_path_factory.mktemp("repair") / "repository")
    lock = yaml.safe_load(repository.lock())
    lock["stages"] = {name: lock["stages"][name] for name in BUILT}
    recorded.write(repository.folder, "dvc.lock", lock)
    table = repository.folder / NOWHERE
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:400]))
    repository.dvc("commit", "-q", "-f", f"{NOWHERE}.dvc")
    return repository


@pytest.fixture
def built(repository, monkeypatch):
    """Work in it: what is recorded there."""
    monkeypatch.chdir(repository.folder)
    monkeypatch.setenv("PATH", repository.environment["PATH"])
    lock = read_lock()
    with Opened() as repo:
        return read_recorded(repo, lock, lock)


def flip(path, rng):
    """Flip one bit, as a failing disk does: size, times, mode and inode stay."""
    before, content = path.stat(), bytearray(path.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.chmod(0o644)
    path.write_bytes(bytes(content))
    path.chmod(stat.S_IMODE(before.st_mode))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.exhaustive
@pytest.mark.parametrize("how", ["altered", "missing", "nowhere"])
def test_a_small_result_that_git_keeps_is_put_back_too(built, capsys, how):
    """DVC's cache of runs may hold it, or its stage makes it again."""
    path = Path("metrics/plots/iris/history.csv")
    file, _ = built.files[path.as_posix()]
    assert path.as_posix() in built.uncached
    right = path.read_bytes()
    if how == "nowhere":
        object_path(built.cache, file).unlink(missing_ok=True)
    path.unlink() if how == "missing" else path.write_bytes(right.replace(b"1", b"2", 1))
    assert main(["repair"]) == 1  # the other stages were not run here
    assert f"altered   {path}" not in capsys.readouterr().out
    assert path.read_bytes() == right


@pytest.mark.parametrize("name", [RAW, SPLIT, MODEL])
def test_every_flipped_bit_in_the_cache_is_found(built, name):
    file, owner = built.files[name]
    path, rng = object_path(built.cache, file), random.Random(f"{SEED} {name}")
    intact = path.read_bytes()
    for _ in range(FLIPS):
        flip(path, rng)
        (deviation,) = found = check_cache(built.cached, built.cache)
        assert exit_code(found) == 3
        assert str(deviation).startswith(f"corrupt   {path} ({name}, {owner}): its bytes have MD5 ")
        path.chmod(0o644)
        path.write_bytes(intact)
        path.chmod(0o444)
    assert check_cache(built.cached, built.cache) == []


@pytest.mark.exhaustive
def test_dvc_itself_sees_nothing(built, repository):
    """What makes all this necessary; should DVC begin to look, it can go."""
    path = object_path(built.cache, built.files[MODEL][0])
    intact = path.read_bytes()
    flip(path, random.Random(SEED))
    Path(MODEL).unlink()
    assert repository.dvc("checkout", MODEL).returncode == 0
    assert Path(MODEL).read_bytes() != intact
    assert main(["repair"]) == 1
    assert Path(MODEL).read_bytes() == path.read_bytes() == intact


@pytest.mark.parametrize(
    ("name", "where", "told"),
    [
        pytest.param(RAW, ("cache",), "replaced  {object}, by {name}", marks=pytest.mark.exhaustive),
        (RAW, ("cache", "workspace"), "fetched   {name}, from its remote"),
        (SPLIT, ("workspace",), "replaced  {name}, from the cache"),
        pytest.param(
            SPLIT, ("cache", "workspace"), "rebuilt   {name}: the same bytes as recorded", marks=pytest.mark.exhaustive
        ),
        pytest.param(MODEL, ("cache",), "replaced  {object}, by {name}", marks=pytest.mark.exhaustive),
        (MODEL, ("cache", "workspace"), "rebuilt   {name}: the same bytes as recorded"),
    ],
)
def test_what_is_corrupt_is_put_back(built, capsys, name, where, told):
    path, rng = object_path(built.cache, built.files[name][0]), random.Random(SEED)
    intact = Path(name).read_bytes()
    for place in where:
        flip(path if place == "cache" else Path(name), rng)
    assert main(["verify"]) == 3
    capsys.readouterr()
    assert main(["repair"]) == 1  # the other stages were not run here; all files are as recorded
    assert told.format(name=name, object=path) in capsys.readouterr().out.splitlines()
    assert Path(name).read_bytes() == path.read_bytes() == intact
    assert not path.stat().st_mode & 0o222


def test_what_is_missing_is_put_back(built):
    intact = {name: Path(name).read_bytes() for name in (RAW, SPLIT)}
    Path(RAW).unlink()
    object_path(built.cache, built.files[SPLIT][0]).unlink()
    assert main(["repair"]) == 1
    assert {name: Path(name).read_bytes() for name in (RAW, SPLIT)} == intact


def test_raw_data_that_is_nowhere_is_not_touched(built, capsys):
    path, rng = object_path(built.cache, built.files[NOWHERE][0]), random.Random(SEED)
    intact = path.read_bytes()
    for copy in (path, Path(NOWHERE)):
        flip(copy, rng)
    flip(Path(SPLIT), rng)
    corrupt = [copy.read_bytes() for copy in (path, Path(NOWHERE), Path(SPLIT))]
    assert main(["repair"]) == 3
    message = capsys.readouterr().err
    assert f"{NOWHERE} (MD5 {built.files[NOWHERE][0].md5}): the recorded bytes are neither in the workspace" in message
    assert [copy.read_bytes() for copy in (path, Path(NOWHERE), Path(SPLIT))] == corrupt
    Path(NOWHERE).write_bytes(intact)  # the original is found again
    assert main(["repair"]) == 1
    assert path.read_bytes() == intact


def test_an_edit_of_a_raw_table_is_kept(built, capsys):
    edited = Path(RAW).read_text() + "5.0,3.0,1.5,0.2,setosa\n"
    Path(RAW).write_text(edited)
    assert main(["repair"]) == 1
    (kept,) = (path for path in REPLACED.rglob("iris.csv.*") if path.read_text() == edited)
    assert f"kept as {kept}, in case it was an edit" in capsys.readouterr().out


def test_all_looks_at_the_objects_of_other_commits_too(built, capsys):
    other = built.cache / "d4/1d8cd98f00b204e9800998ecf8427e"  # that of no bytes at all
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"something")
    assert main(["verify"]) == 1
    assert main(["verify", "--all"]) == 3
    assert f"corrupt   {other} (of no recorded file of this commit)" in capsys.readouterr().out
    assert main(["repair", "--all"]) == 1
    assert not other.exists()


@pytest.fixture
def lost(tmp_path, monkeypatch):
    """A tiny repository whose raw table is altered in the cache and gone from the workspace: its object."""
    folder = recorded.make(tmp_path / "tiny")
    monkeypatch.chdir(folder)
    Path("data/raw/toy.csv").unlink()
    path = recorded.object_of(folder, recorded.CONTENT["data/raw/toy.csv"])
    flip(path, random.Random(SEED))
    yield path, path.read_bytes()
    assert list(path.parent.iterdir()) == [path]


def test_a_remote_that_hangs_is_waited_for_no_longer_than_the_limit(lost, monkeypatch, capsys, caplog):
    monkeypatch.setattr(repairing, "TIME_LIMIT", 4.0)
    with hanging() as (port, _):
        config = f"    remote = store\n['remote \"store\"']\n    url = http://127.0.0.1:{port}\n"
        Path(".dvc/config").write_text(Path(".dvc/config").read_text() + config)
        assert main(["repair"]) == 3
    assert "'dvc fetch' did not end within 4 seconds and was ended" in caplog.text
    assert "nor in a remote that answers, and raw data cannot be built" in capsys.readouterr().err
    assert lost[0].read_bytes() == lost[1]


def test_an_object_that_was_put_aside_is_put_back_when_a_person_will_not_wait(lost, monkeypatch):
    def interrupted(*_):
        assert not lost[0].exists()
        raise KeyboardInterrupt

    monkeypatch.setattr(repairing, "run_dvc", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main(["repair"])
    assert lost[0].read_bytes() == lost[1]
