"""A full disk, a folder that cannot be written to, cut files of DVC's: a message, nothing lost, one command heals."""

import os
import random
import re
import shutil
import subprocess

import pytest
from quick import FIX, QUICK_STAGE, QuickRepository, Undisturbed
from workspace import forks

SEED = 11
ORDINARY = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []
"""Makes root obey the modes of files."""


def cuts(some, every):
    """Numbers of places to cut a file at, of which make test takes the first ``some``."""
    return [pytest.param(n, marks=[] if n < some else [pytest.mark.exhaustive]) for n in range(every)]


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Built and committed; undisturbed."""
    repository = QuickRepository(tmp_path_factory.mktemp("broken") / "repository")
    built = Undisturbed(repository)
    repository.commit("built")
    return built


@pytest.fixture
def broken(built):
    """The same, to be broken; checked to be healed by one command in the end."""
    yield built
    built.check_healed("after the test")
    built.repository.run("git", "checkout", "-q", "--", ".")


def test_the_disk_is_full_in_a_stage(broken):
    """Its half-written output goes, and the space with it."""
    broken.forget()
    stage = broken.folder / "stages/quick.py"
    limit = "import resource\n\nresource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n"
    stage.write_text(QUICK_STAGE.replace("import sys\n", f"import sys\n{limit}", 1))
    done = broken.repository.dvc("repro", check=False)
    stage.write_text(QUICK_STAGE)
    assert done.returncode == 255
    assert "ERROR quick@iris: [Errno 27] File too large" in done.stderr
    assert "No output was written. Correct that (space, permission), then run it again." in done.stderr
    assert "exited with 4" in done.stderr
    assert list((broken.folder / "data/copies").glob("*csv*")) == []


@pytest.mark.parametrize("full", [r"cache/files/md5/", r"dvc\.lock$"], ids=["cache", "lock"])
def test_the_disk_is_full_when_dvc_writes(broken, full):
    """Into its cache; into dvc.lock, which it empties first."""
    broken.forget()
    done = forks().run(broken.folder, ["dvc", "repro"], full=full)
    assert done.returncode == 255
    assert "No space left on device" in done.stderr


def test_a_folder_that_cannot_be_written_to(broken):
    broken.forget()
    folder = broken.folder / "data/copies"
    folder.chmod(0o555)
    try:
        done = broken.repository.run(*ORDINARY, "dvc", "repro", check=False)
    finally:
        folder.chmod(0o755)
    assert done.returncode == 255
    assert re.search(r"ERROR quick@iris: \[Errno 13\] Permission denied: 'data/copies/\.one\.csv\.", done.stderr)
    assert "exited with 4" in done.stderr


@pytest.mark.parametrize("number", cuts(4, 8))
def test_a_cut_lock(broken, number):
    """At a line, where DVC takes the rest for all there is, and inside of one, where it refuses every command."""
    path, rng = broken.folder / "dvc.lock", random.Random(f"{SEED} {number}")
    content = path.read_bytes()
    ends = [match.end() for match in re.finditer(rb"\n", content)]
    cut = rng.choice(ends[:-1]) if number % 2 else rng.randrange(len(content))
    path.write_bytes(content[:cut])
    broken.check_healed(f"cut after {cut} of {len(content)} bytes: {content[:cut][-40:]!r}")


def doctor(repository, *arguments):
    done = repository.run("python", "-m", "lockstep", "doctor", *arguments, check=False)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout + done.stderr


def test_a_cut_entry_of_the_run_cache(broken):
    """DVC stumbles over it, or over the folder where it was; without, it runs the stage."""
    runs = [path for path in (broken.folder / ".dvc/cache/runs").rglob("*") if path.is_file()]
    for path in runs:
        content = path.read_bytes()
        path.write_bytes(content[: content.index(b"outs:")])
    runs[1].unlink()
    for name in ("dvc.lock", *broken.outputs):
        (broken.folder / name).unlink()
    assert "failed to reproduce 'one': 'outs'" in broken.repository.dvc("repro", check=False).stderr
    code, printed = doctor(broken.repository, "--leftovers")
    assert code == 1
    assert "2 entries of DVC's run cache were cut or altered" in printed


@pytest.mark.parametrize("number", cuts(1, 6))
def test_a_cut_configuration(broken, number):
    """Without its end, DVC may fail, or not check what it fetches: it is said, and how to mend it."""
    path, rng = broken.folder / ".dvc/config", random.Random(f"{SEED} {number}")
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) - 1)])
    code, printed = doctor(broken.repository)
    assert code == 1
    assert ".dvc/config" in printed or "the remote 'bundled' has no 'verify = true'" in printed, printed
    code, printed = doctor(broken.repository, "--fix")
    assert code == 0 or f"git checkout HEAD -- {path.relative_to(broken.folder)}" in printed
    if code:
        broken.repository.run("git", "checkout", "HEAD", "--", ".dvc/config")
    assert path.read_bytes().strip() == content.strip() or "verify = true" in path.read_text()


def test_deleted_and_truncated_outputs(broken):
    (broken.folder / "data/copies/one.csv").unlink()
    (broken.folder / "metrics/one.json").write_text("")
    path = broken.folder / "data/copies/two.csv"
    path.write_bytes(path.read_bytes()[:100])


def test_an_unreadable_rwlock_is_mended_only_while_nobody_runs(broken):
    rwlock = broken.folder / ".dvc/tmp/rwlock"
    rwlock.write_text("")
    assert "JSON structure is corrupted" in broken.repository.dvc("repro", check=False).stderr
    lock = broken.folder / ".dvc/tmp/lock"
    hold = ["python", "-c", "import fcntl, sys; f = open(sys.argv[1]); fcntl.flock(f, 2); print(flush=True); input()"]
    with subprocess.Popen(
        [*hold, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=broken.repository.environment
    ) as other:
        assert other.stdout.readline()
        assert doctor(broken.repository, "--leftovers", "--fix") == (0, "")
        assert rwlock.read_text() == ""
        other.communicate(b"\n")


def test_the_mending_keeps_a_copy_of_a_lock_that_was_cut(broken):
    path = broken.folder / "dvc.lock"
    cut = path.read_bytes()[:26]
    path.write_bytes(cut)
    assert doctor(broken.repository, *FIX[1:])[0] == 0
    copies = (broken.folder / ".dvc/tmp").glob("dvc.lock.*.broken")
    assert cut in [copy.read_bytes() for copy in copies]


def test_nothing_is_lost_when_the_lock_is_missing(broken):
    (broken.folder / "dvc.lock").unlink()
    code, printed = doctor(broken.repository)
    assert code == 1
    assert "dvc.lock is gone, and with it 2 of the stages that the last commit has: one, two." in printed
    assert "'dvc gc' would delete their results" in printed
    shutil.rmtree(broken.folder / "data/copies")
