"""Rebuilds a commit from its raw data alone, in a temporary folder, and compares the result with its dvc.lock.

What ``python -m lockstep verify --rebuild`` does. The clone has a cache of its own, so that no stage can be skipped or
restored: only raw tables are taken along, each checked against its hash.
"""

import datetime
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockstep.commands.remote import TIME_LIMIT, run_dvc
from lockstep.commands.repair import is_intact
from lockstep.kernel.environment import VERSIONS, differences, read_versions
from lockstep.kernel.errors import DataError, LockstepError, MachineError, SettingsError, some
from lockstep.kernel.files import Outputs
from lockstep.kernel.lock_file import LOCK, LockedFile, LockedStage, read_lock, read_pointers
from lockstep.kernel.log import logger
from lockstep.provenance import attestation
from lockstep.provenance.changes import ABSENT, differing
from lockstep.repository.hashes import digest
from lockstep.repository.revisions import (
    WORKSPACE,
    Revision,
    locked_stages,
    open_repository,
    read_revision,
    uncached_file,
)  # fmt: skip

if TYPE_CHECKING:
    from dvc.repo import Repo  # type: ignore[import-untyped]

_SHOWN = 12
"""So many differences inside a model are shown."""


class Row(NamedTuple):
    """What became of a stage.

    Attributes:
        wrong: (what is recorded or None, what the rebuild gave or None) of each output that differs.
    """

    stage: str
    outputs: int
    wrong: list[tuple[LockedFile | None, LockedFile | None]]
    seconds: float


def rebuild(revision: str | None, output: Path) -> int:
    """Rebuild, print the table, write the attestation to ``output`` if all is the same.

    Args:
        revision: a commit, branch, tag or experiment; None for HEAD, which then must be what the workspace is.

    Returns:
        0 if every output has the recorded bytes, else 1.

    Raises:
        SettingsError: no such revision, or changes that are not committed.
        DataError: it has no dvc.lock, or its raw data are nowhere.
        MachineError: its versions are not installed here.
        LockstepError: a stage of it fails.
    """
    with open_repository() as repo:
        if revision is None:
            _check_committed(Path(repo.root_dir))
        chosen = read_revision(repo, revision or "HEAD")
        if chosen.commit is None:
            raise SettingsError(f"A rebuild is of a commit, not of '{WORKSPACE}'. Commit it, then leave the name out.")
        recorded = locked_stages(repo, chosen)
        if not recorded:
            raise DataError(
                f"{chosen.shown} has no dvc.lock, so there is nothing to compare with. Run 'dvc repro', then 'git add "
                "dvc.lock metrics' and 'git commit'."
            )
        with tempfile.TemporaryDirectory(prefix="lockstep-rebuild-") as name:
            folder = _clone(repo, chosen.commit, Path(name).resolve() / "clone")
            _check_versions(folder, chosen)
            raw = _take_raw_data(repo, folder, chosen)
            (folder / LOCK).unlink()
            started = _now()
            seconds = _repro(folder, chosen)
            finished = _now()
            rebuilt = read_lock(folder / LOCK)
            rows = compare(recorded, rebuilt, seconds)
            print("\n".join(table(rows)))
            different = [row for row in rows if row.wrong]
            if different:
                print("\n".join(_explain(repo, chosen, folder, different[0])))
                print(f"Not reproduced: {len(different)} of {len(rows)} stages of {chosen.shown} differ.")
                return 1
            made = attestation.statement(
                folder,
                chosen.commit,
                [out.path for stage in rebuilt.values() for out in stage.outs],
                [*(file.path for file in raw), *_parameter_files(rebuilt.values()), "dvc.yaml"],
                seconds,
                started,
                finished,
            )
    with Outputs() as outputs:
        outputs.write(output, lambda temporary: temporary.write_bytes(attestation.encode(made)))
    print(f"Reproduced: every output of {chosen.shown} has the recorded bytes. Attestation: {output}")
    return 0


def _check_committed(root: Path) -> None:
    status = _git(root, "status", "--porcelain", "--untracked-files=no", "-z")
    changed = [entry[3:] for entry in status.split("\0") if entry]
    if changed:
        remedy = "git add dvc.lock metrics && git commit" if changed == ["dvc.lock"] else "git commit -a"
        raise SettingsError(
            f"Not committed: {some(list(changed))}. A rebuild is of a commit: commit first ('{remedy}'), or name one: "
            "'verify --rebuild HEAD' rebuilds the last one as it is."
        )


