"""``python -m lockstep verify``: whether what is here is what dvc.lock says, from the bytes of every file.

Hashes every output that dvc.lock records and every table that a .dvc file tracks, in the workspace and in DVC's cache,
and looks whether each stage's settings, code and command are those that it ran with. DVC's own database of sizes and
times, and the mode of a file in the cache, are not believed.

``--rebuild`` proves that the recorded outputs follow from the raw data, code and settings of a commit: all is built
anew and compared, and an attestation is written. ``--attestation`` compares such a file with what is here.

Exit code: 0 all as recorded; 1 a stage is out of date or was not run, or a rebuild gave other bytes; 3 a recorded or
attested file is missing or altered.
"""

import argparse
import sys
from collections.abc import Container, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from lockstep.kernel.errors import IntegrityError, some
from lockstep.kernel.lock_file import MD5, LockedFile, LockedStage, md5_of, read_lock, recorded_files
from lockstep.repository.hashes import present

if TYPE_CHECKING:
    from dvc.repo import Repo  # type: ignore[import-untyped]

State = Literal["altered", "missing", "corrupt", "uncached", "outdated", "not run"]
REMEDIES: dict[State, str] = {
    "altered": "Bring an altered file back: 'python -m lockstep verify --repair'; one alone: delete it, then 'dvc "
    "checkout FILE', 'git checkout FILE' where git tracks it, or 'dvc repro'. If you mean an edit of a raw table: 'dvc "
    "commit FILE.dvc'.",
    "missing": "Bring a missing file back: 'dvc checkout FILE', 'dvc pull FILE' if it was pushed, else 'dvc repro'.",
    "corrupt": "Replace what is corrupt in the cache, before DVC uses it: 'python -m lockstep verify --repair'.",
    "uncached": "Complete the cache: 'python -m lockstep verify --repair'.",
    "outdated": "Run what is out of date: 'dvc repro'.",
    "not run": "Run what was not run: 'dvc repro'.",
}


class Finding(NamedTuple):
    """Something that is not as recorded.

    Attributes:
        state: "altered" and "missing" are of recorded files in the workspace, "corrupt" and "uncached" of their
            objects in DVC's cache, "outdated" and "not run" of stages.
        subject: the file's path, or the stage's name.
        detail: a line for the user.
    """

    state: State
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.state:<9} {self.subject}{self.detail}"


def check_files(
    files: Iterable[tuple[LockedFile, str]], root: Path = Path(), known: dict[str, LockedFile] | None = None
) -> list[Finding]:
    """Those of the recorded files that are missing from ``root`` or have other bytes there.

    Args:
        files: what is recorded, and by whom: outputs(), recorded_files() or a selection of them, ``.values()``.
        known: as of present().
    """
    findings = []
    for file, owner in files:
        found = present(file.path, root, known)
        if found.md5 is None:
            findings.append(Finding("missing", file.path, f" ({owner})"))
        elif found.md5 != file.md5:
            here, there = (f"{one.size or 0:,} bytes with MD5 {one.md5}" for one in (found, file))
            findings.append(Finding("altered", file.path, f" ({owner}): {here}; recorded are {there}"))
    return findings


def check_cache(files: Iterable[tuple[LockedFile, str]], cache: Path, *, everything: bool = False) -> list[Finding]:
    """Those of the recorded files whose object in the cache is missing or has other bytes.

    Args:
        files: what is recorded, and by whom; of outputs that are cached.
        cache: the folder of objects by MD5.
        everything: look at all other objects too: those of other commits.
    """
    findings, seen = [], set()
    for file, owner in files:
        path = object_path(cache, file)
        seen.add(path)
        if not path.is_file():
            findings.append(Finding("uncached", str(path), f" ({file.path}, {owner})"))
        elif (md5 := md5_of(path)) != file.md5:
            findings.append(Finding("corrupt", str(path), f" ({file.path}, {owner}): its bytes have MD5 {md5}"))
    for path in sorted(set(cache.glob("[0-9a-f][0-9a-f]/*")) - seen) if everything else ():
        name = f"{path.parent.name}{path.name}"
        if MD5.fullmatch(name) and md5_of(path) != name:
            findings.append(Finding("corrupt", str(path), " (of no recorded file of this commit)"))
    return findings


def object_path(cache: Path, file: LockedFile) -> Path:
    """Where DVC keeps the bytes of ``file``."""
    assert file.md5 is not None
    return cache / file.md5[:2] / file.md5[2:]


def check_stages(
    recorded: Mapping[str, LockedStage], now: Mapping[str, LockedStage], wrong: Iterable[str] = ()
) -> list[Finding]:
    """Those of the stages that would run with other settings, code, data or command than they did.

    Args:
        recorded: of dvc.lock.
        now: what dvc.lock would say of them now.
        wrong: paths whose change is told by a finding of its own.
    """
    from lockstep.provenance.changes import stage_changes

    findings, told = [], set(wrong)
    for name, stage in now.items():
        if name not in recorded:
            findings.append(Finding("not run", name, ": dvc.lock records no run of it"))
            continue
        changes = [change for change in stage_changes(recorded[name], stage) if change.what not in told]
        if changes:
            findings.append(Finding("outdated", name, f": {some([str(change) for change in changes])}"))
    return findings


