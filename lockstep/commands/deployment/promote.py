"""``python -m lockstep promote PROBLEM --to STAGE [REV]``: put the model of a commit into a stage, such as prod.

It looks whether the commit's files are what it records and the model was evaluated, and compares it with the model that
is in the stage, on the same test rows. One that is worse beyond chance, or cannot be compared, is refused, unless you
say why it shall be there: --anyway "why". Then it makes git tags that GTO and DVC read: a version (NAME@v1.2.0), if the
commit has none, and the stage (NAME#prod#3). Nothing is pushed. docs/promoting.md says more.

Exit code: 0 it is in the stage; 1 refused; 2 bad settings or data; 3 a recorded file is missing or altered; 4 git.
"""

from collections.abc import Sequence

from lockstep.commands import command_parser
from lockstep.comparing.model_words import report
from lockstep.comparing.rendering import show, visible
from lockstep.deployment.registry.promoting import consider, promote, push_command
from lockstep.kernel.errors import SettingsError


def main(argv: Sequence[str] | None = None) -> int:
    """Promote, and say what was done. Raises LockstepError."""
    parser = command_parser("promote", __doc__)
    parser.add_argument("problem", metavar="PROBLEM")
    parser.add_argument("--to", required=True, metavar="STAGE", help="such as staging, prod; a new one is made")
    parser.add_argument(
        "rev",
        nargs="?",
        metavar="REV",
        help="a version of the problem, such as v1.1.0, or a commit, branch, tag, experiment; default: the last commit",
    )
    parser.add_argument("--version", metavar="vX.Y.Z", help="register it as this one; default: the next, v0.0.1 first")
    parser.add_argument("--anyway", metavar="WHY", help="promote it although it is worse or cannot be compared")
    args = parser.parse_intermixed_args(argv)  # REV also behind --to
    if args.anyway is not None and not args.anyway.strip():
        raise SettingsError('--anyway is for the reason, which goes into the tag: --anyway "why".')
    found = consider(args.problem, args.to, args.rev, args.version)
    what = f"{args.problem} {found.version} ({found.commit[:7]})"
    if found.is_there:
        print(f"{args.to} has this model already: {args.problem} {found.champion}. Nothing was changed.")
        return 0
    if found.comparison:
        show(report(found.comparison, visible))
        print()
    tags = promote(found, args.anyway)
    print(f"{what} is in {args.to} now, {f'instead of {found.champion}' if found.champion else 'where none was'}.")
    if args.anyway and not found.objection:
        print("There was no objection, so the reason that you gave was not recorded.")
    print(f"Tags: {', '.join(tags)}\nPublish them: {push_command(tags, found.root)}")
    return 0
