"""``python -m lockstep verify``: whether what is here is what dvc.lock says, from the bytes of every file.

Hashes every output that dvc.lock records and every table that a .dvc file tracks, and looks whether each stage's
settings, code and command are those that it ran with. DVC's own database of sizes and times is not believed.

Exit code: 0 all as recorded; 1 a stage is out of date or was not run; 3 a recorded file is missing or altered.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from lockstep.errors import IntegrityError, some
from lockstep.lockfile import LockedFile, LockedStage, outputs, present, read_lock, read_pointers

State = Literal["altered", "missing", "outdated", "not run"]
REMEDIES: dict[State, str] = {
    "altered": "Bring an altered file back: delete it, then 'dvc checkout FILE', or 'dvc repro' where the cache lacks "
    "it. If you mean an edit of a raw table: 'dvc commit FILE.dvc'.",
    "missing": "Bring a missing file back: 'dvc checkout FILE', 'dvc pull FILE' if it was pushed, else 'dvc repro'.",
    "outdated": "Run what is out of date: 'dvc repro'.",
    "not run": "Run what was not run: 'dvc repro'.",
}


class Finding(NamedTuple):
    """Something that is not as recorded.

    Attributes:
        state: "altered" and "missing" are of recorded files, "outdated" and "not run" of stages.
        subject: the file's path, or the stage's name.
        detail: a line for the user.
    """

    state: State
    subject: str
    detail: str

    def __str__(self) -> str:
        return f"{self.state:<9} {self.subject}{self.detail}"


def recorded_files(stages: Mapping[str, LockedStage], root: Path = Path()) -> dict[str, tuple[LockedFile, str]]:
    """{path: (what is recorded, by whom)} of the stages' outputs and of what .dvc files track."""
    pointers = {file.path: (file, f"{file.path}.dvc") for file in read_pointers(root)}
    return pointers | outputs(stages.values())


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
            here, there = (f"{one.size:,} bytes with MD5 {one.md5}" for one in (found, file))
            findings.append(Finding("altered", file.path, f" ({owner}): {here}; recorded are {there}"))
    return findings


def check_stages(
    recorded: Mapping[str, LockedStage], now: Mapping[str, LockedStage], wrong: Iterable[str] = ()
) -> list[Finding]:
    """Those of the stages that would run with other settings, code, data or command than they did.

    Args:
        recorded: of dvc.lock.
        now: what dvc.lock would say of them now.
        wrong: paths whose change is told by a finding of its own.
    """
    from lockstep.changes import stage_changes

    findings, told = [], set(wrong)
    for name, stage in now.items():
        if name not in recorded:
            findings.append(Finding("not run", name, ": dvc.lock records no run of it"))
            continue
        changes = [change for change in stage_changes(recorded[name], stage) if change.what not in told]
        if changes:
            findings.append(Finding("outdated", name, f": {some([str(change) for change in changes])}"))
    return findings


def verify(root: Path = Path()) -> tuple[list[Finding], str]:
    """All that is not as recorded, and a sentence that says how much was looked at.

    Raises:
        DataError: there is no dvc.lock.
        IntegrityError: dvc.lock or a .dvc file is not of DVC's form.
        SettingsError: dvc.yaml or params.yaml cannot be read.
    """
    from lockstep.revisions import current_stages, open_repository

    recorded = read_lock(root / "dvc.lock")
    known: dict[str, LockedFile] = {}
    with open_repository(root) as repo:
        now = current_stages(repo, known)
    # A stage that dvc.yaml has no more, for instance of a problem that was removed, promises nothing.
    files = recorded_files({name: stage for name, stage in recorded.items() if name in now}, root)
    findings = check_files(files.values(), root, known)
    findings += check_stages(recorded, now, {finding.subject for finding in findings})
    size = sum(found.size or 0 for found in known.values())
    return findings, f"{len(now)} stages, {len(files)} recorded files; {len(known)} files hashed, {size / 1e6:,.1f} MB"


def exit_code(findings: Iterable[Finding]) -> int:
    """0 without findings; IntegrityError's where a recorded file is not as it was; else 1."""
    states = {finding.state for finding in findings}
    return IntegrityError.exit_code if states & {"altered", "missing"} else 1 if states else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is not as recorded."""
    parser = argparse.ArgumentParser(
        prog="python -m lockstep verify", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.parse_args(argv)
    findings, looked_at = verify()
    for finding in findings:
        print(finding)
    if findings:
        states = [state for state in REMEDIES if any(finding.state == state for finding in findings)]
        print("\n".join(REMEDIES[state] for state in states), file=sys.stderr)
        print(f"Not all is as recorded: {looked_at}.")
    else:
        print(f"All is as recorded: {looked_at}.")
    return exit_code(findings)
