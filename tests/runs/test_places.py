"""Where a clone may lie: below folders of any name, in any locale."""

import shutil
import subprocess

from lockstep.repository.dvc import Repository as Opened

import pytest
from quick import QUICK, QuickRepository
from workspace import BIN, Repository

NAME = "José's Ünïcode [1] (copy) & more"
UV = f"""#!/bin/sh
# In place of uv: an environment that has the programs of this one.
test "$1" = venv || exit 0
mkdir -p .venv/bin
for program in dvc python; do
  printf '#!/bin/sh\\nexec "{BIN}/%s" "$@"\\n' $program > .venv/bin/$program && chmod +x .venv/bin/$program
done
"""


@pytest.fixture
def repository(tmp_path):
    """One that is not set up yet, in an environment without a locale, as in CI and cron."""
    (tmp_path / "programs").mkdir()
    (tmp_path / "programs/uv").write_text(UV)
    (tmp_path / "programs/uv").chmod(0o755)
    with QuickRepository(tmp_path / NAME) as made:
        (made.folder / ".dvc/config.local").unlink()
        kept = {key: value for key, value in made.environment.items() if not key.startswith(("LANG", "LC_"))}
        made.environment = kept | {"LC_ALL": "C", "PATH": f"{tmp_path / 'programs'}:{kept['PATH']}"}
        yield made


@pytest.mark.exhaustive
def test_a_clone_may_lie_below_any_folder_in_any_locale(repository):
    repository.run("make", "venv", "leftovers", "data/raw/iris.csv")
    site = repository.run("dvc", "config", "core.site_cache_dir").stdout.strip()
    assert site.startswith((f"{repository.folder}/.dvc/tmp/", "/var/tmp/lockstep."))
    done = repository.run("dvc", "repro")
    assert [line for line in done.stdout.splitlines() if line.startswith("Running")] == [
        f"Running stage '{name}':" for name in QUICK
    ]
    repository.run("git", "add", "-A")
    repository.run("git", "commit", "-qm", "built")
    repository.run("dvc", "exp", "run", "--set-param", "problems.iris.split.seed=1")
    for command in ("check", "doctor", "verify", "explain"):
        repository.run("python", "-m", "lockstep", command)
    in_a_copy = "from lockstep.repository.dvc_process import run_dvc; print(run_dvc(['exp', 'run', '--temp']))"
    assert "Ended(code=0" in repository.run("python", "-c", in_a_copy).stdout
    # DVC's settings are still such as it can write.
    repository.run("dvc", "remote", "add", "--local", "store", "../remote")
    if site.startswith("/var/tmp/"):
        assert subprocess.run(["stat", "-c", "%a", site], capture_output=True, check=True).stdout == b"700\n"
        subprocess.run(["rm", "-r", site], check=True)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["worktree", "submodule", "folder of a larger repository"])
def test_a_clone_may_be_part_of_another_repository(tmp_path, kind):
    with QuickRepository(tmp_path / "origin") as origin:
        (origin.folder / ".dvc/config.local").unlink()
        outer = tmp_path / "outer"
        place = outer / "models"
        if kind == "worktree":
            origin.run("git", "worktree", "add", "-q", "-b", "other", str(place))
        else:
            subprocess.run(["git", "init", "-q", outer], check=True)
        if kind == "submodule":
            add = ["-c", "protocol.file.allow=always", "submodule", "--quiet", "add"]
            subprocess.run(["git", *add, origin.folder, "models"], cwd=outer, check=True)
        elif kind != "worktree":
            shutil.copytree(origin.folder, place, ignore=shutil.ignore_patterns(".git", "cache", "tmp"))
        clone = Repository.at(place)
        if kind.startswith("folder"):
            clone.run("git", "add", "-A", ".")
            clone.run("git", "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-qm", "first")
        shutil.copyfile(origin.folder / "data/raw/iris.csv", place / "data/raw/iris.csv")
        done = clone.run("dvc", "repro")
        assert [line for line in done.stdout.splitlines() if line.startswith("Running")] == [
            f"Running stage '{name}':" for name in QUICK
        ]
        for command in ("check", "doctor", "explain"):
            clone.run("python", "-m", "lockstep", command)
        assert clone.run("dvc", "repro").stdout.endswith("Data and pipelines are up to date.\n")


def test_remotes_below_any_folder_are_shared_with_another_clone(repository, tmp_path, monkeypatch):
    """As rebuild does."""
    (repository.folder / ".dvc/config.local").write_text(
        "['remote \"store\"']\n    url = ../../Ünï\n    verify = true\n"
    )
    clone = tmp_path / "clone"
    repository.run("git", "clone", "-q", ".", str(clone))
    monkeypatch.setenv("LC_ALL", "C")
    with Opened(repository.folder) as opened:
        opened.share_local_remotes(clone)
    with Opened(clone) as opened:
        assert opened.remotes.names == ["bundled", "store"]
