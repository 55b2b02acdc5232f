"""``python -m lockstep rename customers churn``: give a problem another name.

Its entries in params.yaml and dvc.yaml, its contract, its file for own features, its table if that has its name, and
what the stages made of it get the new name; all else stays as it is, to the byte. Since the name is part of the stages'
commands, 'dvc repro' then builds the problem once more; its models come out as they were, to the bit.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.intake.problems.removing import carry_out, plan_renaming
from lockstep.kernel.locks import exclusive_command, exclusive_run


def main(argv: Sequence[str] | None = None) -> int:
    """Rename the problem, or with --dry-run say what would change. Raises LockstepError; then nothing was changed."""
    parser = command_parser("rename", __doc__)
    parser.add_argument("old", metavar="OLD", help="the problem's name")
    parser.add_argument("new", metavar="NEW", help="its new name")
    parser.add_argument("--dry-run", action="store_true", help="show everything, change nothing")
    args = parser.parse_args(argv)
    with exclusive_command("rename"), exclusive_run("rename"):
        change = plan_renaming(args.old, args.new)
        if args.dry_run:
            print(*(f"{path} -> {place}" for path, place in change.moves.items()), sep="\n")
            print(f"Its entries in {', '.join(map(str, change.texts))} would change.\nNothing was changed.")
            return 0
        carry_out(change)
    print(f"Renamed: {len(change.moves)} files and folders, and its entries in {', '.join(map(str, change.texts))}.")
    print(f"Next:  dvc repro report@{args.new}    (its stages' commands have the name: they run once more)")
    print(f"Undo:  {change.undo}")
    return 0
