"""``python -m lockstep update customers new.csv``: bring new data of a problem in.

The file is checked against the data contract, what changes is shown as ``data-diff`` shows it, then the problem's
tracked table is extended (--append) or replaced (--replace). Rows that were test rows stay test rows, so that models of
before and after can be compared. All is done, or nothing.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

from lockstep.commands import command_parser
from lockstep.commands.new_rows import add_sheet, new_rows
from lockstep.comparing.rendering import percent, show, visible
from lockstep.comparing.tables.changes import UNCHANGED
from lockstep.comparing.tables.revisions import DataDiff
from lockstep.comparing.tables.words import report
from lockstep.comparing.verdicts import ALPHA
from lockstep.deployment.serving.row_files import FILE_KINDS
from lockstep.intake.renewing.renewal import Renewal
from lockstep.intake.renewing.updating import Update, carry_out, planned_update
from lockstep.kernel.errors import DataError, plural, some
from lockstep.kernel.locks import exclusive_command, exclusive_run
from lockstep.repository.revisions import RevisionName
from lockstep.steps.evaluating.design import LEAST_UNITS


def main(argv: Sequence[str] | None = None) -> int:
    """Update the problem's data, or with --dry-run say what would be done. Raises LockstepError; then nothing was
    changed."""
    parser = command_parser("update", __doc__)
    parser.add_argument("name", metavar="NAME", help="the problem's name")
    parser.add_argument(
        "rows", type=Path, metavar="FILE", help=f"new rows, or the whole table anew, read as load says: {FILE_KINDS}"
    )
    way = parser.add_mutually_exclusive_group(required=True)
    way.add_argument("--append", dest="mode", action="store_const", const="append", help="add its rows to the table")
    way.add_argument(
        "--replace", dest="mode", action="store_const", const="replace", help="it is the table from now on"
    )
    parser.add_argument("--key", metavar="COLUMN", help="the column that names the rows; default: found, else content")
    parser.add_argument(
        "--repeated", choices=["drop", "keep"], help="rows to add that the table has: leave them out, or not"
    )
    parser.add_argument("--allow-changed-targets", action="store_true", help="rows may have another target than before")
    parser.add_argument("--allow-vanished", action="store_true", help="the table may lack rows that it had")
    add_sheet(parser)
    parser.add_argument("--dry-run", action="store_true", help="show everything, change nothing")
    args = parser.parse_args(argv)
    drop = args.repeated == "drop"
    with (
        exclusive_command("update"), exclusive_run("update"),
        planned_update(args.name, new_rows(args.rows, args), args.mode, args.key, drop_repeated=drop) as update,
    ):  # fmt: skip
        print(*(f"{args.rows}: {note}\n" for note in update.notes), sep="", end="")
        whole = str(args.rows) if args.mode == "replace" else f"{update.data} with {args.rows}"
        show(report(_diff(update, whole), visible))
        if update.left_out:
            print(f"Left out of {args.rows}, being in the table or standing there twice: {update.left_out:,}.")
        refused = []
        for name, renewal in update.renewals.items():
            _tell(name, renewal)
            refused += _refused(renewal, update, args)
        if refused:
            raise DataError(f"{'; '.join(dict.fromkeys(refused))}. Nothing was changed.")
        written = ", ".join(map(str, (update.data, update.pointer, *update.texts)))
        if args.dry_run:
            print(f"Would write {written}. Nothing was changed.")
            return 0
        carry_out(update)
    print(f"Updated: {written}.")
    stages = " ".join(f"report@{name}" for name in update.renewals)
    print(f"Next:  dvc repro {stages} && python -m lockstep compare --problem {args.name}")
    print(f"Undo:  {update.undo}")
    return 0


def _diff(update: Update, whole: str) -> DataDiff:
    """What changes; ``whole``: what the table that is to be is called."""
    before, after = (RevisionName(name, None, name) for name in (str(update.data), whole))
    changes = {name: renewal.changes for name, renewal in update.renewals.items()}
    changed = any(found.status != UNCHANGED for found in changes.values())
    return DataDiff(alpha=ALPHA, before=before, after=after, changed=changed, problems={**changes}, outdated={})


def _tell(name: str, renewal: Renewal) -> None:
    """Say which rows are the test rows, and what two models can be compared on."""
    new = f"{percent(renewal.new_test / len(renewal.test))} are new rows ({renewal.new_test:,})"
    if renewal.in_time:
        print(
            f"{name}: the test rows are the last in time (split.time), {renewal.was_test:,} before, "
            f"{len(renewal.test):,} now, of which {new}. {renewal.left_test:,} test rows become training rows."
        )
    else:
        gone = f" but for {renewal.vanished_test:,} that are gone" if renewal.vanished_test else ""
        print(
            f"{name}: all {renewal.was_test:,} test rows stay test rows{gone}; of the {len(renewal.test):,} now, {new}."
        )
    few = f", fewer than {LEAST_UNITS}: the models before and after are not comparable there"
    print(
        f"'compare' goes by the {renewal.comparable:,} test rows that are the same before and after"
        f"{few if renewal.comparable < LEAST_UNITS else ''}."
    )


def _refused(renewal: Renewal, update: Update, args: argparse.Namespace) -> list[str]:
    """What the flags do not allow, each with the flag that does."""
    found = []
    if renewal.repeated and args.repeated is None:
        found.append(
            f"{_rows(renewal.repeated)} of {args.rows} {_verb(renewal.repeated, 'stand', 'stands')} in the table "
            "already, or twice there, cell by cell "
            "(--repeated drop leaves them out, --repeated keep adds them)"
        )
    if renewal.changed_targets and not args.allow_changed_targets:
        where = "the table that is to be" if args.mode == "append" else args.rows
        found.append(
            f"{_rows(renewal.changed_targets)} of {where} {_verb(renewal.changed_targets, 'have', 'has')} another "
            f"target than the row of the same '{renewal.key}' has now (--allow-changed-targets)"
        )
    if renewal.vanished and not args.allow_vanished:
        by = f"'{renewal.key}'" if renewal.key else "their cells, by which a changed row is gone, too"
        found.append(
            f"{_rows(renewal.vanished)} of {update.data} {_verb(renewal.vanished, 'are', 'is')} gone, "
            f"{plural(renewal.vanished_test, 'test row')} among them, by {by} (--allow-vanished)"
        )
    return found


def _verb(numbers: list[int], of_many: str, of_one: str) -> str:
    return of_one if len(numbers) == 1 else of_many


def _rows(numbers: list[int]) -> str:
    return f"{plural(len(numbers), 'row')} ({some(numbers)})"
