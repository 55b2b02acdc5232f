"""``python -m lockstep demote PROBLEM --from STAGE [--back]``: take the model out of a stage.

The stage is empty then; with --back it has the model again that was there before. Any other version is put there by
'python -m lockstep promote PROBLEM --to STAGE VERSION'. Versions stay. It makes git tags that GTO reads (NAME#prod!#4);
nothing is pushed. docs/promoting.md says more.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.deployment.registry.promoting import demote, push_command


def main(argv: Sequence[str] | None = None) -> int:
    """Demote, and say what was done. Raises LockstepError."""
    parser = command_parser("demote", __doc__)
    parser.add_argument("problem", metavar="PROBLEM")
    parser.add_argument("--from", required=True, dest="stage", metavar="STAGE")
    parser.add_argument("--back", action="store_true", help="put the model there that was in the stage before")
    args = parser.parse_args(argv)
    done = demote(args.problem, args.stage, back=args.back)
    now = f"it has {done.now} again" if done.now else "it is empty"
    print(f"{args.problem} {', '.join(done.out)} is no longer in {args.stage}: {now}.")
    if not done.now:
        print(f"'dvc artifacts get --stage {args.stage}' does not look at this, and goes on to get it.")
    print(f"Tags: {', '.join(done.tags)}\nPublish them: {push_command(done.tags)}")
    return 0
