"""``python -m lockstep verify``: whether what is here is what dvc.lock says, from the bytes of every file.

Hashes every output that dvc.lock records and every table that a .dvc file tracks, in the workspace and in DVC's cache,
and looks whether each stage's settings, code and command are those that it ran with. DVC's own database of sizes and
times, and the mode of a file in the cache, are not believed. Nothing is changed: 'python -m lockstep repair' does that.

``--record`` compares the files that are here with the record that 'python -m lockstep rebuild' wrote, instead.

Exit code: 0 all as recorded; 1 a stage is out of date or was not run; 3 a recorded file is missing or altered.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.kernel.errors import IntegrityError
from lockstep.provenance.rebuild_record import deviations_from, read_rebuild_record
from lockstep.provenance.verifying import Deviation, State, Verification, verify

REMEDIES: dict[State, str] = {
    "altered": "Bring an altered file back: 'python -m lockstep repair'; one alone: delete it, then 'dvc checkout "
    "FILE', 'git checkout FILE' where git tracks it, or 'dvc repro'. If you mean an edit of a raw table: 'dvc commit "
    "FILE.dvc'.",
    "missing": "Bring a missing file back: 'dvc checkout FILE', 'dvc pull FILE' if it was pushed, else 'dvc repro'.",
    "corrupt": "Replace what is corrupt in the cache, before DVC uses it: 'python -m lockstep repair'.",
    "uncached": "Complete the cache: 'python -m lockstep repair'.",
    "outdated": "Run what is out of date: 'dvc repro'.",
    "not run": "Run what was not run: 'dvc repro'.",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Print what is not as recorded."""
    parser = command_parser("verify", __doc__)
    parser.add_argument("--all", action="store_true", help="hash all of DVC's cache, what other commits use as well")
    parser.add_argument("--record", type=Path, metavar="FILE", help="compare with the record of a rebuild instead")
    args = parser.parse_args(argv)
    if args.record is not None:
        return _check_record(args.record)
    return show_verification(verify(everything=args.all))


def show_verification(found: Verification) -> int:
    """Print what is not as recorded, and what to type; the exit code."""
    for deviation in found.deviations:
        print(deviation)
    states = {deviation.state for deviation in found.deviations}
    if states:
        print("\n".join(text for state, text in REMEDIES.items() if state in states), file=sys.stderr)
    print(f"{'Not all' if states else 'All'} is as recorded: {found}.")
    return exit_code(found.deviations)


def exit_code(deviations: Iterable[Deviation]) -> int:
    """0 without any; IntegrityError's where a recorded file is not as it was; else 1."""
    states = {deviation.state for deviation in deviations}
    return IntegrityError.exit_code if states & {"altered", "missing", "corrupt", "uncached"} else 1 if states else 0


def _check_record(path: Path) -> int:
    record = read_rebuild_record(path)
    deviations = deviations_from(record)
    for deviation in deviations:
        print(deviation)
    built = f"of the rebuild of commit {record.commit[:12]}"
    if deviations:
        print(f"Not the files {built}: {len(deviations)} differ here.")
    else:
        print(f"The files {built}: {len(record.outputs)} outputs, and the inputs that they were made from.")
    return exit_code(deviations)