class Recorded(NamedTuple):
    """What dvc.lock and the .dvc files record of the stages that dvc.yaml has.

    Attributes:
        files: {path: (what is recorded, by whom)}.
        uncached: the paths of outputs that stand in git, not in DVC's cache.
        cache: the folder of DVC's objects, relative to the current folder if it is below it.
    """

    files: dict[str, tuple[LockedFile, str]]
    uncached: set[str]
    cache: Path

    @property
    def cached(self) -> list[tuple[LockedFile, str]]:
        """Those files that belong in the cache."""
        return [entry for path, entry in self.files.items() if path not in self.uncached]


def read_recorded(repo: "Repo", stages: Mapping[str, LockedStage], names: Container[str]) -> Recorded:
    """What is recorded of the stages ``names``: a stage that dvc.yaml has no more, for instance of a problem that was
    removed, promises nothing."""
    root, cache = Path(repo.root_dir), Path(repo.cache.local.path)
    uncached = {
        Path(out.fs_path).relative_to(root).as_posix()
        for out in repo.index.outs
        if not out.use_cache and out.protocol == "local"
    }
    files = recorded_files({name: stage for name, stage in stages.items() if name in names}, root)
    here = Path.cwd()
    return Recorded(files, uncached, cache.relative_to(here) if cache.is_relative_to(here) else cache)


def verify(root: Path = Path(), *, everything: bool = False) -> tuple[list[Finding], str]:
    """All that is not as recorded, and a sentence that says how much was looked at.

    Args:
        root: the repository's.
        everything: hash all of the cache, not only what is recorded now.

    Raises:
        DataError: there is no dvc.lock.
        IntegrityError: dvc.lock or a .dvc file is not of DVC's form.
        SettingsError: dvc.yaml or params.yaml cannot be read.
    """
    from lockstep.repository.revisions import current_stages, open_repository

    recorded = read_lock(root / "dvc.lock")
    known: dict[str, LockedFile] = {}
    with open_repository(root) as repo:
        now = current_stages(repo, known)
        files, uncached, cache = found = read_recorded(repo, recorded, now)
    findings = check_files(files.values(), root, known)
    # What is neither here nor there is told once.
    missing = {finding.subject for finding in findings if finding.state == "missing"}
    cached = [entry for entry in found.cached if entry[0].path not in missing or object_path(cache, entry[0]).exists()]
    findings += check_cache(cached, cache, everything=everything)
    findings += check_stages(recorded, now, {finding.subject for finding in findings})
    size = sum(one.size or 0 for one in known.values())
    objects = len(files) - len(uncached & set(files))
    return findings, (
        f"{len(now)} stages, {len(files)} recorded files, {objects} of them in the cache; {len(known)} files hashed, "
        f"{size / 1e6:,.1f} MB"
    )


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without findings; IntegrityError's where a recorded file is not as it was; else 1."""
    states = {finding.state for finding in findings}
    return IntegrityError.exit_code if states & {"altered", "missing", "corrupt", "uncached"} else 1 if states else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is not as recorded."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--all", action="store_true", help="hash all of DVC's cache, what other commits use as well")
    instead = parser.add_mutually_exclusive_group()
    instead.add_argument(
        "--repair",
        action="store_true",
        help="replace what is missing or altered: from the cache, a remote, or by a run",
    )
    instead.add_argument(
        "--rebuild",
        nargs="?",
        const="",
        metavar="REV",
        help="rebuild a commit from its raw data in a temporary folder and compare with its dvc.lock; default: HEAD",
    )
    instead.add_argument("--attestation", type=Path, metavar="FILE", help="check an attestation that --rebuild wrote")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("attestation.json"),
        metavar="FILE",
        help="where --rebuild writes the attestation; default: %(default)s",
    )
    args = parser.parse_args(argv)
    if args.rebuild is not None:
        from lockstep.commands.rebuild import rebuild

        return rebuild(args.rebuild or None, args.output)
    if args.attestation is not None:
        return _check_attestation(args.attestation)
    if args.repair:
        from lockstep.commands.repair import repair

        for line in repair(everything=args.all):
            print(line)
    findings, looked_at = verify(everything=args.all)
    for finding in findings:
        print(finding)
    if findings:
        states = [state for state in REMEDIES if any(finding.state == state for finding in findings)]
        print("\n".join(REMEDIES[state] for state in states), file=sys.stderr)
        print(f"Not all is as recorded: {looked_at}.")
    else:
        print(f"All is as recorded: {looked_at}.")
    return exit_code(findings)


def _check_attestation(path: Path) -> int:
    """Print what of the attestation is not so here; exit code 0 or IntegrityError's."""
    from lockstep.provenance.attestation import check, commit_of, read_attestation

    made = read_attestation(path)
    findings = check(made)
    for finding in findings:
        print(finding)
    built = f"commit {commit_of(made)[:12]}, rebuilt {made.predicate.runDetails.metadata.finishedOn}"
    if findings:
        print(f"Not what is attested ({built}): {len(findings)} of its files differ here.")
        return IntegrityError.exit_code
    print(f"As attested ({built}): {len(made.subject)} outputs, and the inputs that they were made from.")
    return 0