def _git(root: Path, *arguments: str) -> str:
    done = _run(["git", *arguments], root)
    if done.returncode:
        raise MachineError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - a list, no shell
        command, cwd=folder, env=_environment(), capture_output=True, text=True, check=False
    )


def _environment() -> dict[str, str]:
    """For git and DVC in the clone: nothing of an outer repository, and the programs of this Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GIT_DIR", "GIT_WORK", "DVC_"))}
    programs = str(Path(sys.executable).parent)
    return kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "DVC_NO_ANALYTICS": "1",
    }


def _clone(repo: "Repo", commit: str, folder: Path) -> Path:
    """A clone of the commit with an empty cache; the DVC repository in it."""
    top = Path(repo.scm.root_dir)
    _git(top, "clone", "--quiet", "--shared", "--no-checkout", str(top), str(folder))
    _git(folder, "-c", "advice.detachedHead=false", "checkout", "--quiet", "--detach", commit)
    root = folder / Path(repo.root_dir).relative_to(top)
    # Where an experiment's or a user's settings would lead out of the clone: back in.
    own = f"[core]\n    site_cache_dir = {root / '.dvc/tmp/site'}\n[cache]\n    dir = {root / '.dvc/cache'}\n"
    (root / ".dvc/config.local").write_text(own, encoding="utf-8")
    return root


def _check_versions(folder: Path, revision: Revision) -> None:
    """Raise MachineError unless the versions that the commit records are installed here; older ones record none."""
    if not (folder / VERSIONS.name).exists():
        logger.warning("%s records no versions: the libraries that are here are used", revision.shown)
        return
    wrong = [
        f"{name} {wanted} (here {found})" for name, wanted, found in differences(read_versions(folder / VERSIONS.name))
    ]
    if wrong:
        raise MachineError(
            f"{revision.shown} was made with {', '.join(wrong)}. Rebuild it in its own environment: 'git worktree add "
            f"../rebuild {str(revision.commit)[:12]}', and there 'make venv' and 'python -m lockstep verify --rebuild'."
        )


def _take_raw_data(repo: "Repo", folder: Path, revision: Revision) -> list[LockedFile]:
    """Put the raw tables of the commit into the clone and its cache: from the cache or the workspace, else a remote."""
    files = read_pointers(folder)
    lacking = []
    for file in files:
        assert file.md5 is not None
        target = folder / ".dvc/cache/files/md5" / file.md5[:2] / file.md5[2:]
        for source in (Path(repo.cache.local.oid_to_path(file.md5)), Path(repo.root_dir) / file.path):
            if is_intact(source, file):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
                target.chmod(0o444)
                shutil.copyfile(source, folder / file.path)
                break
        else:
            lacking.append(file)
    if lacking:
        _copy_remotes(repo, folder)
        pull = ["pull", "--quiet", *(f"{one.path}.dvc" for one in lacking)]
        code, _ = run_dvc(pull, TIME_LIMIT, folder=folder, environment=_environment())
        if code or not all(is_intact(folder / file.path, file) for file in lacking):
            raise DataError(
                f"Raw data of {revision.shown} are neither in DVC's cache, nor here, nor in a remote: "
                f"{some([file.path for file in lacking])}. 'dvc fetch' them, or put the files there."
            )
    return files


def _copy_remotes(repo: "Repo", folder: Path) -> None:
    """Let the clone use the remotes that the user has set up for this clone alone, with their credentials."""
    from dvc.repo import Repo

    remotes = repo.config.load_one("local").get("remote")
    if remotes:
        with Repo(str(folder)) as clone, clone.config.edit("local") as settings:
            settings["remote"] = remotes


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _repro(folder: Path, revision: Revision) -> dict[str, float]:
    """Run everything in the clone; the seconds that each stage took."""
    seconds: dict[str, float] = {}
    stage, start = "", time.perf_counter()
    tail: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-m", "dvc", "repro"], cwd=folder, env=_environment(), text=True, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, encoding="utf-8", errors="replace",
    ) as process:  # fmt: skip
        assert process.stdout is not None
        try:
            for line in process.stdout:
                tail = [*tail[-19:], line.rstrip()]
                if found := re.match(r"Running stage '(.+)':", line):
                    stage, start = found[1], time.perf_counter()
                    print(f"rebuilding {stage}", file=sys.stderr)
                elif stage and re.match(r"(Updating|Generating) lock file", line):
                    seconds[stage] = round(time.perf_counter() - start, 3)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        said = [line for line in tail if line.startswith("ERROR")] or tail[-1:]
        raise LockstepError(f"{revision.shown} cannot be rebuilt: {stage or 'dvc repro'} failed. {' '.join(said)}")
    return seconds


def compare(
    recorded: Mapping[str, LockedStage], rebuilt: Mapping[str, LockedStage], seconds: Mapping[str, float]
) -> list[Row]:
    """What became of each rebuilt stage, in the order of the run."""
    rows = []
    for name, stage in rebuilt.items():
        then = {out.path: out for out in recorded[name].outs} if name in recorded else {}
        now = {out.path: out for out in stage.outs}
        wrong = [
            (then.get(path), now.get(path))
            for path in sorted({*then, *now})
            if path not in then or path not in now or then[path].md5 != now[path].md5
        ]
        rows.append(Row(name, len(then | now), wrong, seconds.get(name, 0.0)))
    return rows


def table(rows: Sequence[Row]) -> list[str]:
    """The rows as text."""
    width = max(len("stage"), *(len(row.stage) for row in rows))
    lines = [f"{'stage':<{width}}  outputs  same bytes  seconds"]
    lines += [
        f"{row.stage:<{width}}  {row.outputs:>7}  {row.outputs - len(row.wrong):>10}  {row.seconds:>7.1f}"
        for row in rows
    ]
    return lines


def _explain(repo: "Repo", revision: Revision, folder: Path, row: Row) -> list[str]:
    """The first output that differs, and what differs inside it where its recorded bytes are at hand."""
    then, now = row.wrong[0]
    if now is None or then is None:
        lost = then is not None
        path = then.path if then is not None else now.path if now is not None else ""
        return [f"First difference: {row.stage}: {path} {'was not written' if lost else 'is not in dvc.lock'}"]
    here, there = (f"{one.size or 0:,} bytes with MD5 {one.md5}" for one in (now, then))
    lines = [f"First difference: {row.stage}: {now.path} has {here}; recorded are {there}"]
    with tempfile.TemporaryDirectory(prefix="lockstep-recorded-") as name:
        old = Path(name) / Path(then.path).name
        if not _recorded_bytes(repo, revision, then, old):
            return [*lines, "  (what was recorded is not in DVC's cache: 'dvc fetch' it to see what differs inside)"]
        found = list(inside(old, folder / now.path))
    shown = [f"  {line}" for line in found[:_SHOWN]]
    return [*lines, *shown, *([f"  ... {len(found) - _SHOWN} more"] if len(found) > _SHOWN else [])]


def _recorded_bytes(repo: "Repo", revision: Revision, file: LockedFile, path: Path) -> bool:
    """Put the recorded bytes of an output at ``path``; False where they are not at hand."""
    assert file.md5 is not None
    source = Path(repo.cache.local.oid_to_path(file.md5))
    if is_intact(source, file):
        shutil.copyfile(source, path)
    elif (content := uncached_file(repo, revision, file)) is not None:
        path.write_bytes(content)
    return path.exists()


def inside(before: Path, after: Path) -> Iterable[str]:
    """What differs inside two files of one kind: models, JSON, tables, texts."""
    match after.suffix:
        case ".joblib":
            from lockstep.provenance.model_differences import model_differences
            from lockstep.saving.joblib_file import load_model

            # Both are known: one by dvc.lock, the other was just made by that commit's own code.
            one, other = (load_model(path, sha256=digest(path, "sha256")) for path in (before, after))
            found = list(model_differences(one, other))
            return found or ["the models are equal; their pickles are not (an attribute's order, or the compression)"]
        case ".json":
            one, other = (json.loads(path.read_text(encoding="utf-8")) for path in (before, after))
            return [
                f"{key.removeprefix('.')}: {'absent' if a is ABSENT else a} → {'absent' if b is ABSENT else b}"
                for key, a, b in differing("", one, other)
            ]
        case ".parquet":
            import pandas as pd

            one, other = (pd.read_parquet(path) for path in (before, after))
            if list(one) != list(other) or len(one) != len(other):
                return [f"{len(one)} rows, {one.shape[1]} columns → {len(other)} rows, {other.shape[1]} columns"]
            wrong = [name for name in one if not one[name].equals(other[name])]
            return [f"column '{name}': {(one[name] != other[name]).sum():,} of {len(one):,} rows" for name in wrong]
        case _:
            lines = (path.read_text(encoding="utf-8", errors="replace").splitlines() for path in (before, after))
            return [
                f"line {number}: {a[:60]} → {b[:60]}"
                for number, (a, b) in enumerate(zip(*lines, strict=False), 1)
                if a != b
            ]


def _parameter_files(stages: Iterable[LockedStage]) -> set[str]:
    return {file for stage in stages for file in stage.params}
