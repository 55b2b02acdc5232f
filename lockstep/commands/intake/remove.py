"""``python -m lockstep remove customers``: take a problem out of the repository.

Its blocks in params.yaml, dvc.yaml and dvc.lock go, its contract, its file for own features, its table unless another
problem uses it, and what the stages made of it; all else stays as it is, to the byte. The table and the models stay in
DVC's cache. If neither the last commit nor that cache could give something back, nothing is done without --yes.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.intake.problems.removing import carry_out, plan_removal
from lockstep.kernel.errors import SettingsError, some
from lockstep.kernel.locks import exclusive_command, exclusive_run


def main(argv: Sequence[str] | None = None) -> int:
    """Remove the problem, or with --dry-run say what would go. Raises LockstepError; then nothing was changed."""
    parser = command_parser("remove", __doc__)
    parser.add_argument("name", metavar="NAME", help="the problem's name")
    parser.add_argument("--yes", action="store_true", help="remove even what nothing could give back")
    parser.add_argument("--dry-run", action="store_true", help="show everything, change nothing")
    args = parser.parse_args(argv)
    with exclusive_command("remove"), exclusive_run("remove"):
        change = plan_removal(args.name)
        print(f"Of '{args.name}' go: {', '.join(map(str, change.moves)) or 'no files'}; its entries in ", end="")
        print(", ".join(map(str, change.texts)) + ".")
        lost = some(change.lost, 10)
        if args.dry_run:
            print(f"Neither the last commit nor DVC's cache has: {lost}." if lost else "All could be brought back.")
            print("Nothing was changed.")
            return 0
        if lost and not args.yes:
            raise SettingsError(
                f"neither the last commit nor DVC's cache has what is in {lost}. Commit first ('git add -A && git "
                "commit'), or give --yes to lose that. Nothing was changed."
            )
        carry_out(change)
    print("Removed. What DVC's cache has of it, its models too, stays there (until 'dvc gc').")
    if change.undo:
        print(f"Undo:  {change.undo}" + (f"    (without what is lost: {lost})" if lost else ""))
    return 0
